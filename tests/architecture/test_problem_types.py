"""Problem types: each is declared once, where it is raised, and none is left unpublished."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path

from shared.contracts.problem_types import declared_problem_types
from shared.kernel import errors, objection
from shared.kernel.errors import RequestError
from tests.architecture.source_files import nodes_of, product_files, relative_path
from tests.contracts.snapshots import listed_problem_types


def files_that_call(name: str) -> set[Path]:
    return {
        path
        for path in product_files()
        for node in nodes_of(path)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
    }


def test_every_module_with_problem_types_is_listed() -> None:
    names = [relative_path(path).removesuffix(".py").replace("/", ".") for path in files_that_call("ProblemType")]
    assert len(names) > 10
    listed = set(listed_problem_types())
    unlisted = {name for name in names if not listed.issuperset(declared_problem_types(import_module(name)))}
    assert unlisted == set(), "list the module in PROBLEM_TYPES of its service or in shared/web/problem_types.py"


def test_objections_are_built_by_problem_types_only() -> None:
    assert files_that_call("Objection") == {Path(str(objection.__file__))}


def test_request_errors_are_declared_in_one_module_with_one_code_each() -> None:
    kinds: list[type[RequestError]] = [RequestError, *RequestError.__subclasses__()]
    kinds += [kind for parent in kinds[1:] for kind in parent.__subclasses__()]
    assert {kind.__module__ for kind in kinds} == {errors.__name__}
    codes = [kind.code for kind in kinds]
    assert len(set(codes)) == len(codes)
    assert not set(codes) & {problem.code for problem in listed_problem_types()}
