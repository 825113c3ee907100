from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from services.enrollment.rules.participant import objections
from shared.contracts.treatment import Agent
from shared.kernel.fact import Fact
from shared.kernel.objection import Objection
from shared.kernel.record import all_objections, current_record
from shared.testing.builders.facts import (
    ENROLLMENT_FACTS,
    correction,
    delivered_dose,
    lesion_registered,
    prescription_changed,
    procedure_performed,
    radiotherapy_completed,
    radiotherapy_discontinued,
    radiotherapy_started,
    systemic_therapy_started,
    systemic_therapy_stopped,
    target,
)
from shared.testing.spec import Spec, numbered_facts

participant_spec = Spec(objections)
TREATED = (*ENROLLMENT_FACTS, radiotherapy_started())  # the course is event 4


def objections_raised(*facts: Fact) -> set[tuple[int, Objection]]:
    """(number of the event, objection) in the record of these facts."""
    return {
        (event.int, objection) for event, objection in all_objections(current_record(numbered_facts(facts)), objections)
    }


def test_course_ids_are_unique() -> None:
    participant_spec.given(*TREATED).when(radiotherapy_started(50, "RT1", index=False)).then_refused("course-exists")
    participant_spec.given(*TREATED).when(radiotherapy_started(50, "RT2", index=False)).then_admitted()


def test_participant_has_one_index_course() -> None:
    participant_spec.given(*TREATED).when(radiotherapy_started(50, "RT2")).then_refused("second-index-course")
    participant_spec.given(*TREATED).when(
        correction(4, radiotherapy_started(index=False)), radiotherapy_started(50, "RT2")
    ).then_admitted()
    participant_spec.given(*ENROLLMENT_FACTS, radiotherapy_started(index=False)).when(
        radiotherapy_started(50, "RT2")
    ).then_admitted()


def test_treated_lesions_must_be_registered() -> None:
    treating = radiotherapy_started(0, "RT1", target("T1", "L1"), target("T2", "L1", "L2"))
    participant_spec.given(*ENROLLMENT_FACTS, lesion_registered("L1")).when(treating).then_refused("no-such-lesion")
    participant_spec.given(*ENROLLMENT_FACTS, lesion_registered("L1"), lesion_registered("L2")).when(
        treating
    ).then_admitted()
    participant_spec.given(*ENROLLMENT_FACTS).when(
        treating, lesion_registered("L1"), lesion_registered("L2")
    ).then_admitted()
    objections_found = objections_raised(*ENROLLMENT_FACTS, lesion_registered("L1"), treating)
    assert {(event, objection.pointer) for event, objection in objections_found} == {(5, "/targets/1/lesion_ids")}


def test_lesions_of_a_procedure_must_be_registered() -> None:
    resection = procedure_performed(1, lesion_ids=["L1", "L2"])
    recorded = (*ENROLLMENT_FACTS, lesion_registered("L1"))
    participant_spec.given(*recorded).when(resection).then_refused("no-such-lesion")
    assert [objection.pointer for _, objection in objections_raised(*recorded, resection)] == ["/lesion_ids"]
    participant_spec.given(*recorded, lesion_registered("L2")).when(resection).then_admitted()
    participant_spec.given(*recorded).when(procedure_performed(1)).then_admitted()


def test_target_without_lesions_is_accepted() -> None:
    participant_spec.given(*ENROLLMENT_FACTS).when(radiotherapy_started(0, "RT1", target("T1"))).then_admitted()


def test_treated_lesion_cannot_be_voided_alone() -> None:
    recorded = (*ENROLLMENT_FACTS, lesion_registered("L1"), radiotherapy_started(0, "RT1", target("T1", "L1")))
    participant_spec.given(*recorded).when(correction(4, None)).then_refused("no-such-lesion")
    participant_spec.given(*recorded).when(correction(4, None), correction(5, None)).then_admitted()


@pytest.mark.parametrize("end", [radiotherapy_completed, radiotherapy_discontinued])
def test_course_ends_on_or_after_its_start(end: Any) -> None:
    participant_spec.given(*TREATED).when(end(0)).then_admitted()
    participant_spec.given(*TREATED).when(end(-1)).then_refused("course-not-started")
    participant_spec.given(*TREATED).when(end(0, "RT9")).then_refused("course-not-started")
    participant_spec.given(*TREATED).when(end("2024-02")).then_admitted()
    participant_spec.given(*TREATED).when(end("2024")).then_admitted()
    participant_spec.given(*TREATED).when(end("2024-01")).then_refused("course-not-started")
    participant_spec.given(*ENROLLMENT_FACTS).when(end(28)).then_refused("course-not-started")


@pytest.mark.parametrize("end", [radiotherapy_completed, radiotherapy_discontinued])
def test_partial_course_start_does_not_contradict_the_end(end: Any) -> None:
    participant_spec.given(*ENROLLMENT_FACTS, radiotherapy_started("2024-02")).when(end(0)).then_admitted()
    participant_spec.given(*ENROLLMENT_FACTS, radiotherapy_started("2024-03")).when(end(0)).then_refused(
        "course-not-started"
    )


@pytest.mark.parametrize("first", [radiotherapy_completed(20), radiotherapy_discontinued(20)])
@pytest.mark.parametrize("second", [radiotherapy_completed(21), radiotherapy_discontinued(21)])
def test_a_course_ends_once(first: Fact, second: Fact) -> None:
    participant_spec.given(*TREATED, first).when(second).then_refused("course-ended")
    participant_spec.given(*TREATED, first).when(correction(5, None), second).then_admitted()


def test_each_course_has_its_own_end() -> None:
    two_courses = (*TREATED, radiotherapy_started(50, "RT2", index=False))
    participant_spec.given(*two_courses, radiotherapy_completed(28)).when(
        radiotherapy_completed(70, "RT2")
    ).then_admitted()
    participant_spec.given(*two_courses).when(radiotherapy_completed(28, "RT2")).then_refused("course-not-started")


def test_course_start_cannot_be_corrected_to_after_its_end() -> None:
    participant_spec.given(*TREATED, radiotherapy_completed(28)).when(
        correction(4, radiotherapy_started(29))
    ).then_refused("course-not-started")
    participant_spec.given(*TREATED, radiotherapy_completed(28)).when(
        correction(4, radiotherapy_started(28))
    ).then_admitted()
    participant_spec.given(*TREATED, radiotherapy_completed(28)).when(correction(4, None)).then_refused(
        "course-not-started"
    )


def test_delivered_dose_may_not_exceed_the_prescription() -> None:
    participant_spec.given(*TREATED).when(
        radiotherapy_completed(28, "RT1", delivered_dose("T1", 20, 5000))
    ).then_admitted()
    participant_spec.given(*TREATED).when(
        radiotherapy_discontinued(14, "RT1", delivered_dose("T1", 0, 0))
    ).then_admitted()
    participant_spec.given(*TREATED).when(
        radiotherapy_completed(28, "RT1", delivered_dose("T1", 21, 5000))
    ).then_refused("more-than-prescribed")
    participant_spec.given(*TREATED).when(
        radiotherapy_discontinued(14, "RT1", delivered_dose("T1", 20, 5001))
    ).then_refused("more-than-prescribed")


def test_delivered_doses_name_targets_of_the_course() -> None:
    participant_spec.given(*TREATED).when(radiotherapy_completed(28, "RT1", delivered_dose("T2"))).then_refused(
        "no-such-target"
    )
    two = radiotherapy_started(50, "RT2", target("T2"), index=False)
    participant_spec.given(*TREATED, two).when(radiotherapy_completed(28, "RT1", delivered_dose("T2"))).then_refused(
        "no-such-target"
    )


def test_objection_to_a_dose_names_the_member() -> None:
    objections_found = objections_raised(*TREATED, radiotherapy_completed(28, "RT1", delivered_dose("T1", 21, 5250)))
    members = {objection.pointer for _, objection in objections_found if objection.code == "more-than-prescribed"}
    assert members == {"/delivered/0/fractions", "/delivered/0/dose_cgy"}


def test_changed_prescription_limits_delivery_in_any_recording_order() -> None:
    boost, end = (
        prescription_changed(10, "RT1", target("T1", fractions=25)),
        radiotherapy_completed(35, "RT1", delivered_dose("T1", 25, 6250)),
    )
    participant_spec.given(*TREATED, boost).when(end).then_admitted()
    participant_spec.given(*TREATED).when(end, boost).then_admitted()
    participant_spec.given(*TREATED, boost, end).when(correction(5, None)).then_refused("more-than-prescribed")


def test_prescription_changes_between_course_start_and_end() -> None:
    participant_spec.given(*TREATED).when(prescription_changed(0)).then_admitted()
    participant_spec.given(*TREATED).when(prescription_changed(-1)).then_refused("course-not-started")
    participant_spec.given(*TREATED).when(prescription_changed(3, "RT9")).then_refused("course-not-started")
    participant_spec.given(*TREATED, radiotherapy_completed(28)).when(prescription_changed(28)).then_admitted()
    participant_spec.given(*TREATED, radiotherapy_discontinued(28)).when(prescription_changed(29)).then_refused(
        "course-ended"
    )
    participant_spec.given(*TREATED, radiotherapy_completed(28)).when(prescription_changed("2024-03")).then_refused(
        "course-ended"
    )
    participant_spec.given(*TREATED, radiotherapy_completed("2024-03")).when(prescription_changed(30)).then_admitted()
    participant_spec.given(*TREATED, prescription_changed(20)).when(radiotherapy_completed(19)).then_refused(
        "course-ended"
    )


def test_changed_prescription_names_registered_lesions() -> None:
    participant_spec.given(*TREATED).when(prescription_changed(3, "RT1", target("T1", "L7"))).then_refused(
        "no-such-lesion"
    )


def test_line_of_therapy_stops_once_on_or_after_its_start() -> None:
    participant_spec.given(*ENROLLMENT_FACTS).when(systemic_therapy_stopped(5)).then_refused("line-not-started")
    participant_spec.given(*ENROLLMENT_FACTS, systemic_therapy_started(0)).when(
        systemic_therapy_stopped(0)
    ).then_admitted()
    participant_spec.given(*ENROLLMENT_FACTS, systemic_therapy_started(0)).when(
        systemic_therapy_stopped(-1)
    ).then_refused("line-not-started")
    participant_spec.given(*ENROLLMENT_FACTS, systemic_therapy_started(0)).when(
        systemic_therapy_stopped("2024-02")
    ).then_admitted()
    participant_spec.given(*ENROLLMENT_FACTS, systemic_therapy_started("2024-02")).when(
        systemic_therapy_stopped("2024-01")
    ).then_refused("line-not-started")
    participant_spec.given(*ENROLLMENT_FACTS, systemic_therapy_started(0, "S2")).when(
        systemic_therapy_stopped(5, "S1")
    ).then_refused("line-not-started")
    participant_spec.given(*ENROLLMENT_FACTS, systemic_therapy_started(0), systemic_therapy_stopped(5)).when(
        systemic_therapy_stopped(6)
    ).then_refused("line-stopped")
    participant_spec.given(
        *ENROLLMENT_FACTS, systemic_therapy_started(0), systemic_therapy_started(1, "S2"), systemic_therapy_stopped(5)
    ).when(systemic_therapy_stopped(6, "S2")).then_admitted()


def test_line_ids_are_unique() -> None:
    participant_spec.given(*ENROLLMENT_FACTS, systemic_therapy_started(0)).when(
        systemic_therapy_started(30)
    ).then_refused("line-exists")
    participant_spec.given(*ENROLLMENT_FACTS, systemic_therapy_started(0)).when(
        systemic_therapy_started(30, "S2")
    ).then_admitted()


def test_stopped_line_cannot_be_voided_alone() -> None:
    participant_spec.given(*ENROLLMENT_FACTS, systemic_therapy_started(0), systemic_therapy_stopped(5)).when(
        correction(4, None)
    ).then_refused("line-not-started")


def test_objection_names_the_conflicting_event() -> None:
    objections_found = objections_raised(*TREATED, radiotherapy_started(50, "RT1", index=False))
    assert {(event, objection.because_of) for event, objection in objections_found} == {
        (4, UUID(int=5)),
        (5, UUID(int=4)),
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"total_dose_cgy": 5001},
        {"fractions": 0, "total_dose_cgy": 0},
        {"dose_per_fraction_cgy": 0, "total_dose_cgy": 0},
        {"dose_per_fraction_cgy": -250, "total_dose_cgy": -5000},
        {"fractions": 1, "dose_per_fraction_cgy": 3001, "total_dose_cgy": 3001},
        {"fractions": 20.0},
        {"fractions": "20"},
        {"fractions": True, "total_dose_cgy": 250},
        {"prescription_isodose_percent": 29},
        {"prescription_isodose_percent": 101},
        {"delivery": "SRS"},
        {"delivery": "SBRT", "fractions": 9, "total_dose_cgy": 2250},
        {"modality": "x-rays"},
        {"technique": "3D"},
        {"label": "PTV 50"},
        {"target_id": ""},
        {"target_id": "T/1"},
        {"boost_of": "T1"},
        {"boost_of": "T7"},
        {"dose": 5000},
    ],
)
def test_impossible_prescriptions_are_refused_by_their_schema(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        radiotherapy_started(0, "RT1", {**target("T1"), **wrong})


@pytest.mark.parametrize(
    "right",
    [
        target("T1", fractions=1, cgy_per_fraction=3000, delivery="SRS", prescription_isodose_percent=30),
        target("T1", fractions=8, cgy_per_fraction=750, delivery="SBRT", prescription_isodose_percent=100),
        target("T1", fractions=5, cgy_per_fraction=700, delivery="FSRT", technique="stereotactic"),
        target("T1", fractions=1, cgy_per_fraction=1),
    ],
)
def test_bounds_of_a_prescription_are_inclusive(right: dict[str, Any]) -> None:
    participant_spec.given(*ENROLLMENT_FACTS).when(radiotherapy_started(0, "RT1", right)).then_admitted()


def test_the_levels_of_an_integrated_boost_share_their_fractions() -> None:
    participant_spec.given(*ENROLLMENT_FACTS).when(
        radiotherapy_started(0, "RT1", target("T1"), target("T2", cgy_per_fraction=275, boost_of="T1"))
    ).then_admitted()
    with pytest.raises(ValidationError, match="Give the same number for both"):
        radiotherapy_started(0, "RT1", target("T1"), target("T2", fractions=19, boost_of="T1"))


def test_target_ids_are_unique_in_a_course_and_its_delivery() -> None:
    with pytest.raises(ValidationError, match="the same target_id"):
        radiotherapy_started(0, "RT1", target("T1"), target("T1"))
    with pytest.raises(ValidationError, match="Give once what was delivered"):
        radiotherapy_completed(28, "RT1", delivered_dose("T1"), delivered_dose("T1"))


def test_a_course_and_a_change_have_targets() -> None:
    with pytest.raises(ValidationError):
        radiotherapy_started().model_validate({**radiotherapy_started().model_dump(), "targets": []})
    with pytest.raises(ValidationError):
        prescription_changed().model_validate({**prescription_changed().model_dump(), "targets": []})


@pytest.mark.parametrize("dose", ["175", True, 0, -1, 1e7])
def test_dose_of_an_agent_is_a_positive_number(dose: object) -> None:
    agent = {"name": "paclitaxel", "unit": "mg/m2"}
    assert Agent.model_validate({**agent, "dose": 175}).dose == 175
    with pytest.raises(ValidationError):
        Agent.model_validate({**agent, "dose": dose})
