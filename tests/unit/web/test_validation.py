"""A body is read in bounded work: the same facts and the same faults as pydantic finds, but not all of them."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from services.enrollment.app import NewParticipant
from shared.contracts.catalogue import PARTICIPANT, TOXICITY
from shared.kernel.fact import one_of
from shared.kernel.refusal import MOST_FAULTS, Refusal, Unacceptable
from shared.settings import Limits
from shared.testing import facts
from shared.testing.hostile import BATCH_BODIES, FACT_BODIES, as_json
from shared.web.problems import MORE, problem_document, schema_faults
from shared.web.routes import MOST_FACTS
from shared.web.validation import Reader, declared_members
from tests.api.own_study import body, entry

ENTRY: Any = one_of(PARTICIPANT.facts.values())
BATCH: TypeAdapter[Any] = TypeAdapter(Annotated[list[ENTRY], Field(min_length=1, max_length=MOST_FACTS)])
ASSESSMENT: TypeAdapter[Any] = TypeAdapter(TOXICITY.facts["toxicity.assessed"])
ENTRY_OF_TOXICITY: Any = one_of(TOXICITY.facts.values())
ASSESSMENTS: TypeAdapter[Any] = TypeAdapter(list[ENTRY_OF_TOXICITY])
PERSON: TypeAdapter[Any] = TypeAdapter(NewParticipant)
LESION, COURSE = entry(facts.lesion()), entry(facts.course())


def reader(adapter: TypeAdapter[Any], annotation: Any = None) -> Reader:
    kinds = [*PARTICIPANT.facts.values(), *TOXICITY.facts.values(), annotation]
    members = {name for kind in kinds for name in declared_members(kind, set())}
    return Reader(adapter, members | {"facts", "data", "type"}, Limits(), lambda: ({}, {}))


def whole(adapter: TypeAdapter[Any], value: Any, members: Any) -> set[tuple[str, str, str]]:
    """The faults that pydantic finds in the value as a whole."""
    with pytest.raises(ValidationError) as wrong:
        adapter.validate_python(value, from_attributes=True)
    errors = [{**each, "loc": ("body", *each["loc"])} for each in wrong.value.errors()]
    return {(fault.code, fault.message, fault.pointer) for fault in schema_faults(errors, value, members)}


@pytest.mark.parametrize(
    ("adapter", "value"),
    [
        (BATCH, [LESION, COURSE]), (BATCH, [LESION]), (PERSON, body(facts.screened())),
        (PERSON, {"facts": [entry(facts.screened()), LESION]}), (ASSESSMENT, {"assessed_on": "2024-01-01",
         "timepoint": "follow_up", "findings": [{"term": "3.0:0150", "grade": 1}], "checklist_complete": True}),
    ],
)  # fmt: skip
def test_what_is_of_the_form_is_made_the_same_as_at_once(adapter: TypeAdapter[Any], value: Any) -> None:
    content = reader(adapter).read(as_json(value), with_canonical=True)
    assert content.made == adapter.validate_python(value)
    assert adapter.validate_python(content.made, from_attributes=True) == content.made, "FastAPI takes it as it is"
    assert reader(adapter).read(as_json(value), with_canonical=True).canonical == content.canonical


WRONG = {"type": "lesion.registered", "data": {"lesion_id": "L 1", "kind": "?", "found": 1}}


@pytest.mark.parametrize(
    ("adapter", "value"),
    [
        (BATCH, [LESION, WRONG, COURSE, WRONG]), (BATCH, []), (BATCH, {"facts": [LESION]}), (BATCH, [{}, 1, None]),
        (BATCH, [{"type": "no.such", "data": {}}]), (PERSON, {"facts": [entry(facts.screened()), WRONG]}),
        (PERSON, {"facts": [LESION], "more": 1}), (PERSON, {"facts": []}), (PERSON, {"facts": 7}), (PERSON, []),
        (PERSON, [entry(facts.screened()), WRONG, LESION, WRONG]),
        (ASSESSMENT, [LESION, LESION]), (ASSESSMENT, {"facts": [LESION, WRONG]}), (ASSESSMENT, {}), (ASSESSMENT, 1),
        (PERSON, {"facts": [entry(facts.screened())] * 201}), (ASSESSMENT, {"findings": [{"x": 1}] * 9}),
    ],
)  # fmt: skip
def test_the_faults_are_those_that_are_found_at_once(adapter: TypeAdapter[Any], value: Any) -> None:
    reading = reader(adapter)
    with pytest.raises(Unacceptable) as refused:
        reading.read(as_json(value), with_canonical=False)
    found = [(fault.code, fault.message, fault.pointer) for fault in refused.value.faults]
    assert set(found) == whole(adapter, value, reading.members)
    assert len(found) == len(set(found))


@pytest.mark.parametrize("name", [*FACT_BODIES, *BATCH_BODIES])
def test_of_the_worst_bodies_a_hundred_faults_are_made_and_no_more(name: str) -> None:
    refused = refusal_of(ASSESSMENT if name in FACT_BODIES else ASSESSMENTS, {**FACT_BODIES, **BATCH_BODIES}[name]())
    document = problem_document(422, "", "", refused.faults if refused else ())
    assert len(document["errors"]) <= MOST_FAULTS + 1
    assert len(as_json(document)) < 64 * 1024
    assert refused is None or len(refused.faults) <= 2 * MOST_FAULTS + 1


def refusal_of(adapter: TypeAdapter[Any], content: bytes) -> Refusal | None:
    try:
        reader(adapter).read(content, with_canonical=True)
    except Refusal as refusal:
        return refusal
    return None


def test_an_answer_lists_a_hundred_faults_and_says_that_there_are_more() -> None:
    with pytest.raises(Unacceptable) as refused:
        reader(ASSESSMENTS).read(BATCH_BODIES["200 facts of 400 undeclared members"](), with_canonical=False)
    errors = problem_document(422, "schema", "", refused.value.faults)["errors"]
    assert len(errors) == MOST_FAULTS + 1
    assert errors[-1] == {"code": "more-faults", "message": MORE.message, "pointer": ""}
    assert all(set(each) == {"code", "message", "pointer"} for each in errors)


def test_what_real_use_sends_at_most_is_read() -> None:
    causes = [{"to": to, "level": "possible"} for to in ("course:RT1", "line:S1", "disease", "other")]
    findings = [{"term": f"3.0:{place:04}", "grade": 1, "attribution": causes} for place in range(200)]
    said = {"assessed_on": "2024-01-01", "timepoint": "follow_up", "checklist_complete": True, "findings": findings}
    assert len(reader(ASSESSMENT).read(as_json(said), with_canonical=False).made.findings) == 200
    batch = [{"type": "toxicity.assessed", "data": {**said, "findings": findings[:25]}}] * 200
    assert len(reader(ASSESSMENTS).read(as_json(batch), with_canonical=True).made) == 200
