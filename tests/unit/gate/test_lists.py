"""A list names each thing once, and boosts ride on something that is no boost of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from functools import partial
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from services.enrollment import gate as enrollment_gate
from services.enrollment import participant, study
from services.followup import contact as followup_rules
from services.followup import gate as followup_gate
from services.toxicity import assessment
from services.toxicity import gate as toxicity_gate
from shared.contracts import catalogue
from shared.contracts.enrollment import BaselineRecorded, ScreenFailed
from shared.contracts.followup import DiseaseSeen, FollowUpRecorded
from shared.contracts.toxicity import Assessed, Finding
from shared.contracts.treatment import (
    PrescriptionChanged,
    RadiotherapyCompleted,
    RadiotherapyDiscontinued,
    RadiotherapyStarted,
    SystemicTherapyStarted,
)
from shared.gate.lists import IDENTITIES
from shared.kernel.fact import Fact
from shared.kernel.record import Objection, Record, Refused, standing
from shared.protocol.protocol import FollowUp, Protocol
from shared.testing.facts import (
    ON_STUDY,
    START,
    baseline,
    changed,
    correction,
    course,
    lesion,
    line,
    opened,
    protocol,
    screen_failed,
    screened,
    site_activated,
    target,
)
from shared.testing.followup_facts import contact
from shared.testing.spec import Spec, history
from shared.testing.toxicity_facts import serious

STUDY = Record(tuple(history((opened(), site_activated()))))
LATER = START.replace(year=2025)
HELD_TO_IT = {
    (RadiotherapyStarted, "targets"), (PrescriptionChanged, "targets"), (RadiotherapyCompleted, "delivered"),
    (RadiotherapyDiscontinued, "delivered"), (DiseaseSeen, "lesions"), (Finding, "attribution"),
    (Assessed, "findings"), (Protocol, "criteria"), (Protocol, "consent_versions"),
}  # fmt: skip
"""Lists whose class, or a rule, refuses what is named twice."""
IN_ORDER = {(FollowUp, "window_days")}
"""Lists of which each entry is known by its place."""


def enrolling(*earlier: Fact) -> Spec:
    before = ON_STUDY + earlier
    world = enrollment_gate.World(STUDY, LATER, "rome", "rome", earlier=lambda: standing(history(before)))
    return Spec(participant.objections, world.gate).given(*before)


def objections(spec: Spec) -> list[Objection]:
    with pytest.raises(Refused) as refusal:
        spec.then_admitted()
    return [objection for _, objection in refusal.value.raised]


def models(kind: Any) -> Iterator[type[BaseModel]]:
    """Every class that a type mentions, at any depth."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
        for field in kind.model_fields.values():
            yield from models(field.annotation)
    for argument in get_args(kind):
        yield from models(argument)


def has_list(kind: Any) -> bool:
    return getattr(kind, "__origin__", None) is tuple or any(has_list(each) for each in get_args(kind))


def test_every_list_of_every_fact_is_held_to_naming_each_thing_once() -> None:
    classes = {model for _, kind in catalogue.facts() for model in models(kind)}
    classes = {model for model in classes if not model.__name__.startswith(("Restated", "Corrected"))}
    lists = {
        (model, name) for model in classes for name, field in model.model_fields.items() if has_list(field.annotation)
    }
    assert lists == set(IDENTITIES) | HELD_TO_IT | IN_ORDER


def finding(gene: str, **more: Any) -> dict[str, Any]:
    return {"gene": gene, "result": "detected", **more}


def symptom(code: str, severity: str = "mild") -> dict[str, str]:
    return {"symptom": code, "severity": severity}


def medicines(*agents: dict[str, Any]) -> SystemicTherapyStarted:
    return SystemicTherapyStarted.model_validate({**line().model_dump(mode="json"), "agents": agents})


BOLUS = {"name": "fluorouracil", "dose": 400.0, "unit": "mg/m2", "schedule": "day 1, bolus"}
INFUSION = {**BOLUS, "dose": 2400.0, "schedule": "46 h"}
PAIN = symptom("neck-pain")
TWICE: tuple[tuple[Fact, str], ...] = (
    (baseline(symptoms=[PAIN, symptom("cough"), symptom("neck-pain", "severe")]), "/symptoms/2"),
    (baseline(metastatic_sites=["lung", "lung"]), "/metastatic_sites/1"),
    (baseline(molecular_findings=[finding("BRAF", alteration="V600E")] * 2), "/molecular_findings/1"),
    (baseline(molecular_findings=[finding("TP53"), finding("tp53")]), "/molecular_findings/1"),
    (medicines({"name": "Doxorubicin"}, {"name": "doxorubicin", "dose": 20.0}), "/agents/1"),
    (course(1, "RT1", target("T1", "L1", "L1")), "/targets/0/lesion_ids/1"),
)


@pytest.mark.parametrize(("fact", "pointer"), TWICE)
def test_what_a_list_names_twice_is_refused_where_it_comes_again(fact: Fact, pointer: str) -> None:
    raised = objections(enrolling(lesion()).when(fact))
    assert [(each.code, each.member) for each in raised] == [("listed-twice", pointer)]


@pytest.mark.parametrize(
    "fact",
    [
        baseline(symptoms=[PAIN, symptom("cough")], metastatic_sites=["lung", "bone"]),
        baseline(molecular_findings=[finding("TP53", alteration="R175H"), finding("TP53", alteration="R248Q")]),
        baseline(molecular_findings=[finding("BRAF", origin="cfDNA"), finding("BRAF")]),
        baseline(molecular_findings={"not_reported": "No material."}),
        medicines(BOLUS, INFUSION),
        course(1, "RT1", target("T1", "L1"), target("T2", "L1")),
    ],
)
def test_what_differs_is_not_the_same(fact: Fact) -> None:
    enrolling(lesion()).when(fact).then_admitted()


def test_a_reason_a_symptom_and_a_seriousness_are_given_once() -> None:
    gate = enrollment_gate.World(STUDY, LATER, "rome", "rome").gate
    screening = Spec(participant.objections, gate).given(screened())
    screening.when(screen_failed(0, "histology", "refused")).then_admitted()
    screening.when(screen_failed(0, "histology", "histology")).then_refused("listed-twice")

    known = Record(tuple(history(ON_STUDY)))
    visits = Spec(followup_rules.objections, followup_gate.World(STUDY, LATER, "rome", participant=known).gate)
    change = {"symptom": "neck-pain", "change": "worse"}
    visits.when(contact(3, symptoms=[change, {**change, "change": "improved"}])).then_refused("listed-twice")
    visits.when(contact(3, symptoms=[change, {**change, "symptom": "cough"}])).then_admitted()

    events = Spec(assessment.objections, toxicity_gate.World(STUDY, LATER, "rome", participant=known).gate)
    events.when(serious(seriousness=["death", "important", "death"])).then_refused("listed-twice")
    events.when(serious(seriousness=["death", "important"])).then_admitted()


@pytest.mark.parametrize(
    ("plan", "pointer"),
    [
        ({"symptoms": ["cough", "cough"]}, "/protocol/symptoms/1"),
        ({"toxicity": {"dictionary": "ctcae-3.0", "checklist": ["3.0:0150"] * 2}}, "/protocol/toxicity/checklist/1"),
        ({"stereotactic": {"deliveries": ["SRS", "SRS"]}}, "/protocol/stereotactic/deliveries/1"),
        ({"reminders": {"steps": ["open", "open"]}}, "/protocol/reminders/steps/1"),
    ],
)
def test_a_protocol_plans_each_thing_once(plan: dict[str, Any], pointer: str) -> None:
    spec = Spec(study.objections, partial(study.gate, date.max)).when(opened(protocol(**plan)))
    assert [(each.code, each.member) for each in objections(spec)] == [("listed-twice", pointer)]


def test_a_correction_may_leave_what_was_named_twice() -> None:
    doubled = baseline(symptoms=[PAIN, PAIN])
    other = baseline(symptoms=[symptom("cough"), PAIN, PAIN])
    more = baseline(symptoms=[PAIN, PAIN, symptom("cough"), symptom("cough")])
    enrolling(doubled).when(correction(4, other)).then_admitted()
    enrolling(doubled).when(correction(4, baseline(symptoms=[PAIN]))).then_admitted()
    (raised,) = objections(enrolling(doubled).when(correction(4, more)))
    assert raised.member == "/replacement/data/symptoms/3"
    enrolling(baseline()).when(correction(4, doubled)).then_refused("listed-twice")


def boosts(**ridden: str | None) -> list[dict[str, Any]]:
    return [target(name, boost_of=below) for name, below in ridden.items()]


@pytest.mark.parametrize(
    ("ridden", "at_fault"),
    [
        ({"A": "B", "B": "A"}, [0, 1]),
        ({"A": "B", "B": "C", "C": "A"}, [0, 1, 2]),
        ({"D": "A", "A": "B", "B": "A", "E": None}, [1, 2]),
    ],
)
def test_boosts_do_not_ride_on_each_other(ridden: dict[str, str | None], at_fault: list[int]) -> None:
    said = [f"/targets/{place}/boost_of" for place in at_fault]
    for fact in (course(1, "RT1", *boosts(**ridden)), changed(1, "RT1", *boosts(**ridden))):
        past = (course(1),) if isinstance(fact, PrescriptionChanged) else ()
        raised = objections(enrolling(*past).when(fact))
        assert sorted((each.code, each.member) for each in raised) == [("boost-circle", member) for member in said]


def test_a_boost_may_ride_on_a_boost() -> None:
    enrolling().when(course(1, "RT1", *boosts(A=None, B="A", C="B", D="A"))).then_admitted()


def test_a_circle_that_was_recorded_stands_in_the_way_of_nothing_else() -> None:
    circle = boosts(A="B", B="A")
    enrolling(course(1, "RT1", *circle)).when(correction(4, course(2, "RT1", *circle))).then_admitted()
    enrolling(course(1, "RT1", *circle)).when(changed(3, "RT1", *circle)).then_admitted()
    enrolling(course(1)).when(correction(4, course(1, "RT1", *circle))).then_refused("boost-circle")


def test_facts_with_such_lists_are_still_read() -> None:
    for kind in (BaselineRecorded, ScreenFailed, FollowUpRecorded):
        assert any((kind, name) in IDENTITIES for name in kind.model_fields)
    doubled = baseline(symptoms=[PAIN, PAIN])
    read = catalogue.PARTICIPANT.read(doubled.type_name, 1, doubled.model_dump_json())
    assert read == doubled
