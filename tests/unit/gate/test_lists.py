"""A list names each thing once, and a boost refers to a target that is not a boost of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from functools import partial
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from services.enrollment import gate as enrollment_gate
from services.enrollment.rules import participant, study
from services.followup import gate as followup_gate
from services.followup import rules as followup_rules
from services.toxicity import gate as toxicity_gate
from services.toxicity import rules
from shared.contracts import catalogue
from shared.contracts.enrollment import BaselineRecorded, ScreeningFailed
from shared.contracts.follow_up import DiseaseStatus, FollowUpRecorded
from shared.contracts.toxicity import (
    Finding,
    SeriousEventReported,
    SeriousEventResolved,
    SeriousEventUpdated,
    ToxicityAssessed,
)
from shared.contracts.treatment import (
    PrescriptionChanged,
    RadiotherapyCompleted,
    RadiotherapyDiscontinued,
    RadiotherapyStarted,
)
from shared.gate.list_checks import IDENTITIES
from shared.kernel.fact import Fact
from shared.kernel.objection import Objection, RuleViolation
from shared.kernel.record import Record, current_record
from shared.protocol.protocol import FollowUpPlan, Protocol
from shared.testing.builders.facts import (
    ENROLLMENT_FACTS,
    START_DATE,
    baseline_recorded,
    correction,
    lesion_registered,
    participant_screened,
    prescription_changed,
    procedure_performed,
    protocol,
    radiotherapy_started,
    screening_failed,
    site_activated,
    study_opened,
    systemic_therapy_started,
    target,
)
from shared.testing.builders.follow_up_facts import follow_up_recorded
from shared.testing.builders.toxicity_facts import serious_event_reported
from shared.testing.spec import Spec, numbered_facts

STUDY = Record(tuple(numbered_facts((study_opened(), site_activated()))))
LATER = START_DATE.replace(year=2025)
UNIQUE_BY_OTHER_RULES = {
    (RadiotherapyStarted, "targets"),
    (PrescriptionChanged, "targets"),
    (RadiotherapyCompleted, "delivered"),
    (RadiotherapyDiscontinued, "delivered"),
    (DiseaseStatus, "lesions"),
    (Finding, "attribution"),
    (SeriousEventReported, "attribution"),
    (SeriousEventUpdated, "attribution"),
    (SeriousEventResolved, "attribution"),
    (ToxicityAssessed, "findings"),
    (Protocol, "criteria"),
    (Protocol, "consent_versions"),
}
"""Lists whose class or rule refuses an entry that is named twice."""
ORDERED_LISTS = {(FollowUpPlan, "window_days")}
"""Lists whose entries are identified by their index."""


def enrollment_spec(*earlier: Fact) -> Spec:
    recorded = ENROLLMENT_FACTS + earlier
    participant_gate = enrollment_gate.EnrollmentGate(
        STUDY, LATER, "rome", "rome", record_before=lambda: current_record(numbered_facts(recorded))
    )
    return Spec(participant.objections, participant_gate.objections).given(*recorded)


def objections_of(spec: Spec) -> list[Objection]:
    with pytest.raises(RuleViolation) as violation:
        spec.then_admitted()
    return [objection for _, objection in violation.value.raised_objections]


def models_in(kind: Any) -> Iterator[type[BaseModel]]:
    """Yields every class that a type mentions, at any depth."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
        for field in kind.model_fields.values():
            yield from models_in(field.annotation)
    for argument in get_args(kind):
        yield from models_in(argument)


def contains_tuple(kind: Any) -> bool:
    return getattr(kind, "__origin__", None) is tuple or any(contains_tuple(argument) for argument in get_args(kind))


def test_every_list_member_of_a_fact_has_a_uniqueness_rule() -> None:
    classes = {model for _, kind in catalogue.all_facts() for model in models_in(kind)}
    classes = {
        model
        for model in classes
        if not model.__name__.startswith(("Restated", "Corrected", "TypedFact", "Correction"))
    }
    lists = {
        (model, name)
        for model in classes
        for name, field in model.model_fields.items()
        if contains_tuple(field.annotation)
    }
    assert lists == set(IDENTITIES) | UNIQUE_BY_OTHER_RULES | ORDERED_LISTS


def finding(gene: str, **more: Any) -> dict[str, Any]:
    return {"gene": gene, "result": "detected", **more}


def symptom(code: str, severity: str = "mild") -> dict[str, str]:
    return {"symptom": code, "severity": severity}


BOLUS = {"name": "fluorouracil", "dose": 400.0, "unit": "mg/m2", "schedule": "day 1, bolus"}
INFUSION = {**BOLUS, "dose": 2400.0, "schedule": "46 h"}
PAIN = symptom("neck-pain")
FACTS_WITH_DUPLICATES: tuple[tuple[Fact, str], ...] = (
    (baseline_recorded(symptoms=[PAIN, symptom("cough"), symptom("neck-pain", "severe")]), "/symptoms/2"),
    (baseline_recorded(metastatic_sites=["lung", "lung"]), "/metastatic_sites/1"),
    (baseline_recorded(molecular_findings=[finding("BRAF", alteration="V600E")] * 2), "/molecular_findings/1"),
    (baseline_recorded(molecular_findings=[finding("TP53"), finding("tp53")]), "/molecular_findings/1"),
    (systemic_therapy_started(agents=[{"name": "Doxorubicin"}, {"name": "doxorubicin", "dose": 20.0}]), "/agents/1"),
    (radiotherapy_started(1, "RT1", target("T1", "L1", "L1")), "/targets/0/lesion_ids/1"),
    (procedure_performed(1, lesion_ids=["L1", "L1"]), "/lesion_ids/1"),
)


@pytest.mark.parametrize(("fact", "pointer"), FACTS_WITH_DUPLICATES)
def test_duplicate_list_entry_is_refused_at_its_second_place(fact: Fact, pointer: str) -> None:
    raised = objections_of(enrollment_spec(lesion_registered()).when(fact))
    assert [(objection.code, objection.pointer) for objection in raised] == [("listed-twice", pointer)]


@pytest.mark.parametrize(
    "fact",
    [
        baseline_recorded(symptoms=[PAIN, symptom("cough")], metastatic_sites=["lung", "bone"]),
        baseline_recorded(
            molecular_findings=[finding("TP53", alteration="R175H"), finding("TP53", alteration="R248Q")]
        ),
        baseline_recorded(molecular_findings=[finding("BRAF", origin="cfDNA"), finding("BRAF")]),
        baseline_recorded(molecular_findings={"not_reported": "No material."}),
        systemic_therapy_started(agents=[BOLUS, INFUSION]),
        radiotherapy_started(1, "RT1", target("T1", "L1"), target("T2", "L1")),
    ],
)
def test_distinct_list_entries_are_accepted(fact: Fact) -> None:
    enrollment_spec(lesion_registered()).when(fact).then_admitted()


def test_reasons_symptoms_and_seriousness_are_unique() -> None:
    gate = enrollment_gate.EnrollmentGate(STUDY, LATER, "rome", "rome").objections
    screening = Spec(participant.objections, gate).given(participant_screened())
    screening.when(screening_failed(0, "histology", "refused")).then_admitted()
    screening.when(screening_failed(0, "histology", "histology")).then_refused("listed-twice")

    enrollment_record = Record(tuple(numbered_facts(ENROLLMENT_FACTS)))
    visits = Spec(
        followup_rules.objections,
        followup_gate.FollowUpGate(STUDY, LATER, "rome", enrollment_record=enrollment_record).objections,
    )
    change = {"symptom": "neck-pain", "change": "worse"}
    visits.when(follow_up_recorded(3, symptoms=[change, {**change, "change": "improved"}])).then_refused("listed-twice")
    visits.when(follow_up_recorded(3, symptoms=[change, {**change, "symptom": "cough"}])).then_admitted()

    events = Spec(
        rules.objections,
        toxicity_gate.ToxicityGate(STUDY, LATER, "rome", enrollment_record=enrollment_record).objections,
    )
    events.when(serious_event_reported(seriousness=["death", "important", "death"])).then_refused("listed-twice")
    events.when(serious_event_reported(seriousness=["death", "important"])).then_admitted()


@pytest.mark.parametrize(
    ("plan", "pointer"),
    [
        ({"symptoms": ["cough", "cough"]}, "/protocol/symptoms/1"),
        ({"toxicity": {"dictionary": "ctcae-3.0", "checklist": ["3.0:0150"] * 2}}, "/protocol/toxicity/checklist/1"),
        ({"registry_links": [{"site_id": "rome", "from": "2024-01-01"}] * 2}, "/protocol/registry_links/1"),
        ({"stereotactic": {"deliveries": ["SRS", "SRS"]}}, "/protocol/stereotactic/deliveries/1"),
        ({"reminders": {"steps": ["open", "open"]}}, "/protocol/reminders/steps/1"),
    ],
)
def test_protocol_lists_have_unique_entries(plan: dict[str, Any], pointer: str) -> None:
    spec = Spec(study.objections, partial(study.gate_objections, date.max)).when(study_opened(protocol(**plan)))
    assert [(objection.code, objection.pointer) for objection in objections_of(spec)] == [("listed-twice", pointer)]


def test_correction_may_keep_existing_duplicates() -> None:
    doubled = baseline_recorded(symptoms=[PAIN, PAIN])
    other = baseline_recorded(symptoms=[symptom("cough"), PAIN, PAIN])
    more = baseline_recorded(symptoms=[PAIN, PAIN, symptom("cough"), symptom("cough")])
    enrollment_spec(doubled).when(correction(4, other)).then_admitted()
    enrollment_spec(doubled).when(correction(4, baseline_recorded(symptoms=[PAIN]))).then_admitted()
    (raised,) = objections_of(enrollment_spec(doubled).when(correction(4, more)))
    assert raised.pointer == "/replacement/data/symptoms/3"
    enrollment_spec(baseline_recorded()).when(correction(4, doubled)).then_refused("listed-twice")


def targets_with_boosts(**boost_of_by_target: str | None) -> list[dict[str, Any]]:
    return [target(name, boost_of=below) for name, below in boost_of_by_target.items()]


@pytest.mark.parametrize(
    ("boost_of_by_target", "at_fault"),
    [
        ({"A": "B", "B": "A"}, [0, 1]),
        ({"A": "B", "B": "C", "C": "A"}, [0, 1, 2]),
        ({"D": "A", "A": "B", "B": "A", "E": None}, [1, 2]),
    ],
)
def test_circular_boosts_are_refused(boost_of_by_target: dict[str, str | None], at_fault: list[int]) -> None:
    expected_members = [f"/targets/{index}/boost_of" for index in at_fault]
    for fact in (
        radiotherapy_started(1, "RT1", *targets_with_boosts(**boost_of_by_target)),
        prescription_changed(1, "RT1", *targets_with_boosts(**boost_of_by_target)),
    ):
        recorded = (radiotherapy_started(1),) if isinstance(fact, PrescriptionChanged) else ()
        raised = objections_of(enrollment_spec(*recorded).when(fact))
        assert sorted((objection.code, objection.pointer) for objection in raised) == [
            ("boost-circle", member) for member in expected_members
        ]


def test_boost_of_a_boost_is_accepted() -> None:
    enrollment_spec().when(
        radiotherapy_started(1, "RT1", *targets_with_boosts(A=None, B="A", C="B", D="A"))
    ).then_admitted()


def test_recorded_circular_boost_does_not_block_other_changes() -> None:
    circle = targets_with_boosts(A="B", B="A")
    enrollment_spec(radiotherapy_started(1, "RT1", *circle)).when(
        correction(4, radiotherapy_started(2, "RT1", *circle))
    ).then_admitted()
    enrollment_spec(radiotherapy_started(1, "RT1", *circle)).when(
        prescription_changed(3, "RT1", *circle)
    ).then_admitted()
    enrollment_spec(radiotherapy_started(1)).when(correction(4, radiotherapy_started(1, "RT1", *circle))).then_refused(
        "boost-circle"
    )


def test_recorded_facts_with_duplicates_stay_readable() -> None:
    for kind in (BaselineRecorded, ScreeningFailed, FollowUpRecorded):
        assert any((kind, name) in IDENTITIES for name in kind.model_fields)
    doubled = baseline_recorded(symptoms=[PAIN, PAIN])
    read = catalogue.PARTICIPANT.read(doubled.type_name, 1, doubled.model_dump_json())
    assert read == doubled
