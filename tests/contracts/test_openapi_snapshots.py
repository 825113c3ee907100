"""What the services offer over HTTP changes only where a commit shows it: `openapi/` has their documents."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.web.problem_types import PROBLEMS
from tests.contracts.snapshots import FOLDER, documents, problems, write

TODAY = documents()


def places(value: Any, pointer: str = "") -> Iterator[tuple[str, Any]]:
    """(JSON pointer, value) of everything in a document that holds nothing else."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if not members:
        yield pointer, value
    for name, member in members:
        yield from places(member, f"{pointer}/{name}")


def kept(name: str, folder: Path = FOLDER) -> Any:
    return json.loads((folder / name).read_text("utf-8"))


def differences(name: str, folder: Path = FOLDER) -> list[str]:
    """Where today's document is another than the kept one."""
    today, before = dict(places(json.loads(TODAY[name]))), dict(places(kept(name, folder)))
    absent = object()
    return sorted(
        place for place in today.keys() | before.keys() if today.get(place, absent) != before.get(place, absent)
    )


def test_the_document_of_every_service_is_kept_and_no_other() -> None:
    assert {path.name for path in FOLDER.iterdir()} == TODAY.keys()


@pytest.mark.parametrize("name", TODAY)
def test_the_document_is_the_one_that_is_kept(name: str) -> None:
    assert differences(name) == [], "the API has changed: run `make contracts` and look at what it changed"
    assert (FOLDER / name).read_text("utf-8") == TODAY[name]


def test_the_problem_types_of_all_services_are_those_that_are_kept() -> None:
    assert PROBLEMS.read_text("utf-8") == problems(), "run `make contracts`"
    kept = json.loads(problems())
    assert {"too-young", "no-such-grade", "snooze-too-long"} <= kept.keys()
    assert all(kept.values())


def test_a_type_that_is_said_in_several_ways_is_published_with_all_of_them() -> None:
    kept = json.loads(problems())
    assert kept["no-such-reason"] == "A reason is not known. Give the id of a criterion, or refused, died or other."
    assert "This was stated of the study already, and can be stated only once. Or: " in kept["stated-twice"]
    assert "death is recorded already" in kept["stated-twice"]


@pytest.mark.parametrize("name", TODAY)
def test_every_change_is_found_where_it_is_and_writing_mends_it(tmp_path: Path, name: str) -> None:
    write(tmp_path)
    document = kept(name, tmp_path)
    document["info"]["title"] = "Another"
    document["servers"] = ["elsewhere"]
    (tmp_path / name).write_text(json.dumps(document), "utf-8")
    assert differences(name, tmp_path) == ["/info/title", "/servers/0"]
    write(tmp_path)
    assert differences(name, tmp_path) == []
