from __future__ import annotations

from uuid import UUID

import pytest
from pydantic import ValidationError

from services.followup.rules import objections
from shared.kernel.fact import Fact
from shared.kernel.objection import Objection, RuleViolation
from shared.kernel.record import decide
from shared.testing.builders.facts import DateSpec, correction
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
    vital_status_confirmed,
)
from shared.testing.spec import Spec, numbered_facts, open_gate

follow_up_spec = Spec(objections)
ALL_FACT_TYPES: tuple[Fact, ...] = (
    follow_up_recorded(
        10, "L1", visit=1, response="PD", symptoms=[{"symptom": "pain", "change": "worse"}], note="Tired."
    ),
    visit_missed(100, 2),
    disease_progressed(10, "L1"),
    disease_progressed(12, kind="regional", body_site="neck"),
    disease_progressed(12, kind="distant", body_site="lung"),
    vital_status_confirmed(120),
    lost_to_follow_up(130),
    follow_up_resumed(140),
    participant_died(150),
    query_explained(),
    reminder_snoozed(99),
    reminder_acknowledged(),
)


def objections_raised(*proposed: Fact, recorded: tuple[Fact, ...] = ()) -> list[tuple[int, Objection]]:
    """Returns the objections, each with the number of the event to which it is raised."""
    with pytest.raises(RuleViolation) as refusal:
        decide(numbered_facts(recorded), numbered_facts(proposed, len(recorded) + 1), objections, open_gate)
    return [(event.int, objection) for event, objection in refusal.value.raised_objections]


@pytest.mark.parametrize("fact", ALL_FACT_TYPES, ids=lambda fact: fact.type_name)
def test_any_follow_up_fact_can_be_recorded_first(fact: Fact) -> None:
    follow_up_spec.given().when(fact).then_admitted()


def test_follow_up_can_be_recorded_in_one_batch_or_one_by_one() -> None:
    follow_up_spec.when(*ALL_FACT_TYPES).then_admitted()
    for index, fact in enumerate(ALL_FACT_TYPES):
        follow_up_spec.given(*ALL_FACT_TYPES[:index]).when(fact).then_admitted()


@pytest.mark.parametrize(
    "later",
    [
        follow_up_recorded(11),
        follow_up_recorded("2024-03"),
        follow_up_recorded("2025", mode="registry"),
        vital_status_confirmed(11),
    ],
)
def test_contact_after_death_is_refused(later: Fact) -> None:
    follow_up_spec.given(participant_died(10)).when(later).then_refused("after-death")
    follow_up_spec.given(later).when(participant_died(10)).then_refused("after-death")
    follow_up_spec.when(later, participant_died(10)).then_refused("after-death")


@pytest.mark.parametrize(
    ("death", "seen_on"),
    [(10, 10), (10, 9), (10, "2024-02"), (10, "2024"), ("2024-02", 28), ("2024", "2024-12"), (None, 999)],
)
def test_contact_that_may_precede_death_is_accepted(death: DateSpec | None, seen_on: DateSpec) -> None:
    for sign_of_life in (follow_up_recorded(seen_on), vital_status_confirmed(seen_on)):
        follow_up_spec.given(participant_died(death)).when(sign_of_life).then_admitted()
        follow_up_spec.given(sign_of_life).when(participant_died(death)).then_admitted()


@pytest.mark.parametrize(("death", "seen_on"), [("2024-02", 29), ("2024-02", "2024-03"), ("2023", 0), ("2023", "2024")])
def test_contact_after_every_possible_day_of_death_is_refused(death: DateSpec, seen_on: DateSpec) -> None:
    follow_up_spec.given(participant_died(death)).when(
        follow_up_recorded(seen_on), vital_status_confirmed(seen_on)
    ).then_refused("after-death")


@pytest.mark.parametrize(
    ("later", "member"), [(follow_up_recorded(11), "/seen_on"), (vital_status_confirmed(11), "/alive_on")]
)
def test_contact_after_death_is_at_fault_in_any_recording_order(later: Fact, member: str) -> None:
    assert objections_raised(later, recorded=(participant_died(10),)) == [
        (2, Objection("after-death", "", UUID(int=1), member))
    ]
    assert objections_raised(participant_died(10), recorded=(later,)) == [
        (1, Objection("after-death", "", UUID(int=2), member))
    ]


def test_all_contacts_after_death_are_reported_at_once() -> None:
    objections_found = objections_raised(
        participant_died(10), recorded=(follow_up_recorded(9), follow_up_recorded(11), vital_status_confirmed(12))
    )
    assert [event for event, _ in objections_found] == [2, 3]


@pytest.mark.parametrize(
    "again",
    [
        participant_died(10),
        participant_died(None),
        participant_died(12, cause="other"),
        participant_died("2024", presumed=True),
    ],
)
def test_death_is_recorded_once(again: Fact) -> None:
    follow_up_spec.given(participant_died(10)).when(again).then_refused("stated-twice")
    follow_up_spec.when(participant_died(None, presumed=True), again).then_refused("stated-twice")


def test_several_deaths_conflict_with_each_other() -> None:
    objections_found = objections_raised(participant_died(10), participant_died(11), participant_died(None))
    assert [event for event, _ in objections_found] == [1, 1, 2, 2, 3, 3]
    assert {objection.because_of for event, objection in objections_found if event == 2} == {UUID(int=1), UUID(int=3)}


def test_undated_death_can_be_dated_by_a_correction_after_the_last_contact() -> None:
    recorded = (participant_died(None), follow_up_recorded(20))
    follow_up_spec.given(*recorded).when(correction(1, participant_died(20))).then_admitted()
    follow_up_spec.given(*recorded).when(correction(1, participant_died(19))).then_refused("after-death")


def test_voided_death_does_not_conflict() -> None:
    mistaken = (participant_died(10), correction(1, None))
    follow_up_spec.given(*mistaken).when(
        follow_up_recorded(20), vital_status_confirmed(30), participant_died(40)
    ).then_admitted()
    follow_up_spec.given(*mistaken, follow_up_recorded(20)).when(correction(1, participant_died(10))).then_refused(
        "after-death"
    )


def test_contact_after_death_can_be_corrected_or_voided() -> None:
    follow_up_spec.given(follow_up_recorded(20)).when(
        participant_died(10), correction(1, follow_up_recorded(10))
    ).then_admitted()
    follow_up_spec.given(follow_up_recorded(20)).when(participant_died(10), correction(1, None)).then_admitted()


def test_local_progression_requires_a_lesion() -> None:
    objections_found = objections_raised(disease_progressed(kind="local"))
    assert objections_found == [(1, Objection("lesion-needed", "", pointer="/lesion_id"))]
    follow_up_spec.when(disease_progressed(0, "L1")).then_admitted()


@pytest.mark.parametrize("kind", ["regional", "distant"])
def test_regional_and_distant_progression_may_name_a_lesion(kind: str) -> None:
    follow_up_spec.when(disease_progressed(kind=kind), disease_progressed(0, "L1", kind=kind)).then_admitted()


def test_same_day_progressions_and_contacts_of_a_lesion_are_accepted() -> None:
    follow_up_spec.given(disease_progressed(0, "L1"), follow_up_recorded(0, "L1")).when(
        disease_progressed(0, "L1"), follow_up_recorded(0)
    ).then_admitted()


def test_contradictory_but_possible_facts_are_recorded() -> None:
    """Data queries ask about each of these."""
    follow_up_spec.given(follow_up_recorded(90, visit=1)).when(visit_missed(91, 1)).then_admitted()
    follow_up_spec.given(visit_missed(91, 1)).when(follow_up_recorded(90, visit=1), visit_missed(95, 1)).then_admitted()
    follow_up_spec.given(follow_up_recorded(90, visit=1)).when(follow_up_recorded(95, visit=1)).then_admitted()
    follow_up_spec.given(participant_died(10)).when(
        disease_progressed(20, "L1"), visit_missed(20), lost_to_follow_up(20), follow_up_resumed(30)
    ).then_admitted()
    follow_up_spec.given(participant_died(10)).when(
        reminder_snoozed(20), reminder_acknowledged(), query_explained()
    ).then_admitted()
    follow_up_spec.when(follow_up_recorded(0, disease=disease_status("L1", status="progressed"))).then_admitted()
    follow_up_spec.when(follow_up_recorded(0, response="PD")).then_admitted()


def test_lost_participant_may_be_seen_resumed_and_lost_again() -> None:
    follow_up_spec.given(lost_to_follow_up(10)).when(
        follow_up_recorded(20), vital_status_confirmed(20), visit_missed(15)
    ).then_admitted()
    follow_up_spec.given(lost_to_follow_up(10), follow_up_resumed(20)).when(
        lost_to_follow_up(30), lost_to_follow_up(30, "moved"), follow_up_resumed(40)
    ).then_admitted()
    follow_up_spec.when(follow_up_resumed(5)).then_admitted()


def test_query_may_be_explained_repeatedly() -> None:
    follow_up_spec.given(query_explained()).when(query_explained(), query_explained("00" * 32)).then_admitted()
    with pytest.raises(ValidationError):
        query_explained("A1" * 32)


def test_every_follow_up_fact_can_be_corrected_and_voided() -> None:
    for number, fact in enumerate(ALL_FACT_TYPES, 1):
        follow_up_spec.given(*ALL_FACT_TYPES).when(correction(number, fact)).then_admitted()
        follow_up_spec.given(*ALL_FACT_TYPES).when(correction(number, None)).then_admitted()
    follow_up_spec.given(*ALL_FACT_TYPES).when(correction(1, vital_status_confirmed(10))).then_refused("other-type")
