"""Every version can be read by whoever reads another one, and what would end that is found."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, StringConstraints, create_model

from shared.contracts.compatibility import breaks, readable
from shared.contracts.schemas import Language, check, write
from shared.kernel.dates import ClinicalDate
from shared.kernel.fact import Fact, Member, Stream, Upcast

Code = Annotated[str, StringConstraints(pattern="^[a-z]{1,8}$")]


class Tube(Member):
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


def language(members: Mapping[str, Any], version: int = 1, by: Upcast | None = None, *more: str) -> Language:
    """One kind of fact, `sample.taken`, with these members; and others, which never change."""
    stream = Stream("laboratory", "participant")
    upcasts = {1: by or dict} if version == 2 else {}
    made = create_model("SampleTaken", __base__=Fact, **members)
    stream.fact("sample.taken", on="taken_on", version=version, upcasts=upcasts)(made)
    for name in more:
        stream.fact(f"sample.{name}")(create_model(name.title(), __base__=Fact, taken_on=(ClinicalDate, ...)))
    return lambda: [(stream, fact) for fact in stream.facts.values()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What was published of version 1."""
    write(tmp_path, language(FIRST))
    return tmp_path


def changed(**members: Any) -> Mapping[str, Any]:
    return {**FIRST, **members}


def without(*names: str) -> Mapping[str, Any]:
    return {name: member for name, member in FIRST.items() if name not in names}


def second(folder: Path, members: Mapping[str, Any], by: Upcast | None = None) -> list[str]:
    """What breaks with a version 2 that is published as the recipe says."""
    later = language(members, 2, by)
    write(folder, later)
    assert check(folder, later) == []
    return breaks(folder, later)


def test_everybody_can_read_what_is_published() -> None:
    assert breaks() == []


def test_a_language_that_did_not_change_breaks_nothing(folder: Path) -> None:
    assert breaks(folder, language(FIRST)) == []


@pytest.mark.parametrize(
    ("members", "by"),
    [
        (changed(fasting=(bool | None, None)), dict),
        (changed(fasting=(bool, ...)), lambda said: {**said, "fasting": False}),
        (without("label"), lambda said: {name: said[name] for name in said if name != "label"}),
        (changed(label=(Code, ...)), lambda said: {**said, "label": said.get("label") or "none"}),
        (changed(kind=(Literal["blood"], ...)), lambda said: {**said, "kind": "blood"}),
        (changed(tubes=(tuple[NumberedTube, ...], ...)),
         lambda said: {**said, "tubes": [{**tube, "number": place} for place, tube in enumerate(said["tubes"])]}),
    ],
    ids=["optional-member", "required-member", "optional-member-less", "required-from-now-on", "fewer-kinds",
         "required-within"],
)  # fmt: skip
def test_a_version_that_says_more_or_less_and_brings_the_old_one_up_breaks_nothing(
    folder: Path, members: Mapping[str, Any], by: Upcast
) -> None:
    assert second(folder, members, by) == []


FORWARD = [
    "what is written today is not for readers of sample.taken.v1",
    "what is written today is not for readers of record.corrected.laboratory.v1",
]


@pytest.mark.parametrize(
    "members",
    [
        without("kind"),
        changed(kind=(Literal["blood", "tissue"] | None, None)),
        changed(kind=(Literal["blood", "tissue", "saliva"], ...)),
        changed(kind=(Code, ...)),
        changed(code=(int, ...)),
        changed(code=(Annotated[str, StringConstraints(pattern="^[a-z0-9]{1,8}$")], ...)),
        changed(code=(str, ...)),
        changed(label=(int | None, None)),
        changed(tubes=(tuple[LargerTube, ...], ...)),
        changed(tubes=(Tube, ...)),
    ],
    ids=["member-removed", "member-optional", "enumeration-wider", "enumeration-open", "other-type", "pattern-wider",
         "pattern-gone", "optional-member-of-other-type", "range-wider-within", "list-gone"],
)  # fmt: skip
def test_what_a_reader_of_the_version_before_cannot_read_is_found_in_a_fact_and_in_its_correction(
    folder: Path, members: Mapping[str, Any]
) -> None:
    assert [line for line in second(folder, members) if line.startswith("what is written")] == FORWARD


def fails(why: str) -> str:
    return f"what was written as sample.taken.v1 is not read today: {why}"


def half(said: dict[str, Any]) -> dict[str, Any]:
    """Brings up the required members alone."""
    return {**said, "shelf": said["label"][:1]} if said["label"] else {**said, "shelf": said["none"]}


@pytest.mark.parametrize(
    ("members", "by", "why"),
    [
        (changed(fasting=(bool, ...)), None, "$ fails required"),
        (changed(kind=(Literal["blood"], ...)), None, "$.kind fails const"),
        (changed(shelf=(Code, ...)), lambda said: {**said, "shelf": "A"}, "$.shelf fails pattern"),
        (changed(tubes=(tuple[SmallerTube, ...], ...)), None, "$.tubes is narrower"),
        (changed(code=(Annotated[str, StringConstraints(pattern="^[a-z]{1,7}$")], ...)), None, "$.code is narrower"),
        (changed(tubes=(tuple[NumberedTube, ...], ...)), None, "$.tubes[0] fails required"),
        (changed(label=(Code, ...)), None, "$.label fails type"),
        (changed(shelf=(Code, ...)), half, "its upcast raises KeyError"),
    ],
    ids=["required-member-without-upcast", "narrower-enumeration", "upcast-to-another-pattern", "narrower-range-within",
         "narrower-pattern", "required-within",
         "required-from-now-on", "upcast-of-some"],
)  # fmt: skip
def test_what_was_written_and_is_not_brought_up_right_is_found(
    folder: Path, members: Mapping[str, Any], by: Upcast | None, why: str
) -> None:
    found = second(folder, members, by)
    assert fails(why) in found
    corrected = [line for line in found if line.startswith("what was written as record.corrected.laboratory.v1")]
    assert bool(corrected) is not why.endswith("narrower")  # that is said once, of the fact


@pytest.mark.parametrize(
    ("members", "broken"),
    [
        (without("label"), 0),
        (changed(fasting=(bool | None, None)), 0),
        (changed(kind=(Literal["blood"], ...)), 1),
        (changed(fasting=(bool, ...)), 1),
        (without("kind"), 1),
    ],
)
def test_a_change_without_a_new_version_is_never_published_and_what_it_breaks_is_said(
    folder: Path, members: Mapping[str, Any], broken: int
) -> None:
    write(folder, language(members))
    assert len(check(folder, language(members))) == 4  # writer and reader of the fact and of its correction
    assert len(breaks(folder, language(members))) == 2 * broken


def test_a_new_kind_of_fact_in_a_correction_breaks_nothing(folder: Path) -> None:
    wider = language(FIRST, 1, None, "thawed")
    write(folder, wider)
    assert check(folder, wider) == []
    assert breaks(folder, wider) == []


NAME = {"type": "string", "pattern": "^[a-z]+$"}


@pytest.mark.parametrize(
    ("written", "read", "fits"),
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
def test_a_text_fits_where_any_text_does_or_one_of_just_its_shape(written: Any, read: Any, fits: bool) -> None:
    def holding(member: Any) -> Any:
        return {"type": "object", "properties": {"a": member}, "required": ["a"], "additionalProperties": True}

    assert readable(holding(written), holding(read)) is fits
