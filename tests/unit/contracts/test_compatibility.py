"""Readers of any published version can read every other one, and incompatible changes are found."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, StringConstraints, create_model

from shared.contracts.compatibility import find_incompatibilities, is_readable_by
from shared.contracts.json_schemas import FactSource, find_differences, write_schemas
from shared.kernel.fact import Fact, FactPart, Stream, Upcast
from shared.kernel.partial_date import ClinicalDate

Code = Annotated[str, StringConstraints(pattern="^[a-z]{1,8}$")]


class Tube(FactPart):
    code: Code
    volume_ml: Annotated[int, Field(ge=1, le=20)]


class LargerTube(Tube):
    volume_ml: Annotated[int, Field(ge=1, le=50)]


class SmallerTube(Tube):
    volume_ml: Annotated[int, Field(ge=1, le=10)]


class NumberedTube(Tube):
    number: int


FIRST: Mapping[str, Any] = {
    "taken_on": (ClinicalDate, ...),
    "kind": (Literal["blood", "tissue"], ...),
    "code": (Code, ...),
    "tubes": (tuple[Tube, ...], ...),
    "label": (Code | None, None),
}


def fact_source(
    members: Mapping[str, Any], version: int = 1, upcast: Upcast | None = None, *extra_names: str
) -> FactSource:
    """Returns a source of `sample.taken` with these members, and of other facts, which never change."""
    stream = Stream("laboratory", "participant")
    upcasts = {1: upcast or dict} if version == 2 else {}
    model = create_model("SampleTaken", __base__=Fact, **members)
    stream.fact("sample.taken", on="taken_on", version=version, upcasts=upcasts)(model)
    for name in extra_names:
        stream.fact(f"sample.{name}")(create_model(name.title(), __base__=Fact, taken_on=(ClinicalDate, ...)))
    return lambda: [(stream, fact) for fact in stream.facts.values()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Folder with the published schemas of version 1."""
    write_schemas(tmp_path, fact_source(FIRST))
    return tmp_path


def members_with(**members: Any) -> Mapping[str, Any]:
    return {**FIRST, **members}


def members_without(*names: str) -> Mapping[str, Any]:
    return {name: member for name, member in FIRST.items() if name not in names}


def incompatibilities_of_version_2(folder: Path, members: Mapping[str, Any], upcast: Upcast | None = None) -> list[str]:
    """Publishes a version 2 as the recipe describes; returns its incompatibilities."""
    later = fact_source(members, 2, upcast)
    write_schemas(folder, later)
    assert find_differences(folder, later) == []
    return find_incompatibilities(folder, later)


def test_published_versions_are_mutually_readable() -> None:
    assert find_incompatibilities() == []


def test_unchanged_facts_are_compatible(folder: Path) -> None:
    assert find_incompatibilities(folder, fact_source(FIRST)) == []


@pytest.mark.parametrize(
    ("members", "by"),
    [
        (members_with(fasting=(bool | None, None)), dict),
        (members_with(fasting=(bool, ...)), lambda content: {**content, "fasting": False}),
        (members_without("label"), lambda content: {name: content[name] for name in content if name != "label"}),
        (members_with(label=(Code, ...)), lambda content: {**content, "label": content.get("label") or "none"}),
        (members_with(kind=(Literal["blood"], ...)), lambda content: {**content, "kind": "blood"}),
        (
            members_with(tubes=(tuple[NumberedTube, ...], ...)),
            lambda content: {
                **content,
                "tubes": [{**tube, "number": index} for index, tube in enumerate(content["tubes"])],
            },
        ),
    ],
    ids=[
        "optional-member",
        "required-member",
        "optional-member-less",
        "required-from-now-on",
        "fewer-kinds",
        "required-within",
    ],
)
def test_new_version_with_a_correct_upcast_is_compatible(folder: Path, members: Mapping[str, Any], by: Upcast) -> None:
    assert incompatibilities_of_version_2(folder, members, by) == []


FORWARD_INCOMPATIBILITIES = [
    "content of today cannot be read by readers of sample.taken.v1",
    "content of today cannot be read by readers of record.corrected.laboratory.v1",
]


@pytest.mark.parametrize(
    "members",
    [
        members_without("kind"),
        members_with(kind=(Literal["blood", "tissue"] | None, None)),
        members_with(kind=(Literal["blood", "tissue", "saliva"], ...)),
        members_with(kind=(Code, ...)),
        members_with(code=(int, ...)),
        members_with(code=(Annotated[str, StringConstraints(pattern="^[a-z0-9]{1,8}$")], ...)),
        members_with(code=(str, ...)),
        members_with(label=(int | None, None)),
        members_with(tubes=(tuple[LargerTube, ...], ...)),
        members_with(tubes=(Tube, ...)),
    ],
    ids=[
        "member-removed",
        "member-optional",
        "enumeration-wider",
        "enumeration-open",
        "other-type",
        "pattern-wider",
        "pattern-gone",
        "optional-member-of-other-type",
        "range-wider-within",
        "list-gone",
    ],
)
def test_version_unreadable_by_old_readers_is_reported_for_fact_and_correction(
    folder: Path, members: Mapping[str, Any]
) -> None:
    assert [
        line for line in incompatibilities_of_version_2(folder, members) if line.startswith("content of today")
    ] == FORWARD_INCOMPATIBILITIES


def expected_failure(why: str) -> str:
    return f"what was written as sample.taken.v1 is not read today: {why}"


def upcast_required_members(data: dict[str, Any]) -> dict[str, Any]:
    """Adds the shelf. Fails for a sample with an empty label."""
    return {**data, "shelf": data["label"][:1]} if data["label"] else {**data, "shelf": data["none"]}


@pytest.mark.parametrize(
    ("members", "by", "why"),
    [
        (members_with(fasting=(bool, ...)), None, "$ fails required"),
        (members_with(kind=(Literal["blood"], ...)), None, "$.kind fails const"),
        (members_with(shelf=(Code, ...)), lambda content: {**content, "shelf": "A"}, "$.shelf fails pattern"),
        (members_with(tubes=(tuple[SmallerTube, ...], ...)), None, "$.tubes is narrower"),
        (
            members_with(code=(Annotated[str, StringConstraints(pattern="^[a-z]{1,7}$")], ...)),
            None,
            "$.code is narrower",
        ),
        (members_with(tubes=(tuple[NumberedTube, ...], ...)), None, "$.tubes[0] fails required"),
        (members_with(label=(Code, ...)), None, "$.label fails type"),
        (members_with(shelf=(Code, ...)), upcast_required_members, "its upcast raises KeyError"),
    ],
    ids=[
        "required-member-without-upcast",
        "narrower-enumeration",
        "upcast-to-another-pattern",
        "narrower-range-within",
        "narrower-pattern",
        "required-within",
        "required-from-now-on",
        "upcast-of-some",
    ],
)
def test_old_data_that_is_not_upcast_correctly_is_reported(
    folder: Path, members: Mapping[str, Any], by: Upcast | None, why: str
) -> None:
    incompatibilities = incompatibilities_of_version_2(folder, members, by)
    assert expected_failure(why) in incompatibilities
    corrected = [
        line for line in incompatibilities if line.startswith("what was written as record.corrected.laboratory.v1")
    ]
    assert bool(corrected) is not why.endswith("narrower")  # reported once, for the fact


@pytest.mark.parametrize(
    ("members", "broken"),
    [
        (members_without("label"), 0),
        (members_with(fasting=(bool | None, None)), 0),
        (members_with(kind=(Literal["blood"], ...)), 1),
        (members_with(fasting=(bool, ...)), 1),
        (members_without("kind"), 1),
    ],
)
def test_change_without_new_version_is_not_published_and_its_breaks_are_reported(
    folder: Path, members: Mapping[str, Any], broken: int
) -> None:
    write_schemas(folder, fact_source(members))
    assert (
        len(find_differences(folder, fact_source(members))) == 4
    )  # writer and reader of the fact and of its correction
    assert len(find_incompatibilities(folder, fact_source(members))) == 2 * broken


def test_new_fact_type_in_a_correction_is_compatible(folder: Path) -> None:
    wider = fact_source(FIRST, 1, None, "thawed")
    write_schemas(folder, wider)
    assert find_differences(folder, wider) == []
    assert find_incompatibilities(folder, wider) == []


NAME = {"type": "string", "pattern": "^[a-z]+$"}


@pytest.mark.parametrize(
    ("writer", "reader", "fits"),
    [
        (NAME, NAME, True),
        (NAME, {"type": "string"}, True),
        ({"type": "string"}, NAME, False),
        (NAME, {"type": "string", "pattern": "^[a-c]+$"}, False),
        ({"type": "string", "format": "date"}, {"type": "string", "format": "uuid"}, False),
        ({"type": "string"}, {"type": "string", "format": "uuid"}, False),
        ({"type": "string", "maxLength": 5}, {"type": "string", "maxLength": 4}, False),
        ({"enum": ["a", "b"]}, {"type": "string"}, True),
        ({"enum": ["a", "b"]}, {"enum": ["a"]}, False),
        ({"type": "string"}, {"anyOf": [{"type": "null"}, {"type": "string"}]}, True),
    ],
)
def test_text_schemas_are_readable_if_the_reader_accepts_any_or_the_same_shape(
    writer: Any, reader: Any, fits: bool
) -> None:
    def holding(member: Any) -> Any:
        return {"type": "object", "properties": {"a": member}, "required": ["a"], "additionalProperties": True}

    assert is_readable_by(holding(writer), holding(reader)) is fits
