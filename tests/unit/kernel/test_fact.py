from __future__ import annotations

import json
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from shared.kernel.fact import (
    Correction,
    Fact,
    FactPart,
    StatedFact,
    Stream,
    effective_fact,
    fact_union,
    find_clinical_dates,
    upcast,
)
from shared.kernel.ids import LocalId
from shared.kernel.partial_date import ClinicalDate, Day, PartialDate
from shared.kernel.sealed_text import SealedString, extract_texts

LAB = Stream("laboratory", "participant")
EVENT = "018e18a2-5c00-7a01-8b3c-0123456789ab"


def _upcast_to_v2(data: dict[str, Any]) -> dict[str, Any]:
    return {**{name: value for name, value in data.items() if name != "tube"}, "tubes": 1}


def _upcast_to_v3(data: dict[str, Any]) -> dict[str, Any]:
    return {**data, "kind": "blood"}


class Reading(FactPart):
    read_on: ClinicalDate
    value: int


@LAB.fact("sample.taken", on="taken_on", by="site", version=3, upcasts={1: _upcast_to_v2, 2: _upcast_to_v3})
class SampleTakenV3(Fact):
    """A sample. Version 1 named its one tube, version 2 counted the tubes, and version 3 adds the kind of sample."""

    taken_on: ClinicalDate
    tubes: Annotated[int, Field(strict=True, ge=1)]
    kind: Literal["blood", "tissue"]
    readings: tuple[Reading, ...] = ()
    remark: SealedString | None = None


@LAB.fact("sample.lost")
class LabSampleLost(Fact):
    sample_id: LocalId


@LAB.fact("sample.due", on="by_day")
class SampleDue(Fact):
    by_day: Day | None


FIRST = {"taken_on": "2024-03-07", "tube": "T1", "remark": None}
SECOND = {"taken_on": "2024-03-07", "tubes": 1, "remark": None}
TODAY = SampleTakenV3.model_validate({"taken_on": "2024-03-07", "tubes": 1, "kind": "blood"})


def correction_content(version: object, data: object, type_name: str = "sample.taken") -> dict[str, Any]:
    replacement = {"type": type_name, "schema_version": version, "data": data}
    return {"event_id": EVENT, "reason_code": "typing_error", "replacement": replacement}


@pytest.mark.parametrize(("version", "data"), [(1, FIRST), (2, SECOND), (3, json.loads(TODAY.model_dump_json()))])
def test_fact_of_any_version_is_upcast_when_read(version: int, data: dict[str, Any]) -> None:
    assert LAB.read("sample.taken", version, json.dumps(data)) == TODAY


@pytest.mark.parametrize(("version", "data"), [(1, FIRST), (2, SECOND), (3, json.loads(TODAY.model_dump_json()))])
def test_replacement_of_any_version_is_upcast_when_read(version: int, data: dict[str, Any]) -> None:
    stored = json.dumps(correction_content(version, data))
    for read in (LAB.read("record.corrected", 1, stored), LAB.correction(**json.loads(stored))):
        assert effective_fact(read) == TODAY
        assert json.loads(read.model_dump_json())["replacement"]["schema_version"] == 3


def test_correction_without_version_uses_the_current_one() -> None:
    content_without_version = correction_content(3, json.loads(TODAY.model_dump_json()))
    del content_without_version["replacement"]["schema_version"]
    assert effective_fact(LAB.correction(**content_without_version)) == TODAY


def test_upcast_does_not_modify_its_input() -> None:
    before = dict(FIRST)
    upcast(SampleTakenV3, 1, before)
    assert before == FIRST


@pytest.mark.parametrize("version", [-1, 0])
def test_versions_below_1_are_refused_in_facts_and_corrections(version: int) -> None:
    with pytest.raises(ValueError, match="schema version"):
        LAB.read("sample.taken", version, json.dumps(SECOND))
    for of_correction in (1, 3):
        with pytest.raises(ValueError, match="schema version"):
            LAB.read("record.corrected", of_correction, json.dumps(correction_content(version, SECOND)))


LATER = {**json.loads(TODAY.model_dump_json()), "fasting": True, "readings": []}


@pytest.mark.parametrize("version", [4, 99])
def test_newer_version_is_read_without_its_unknown_members(version: int) -> None:
    assert LAB.read("sample.taken", version, json.dumps(LATER)) == TODAY
    for of_correction in (3, version):
        read = LAB.read("record.corrected", of_correction, json.dumps(correction_content(version, LATER)))
        assert effective_fact(read) == TODAY


@pytest.mark.parametrize("data", [{**LATER, "tubes": "two"}, {"taken_on": "2024-03-07", "kind": "blood"}])
def test_unreadable_newer_version_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        LAB.read("sample.taken", 4, json.dumps(data))
    with pytest.raises(ValidationError):
        LAB.read("record.corrected", 3, json.dumps(correction_content(4, data)))


def test_correction_in_a_newer_version_cannot_be_recorded() -> None:
    with pytest.raises(ValidationError, match="does not have this schema version here"):
        LAB.correction(**correction_content(4, json.loads(TODAY.model_dump_json())))


def test_correction_version_rises_with_the_versions_of_its_facts() -> None:
    assert LAB.facts["record.corrected"].schema_version == 3


@pytest.mark.parametrize("version", ["3", 3.5, None, [3]])
def test_schema_version_must_be_an_integer(version: object) -> None:
    with pytest.raises(ValidationError):
        LAB.read("record.corrected", 1, json.dumps(correction_content(version, json.loads(TODAY.model_dump_json()))))


def test_type_of_another_stream_is_unknown() -> None:
    with pytest.raises(KeyError):
        LAB.read("sample.thawed", 1, "{}")
    with pytest.raises(ValidationError):
        LAB.read("record.corrected", 1, json.dumps(correction_content(1, {}, "sample.thawed")))


def test_replacement_content_must_match_its_type() -> None:
    for type_name, data in (("sample.lost", SECOND), ("sample.taken", {"sample_id": "S1"}), ("sample.taken", None)):
        with pytest.raises(ValidationError):
            LAB.read("record.corrected", 1, json.dumps(correction_content(3, data, type_name)))


def test_a_correction_cannot_be_corrected() -> None:
    nested = correction_content(1, {"event_id": EVENT, "reason_code": "other", "replacement": None}, "record.corrected")
    with pytest.raises(ValidationError):
        LAB.correction(**nested)


def test_correction_requires_a_replacement_or_null() -> None:
    voided = LAB.correction(event_id=EVENT, reason_code="entered_in_error", replacement=None)
    assert (voided.replacement_fact, effective_fact(voided)) == (None, voided)
    with pytest.raises(ValidationError):
        LAB.correction(event_id=EVENT, reason_code="entered_in_error")


def test_correction_of_a_fact_round_trips() -> None:
    corrected = LAB.correction(event_id=UUID(EVENT), reason_code="other", reason="she rang", replacement=TODAY)
    assert (corrected.replacement_fact, effective_fact(corrected), corrected.happened_on) == (TODAY, TODAY, None)
    assert dict(extract_texts(corrected)) == {"/reason": "she rang"}
    read = LAB.read("record.corrected", 1, corrected.model_dump_json())
    assert isinstance(read, Correction)
    assert (read.event_id, read.replacement_fact, read.model_dump_json()) == (
        UUID(EVENT),
        TODAY,
        corrected.model_dump_json(),
    )


def test_every_stream_has_a_correction_of_its_own_facts() -> None:
    other = Stream("pathology", "participant")
    other.fact("slide.stained")(type("SlideStained", (Fact,), {}))
    assert LAB.facts["record.corrected"] is not other.facts["record.corrected"]
    with pytest.raises(ValidationError):
        other.correction(**correction_content(3, json.loads(TODAY.model_dump_json())))


def test_uncorrectable_and_empty_streams_have_no_correction_type() -> None:
    final = Stream("laboratory", "study", correctable=False)
    final.fact("study.closed")(type("Closed", (Fact,), {}))
    assert set(final.facts) == {"study.closed"}
    assert Stream("empty", "participant").facts == {}


def test_fact_types_are_unique_in_a_stream() -> None:
    with pytest.raises(TypeError, match=r"sample\.lost"):
        LAB.fact("sample.lost")(type("Again", (Fact,), {}))
    assert LAB.declared_facts["sample.lost"] is LabSampleLost


def test_decorator_sets_type_version_date_member_and_roles() -> None:
    assert (SampleTakenV3.type_name, SampleTakenV3.schema_version, SampleTakenV3.date_field) == (
        "sample.taken",
        3,
        "taken_on",
    )
    assert SampleTakenV3.stated_by_roles == {"site"}
    assert LabSampleLost.stated_by_roles == {"site", "coordinator"}
    assert (LabSampleLost.schema_version, LabSampleLost.date_field) == (1, None)


def test_happened_on_is_the_date_member_or_none() -> None:
    assert TODAY.happened_on == PartialDate.parse("2024-03-07")
    assert SampleTakenV3.model_validate(
        {"taken_on": "2024", "tubes": 1, "kind": "blood"}
    ).happened_on == PartialDate.parse("2024")
    assert SampleDue.model_validate({"by_day": "2024-03-07"}).happened_on == PartialDate.parse("2024-03-07")
    assert SampleDue.model_validate({"by_day": None}).happened_on is None
    assert LabSampleLost.model_validate({"sample_id": "S1"}).happened_on is None


def test_clinical_dates_are_found_with_pointers_also_in_corrections() -> None:
    readings = [{"read_on": "2024-03", "value": 1}, {"read_on": "2024-04-02", "value": 2}]
    fact = SampleTakenV3.model_validate({"taken_on": "2024-03-07", "tubes": 2, "kind": "tissue", "readings": readings})
    expected = {"/taken_on": "2024-03-07", "/readings/0/read_on": "2024-03", "/readings/1/read_on": "2024-04-02"}
    assert {pointer: str(when) for pointer, when in find_clinical_dates(fact)} == expected
    corrected = LAB.correction(event_id=EVENT, reason_code="other", replacement=fact)
    assert {pointer: str(when) for pointer, when in find_clinical_dates(corrected)} == {
        f"/replacement/data{pointer}": message for pointer, message in expected.items()
    }


def test_facts_reject_unknown_members_and_are_immutable() -> None:
    with pytest.raises(ValidationError):
        LabSampleLost.model_validate({"sample_id": "S1", "colour": "red"})
    with pytest.raises(ValidationError):
        TODAY.__setattr__("tubes", 2)
    assert TODAY.tubes == 1


def test_fact_union_is_discriminated_by_type() -> None:
    either: TypeAdapter[Any] = TypeAdapter(fact_union([SampleTakenV3, LabSampleLost]))
    chosen = either.validate_python({"type": "sample.lost", "data": {"sample_id": "S1"}})
    assert (chosen.type, chosen.schema_version, chosen.data) == ("sample.lost", 1, LabSampleLost(sample_id="S1"))
    with pytest.raises(ValidationError):
        either.validate_python({"type": "sample.due", "data": {"by_day": None}})


def test_stated_fact_has_the_id_of_its_event() -> None:
    assert LAB.stated_fact(UUID(EVENT), "sample.taken", 1, json.dumps(FIRST)) == StatedFact(UUID(EVENT), TODAY)
