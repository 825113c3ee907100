from __future__ import annotations

import json
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from shared.kernel.dates import ClinicalDate, Day, PartialDate
from shared.kernel.fact import Corrected, Fact, Member, Stated, Stream, clinical_dates, content, one_of, upcast
from shared.kernel.ids import LocalId
from shared.kernel.sealed import Sealed, texts

LAB = Stream("laboratory", "participant")
EVENT = "018e18a2-5c00-7a01-8b3c-0123456789ab"


def _tubes_are_counted(data: dict[str, Any]) -> dict[str, Any]:
    return {**{name: value for name, value in data.items() if name != "tube"}, "tubes": 1}


def _kind_is_asked(data: dict[str, Any]) -> dict[str, Any]:
    return {**data, "kind": "blood"}


class Reading(Member):
    read_on: ClinicalDate
    value: int


@LAB.fact("sample.taken", on="taken_on", by="site", version=3, upcasts={1: _tubes_are_counted, 2: _kind_is_asked})
class SampleTaken(Fact):
    """Version 1 named its one tube, version 2 counted them, version 3 also says of what."""

    taken_on: ClinicalDate
    tubes: Annotated[int, Field(strict=True, ge=1)]
    kind: Literal["blood", "tissue"]
    readings: tuple[Reading, ...] = ()
    remark: Sealed | None = None


@LAB.fact("sample.lost")
class SampleLost(Fact):
    sample_id: LocalId


@LAB.fact("sample.due", on="by_day")
class SampleDue(Fact):
    by_day: Day | None


FIRST = {"taken_on": "2024-03-07", "tube": "T1", "remark": None}
SECOND = {"taken_on": "2024-03-07", "tubes": 1, "remark": None}
TODAY = SampleTaken.model_validate({"taken_on": "2024-03-07", "tubes": 1, "kind": "blood"})


def correction(version: object, data: object, type_name: str = "sample.taken") -> dict[str, Any]:
    replacement = {"type": type_name, "schema_version": version, "data": data}
    return {"event_id": EVENT, "reason_code": "typing_error", "replacement": replacement}


@pytest.mark.parametrize(("version", "data"), [(1, FIRST), (2, SECOND), (3, json.loads(TODAY.model_dump_json()))])
def test_a_fact_of_any_version_reads_as_one_of_today(version: int, data: dict[str, Any]) -> None:
    assert LAB.read("sample.taken", version, json.dumps(data)) == TODAY


@pytest.mark.parametrize(("version", "data"), [(1, FIRST), (2, SECOND), (3, json.loads(TODAY.model_dump_json()))])
def test_a_correction_that_was_written_in_any_version_reads_as_one_of_today(version: int, data: dict[str, Any]) -> None:
    stored = json.dumps(correction(version, data))
    for read in (LAB.read("record.corrected", 1, stored), LAB.correction(**json.loads(stored))):
        assert content(read) == TODAY
        assert json.loads(read.model_dump_json())["replacement"]["schema_version"] == 3


def test_a_correction_without_a_version_is_written_in_the_one_of_today() -> None:
    stated = correction(3, json.loads(TODAY.model_dump_json()))
    del stated["replacement"]["schema_version"]
    assert content(LAB.correction(**stated)) == TODAY


def test_bringing_a_fact_up_leaves_what_is_stored_alone() -> None:
    before = dict(FIRST)
    upcast(SampleTaken, 1, before)
    assert before == FIRST


@pytest.mark.parametrize("version", [-1, 0])
def test_a_version_that_never_was_is_refused_in_a_fact_and_in_a_correction(version: int) -> None:
    with pytest.raises(ValueError, match="schema version"):
        LAB.read("sample.taken", version, json.dumps(SECOND))
    for of_correction in (1, 3):
        with pytest.raises(ValueError, match="schema version"):
            LAB.read("record.corrected", of_correction, json.dumps(correction(version, SECOND)))


LATER = {**json.loads(TODAY.model_dump_json()), "fasting": True, "readings": []}


@pytest.mark.parametrize("version", [4, 99])
def test_a_version_that_is_not_here_yet_is_read_as_far_as_it_goes(version: int) -> None:
    assert LAB.read("sample.taken", version, json.dumps(LATER)) == TODAY
    for of_correction in (3, version):
        read = LAB.read("record.corrected", of_correction, json.dumps(correction(version, LATER)))
        assert content(read) == TODAY


@pytest.mark.parametrize("data", [{**LATER, "tubes": "two"}, {"taken_on": "2024-03-07", "kind": "blood"}])
def test_a_version_that_is_not_here_yet_and_does_not_fit_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        LAB.read("sample.taken", 4, json.dumps(data))
    with pytest.raises(ValidationError):
        LAB.read("record.corrected", 3, json.dumps(correction(4, data)))


def test_a_version_that_is_not_here_yet_cannot_be_stated() -> None:
    with pytest.raises(ValidationError, match="does not have this schema version here"):
        LAB.correction(**correction(4, json.loads(TODAY.model_dump_json())))


def test_a_correction_has_a_new_version_with_each_of_its_facts() -> None:
    assert LAB.facts["record.corrected"].schema_version == 3


@pytest.mark.parametrize("version", ["3", 3.5, None, [3]])
def test_a_version_is_a_whole_number(version: object) -> None:
    with pytest.raises(ValidationError):
        LAB.read("record.corrected", 1, json.dumps(correction(version, json.loads(TODAY.model_dump_json()))))


def test_a_type_that_the_stream_does_not_have_is_unknown() -> None:
    with pytest.raises(KeyError):
        LAB.read("sample.thawed", 1, "{}")
    with pytest.raises(ValidationError):
        LAB.read("record.corrected", 1, json.dumps(correction(1, {}, "sample.thawed")))


def test_a_correction_takes_the_content_of_its_type_and_of_no_other() -> None:
    for type_name, data in (("sample.lost", SECOND), ("sample.taken", {"sample_id": "S1"}), ("sample.taken", None)):
        with pytest.raises(ValidationError):
            LAB.read("record.corrected", 1, json.dumps(correction(3, data, type_name)))


def test_a_correction_cannot_be_corrected() -> None:
    nested = correction(1, {"event_id": EVENT, "reason_code": "other", "replacement": None}, "record.corrected")
    with pytest.raises(ValidationError):
        LAB.correction(**nested)


def test_a_correction_must_say_what_it_puts_in_place_even_if_that_is_nothing() -> None:
    voided = LAB.correction(event_id=EVENT, reason_code="entered_in_error", replacement=None)
    assert (voided.restated, content(voided)) == (None, voided)
    with pytest.raises(ValidationError):
        LAB.correction(event_id=EVENT, reason_code="entered_in_error")


def test_a_correction_is_made_of_a_fact_and_read_back_as_it_was() -> None:
    made = LAB.correction(event_id=UUID(EVENT), reason_code="other", reason="she rang", replacement=TODAY)
    assert (made.restated, content(made), made.happened_on) == (TODAY, TODAY, None)
    assert dict(texts(made)) == {"/reason": "she rang"}
    read = LAB.read("record.corrected", 1, made.model_dump_json())
    assert isinstance(read, Corrected)
    assert (read.event_id, read.restated, read.model_dump_json()) == (UUID(EVENT), TODAY, made.model_dump_json())


def test_every_stream_has_a_correction_of_its_own_facts() -> None:
    other = Stream("pathology", "participant")
    other.fact("slide.stained")(type("SlideStained", (Fact,), {}))
    assert LAB.facts["record.corrected"] is not other.facts["record.corrected"]
    with pytest.raises(ValidationError):
        other.correction(**correction(3, json.loads(TODAY.model_dump_json())))


def test_a_stream_that_is_never_corrected_or_has_no_facts_takes_no_corrections() -> None:
    final = Stream("laboratory", "study", correctable=False)
    final.fact("study.closed")(type("Closed", (Fact,), {}))
    assert set(final.facts) == {"study.closed"}
    assert Stream("empty", "participant").facts == {}


def test_two_facts_cannot_have_one_name() -> None:
    with pytest.raises(TypeError, match=r"sample\.lost"):
        LAB.fact("sample.lost")(type("Again", (Fact,), {}))
    assert LAB.declared["sample.lost"] is SampleLost


def test_a_decorator_says_everything_that_a_fact_is_known_by() -> None:
    assert (SampleTaken.type_name, SampleTaken.schema_version, SampleTaken.date_field) == (
        "sample.taken",
        3,
        "taken_on",
    )
    assert SampleTaken.by == {"site"}
    assert SampleLost.by == {"site", "coordinator"}
    assert (SampleLost.schema_version, SampleLost.date_field) == (1, None)


def test_a_fact_happened_on_its_date_whether_day_month_or_unknown() -> None:
    assert TODAY.happened_on == PartialDate.parse("2024-03-07")
    assert SampleTaken.model_validate(
        {"taken_on": "2024", "tubes": 1, "kind": "blood"}
    ).happened_on == PartialDate.parse("2024")
    assert SampleDue.model_validate({"by_day": "2024-03-07"}).happened_on == PartialDate.parse("2024-03-07")
    assert SampleDue.model_validate({"by_day": None}).happened_on is None
    assert SampleLost.model_validate({"sample_id": "S1"}).happened_on is None


def test_every_clinical_date_is_found_where_it_is_also_inside_a_correction() -> None:
    readings = [{"read_on": "2024-03", "value": 1}, {"read_on": "2024-04-02", "value": 2}]
    fact = SampleTaken.model_validate({"taken_on": "2024-03-07", "tubes": 2, "kind": "tissue", "readings": readings})
    found = {"/taken_on": "2024-03-07", "/readings/0/read_on": "2024-03", "/readings/1/read_on": "2024-04-02"}
    assert {pointer: str(when) for pointer, when in clinical_dates(fact)} == found
    corrected = LAB.correction(event_id=EVENT, reason_code="other", replacement=fact)
    assert {pointer: str(when) for pointer, when in clinical_dates(corrected)} == {
        f"/replacement/data{pointer}": said for pointer, said in found.items()
    }


def test_a_fact_is_closed_and_does_not_change() -> None:
    with pytest.raises(ValidationError):
        SampleLost.model_validate({"sample_id": "S1", "colour": "red"})
    with pytest.raises(ValidationError):
        TODAY.__setattr__("tubes", 2)
    assert TODAY.tubes == 1


def test_facts_to_choose_from_are_told_apart_by_their_type() -> None:
    either: TypeAdapter[Any] = TypeAdapter(one_of([SampleTaken, SampleLost]))
    chosen = either.validate_python({"type": "sample.lost", "data": {"sample_id": "S1"}})
    assert (chosen.type, chosen.schema_version, chosen.data) == ("sample.lost", 1, SampleLost(sample_id="S1"))
    with pytest.raises(ValidationError):
        either.validate_python({"type": "sample.due", "data": {"by_day": None}})


def test_what_is_stated_keeps_the_id_of_its_event() -> None:
    assert LAB.stated(UUID(EVENT), "sample.taken", 1, json.dumps(FIRST)) == Stated(UUID(EVENT), TODAY)
