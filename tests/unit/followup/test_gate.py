from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta

import pytest

from services.followup.gate import FollowUpGate
from services.followup.rules import objections
from shared.kernel.fact import Fact
from shared.kernel.objection import RuleViolation
from shared.kernel.record import Record, current_record
from shared.protocol.protocol import Protocol
from shared.testing.builders.facts import (
    ENROLLMENT_FACTS,
    START_DATE,
    consent_withdrawn,
    correction,
    lesion_registered,
    participant_voided,
    protocol,
    protocol_amended,
    radiotherapy_started,
    site_activated,
    study_closed,
    study_opened,
    target,
)
from shared.testing.builders.follow_up_facts import (
    disease_progressed,
    disease_status,
    follow_up_recorded,
    follow_up_resumed,
    lost_to_follow_up,
    participant_died,
    query_explained,
    reminder_acknowledged,
    reminder_snoozed,
    visit_missed,
    visit_scheduled,
    vital_status_confirmed,
)
from shared.testing.spec import Spec, numbered_facts

LATER = 400
TODAY = START_DATE + timedelta(days=LATER)
TREATED = (
    *ENROLLMENT_FACTS,
    lesion_registered("L1"),
    lesion_registered("L2"),
    radiotherapy_started(0, "RT1", target("T1", "L1")),
)
OPENED = (study_opened(), site_activated("rome"))


def protocol_with_visits(every: int, months: int) -> Protocol:
    """Returns a protocol with a visit every `every` months, for `months` months."""
    return protocol(follow_up={"every_months": every, "for_months": months})


def gate_spec(
    *enrollment_facts: Fact, study: Sequence[Fact] = OPENED, today: date = TODAY, earlier: tuple[Fact, ...] = ()
) -> Spec:
    """Returns the spec of a participant with these facts in enrollment and `earlier` facts in follow-up."""
    participant_gate = FollowUpGate(
        Record(tuple(numbered_facts(study))),
        today,
        "rome",
        enrollment_record=current_record(numbered_facts(enrollment_facts or TREATED)),
        record_before=lambda: current_record(numbered_facts(earlier)),
    )
    return Spec(objections, participant_gate.objections).given(*earlier)


def objections_of(spec: Spec) -> list[tuple[str, str, bool]]:
    """Returns code, pointer, and whether the missing fact may still arrive, of each objection."""
    with pytest.raises(RuleViolation) as violation:
        spec.then_admitted()
    return sorted(
        (objection.code, objection.pointer, objection.may_arrive_later)
        for _, objection in violation.value.raised_objections
    )


@pytest.mark.parametrize(
    ("fact", "member"),
    [
        (disease_progressed(9, "L9"), "/lesion_id"),
        (disease_progressed(9, "L9", kind="distant"), "/lesion_id"),
        (follow_up_recorded(9, "L9"), "/disease/lesions/0/lesion_id"),
        (follow_up_recorded(9, "L1", "L9", "L2"), "/disease/lesions/1/lesion_id"),
    ],
)
def test_unknown_lesion_is_refused_as_possibly_not_known_yet(fact: Fact, member: str) -> None:
    assert objections_of(gate_spec().when(fact)) == [("no-such-lesion", member, True)]
    gate_spec(*TREATED, lesion_registered("L9")).when(fact).then_admitted()


def test_voided_lesion_is_unknown() -> None:
    enrollment_facts = (*TREATED, correction(4, None))
    assert objections_of(gate_spec(*enrollment_facts).when(disease_progressed(9, "L1"))) == [
        ("no-such-lesion", "/lesion_id", True)
    ]


@pytest.mark.parametrize("state", [follow_up_recorded, visit_missed])
@pytest.mark.parametrize("visit", [1, 8])
def test_unknown_course_is_refused_as_possibly_not_known_yet(state: Callable[..., Fact], visit: int) -> None:
    gate_spec().when(state(9, visit=visit, course_id="RT1")).then_admitted()
    objections_raised = objections_of(gate_spec().when(state(9, visit=visit, course_id="RT9")))
    assert objections_raised == [("no-such-course", "/course_id", True)]


@pytest.mark.parametrize("state", [reminder_snoozed, reminder_acknowledged])
def test_unknown_course_of_a_reminder_may_not_be_known_yet(state: Callable[..., Fact]) -> None:
    gate_spec().when(state(course_id="RT1")).then_admitted()
    assert objections_of(gate_spec().when(state(course_id="RT9"))) == [("no-such-course", "/course_id", True)]


def test_all_unknown_ids_are_reported_at_once_also_in_corrections() -> None:
    fact = follow_up_recorded(9, "L8", "L9", course_id="RT9", visit=9)
    expected = [
        ("no-such-course", "/course_id", True),
        ("no-such-lesion", "/disease/lesions/0/lesion_id", True),
        ("no-such-lesion", "/disease/lesions/1/lesion_id", True),
        ("no-such-visit", "/visit", False),
    ]
    assert objections_of(gate_spec().when(fact)) == expected
    expected_in_correction = [(code, f"/replacement/data{member}", not_known) for code, member, not_known in expected]
    assert (
        objections_of(gate_spec(earlier=(follow_up_recorded(9),)).when(correction(1, fact))) == expected_in_correction
    )


def test_facts_without_references_are_not_looked_up() -> None:
    seen_so = follow_up_recorded(9, symptoms=[{"symptom": "of-our-own", "change": "worse"}], disease=disease_status())
    nothing = (
        seen_so,
        disease_progressed(9),
        disease_progressed(9, kind="regional"),
        vital_status_confirmed(9),
        participant_died(9),
        lost_to_follow_up(9),
        follow_up_resumed(9),
        query_explained(),
    )
    gate_spec(*ENROLLMENT_FACTS).when(*nothing).then_admitted()


@pytest.mark.parametrize(
    "fact", [follow_up_recorded, visit_missed, visit_scheduled, reminder_snoozed, reminder_acknowledged]
)
def test_visit_beyond_every_protocol_of_the_study_is_refused(fact: Callable[..., Fact]) -> None:
    """A visit of an amendment that lies ahead may be booked."""
    amended = (*OPENED, protocol_amended(LATER + 100, protocol_with_visits(3, 30)))
    gate_spec().when(fact(LATER, visit=8)).then_admitted()
    assert objections_of(gate_spec().when(fact(LATER, visit=9))) == [("no-such-visit", "/visit", False)]
    gate_spec(study=amended).when(fact(LATER, visit=10)).then_admitted()
    assert objections_of(gate_spec(study=amended).when(fact(LATER, visit=11))) == [("no-such-visit", "/visit", False)]


def test_correction_may_leave_a_visit_that_is_beyond_the_plan_and_may_not_name_another() -> None:
    """It was recorded before the check was there."""
    spec = gate_spec(earlier=(follow_up_recorded(9, visit=9),))
    spec.when(correction(1, follow_up_recorded(9, visit=9, response="PD"))).then_admitted()
    spec.when(correction(1, follow_up_recorded(9, visit=8))).then_admitted()
    spec.when(correction(1, follow_up_recorded(9, visit=10))).then_refused("no-such-visit")


def test_contact_without_visit_number_is_accepted() -> None:
    gate_spec().when(follow_up_recorded(9)).then_admitted()


@pytest.mark.parametrize("state", [reminder_snoozed, reminder_acknowledged])
def test_reminder_is_snoozed_for_at_most_14_days(state: Callable[..., Fact]) -> None:
    for until in (None, LATER, LATER + 14):
        gate_spec().when(state(until)).then_admitted()
    assert objections_of(gate_spec().when(state(LATER + 15))) == [("snooze-too-long", "/until", False)]
    assert objections_of(gate_spec().when(state(LATER - 1))) == [("snooze-in-the-past", "/until", False)]


def test_unchanged_members_of_a_correction_are_not_checked_again() -> None:
    recorded = (
        follow_up_recorded(9, "L8", "L9", course_id="RT9", visit=9),
        reminder_snoozed(9, 1),
        disease_progressed(9, "L9"),
        visit_missed(9, 9),
    )
    spec = gate_spec(earlier=recorded)
    spec.when(correction(1, follow_up_recorded(9, "L9", course_id="RT9", visit=9, response="PD"))).then_admitted()
    spec.when(correction(1, follow_up_recorded(8, "L9", course_id="RT9", visit=9))).then_admitted()
    spec.when(correction(2, reminder_snoozed(9, 2))).then_admitted()
    spec.when(correction(3, disease_progressed(12, "L9"))).then_admitted()
    spec.when(correction(4, visit_missed(9, 9, reason_code="refused"))).then_admitted()


def test_changed_members_of_a_correction_are_checked() -> None:
    recorded = (follow_up_recorded(9, "L9", visit=9), reminder_snoozed(9, 1), follow_up_recorded(9, course_id="RT9"))
    spec = gate_spec(earlier=recorded)
    spec.when(correction(1, follow_up_recorded(9, "L8", visit=9))).then_refused("no-such-lesion")
    spec.when(correction(2, reminder_snoozed(LATER + 15, 1))).then_refused("snooze-too-long")
    spec.when(correction(2, reminder_snoozed(10, 1))).then_refused("snooze-in-the-past")
    spec.when(correction(3, follow_up_recorded(9, course_id="RT8"))).then_refused("no-such-course")


def test_reinstated_fact_is_checked_completely() -> None:
    recorded = (disease_progressed(9, "L9"), correction(1, None))
    gate_spec(earlier=recorded).when(correction(1, disease_progressed(9, "L9"))).then_refused("no-such-lesion")


def test_any_recorded_fact_can_be_voided() -> None:
    recorded = (follow_up_recorded(9, "L9", course_id="RT9", visit=9), reminder_snoozed(9, 9))
    enrollment_facts = (*TREATED, consent_withdrawn(1, "data_use"), participant_voided())
    gate_spec(*enrollment_facts, earlier=recorded).when(correction(1, None), correction(2, None)).then_admitted()


def test_closures_of_enrollment_apply_to_follow_up() -> None:
    spec = gate_spec(*TREATED, consent_withdrawn(10))
    spec.when(follow_up_recorded(10, "L1"), participant_died(99), visit_missed("2024-02")).then_admitted()
    for later in (
        follow_up_recorded(11),
        vital_status_confirmed(11),
        vital_status_confirmed(11, "registry"),
        lost_to_follow_up(11),
        disease_progressed(11),
        visit_missed(11),
    ):
        spec.when(later).then_refused("after-withdrawal")
    for fact in (follow_up_recorded(1), participant_died(None), query_explained(), reminder_snoozed()):
        gate_spec(*TREATED, participant_voided()).when(fact).then_refused("participant-voided")
    gate_spec(study=(*OPENED, study_closed(10))).when(follow_up_recorded(11)).then_refused("study-closed")
    gate_spec(today=START_DATE).when(follow_up_recorded(1)).then_refused("in-the-future")
    gate_spec().when(participant_died("1946")).then_refused("before-birth")


@pytest.mark.parametrize("on", ["1900-01-01", "1946-12-31", "1946-12", "1946"])
def test_follow_up_before_the_year_of_birth_is_refused(on: str) -> None:
    for stated in (
        participant_died(on),
        vital_status_confirmed(on),
        follow_up_recorded(on),
        lost_to_follow_up(on),
        disease_progressed(on),
    ):
        gate_spec().when(stated).then_refused("before-birth")
    gate_spec().when(participant_died("1947")).then_admitted()


def test_appointment_may_be_on_any_day_also_after_death_and_withdrawal() -> None:
    for when in (0, 9, 3000):
        gate_spec(earlier=(participant_died(5),)).when(visit_scheduled(when)).then_admitted()
    gate_spec(*TREATED, consent_withdrawn(1)).when(visit_scheduled(3000)).then_admitted()
