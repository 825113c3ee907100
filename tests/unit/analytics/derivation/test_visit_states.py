"""States of visits that follow from facts: the worked examples of the schedule, and what holds for all histories."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.cohort.follow_up_ends import follow_up_ends
from services.analytics.cohort.participant import Participant
from services.analytics.cohort.participants import participant_of_events
from services.analytics.cohort.study_plans import StudyPlans
from services.analytics.derivation.derive import derive
from services.analytics.derivation.follow_up_rows import VisitRow
from services.analytics.derivation.rows import NEVER
from shared.contracts.study import SiteActivated
from shared.gate.study_timeline import study_day
from shared.kernel.clock import Clock
from shared.kernel.fact import Fact
from shared.protocol.schedule import Visit
from shared.protocol.visit_status import VisitStatus, visit_status
from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as follow_up
from shared.testing.builders.participant_history import ParticipantHistory
from tests.unit.analytics.support import record_of
from tests.unit.analytics.visit_rows import status_by_row

STUDY: tuple[Fact, ...] = (facts.study_opened(), facts.site_activated("rome"), facts.site_activated("milan"))
LAST_DAY = date(2030, 1, 1)


def treated(anchor: str, *more: Fact) -> list[Fact]:
    """The facts of a participant whose index course ended on the anchor, and more of them."""
    started = (date.fromisoformat(anchor) - timedelta(days=28)).isoformat()
    screening = (
        facts.participant_screened(started),
        facts.consent_signed(started),
        facts.participant_enrolled(started),
    )
    return [*screening, facts.radiotherapy_started(started), facts.radiotherapy_completed(anchor), *more]


def participant(stated: Sequence[Fact]) -> Participant:
    record = record_of(*stated)
    known_on = {fact.event_id: LAST_DAY for fact in record.stated_facts}
    return Participant(participant_id="K7F2-9QXA-3", record=record, known_on=known_on)


def visits(stated: Sequence[Fact], study: Sequence[Fact] = STUDY) -> tuple[VisitRow, ...]:
    return derive(participant(stated), StudyPlans.from_record(record_of(*study))).visit


def statuses(stated: Sequence[Fact], today: date = LAST_DAY, study: Sequence[Fact] = STUDY) -> list[VisitStatus]:
    """The states of all visits by the truth table; those of the rows must be the same."""
    plans = StudyPlans.from_record(record_of(*study))
    person = participant(stated)
    rows = [row for row in derive(person, plans).visit if row.valid_from <= today <= row.valid_to]
    computed = [
        visit_status(
            Visit(row.number, row.opens, row.target, row.closes, row.slot_ends),
            contact_on=row.contact_on if row.contact_on != NEVER else None,
            is_declared_missed=row.missed_on != NEVER,
            ends=follow_up_ends(person, plans),
            today=today,
        )
        for row in rows
    ]
    assert [status_by_row(row, today) for row in rows] == computed
    return computed


def words(stated: Sequence[Fact], today: date = LAST_DAY, study: Sequence[Fact] = STUDY) -> list[str]:
    """The states as words, with the reason behind those that have one."""
    return [f"{state}({reason})" if reason else state for state, reason in statuses(stated, today, study)]


def contact(on: str, **members: object) -> Fact:
    return follow_up.follow_up_recorded(on, **members)


def test_contact_decides_by_its_day_which_visit_is_done() -> None:
    assert words(treated("2024-11-30", contact("2025-03-14")))[0] == "done"
    for on in ("2025-03-15", "2025-05-15"):
        assert words(treated("2024-11-30", contact(on)))[0] == "done_late"
    assert words(treated("2024-11-30", contact("2025-05-16")))[:2] == ["missed", "done"]


@pytest.mark.parametrize("on", ["2025-03-05", "2025-03-14"])
def test_no_visit_is_applicable_after_a_death_within_the_first_window(on: str) -> None:
    assert words(treated("2024-11-30", follow_up.participant_died(on))) == ["not_applicable(died)"] * 8


def test_visit_through_whose_window_the_participant_lived_is_missed() -> None:
    stated = treated("2024-11-30", follow_up.participant_died("2025-04-01"))
    assert words(stated, date(2025, 4, 2)) == ["missed", *["not_applicable(died)"] * 7]


def test_contact_before_the_moved_first_window_is_no_visit_and_declares_one() -> None:
    early = contact("2025-04-05", visit=1)
    assert words(treated("2025-01-10", early))[0] == "done"
    (first, *_) = visits(treated("2025-02-10", early))
    assert (first.contact_on, first.declared_on) == (NEVER, date(2025, 4, 5))


def test_day_of_the_site_decides_about_the_state() -> None:
    sites = [
        SiteActivated.model_validate({"site_id": site, "name": site, "country": country, "time_zone": zone, "on": day})
        for site, country, zone, day in (
            ("tokyo", "JP", "Asia/Tokyo", "2020-01-01"),
            ("rome", "IT", "Europe/Rome", "2020-01-01"),
        )
    ]
    study, moment = record_of(facts.study_opened(), *sites), datetime(2025, 3, 14, 15, 30, tzinfo=UTC)
    days = {site: study_day(Clock(), "s", study, site, moment) for site in ("tokyo", "rome")}
    assert {site: words(treated("2024-11-30"), today)[0] for site, today in days.items()} == {
        "tokyo": "overdue",
        "rome": "due",
    }


LOST_AND_FOUND = (follow_up.lost_to_follow_up("2025-09-01"), follow_up.follow_up_resumed("2025-12-20"))


def test_visits_whose_window_closes_after_the_resumption_are_planned_again() -> None:
    stated = treated("2025-01-15", contact("2025-04-15"), contact("2025-07-15"), *LOST_AND_FOUND)
    assert words(stated, date(2025, 12, 20))[:4] == ["done", "done", "missed(lost)", "planned"]
    assert words(stated[:-1], date(2025, 12, 20))[:4] == ["done", "done", *["not_applicable(lost)"] * 2]


def test_death_without_a_date_ends_follow_up_on_the_day_last_known_alive() -> None:
    seen_alive = follow_up.vital_status_confirmed("2025-08-05")
    stated = treated("2025-01-15", seen_alive, follow_up.participant_died(None))
    assert words(stated) == ["missed", "missed", *["not_applicable(died)"] * 6]
    assert words(treated("2025-01-15", follow_up.participant_died(None))) == ["not_applicable(died)"] * 8


def test_death_within_an_absence_that_was_resumed_goes_before_it() -> None:
    stated = treated("2025-01-15", *LOST_AND_FOUND, follow_up.participant_died("2025-10-10"))
    assert words(stated)[2] == "not_applicable(died)"


def test_early_contact_is_no_visit_and_declares_the_visit_that_it_names() -> None:
    stated = treated("2025-01-15", contact("2025-04-20"), contact("2025-06-25", visit=2))
    assert words(stated, date(2025, 6, 30))[:2] == ["done", "planned"]
    assert words(stated, date(2025, 7, 1))[:2] == ["done", "due"]
    assert [row.declared_on for row in visits(stated)[:2]] == [NEVER, date(2025, 6, 25)]


def test_visits_after_the_closing_of_the_site_are_not_applicable_until_a_transfer() -> None:
    closed = (*STUDY, facts.site_closed("rome", "2025-06-30"))
    stated = treated("2025-01-15", contact("2025-04-20"))
    assert words(stated, date(2025, 6, 29), closed) == ["done", *["planned"] * 7]
    assert words(stated, date(2025, 6, 30), closed) == ["done", *["not_applicable(site_closed)"] * 7]
    moved = [*stated, facts.participant_transferred("milan", "2025-07-10")]
    assert words(moved, date(2025, 7, 10), closed) == ["done", "due", *["planned"] * 6]


def test_visits_after_the_closing_of_the_study_are_not_applicable() -> None:
    closed = (*STUDY, facts.study_closed("2025-06-30"))
    assert words(treated("2025-01-15"), study=closed) == ["missed", *["not_applicable(study_ended)"] * 7]


def test_contact_stated_late_reopens_a_missed_visit() -> None:
    declared = follow_up.visit_missed("2025-04-20", 1)
    assert words(treated("2025-01-15", declared), date(2025, 4, 20))[0] == "missed(declared_missed)"
    assert words(treated("2025-01-15", declared, contact("2025-06-30")))[0] == "done_late"


def test_amendment_keeps_a_visit_done_on_every_day() -> None:
    narrower = facts.protocol(follow_up={"window_days": {"before": 7, "after": 7}})
    study = (*STUDY, facts.protocol_amended("2025-03-01", narrower))
    stated = treated("2024-11-30", contact("2025-02-16"))
    for today in (date(2025, 2, 16), date(2025, 3, 1), date(2025, 3, 8), LAST_DAY):
        assert words(stated, today, study)[0] == "done"


DAYS = st.dates(date(2025, 1, 16), date(2027, 12, 31)).map(date.isoformat)
HAPPENINGS = st.one_of(
    st.builds(contact, DAYS),
    st.builds(contact, DAYS, visit=st.integers(1, 8)),
    st.builds(contact, DAYS, mode=st.just("registry")),
    st.builds(follow_up.visit_missed, DAYS, st.integers(1, 8)),
    st.builds(follow_up.lost_to_follow_up, DAYS),
    st.builds(follow_up.follow_up_resumed, DAYS),
    st.builds(follow_up.vital_status_confirmed, DAYS),
    st.builds(facts.consent_withdrawn, DAYS),
    st.builds(facts.participant_transferred, st.just("milan"), DAYS),
)
DEATHS = st.lists(st.builds(follow_up.participant_died, st.none() | DAYS), max_size=1)
HISTORIES = st.tuples(st.lists(HAPPENINGS, max_size=8), DEATHS).map(lambda parts: [*parts[0], *parts[1]])
CLOSED_STUDIES = st.tuples(DAYS, DAYS).map(
    lambda days: (
        *STUDY,
        facts.site_closed("rome", days[0]),
        facts.study_closed(days[1]),
    )
)
STUDIES = st.just(STUDY) | CLOSED_STUDIES
ORDER = ["planned", "due", "overdue", "missed", "not_applicable"]


@given(HISTORIES, STUDIES, st.dates(date(2025, 1, 16), date(2028, 6, 30)), st.integers(1, 200))
def test_states_never_go_back_as_days_pass(
    history: list[Fact], study: Sequence[Fact], today: date, days_later: int
) -> None:
    stated = treated("2025-01-15", *history)
    earlier = statuses(stated, today, study)
    later = statuses(stated, today + timedelta(days=days_later), study)
    for before, after in zip(earlier, later, strict=True):
        is_done = before.state in ("done", "done_late")
        assert before == after if is_done else ORDER.index(before.state) <= ORDER.index(after.state)


@given(HISTORIES, STUDIES, st.dates(date(2025, 1, 16), date(2028, 6, 30)), st.randoms(use_true_random=False))
def test_order_of_entry_changes_no_state(
    history: list[Fact], study: Sequence[Fact], today: date, random: Random
) -> None:
    in_other_order = random.sample(history, len(history))
    assert statuses(treated("2025-01-15", *in_other_order), today, study) == statuses(
        treated("2025-01-15", *history), today, study
    )


def test_appointment_changes_no_state_and_the_last_one_holds() -> None:
    booked = [follow_up.visit_scheduled(on) for on in ("2025-04-20", "2025-04-02", "2025-04-10")]
    stated = treated("2025-01-15", *booked)
    assert [row.scheduled_on for row in visits(stated)[:2]] == [date(2025, 4, 10), NEVER]
    assert words(stated) == words(treated("2025-01-15"))
    assert visits(stated[:-1])[0].scheduled_on == date(2025, 4, 2)


def test_appointment_proves_no_life() -> None:
    booked = follow_up.visit_scheduled("2025-12-01")
    died = treated("2025-01-15", follow_up.participant_died(None), booked)
    assert participant(died).last_known_alive == date(2025, 1, 15)


def rows_of_history(history: ParticipantHistory, study: Sequence[Fact]) -> tuple[VisitRow, ...]:
    """The visits of a participant as they follow from the events, corrections included."""
    events = history.standing_events(LAST_DAY)
    return derive(participant_of_events("P", events), StudyPlans.from_record(record_of(*study))).visit


@given(st.lists(st.tuples(HAPPENINGS, DAYS), max_size=5), DAYS, STUDIES)
def test_correction_of_exact_dates_equals_having_stated_them_from_the_start(
    happenings: list[tuple[Fact, str]], anchor: str, study: Sequence[Fact]
) -> None:
    corrected, stated_right = ParticipantHistory(participant_id="P"), ParticipantHistory(participant_id="P")
    beginning = treated("2025-01-15")[:-1]
    for history in (corrected, stated_right):
        history.record(*beginning)
    wrong = [corrected.record(facts.radiotherapy_completed("2025-01-15"))]
    wrong += [corrected.record(fact) for fact, _ in happenings]
    right = [facts.radiotherapy_completed(anchor), *(redated(fact, on) for fact, on in happenings)]
    stated_right.record(*right)
    for event, fact in zip(wrong, right, strict=True):
        corrected.correct(event, fact)
    assert rows_of_history(corrected, study) == rows_of_history(stated_right, study)


def redated(fact: Fact, on: str) -> Fact:
    """The fact with another day."""
    return type(fact).model_validate({**fact.model_dump(mode="json"), fact.date_field or "": on})


def test_snooze_that_ends_last_holds_and_without_a_day_lasts_two_weeks() -> None:
    snoozes = [follow_up.reminder_snoozed("2025-04-20"), follow_up.reminder_snoozed("2025-04-12")]
    assert [row.snoozed_until for row in visits(treated("2025-01-15", *snoozes))[:2]] == [date(2025, 4, 20), NEVER]
    stated = treated("2025-01-15", follow_up.reminder_snoozed(visit=2))
    assert visits(stated)[1].snoozed_until == LAST_DAY + timedelta(days=14)


def test_acknowledgment_is_a_snooze_only_until_a_day_that_it_names() -> None:
    stated = treated("2025-01-15", follow_up.reminder_acknowledged(), follow_up.reminder_acknowledged("2025-07-10", 2))
    first, second, third = visits(stated)[:3]
    assert [row.is_acknowledged for row in (first, second, third)] == [True, True, False]
    assert [row.snoozed_until for row in (first, second)] == [NEVER, date(2025, 7, 10)]
    assert words(stated) == words(treated("2025-01-15"))
