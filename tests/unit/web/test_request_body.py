"""The work of reading a body is bounded: facts and faults equal those of pydantic, but not all faults are listed."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from services.enrollment.app import NewParticipant
from shared.contracts.catalogue import PARTICIPANT, TOXICITY
from shared.contracts.streams import MAX_BATCH_FACTS
from shared.kernel.errors import MAX_FAULTS, RequestError, RequestRejected
from shared.kernel.fact import fact_union
from shared.settings import Limits
from shared.testing.builders import facts
from shared.testing.hostile_bodies import BATCH_BODIES, FACT_BODIES, encode_json
from shared.validation.validation_messages import schema_faults
from shared.web.problems import MORE_FAULTS, problem_document
from shared.web.request_body import BodyReader, declared_members
from tests.api.support.study import batch_entry, body

ENTRY: Any = fact_union(PARTICIPANT.facts.values())
BATCH: TypeAdapter[Any] = TypeAdapter(Annotated[list[ENTRY], Field(min_length=1, max_length=MAX_BATCH_FACTS)])
ASSESSMENT: TypeAdapter[Any] = TypeAdapter(TOXICITY.facts["toxicity.assessed"])
TOXICITY_ENTRY: Any = fact_union(TOXICITY.facts.values())
ASSESSMENTS: TypeAdapter[Any] = TypeAdapter(list[TOXICITY_ENTRY])
PERSON: TypeAdapter[Any] = TypeAdapter(NewParticipant)
LESION, COURSE = batch_entry(facts.lesion_registered()), batch_entry(facts.radiotherapy_started())


def reader(adapter: TypeAdapter[Any], annotation: Any = None) -> BodyReader:
    kinds = [*PARTICIPANT.facts.values(), *TOXICITY.facts.values(), annotation]
    members = {name for kind in kinds for name in declared_members(kind, set())}
    return BodyReader(adapter, members | {"facts", "data", "type"}, Limits(), lambda: ({}, {}))


def pydantic_faults(adapter: TypeAdapter[Any], value: Any, members: Any) -> set[tuple[str, str, str]]:
    """Returns the faults that pydantic finds in the whole value."""
    with pytest.raises(ValidationError) as wrong:
        adapter.validate_python(value, from_attributes=True)
    errors = [{**error, "loc": ("body", *error["loc"])} for error in wrong.value.errors()]
    return {(fault.code, fault.message, fault.pointer) for fault in schema_faults(errors, value, members)}


@pytest.mark.parametrize(
    ("adapter", "value"),
    [
        (BATCH, [LESION, COURSE]),
        (BATCH, [LESION]),
        (PERSON, body(facts.participant_screened())),
        (PERSON, {"facts": [batch_entry(facts.participant_screened()), LESION]}),
        (
            ASSESSMENT,
            {
                "assessed_on": "2024-01-01",
                "timepoint": "follow_up",
                "findings": [{"term": "3.0:0150", "grade": 1}],
                "checklist_complete": True,
            },
        ),
    ],
)
def test_incremental_validation_gives_the_same_model_as_pydantic(adapter: TypeAdapter[Any], value: Any) -> None:
    content = reader(adapter).read(encode_json(value), with_canonical=True)
    assert content.value == adapter.validate_python(value)
    assert adapter.validate_python(content.value, from_attributes=True) == content.value, "FastAPI takes it as it is"
    assert reader(adapter).read(encode_json(value), with_canonical=True).canonical_json == content.canonical_json


INVALID_ENTRY = {"type": "lesion.registered", "data": {"lesion_id": "L 1", "kind": "?", "found": 1}}


@pytest.mark.parametrize(
    ("adapter", "value"),
    [
        (BATCH, [LESION, INVALID_ENTRY, COURSE, INVALID_ENTRY]),
        (BATCH, []),
        (BATCH, {"facts": [LESION]}),
        (BATCH, [{}, 1, None]),
        (BATCH, [{"type": "no.such", "data": {}}]),
        (PERSON, {"facts": [batch_entry(facts.participant_screened()), INVALID_ENTRY]}),
        (PERSON, {"facts": [LESION], "more": 1}),
        (PERSON, {"facts": []}),
        (PERSON, {"facts": 7}),
        (PERSON, []),
        (PERSON, [batch_entry(facts.participant_screened()), INVALID_ENTRY, LESION, INVALID_ENTRY]),
        (ASSESSMENT, [LESION, LESION]),
        (ASSESSMENT, {"facts": [LESION, INVALID_ENTRY]}),
        (ASSESSMENT, {}),
        (ASSESSMENT, 1),
        (PERSON, {"facts": [batch_entry(facts.participant_screened())] * 201}),
        (ASSESSMENT, {"findings": [{"x": 1}] * 9}),
    ],
)
def test_incremental_validation_gives_the_same_faults_as_pydantic(adapter: TypeAdapter[Any], value: Any) -> None:
    reading = reader(adapter)
    with pytest.raises(RequestRejected) as error:
        reading.read(encode_json(value), with_canonical=False)
    faults = [(fault.code, fault.message, fault.pointer) for fault in error.value.faults]
    assert set(faults) == pydantic_faults(adapter, value, reading.members)
    assert len(faults) == len(set(faults))


@pytest.mark.parametrize("name", [*FACT_BODIES, *BATCH_BODIES])
def test_faults_of_hostile_bodies_are_limited(name: str) -> None:
    refusal = refusal_of(ASSESSMENT if name in FACT_BODIES else ASSESSMENTS, {**FACT_BODIES, **BATCH_BODIES}[name]())
    document = problem_document(422, "", "", refusal.faults if refusal else ())
    assert len(document["errors"]) <= MAX_FAULTS + 1
    assert len(encode_json(document)) < 64 * 1024
    assert refusal is None or len(refusal.faults) <= 2 * MAX_FAULTS + 1


def refusal_of(adapter: TypeAdapter[Any], content: bytes) -> RequestError | None:
    try:
        reader(adapter).read(content, with_canonical=True)
    except RequestError as refusal:
        return refusal
    return None


def test_response_lists_100_faults_and_notes_that_there_are_more() -> None:
    with pytest.raises(RequestRejected) as error:
        reader(ASSESSMENTS).read(BATCH_BODIES["200 facts of 400 undeclared members"](), with_canonical=False)
    errors = problem_document(422, "schema", "", error.value.faults)["errors"]
    assert len(errors) == MAX_FAULTS + 1
    assert errors[-1] == {"code": "more-faults", "message": MORE_FAULTS.message, "pointer": ""}
    assert all(set(error) == {"code", "message", "pointer"} for error in errors)


def test_largest_realistic_bodies_are_accepted() -> None:
    causes = [{"to": to, "level": "possible"} for to in ("course:RT1", "line:S1", "disease", "other")]
    findings = [{"term": f"3.0:{index:04}", "grade": 1, "attribution": causes} for index in range(200)]
    assessment = {
        "assessed_on": "2024-01-01",
        "timepoint": "follow_up",
        "checklist_complete": True,
        "findings": findings,
    }
    assert len(reader(ASSESSMENT).read(encode_json(assessment), with_canonical=False).value.findings) == 200
    batch = [{"type": "toxicity.assessed", "data": {**assessment, "findings": findings[:25]}}] * 200
    assert len(reader(ASSESSMENTS).read(encode_json(batch), with_canonical=True).value) == 200
