"""OpenAPI documents of the services equal those in `openapi/`, so that a commit shows every change."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.contracts.problem_types import PROBLEMS
from tests.contracts.snapshots import (
    FOLDER,
    SERVICE_PROCESSES,
    openapi_documents,
    problem_types_json,
    write_openapi_documents,
)


def json_leaves(value: Any, pointer: str = "") -> Iterator[tuple[str, Any]]:
    """Yields (JSON pointer, value) of every value in a document that contains no other values."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if not members:
        yield pointer, value
    for name, member in members:
        yield from json_leaves(member, f"{pointer}/{name}")


def load_snapshot(name: str, folder: Path = FOLDER) -> Any:
    return json.loads((folder / name).read_text("utf-8"))


def differences(name: str, folder: Path = FOLDER) -> list[str]:
    """Returns the JSON pointers at which the current document differs from its snapshot."""
    current = dict(json_leaves(json.loads(openapi_documents()[name])))
    snapshot, absent = dict(json_leaves(load_snapshot(name, folder))), object()
    pointers = current.keys() | snapshot.keys()
    return sorted(path for path in pointers if current.get(path, absent) != snapshot.get(path, absent))


def test_every_service_has_a_snapshot() -> None:
    assert {path.name for path in FOLDER.iterdir()} == SERVICE_PROCESSES.keys()


@pytest.mark.parametrize("name", SERVICE_PROCESSES)
def test_openapi_document_equals_its_snapshot(name: str) -> None:
    assert differences(name) == [], "the API has changed: run `make contracts` and look at what it changed"
    assert (FOLDER / name).read_text("utf-8") == openapi_documents()[name]


def test_problem_types_equal_their_snapshot() -> None:
    assert PROBLEMS.read_text("utf-8") == problem_types_json(), "run `make contracts`"
    problem_types = json.loads(problem_types_json())
    assert {"too-young", "no-such-grade", "snooze-too-long"} <= problem_types.keys()
    assert all(problem_types.values())


def test_problem_type_with_several_messages_lists_all_of_them() -> None:
    problem_types = json.loads(problem_types_json())
    assert (
        problem_types["no-such-reason"]
        == "A reason is not known. Give the id of a criterion, or refused, died or other."
    )
    assert "This was stated of the study already, and can be stated only once. Or: " in problem_types["stated-twice"]
    assert "death is recorded already" in problem_types["stated-twice"]


@pytest.mark.parametrize("name", SERVICE_PROCESSES)
def test_changes_are_located_and_rewriting_the_snapshot_removes_them(tmp_path: Path, name: str) -> None:
    write_openapi_documents(tmp_path)
    document = load_snapshot(name, tmp_path)
    document["info"]["title"] = "Another"
    document["servers"] = ["elsewhere"]
    (tmp_path / name).write_text(json.dumps(document), "utf-8")
    assert differences(name, tmp_path) == ["/info/title", "/servers/0"]
    write_openapi_documents(tmp_path)
    assert differences(name, tmp_path) == []
