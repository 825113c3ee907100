from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta

import pytest

from services.followup.contact import objections
from services.followup.gate import World
from shared.kernel.fact import Fact
from shared.kernel.record import Record, Refused, standing
from shared.protocol.protocol import Protocol
from shared.testing.facts import (
    ON_STUDY,
    START,
    correction,
    course,
    lesion,
    opened,
    protocol,
    site_activated,
    study_closed,
    target,
    voided,
    withdrawn,
)
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
from shared.testing.spec import Spec, history

LATER = 400
TODAY = START + timedelta(days=LATER)
TREATED = (*ON_STUDY, lesion("L1"), lesion("L2"), course(0, "RT1", target("T1", "L1")))
OPENED = (opened(), site_activated("rome"))


def planned(every: int, months: int) -> Protocol:
    """A plan with visits every so many months, for so many."""
    return protocol(follow_up={"every_months": every, "for_months": months})


def followup(*known: Fact, study: Sequence[Fact] = OPENED, today: date = TODAY, earlier: tuple[Fact, ...] = ()) -> Spec:
    """Follow-up, with those facts already, of a participant of whom enrollment knows that."""
    world = World(
        Record(tuple(history(study))),
        today,
        "rome",
        participant=standing(history(known or TREATED)),
        earlier=lambda: standing(history(earlier)),
    )
    return Spec(objections, world.gate).given(*earlier)


def refused(spec: Spec) -> list[tuple[str, str, bool]]:
    """Code, member, and whether it may be on its way, of each objection."""
    with pytest.raises(Refused) as refusal:
        spec.then_admitted()
    return sorted((each.code, each.member, each.not_known) for _, each in refusal.value.raised)


@pytest.mark.parametrize(
    ("fact", "member"),
    [
        (progressed(9, "L9"), "/lesion_id"),
        (progressed(9, "L9", kind="distant"), "/lesion_id"),
        (contact(9, "L9"), "/disease/lesions/0/lesion_id"),
        (contact(9, "L1", "L9", "L2"), "/disease/lesions/1/lesion_id"),
    ],
)
def test_a_lesion_that_is_named_is_registered_or_on_its_way(fact: Fact, member: str) -> None:
    assert refused(followup().when(fact)) == [("no-such-lesion", member, True)]
    followup(*TREATED, lesion("L9")).when(fact).then_admitted()


def test_a_lesion_that_is_void_is_not_known() -> None:
    known = (*TREATED, correction(4, None))
    assert refused(followup(*known).when(progressed(9, "L1"))) == [("no-such-lesion", "/lesion_id", True)]


@pytest.mark.parametrize("state", [contact, missed])
@pytest.mark.parametrize("visit", [1, 8])
def test_a_course_that_is_named_was_started_or_is_on_its_way(state: Callable[..., Fact], visit: int) -> None:
    followup().when(state(9, visit=visit, course_id="RT1")).then_admitted()
    told = refused(followup().when(state(9, visit=visit, course_id="RT9")))
    assert told == [("no-such-course", "/course_id", True)]


@pytest.mark.parametrize("state", [snoozed, acknowledged])
def test_a_reminder_s_course_was_started_or_is_on_its_way(state: Callable[..., Fact]) -> None:
    followup().when(state(course_id="RT1")).then_admitted()
    assert refused(followup().when(state(course_id="RT9"))) == [("no-such-course", "/course_id", True)]


def test_all_that_is_not_known_is_told_at_once_and_where_it_stands_in_a_correction() -> None:
    fact = contact(9, "L8", "L9", course_id="RT9", visit=9)
    told = [("no-such-course", "/course_id", True), ("no-such-lesion", "/disease/lesions/0/lesion_id", True),
            ("no-such-lesion", "/disease/lesions/1/lesion_id", True)]  # fmt: skip
    assert refused(followup().when(fact)) == told
    within = [(code, f"/replacement/data{member}", not_known) for code, member, not_known in told]
    assert refused(followup(earlier=(contact(9),)).when(correction(1, fact))) == within


def test_symptoms_and_what_names_nothing_are_not_looked_up() -> None:
    seen_so = contact(9, symptoms=[{"symptom": "of-our-own", "change": "worse"}], disease=seen())
    nothing = (
        seen_so,
        progressed(9),
        progressed(9, kind="regional"),
        alive(9),
        died(9),
        lost(9),
        resumed(9),
        explained(),
    )
    followup(*ON_STUDY).when(*nothing).then_admitted()


@pytest.mark.parametrize("state", [contact, missed])
def test_a_visit_that_no_protocol_plans_is_left_to_the_queries(state: Callable[..., Fact]) -> None:
    followup().when(state(9, visit=9)).then_admitted()


def test_a_contact_without_a_visit_number_is_one_beside_the_plan() -> None:
    followup().when(contact(9)).then_admitted()


@pytest.mark.parametrize("state", [snoozed, acknowledged])
def test_a_reminder_is_put_off_by_14_days_at_most(state: Callable[..., Fact]) -> None:
    for until in (None, LATER, LATER + 14):
        followup().when(state(until)).then_admitted()
    assert refused(followup().when(state(LATER + 15))) == [("snooze-too-long", "/until", False)]
    assert refused(followup().when(state(LATER - 1))) == [("snooze-in-the-past", "/until", False)]


def test_what_a_correction_leaves_as_it_was_is_not_asked_again() -> None:
    said = (contact(9, "L8", "L9", course_id="RT9", visit=9), snoozed(9, 1), progressed(9, "L9"), missed(9, 9))
    mended = followup(earlier=said)
    mended.when(correction(1, contact(9, "L9", course_id="RT9", visit=9, response="PD"))).then_admitted()
    mended.when(correction(1, contact(8, "L9", course_id="RT9", visit=9))).then_admitted()
    mended.when(correction(2, snoozed(9, 2))).then_admitted()
    mended.when(correction(3, progressed(12, "L9"))).then_admitted()
    mended.when(correction(4, missed(9, 9, reason_code="refused"))).then_admitted()


def test_what_a_correction_changes_is_asked_anew() -> None:
    said = (contact(9, "L9", visit=9), snoozed(9, 1), contact(9, course_id="RT9"))
    mended = followup(earlier=said)
    mended.when(correction(1, contact(9, "L8", visit=9))).then_refused("no-such-lesion")
    mended.when(correction(2, snoozed(LATER + 15, 1))).then_refused("snooze-too-long")
    mended.when(correction(2, snoozed(10, 1))).then_refused("snooze-in-the-past")
    mended.when(correction(3, contact(9, course_id="RT8"))).then_refused("no-such-course")


def test_a_void_fact_is_asked_all_of_it_when_it_is_re_instated() -> None:
    said = (progressed(9, "L9"), correction(1, None))
    followup(earlier=said).when(correction(1, progressed(9, "L9"))).then_refused("no-such-lesion")


def test_whatever_was_stated_can_be_voided() -> None:
    said = (contact(9, "L9", course_id="RT9", visit=9), snoozed(9, 9))
    known = (*TREATED, withdrawn(1, "data_use"), voided())
    followup(*known, earlier=said).when(correction(1, None), correction(2, None)).then_admitted()


def test_the_doors_that_enrollment_closed_are_closed_to_follow_up() -> None:
    gone = followup(*TREATED, withdrawn(10))
    gone.when(contact(10, "L1"), died(99), missed("2024-02")).then_admitted()
    for later in (contact(11), alive(11), alive(11, "registry"), lost(11), progressed(11), missed(11)):
        gone.when(later).then_refused("after-withdrawal")
    for fact in (contact(1), died(None), explained(), snoozed()):
        followup(*TREATED, voided()).when(fact).then_refused("participant-voided")
    followup(study=(*OPENED, study_closed(10))).when(contact(11)).then_refused("study-closed")
    followup(today=START).when(contact(1)).then_refused("in-the-future")
    followup().when(died("1946")).then_refused("before-birth")


@pytest.mark.parametrize("on", ["1900-01-01", "1946-12-31", "1946-12", "1946"])
def test_nobody_dies_or_is_seen_before_the_year_of_birth(on: str) -> None:
    for stated in (died(on), alive(on), contact(on), lost(on), progressed(on)):
        followup().when(stated).then_refused("before-birth")
    followup().when(died("1947")).then_admitted()
