from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from services.enrollment.participant import objections
from shared.contracts.treatment import Agent
from shared.kernel.fact import Fact
from shared.kernel.record import Objection, judge, standing
from shared.testing.facts import (
    ON_STUDY,
    changed,
    completed,
    correction,
    course,
    discontinued,
    given,
    lesion,
    line,
    line_stopped,
    target,
)
from shared.testing.spec import Spec, history

participant = Spec(objections)
TREATED = (*ON_STUDY, course())  # the course is event 4


def raised(*facts: Fact) -> set[tuple[int, Objection]]:
    """(number of the event, objection) in the record of these facts."""
    return {(event.int, objection) for event, objection in judge(standing(history(facts)), objections)}


def test_a_course_has_an_id_of_its_own() -> None:
    participant.given(*TREATED).when(course(50, "RT1", index=False)).then_refused("course-exists")
    participant.given(*TREATED).when(course(50, "RT2", index=False)).then_admitted()


def test_a_participant_has_one_index_course() -> None:
    participant.given(*TREATED).when(course(50, "RT2")).then_refused("second-index-course")
    participant.given(*TREATED).when(correction(4, course(index=False)), course(50, "RT2")).then_admitted()
    participant.given(*ON_STUDY, course(index=False)).when(course(50, "RT2")).then_admitted()


def test_a_lesion_is_registered_before_it_is_treated() -> None:
    treating = course(0, "RT1", target("T1", "L1"), target("T2", "L1", "L2"))
    participant.given(*ON_STUDY, lesion("L1")).when(treating).then_refused("no-such-lesion")
    participant.given(*ON_STUDY, lesion("L1"), lesion("L2")).when(treating).then_admitted()
    participant.given(*ON_STUDY).when(treating, lesion("L1"), lesion("L2")).then_admitted()
    said = raised(*ON_STUDY, lesion("L1"), treating)
    assert {(event, objection.member) for event, objection in said} == {(5, "/targets/1/lesion_ids")}


def test_a_target_without_lesions_is_a_target() -> None:
    participant.given(*ON_STUDY).when(course(0, "RT1", target("T1"))).then_admitted()


def test_a_treated_lesion_is_not_voided_from_under_its_course() -> None:
    past = (*ON_STUDY, lesion("L1"), course(0, "RT1", target("T1", "L1")))
    participant.given(*past).when(correction(4, None)).then_refused("no-such-lesion")
    participant.given(*past).when(correction(4, None), correction(5, None)).then_admitted()


@pytest.mark.parametrize("end", [completed, discontinued])
def test_a_course_ends_on_or_after_its_first_day(end: Any) -> None:
    participant.given(*TREATED).when(end(0)).then_admitted()
    participant.given(*TREATED).when(end(-1)).then_refused("course-not-started")
    participant.given(*TREATED).when(end(0, "RT9")).then_refused("course-not-started")
    participant.given(*TREATED).when(end("2024-02")).then_admitted()
    participant.given(*TREATED).when(end("2024")).then_admitted()
    participant.given(*TREATED).when(end("2024-01")).then_refused("course-not-started")
    participant.given(*ON_STUDY).when(end(28)).then_refused("course-not-started")


@pytest.mark.parametrize("end", [completed, discontinued])
def test_a_start_of_which_only_the_month_is_known_is_no_contradiction(end: Any) -> None:
    participant.given(*ON_STUDY, course("2024-02")).when(end(0)).then_admitted()
    participant.given(*ON_STUDY, course("2024-03")).when(end(0)).then_refused("course-not-started")


@pytest.mark.parametrize("first", [completed(20), discontinued(20)])
@pytest.mark.parametrize("second", [completed(21), discontinued(21)])
def test_a_course_ends_once(first: Fact, second: Fact) -> None:
    participant.given(*TREATED, first).when(second).then_refused("course-ended")
    participant.given(*TREATED, first).when(correction(5, None), second).then_admitted()


def test_each_course_has_its_own_end() -> None:
    two = (*TREATED, course(50, "RT2", index=False))
    participant.given(*two, completed(28)).when(completed(70, "RT2")).then_admitted()
    participant.given(*two).when(completed(28, "RT2")).then_refused("course-not-started")


def test_a_start_is_not_corrected_to_after_the_end() -> None:
    participant.given(*TREATED, completed(28)).when(correction(4, course(29))).then_refused("course-not-started")
    participant.given(*TREATED, completed(28)).when(correction(4, course(28))).then_admitted()
    participant.given(*TREATED, completed(28)).when(correction(4, None)).then_refused("course-not-started")


def test_as_much_as_prescribed_may_be_delivered_and_no_more() -> None:
    participant.given(*TREATED).when(completed(28, "RT1", given("T1", 20, 5000))).then_admitted()
    participant.given(*TREATED).when(discontinued(14, "RT1", given("T1", 0, 0))).then_admitted()
    participant.given(*TREATED).when(completed(28, "RT1", given("T1", 21, 5000))).then_refused("more-than-prescribed")
    participant.given(*TREATED).when(discontinued(14, "RT1", given("T1", 20, 5001))).then_refused(
        "more-than-prescribed"
    )


def test_what_is_delivered_is_delivered_to_a_target_of_the_course() -> None:
    participant.given(*TREATED).when(completed(28, "RT1", given("T2"))).then_refused("no-such-target")
    two = course(50, "RT2", target("T2"), index=False)
    participant.given(*TREATED, two).when(completed(28, "RT1", given("T2"))).then_refused("no-such-target")


def test_an_objection_to_a_dose_names_the_member_that_is_at_fault() -> None:
    said = raised(*TREATED, completed(28, "RT1", given("T1", 21, 5250)))
    members = {objection.member for _, objection in said if objection.code == "more-than-prescribed"}
    assert members == {"/delivered/0/fractions", "/delivered/0/dose_cgy"}


def test_a_changed_prescription_says_what_may_be_delivered_whenever_it_is_told() -> None:
    boost, end = changed(10, "RT1", target("T1", fractions=25)), completed(35, "RT1", given("T1", 25, 6250))
    participant.given(*TREATED, boost).when(end).then_admitted()
    participant.given(*TREATED).when(end, boost).then_admitted()
    participant.given(*TREATED, boost, end).when(correction(5, None)).then_refused("more-than-prescribed")


def test_a_prescription_is_changed_between_start_and_end_of_its_course() -> None:
    participant.given(*TREATED).when(changed(0)).then_admitted()
    participant.given(*TREATED).when(changed(-1)).then_refused("course-not-started")
    participant.given(*TREATED).when(changed(3, "RT9")).then_refused("course-not-started")
    participant.given(*TREATED, completed(28)).when(changed(28)).then_admitted()
    participant.given(*TREATED, discontinued(28)).when(changed(29)).then_refused("course-ended")
    participant.given(*TREATED, completed(28)).when(changed("2024-03")).then_refused("course-ended")
    participant.given(*TREATED, completed("2024-03")).when(changed(30)).then_admitted()
    participant.given(*TREATED, changed(20)).when(completed(19)).then_refused("course-ended")


def test_a_changed_prescription_treats_known_lesions() -> None:
    participant.given(*TREATED).when(changed(3, "RT1", target("T1", "L7"))).then_refused("no-such-lesion")


def test_a_line_stops_once_on_or_after_its_start() -> None:
    participant.given(*ON_STUDY).when(line_stopped(5)).then_refused("line-not-started")
    participant.given(*ON_STUDY, line(0)).when(line_stopped(0)).then_admitted()
    participant.given(*ON_STUDY, line(0)).when(line_stopped(-1)).then_refused("line-not-started")
    participant.given(*ON_STUDY, line(0)).when(line_stopped("2024-02")).then_admitted()
    participant.given(*ON_STUDY, line("2024-02")).when(line_stopped("2024-01")).then_refused("line-not-started")
    participant.given(*ON_STUDY, line(0, "S2")).when(line_stopped(5, "S1")).then_refused("line-not-started")
    participant.given(*ON_STUDY, line(0), line_stopped(5)).when(line_stopped(6)).then_refused("line-stopped")
    participant.given(*ON_STUDY, line(0), line(1, "S2"), line_stopped(5)).when(line_stopped(6, "S2")).then_admitted()


def test_a_line_has_an_id_of_its_own() -> None:
    participant.given(*ON_STUDY, line(0)).when(line(30)).then_refused("line-exists")
    participant.given(*ON_STUDY, line(0)).when(line(30, "S2")).then_admitted()


def test_a_line_is_not_voided_from_under_its_stop() -> None:
    participant.given(*ON_STUDY, line(0), line_stopped(5)).when(correction(4, None)).then_refused("line-not-started")


def test_an_objection_names_the_event_that_is_in_the_way() -> None:
    said = raised(*TREATED, course(50, "RT1", index=False))
    assert {(event, objection.because_of) for event, objection in said} == {(4, UUID(int=5)), (5, UUID(int=4))}


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
def test_a_prescription_that_no_machine_gives_cannot_be_said(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        course(0, "RT1", {**target("T1"), **wrong})


@pytest.mark.parametrize(
    "right",
    [
        target("T1", fractions=1, each=3000, delivery="SRS", prescription_isodose_percent=30),
        target("T1", fractions=8, each=750, delivery="SBRT", prescription_isodose_percent=100),
        target("T1", fractions=5, each=700, delivery="FSRT", technique="stereotactic"),
        target("T1", fractions=1, each=1),
    ],
)
def test_the_bounds_of_a_prescription_are_within_it(right: dict[str, Any]) -> None:
    participant.given(*ON_STUDY).when(course(0, "RT1", right)).then_admitted()


def test_the_levels_of_an_integrated_boost_share_their_fractions() -> None:
    participant.given(*ON_STUDY).when(
        course(0, "RT1", target("T1"), target("T2", each=275, boost_of="T1"))
    ).then_admitted()
    with pytest.raises(ValidationError, match="Give the same number for both"):
        course(0, "RT1", target("T1"), target("T2", fractions=19, boost_of="T1"))


def test_a_target_is_named_once_within_its_course_and_its_delivery() -> None:
    with pytest.raises(ValidationError, match="the same target_id"):
        course(0, "RT1", target("T1"), target("T1"))
    with pytest.raises(ValidationError, match="Give once what was delivered"):
        completed(28, "RT1", given("T1"), given("T1"))


def test_a_course_and_a_change_have_targets() -> None:
    with pytest.raises(ValidationError):
        course().model_validate({**course().model_dump(), "targets": []})
    with pytest.raises(ValidationError):
        changed().model_validate({**changed().model_dump(), "targets": []})


@pytest.mark.parametrize("dose", ["175", True, 0, -1, 1e7])
def test_a_dose_of_an_agent_is_a_number_above_nought(dose: object) -> None:
    agent = {"name": "paclitaxel", "unit": "mg/m2"}
    assert Agent.model_validate({**agent, "dose": 175}).dose == 175
    with pytest.raises(ValidationError):
        Agent.model_validate({**agent, "dose": dose})
