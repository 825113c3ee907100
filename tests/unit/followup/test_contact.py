from __future__ import annotations

from uuid import UUID

import pytest
from pydantic import ValidationError

from services.followup.contact import objections
from shared.kernel.fact import Fact
from shared.kernel.record import Objection, Refused, decide
from shared.testing.facts import When, correction
from shared.testing.followup_facts import (
    acknowledged,
    alive,
    contact,
    died,
    explained,
    lost,
    missed,
    progressed,
    resumed,
    seen,
    snoozed,
)
from shared.testing.spec import Spec, history, open_gate

followup = Spec(objections)
EVERYTHING: tuple[Fact, ...] = (
    contact(10, "L1", visit=1, response="PD", symptoms=[{"symptom": "pain", "change": "worse"}], note="Tired."),
    missed(100, 2),
    progressed(10, "L1"),
    progressed(12, kind="regional", body_site="neck"),
    progressed(12, kind="distant", body_site="lung"),
    alive(120),
    lost(130),
    resumed(140),
    died(150),
    explained(),
    snoozed(99),
    acknowledged(),
)


def raised(*proposed: Fact, past: tuple[Fact, ...] = ()) -> list[tuple[int, Objection]]:
    """What is objected, each with the number of the event that it is raised against."""
    with pytest.raises(Refused) as refusal:
        decide(history(past), history(proposed, len(past) + 1), objections, open_gate)
    return [(event.int, objection) for event, objection in refusal.value.raised]


@pytest.mark.parametrize("fact", EVERYTHING, ids=lambda fact: fact.type_name)
def test_whatever_happens_after_treatment_can_be_stated_first(fact: Fact) -> None:
    followup.given().when(fact).then_admitted()


def test_a_whole_course_of_follow_up_can_be_stated_at_once_and_one_by_one() -> None:
    followup.when(*EVERYTHING).then_admitted()
    for place, fact in enumerate(EVERYTHING):
        followup.given(*EVERYTHING[:place]).when(fact).then_admitted()


@pytest.mark.parametrize("later", [contact(11), contact("2024-03"), contact("2025", mode="registry"), alive(11)])
def test_nobody_is_seen_or_known_alive_after_death(later: Fact) -> None:
    followup.given(died(10)).when(later).then_refused("after-death")
    followup.given(later).when(died(10)).then_refused("after-death")
    followup.when(later, died(10)).then_refused("after-death")


@pytest.mark.parametrize(
    ("death", "seen_on"),
    [(10, 10), (10, 9), (10, "2024-02"), (10, "2024"), ("2024-02", 28), ("2024", "2024-12"), (None, 999)],
)
def test_a_contact_that_may_be_before_death_is_possible(death: When | None, seen_on: When) -> None:
    for known in (contact(seen_on), alive(seen_on)):
        followup.given(died(death)).when(known).then_admitted()
        followup.given(known).when(died(death)).then_admitted()


@pytest.mark.parametrize(("death", "seen_on"), [("2024-02", 29), ("2024-02", "2024-03"), ("2023", 0), ("2023", "2024")])
def test_a_contact_that_is_after_every_day_that_death_may_mean_is_not_possible(death: When, seen_on: When) -> None:
    followup.given(died(death)).when(contact(seen_on), alive(seen_on)).then_refused("after-death")


@pytest.mark.parametrize(("later", "member"), [(contact(11), "/seen_on"), (alive(11), "/alive_on")])
def test_the_contact_is_at_fault_for_being_after_death_whichever_was_stated_first(later: Fact, member: str) -> None:
    assert raised(later, past=(died(10),)) == [(2, Objection("after-death", "", UUID(int=1), member))]
    assert raised(died(10), past=(later,)) == [(1, Objection("after-death", "", UUID(int=2), member))]


def test_every_contact_after_a_death_is_told_at_once() -> None:
    told = raised(died(10), past=(contact(9), contact(11), alive(12)))
    assert [event for event, _ in told] == [2, 3]


@pytest.mark.parametrize("again", [died(10), died(None), died(12, cause="other"), died("2024", presumed=True)])
def test_death_is_stated_once(again: Fact) -> None:
    followup.given(died(10)).when(again).then_refused("stated-twice")
    followup.when(died(None, presumed=True), again).then_refused("stated-twice")


def test_of_several_deaths_each_is_in_the_way_of_every_other() -> None:
    told = raised(died(10), died(11), died(None))
    assert [event for event, _ in told] == [1, 1, 2, 2, 3, 3]
    assert {each.because_of for event, each in told if event == 2} == {UUID(int=1), UUID(int=3)}


def test_a_death_without_a_day_gets_one_by_a_correction_that_what_is_known_allows() -> None:
    known = (died(None), contact(20))
    followup.given(*known).when(correction(1, died(20))).then_admitted()
    followup.given(*known).when(correction(1, died(19))).then_refused("after-death")


def test_a_death_that_is_void_stands_in_nobody_s_way() -> None:
    mistaken = (died(10), correction(1, None))
    followup.given(*mistaken).when(contact(20), alive(30), died(40)).then_admitted()
    followup.given(*mistaken, contact(20)).when(correction(1, died(10))).then_refused("after-death")


def test_a_contact_after_death_is_mended_by_its_own_correction() -> None:
    followup.given(contact(20)).when(died(10), correction(1, contact(10))).then_admitted()
    followup.given(contact(20)).when(died(10), correction(1, None)).then_admitted()


def test_local_progression_is_that_of_a_lesion() -> None:
    told = raised(progressed(kind="local"))
    assert told == [(1, Objection("lesion-needed", "", member="/lesion_id"))]
    followup.when(progressed(0, "L1")).then_admitted()


@pytest.mark.parametrize("kind", ["regional", "distant"])
def test_progression_that_is_not_local_names_a_lesion_or_none(kind: str) -> None:
    followup.when(progressed(kind=kind), progressed(0, "L1", kind=kind)).then_admitted()


def test_a_lesion_may_grow_again_and_be_seen_otherwise_at_a_contact_of_the_same_day() -> None:
    followup.given(progressed(0, "L1"), contact(0, "L1")).when(progressed(0, "L1"), contact(0)).then_admitted()


def test_what_is_contradictory_but_possible_is_recorded() -> None:
    """Each of these is questioned elsewhere."""
    followup.given(contact(90, visit=1)).when(missed(91, 1)).then_admitted()
    followup.given(missed(91, 1)).when(contact(90, visit=1), missed(95, 1)).then_admitted()
    followup.given(contact(90, visit=1)).when(contact(95, visit=1)).then_admitted()
    followup.given(died(10)).when(progressed(20, "L1"), missed(20), lost(20), resumed(30)).then_admitted()
    followup.given(died(10)).when(snoozed(20), acknowledged(), explained()).then_admitted()
    followup.when(contact(0, disease=seen({"lesion_id": "L1", "status": "progressed"}))).then_admitted()
    followup.when(contact(0, response="PD")).then_admitted()


def test_who_is_lost_may_be_seen_found_and_lost_again() -> None:
    followup.given(lost(10)).when(contact(20), alive(20), missed(15)).then_admitted()
    followup.given(lost(10), resumed(20)).when(lost(30), lost(30, "moved"), resumed(40)).then_admitted()
    followup.when(resumed(5)).then_admitted()


def test_a_query_is_explained_again_and_again_and_whether_or_not_it_is_open() -> None:
    followup.given(explained()).when(explained(), explained("00" * 32)).then_admitted()
    with pytest.raises(ValidationError):
        explained("A1" * 32)


def test_every_fact_can_be_restated_and_voided() -> None:
    for number, fact in enumerate(EVERYTHING, 1):
        followup.given(*EVERYTHING).when(correction(number, fact)).then_admitted()
        followup.given(*EVERYTHING).when(correction(number, None)).then_admitted()
    followup.given(*EVERYTHING).when(correction(1, alive(10))).then_refused("other-type")
