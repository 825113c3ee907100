"""Tests and benches take their facts from one set of builders."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from shared.contracts import catalogue
from tests.architecture.source_files import parse_file, relative_path, repository_files

FOLDERS = ("shared/testing/", "tests/", "bench/")
FACT_CLASSES = {fact.__name__ for _, fact in catalogue.all_facts()}


def fact_builders(path: Path) -> Iterator[tuple[str, str]]:
    """Yields the class and the name of functions that return a fact with a part of its content by default."""
    for node in ast.walk(parse_file(path)):
        match node:
            case ast.FunctionDef(returns=ast.Name(id=name), args=arguments) if name in FACT_CLASSES:
                if arguments.defaults or any(arguments.kw_defaults):
                    yield name, f"{relative_path(path)}:{node.name}"


def test_each_class_of_facts_has_one_builder() -> None:
    builders = defaultdict[str, list[str]](list)
    for path in repository_files(".py"):
        if relative_path(path).startswith(FOLDERS):
            for name, function in fact_builders(path):
                builders[name].append(function)
    assert {name: functions for name, functions in builders.items() if len(functions) > 1} == {}
    assert builders["ParticipantScreened"] == ["shared/testing/builders/facts.py:participant_screened"]
