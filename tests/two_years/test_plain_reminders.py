"""The worked examples of reminders, on the plain implementation. All sites in Germany unless another is named."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, time

import pytest

from tests.two_years.history import (
    ConfirmedDigest,
    DeathReport,
    EndOfActivity,
    EndOfConsent,
    MissedDeclaration,
    MoveToSite,
    PlainFact,
    PlainPlan,
    PlanAmendment,
    RecordedFact,
    ReminderSnooze,
    VisitAcknowledgment,
    VisitBooking,
    VisitContact,
)
from tests.two_years.plain_reminders import list_digests
from tests.two_years.worked_examples import (
    BERLIN,
    LONG_BEFORE,
    TOKYO,
    anchor,
    entry,
    lines,
    local,
    mornings,
    sent,
    study_of,
)

V1_AND_V2_OPEN = mornings("2025-03-25", "2025-07-01")
JANUARY = anchor("2025-01-15")


def day(text: str) -> date:
    return date.fromisoformat(text)


def test_nothing_recorded_gives_every_step_on_its_day() -> None:
    assert sent(study_of(JANUARY), V1_AND_V2_OPEN) == [
        "2025-04-01 V1 open berlin",
        "2025-04-15 V1 target berlin",
        "2025-04-30 V1 overdue berlin",
        "2025-05-14 V1 repeat-1 berlin",
        "2025-05-20 V1 escalation *",
        "2025-05-28 V1 repeat-2 berlin",
        "2025-06-11 V1 repeat-3 berlin",
        "2025-07-01 V1 missed berlin",
        "2025-07-01 V2 open berlin",
        "2025-07-01 V1 missed *",
    ]


def test_snooze_defers_the_current_step() -> None:
    snooze = entry("snooze", ReminderSnooze(visit=1, until=day("2025-04-28")), "2025-04-14")
    assert sent(study_of(JANUARY, snooze), mornings("2025-03-25", "2025-04-30"), "berlin") == [
        "2025-04-01 V1 open",
        "2025-04-28 V1 target",
        "2025-04-30 V1 overdue",
    ]


def test_snooze_without_a_day_lasts_14_days() -> None:
    snooze = entry("snooze", ReminderSnooze(visit=1), "2025-04-14")
    assert sent(study_of(JANUARY, snooze), mornings("2025-04-10", "2025-04-29"), "berlin") == [
        "2025-04-10 V1 open",
        "2025-04-28 V1 target",
    ]


def test_acknowledged_visit_has_neither_target_nor_repeats() -> None:
    study = study_of(JANUARY, entry("acknowledged", VisitAcknowledgment(visit=1), "2025-04-02"))
    assert sent(study, mornings("2025-03-25", "2025-06-30")) == [
        "2025-04-01 V1 open berlin",
        "2025-04-30 V1 overdue berlin",
        "2025-05-20 V1 escalation *",
    ]
    assert "2025-07-01 V1 missed berlin" in sent(study, V1_AND_V2_OPEN)


def test_voided_death_lets_the_current_step_come() -> None:
    death = entry("death", DeathReport(died_on=day("2025-04-10")), "2025-04-11")
    study = study_of(JANUARY, death, entry("death", None, "2025-04-22", "07:00"))
    assert sent(study, mornings("2025-03-25", "2025-04-30")) == [
        "2025-04-01 V1 open berlin",
        "2025-04-22 V1 target berlin",
        "2025-04-30 V1 overdue berlin",
    ]


def test_void_in_the_course_of_the_day_lets_the_step_come_within_the_window() -> None:
    death = entry("death", DeathReport(died_on=day("2025-04-10")), "2025-04-11")
    study = study_of(JANUARY, death, entry("death", None, "2025-04-22", "11:00"))
    assert sent(study, [local("2025-04-22", clock) for clock in ("08:01", "11:01")]) == ["2025-04-22 V1 target berlin"]


def test_outage_leaves_no_backlog() -> None:
    looks = [*mornings("2025-03-20", "2025-03-30"), *mornings("2025-05-20", "2025-05-20")]
    assert sent(study_of(JANUARY), looks) == ["2025-05-20 V1 repeat-1 berlin", "2025-05-20 V1 escalation *"]


def test_step_of_a_weekend_waits_for_monday() -> None:
    study = study_of(anchor("2024-12-01"))
    assert sent(study, mornings("2025-02-10", "2025-05-19")) == [
        "2025-02-17 V1 open berlin",
        "2025-03-03 V1 target berlin",
        "2025-03-17 V1 overdue berlin",
        "2025-03-31 V1 repeat-1 berlin",
        "2025-04-07 V1 escalation *",
        "2025-04-14 V1 repeat-2 berlin",
        "2025-04-28 V1 repeat-3 berlin",
        "2025-05-19 V1 missed berlin",
        "2025-05-19 V2 open berlin",
        "2025-05-19 V1 missed *",
    ]


def test_target_is_compared_with_every_one_that_was_sent() -> None:
    study = study_of(
        anchor("2025-01-10"),
        anchor("2025-01-16", "2025-04-01"),
        anchor("2025-01-22", "2025-04-07"),
    )
    assert sent(study, mornings("2025-03-20", "2025-05-07")) == [
        "2025-03-27 V1 open berlin",
        "2025-04-08 V1 open berlin",
        "2025-04-22 V1 target berlin",
        "2025-05-07 V1 overdue berlin",
    ]


def test_anchor_that_moves_back_brings_nothing_twice() -> None:
    study = study_of(
        anchor("2025-01-10"),
        anchor("2025-02-10", "2025-04-01", "07:00"),
        anchor("2025-01-10", "2025-04-30", "07:00"),
    )
    assert sent(study, mornings("2025-03-20", "2025-04-30")) == [
        "2025-03-27 V1 open berlin",
        "2025-04-28 V1 open berlin",
        "2025-04-30 V1 overdue berlin",
    ]


def test_anchor_that_moves_before_its_window_opens_is_sent_once() -> None:
    study = study_of(anchor("2025-01-10"), anchor("2025-02-10", "2025-03-01"))
    assert sent(study, mornings("2025-03-20", "2025-05-01")) == ["2025-04-28 V1 open berlin"]


def test_contact_that_declares_a_visit_not_yet_open_silences_it() -> None:
    contact = entry("contact", VisitContact(seen_on=day("2025-04-05"), visit=1), "2025-04-05")
    study = study_of(anchor("2025-01-10"), anchor("2025-02-10", "2025-03-01"), contact)
    assert sent(study, mornings("2025-03-20", "2025-07-25")) == []
    early = study_of(
        JANUARY,
        entry("first", VisitContact(seen_on=day("2025-04-20")), "2025-04-20"),
        entry("second", VisitContact(seen_on=day("2025-06-25"), visit=2), "2025-06-25"),
    )
    assert sent(early, mornings("2025-07-01", "2025-09-30")) == []


def test_late_entry_of_a_whole_course_brings_only_what_is_open() -> None:
    contacts = [
        entry(seen_on, VisitContact(seen_on=day(seen_on)), "2025-01-31", "07:30")
        for seen_on in ("2023-09-15", "2024-02-20", "2024-05-02")
    ]
    study = study_of(anchor("2023-05-10", "2025-01-31", "07:30"), *contacts)
    assert sent(study, mornings("2025-01-31", "2025-02-06")) == ["2025-01-31 V7 open berlin"]


@pytest.mark.parametrize(
    ("clock", "new_site", "old_site"),
    [
        ("07:00", "2025-04-01 V1 open", []),  # 14:00 in Tokyo
        ("17:00", "2025-04-02 V1 open", ["2025-04-01 V1 open"]),  # midnight in Tokyo
    ],
)
def test_new_site_hears_of_the_visit_and_the_old_site_no_more(clock: str, new_site: str, old_site: list[str]) -> None:
    move = entry("move", MoveToSite(to_site="tokyo", on=day("2025-04-01")), "2025-04-01", clock)
    study = study_of(JANUARY, move, other_sites=[TOKYO])
    looks = mornings("2025-03-25", "2025-04-16", zones=(BERLIN.zone, TOKYO.zone))
    assert sent(study, looks, "tokyo") == [new_site, "2025-04-15 V1 target"]
    assert sent(study, looks, "berlin") == old_site


def test_missed_step_of_the_last_visit_comes() -> None:
    study = study_of(JANUARY)
    eighth = [line for line in sent(study, mornings("2026-12-20", "2027-04-02")) if " V8 " in line]
    assert eighth == [
        "2027-01-04 V8 open berlin",
        "2027-01-15 V8 target berlin",
        "2027-02-01 V8 overdue berlin",
        "2027-02-15 V8 repeat-1 berlin",
        "2027-02-19 V8 escalation *",
        "2027-03-01 V8 repeat-2 berlin",
        "2027-03-15 V8 repeat-3 berlin",
        "2027-04-01 V8 missed berlin",
        "2027-04-01 V8 missed *",
    ]


def test_missed_step_wants_an_earlier_one_and_is_not_older_than_14_days() -> None:
    assert sent(study_of(JANUARY), mornings("2025-07-01", "2025-07-02")) == ["2025-07-01 V2 open berlin"]
    one_look = mornings("2025-06-20", "2025-06-20")
    in_time = sent(study_of(JANUARY), [*one_look, *mornings("2025-07-15", "2025-07-15")])
    too_late = sent(study_of(JANUARY), [*one_look, *mornings("2025-07-16", "2025-07-16")])
    assert [line for line in in_time if "missed" in line] == ["2025-07-15 V1 missed berlin", "2025-07-15 V1 missed *"]
    assert [line for line in too_late if "missed" in line] == []


@pytest.mark.parametrize(
    "fact",
    [
        MissedDeclaration(visit=1),
        VisitContact(seen_on=day("2025-04-03")),
        DeathReport(died_on=day("2025-04-03")),
        EndOfConsent(withdrawn_on=day("2025-04-03")),
        EndOfConsent(withdrawn_on=day("2025-04-03"), from_data_use=True),
    ],
)
def test_what_ends_a_visit_ends_its_reminders(fact: PlainFact) -> None:
    study = study_of(JANUARY, entry("fact", fact, "2025-04-04"))
    looks = mornings("2025-03-25", "2025-06-30")
    assert sent(study, looks) == ["2025-04-01 V1 open berlin"]


def test_booked_visit_is_silent_until_the_day_after() -> None:
    study = study_of(JANUARY, entry("booking", VisitBooking(visit=1, on=day("2025-04-22")), "2025-04-02"))
    assert sent(study, mornings("2025-03-25", "2025-04-30"), "berlin") == [
        "2025-04-01 V1 open",
        "2025-04-23 V1 target",
        "2025-04-30 V1 overdue",
    ]


def test_last_stated_booking_holds() -> None:
    bookings = [
        entry("later", VisitBooking(visit=1, on=day("2025-04-29")), "2025-04-02"),
        entry("sooner", VisitBooking(visit=1, on=day("2025-04-16")), "2025-04-03"),
    ]
    assert sent(study_of(JANUARY, *bookings), mornings("2025-04-10", "2025-04-29"), "berlin") == [
        "2025-04-17 V1 target"
    ]


def silencing_facts() -> list[list[RecordedFact]]:
    booking = [entry("booking", VisitBooking(visit=1, on=day("2025-06-30")), "2025-05-01")]
    snoozes = [
        entry(recorded, ReminderSnooze(visit=1), recorded)
        for recorded in ("2025-05-05", "2025-05-16", "2025-05-28", "2025-06-10")
    ]
    return [booking, snoozes]


@pytest.mark.parametrize("facts", silencing_facts())
def test_escalation_comes_at_the_latest_14_days_after_its_day(facts: list[RecordedFact]) -> None:
    looks = mornings("2025-04-30", "2025-06-20")
    assert sent(study_of(JANUARY, *facts), looks, "*") == ["2025-06-03 V1 escalation"]


def test_booking_does_not_hold_back_the_missed_step() -> None:
    study = study_of(JANUARY, entry("booking", VisitBooking(visit=1, on=day("2025-07-20")), "2025-04-02"))
    assert "2025-07-01 V1 missed berlin" in sent(study, V1_AND_V2_OPEN)


def test_escalation_of_a_monthly_plan_comes_on_the_last_day_of_the_slot() -> None:
    study = study_of(JANUARY, plan=PlainPlan(every_months=1, before=7, after=7))
    assert sent(study, mornings("2025-02-01", "2025-03-08")) == [
        "2025-02-10 V1 open berlin",  # 02-08 is a Saturday
        "2025-02-17 V1 target berlin",
        "2025-02-24 V1 overdue berlin",
        "2025-03-07 V1 escalation *",
    ]


def test_window_that_closes_with_its_slot_is_neither_overdue_nor_escalated() -> None:
    study = study_of(anchor("2024-11-28"), plan=PlainPlan(before=44, after=44))
    looks = mornings("2025-01-10", "2025-04-14")
    assert not [line for line in sent(study, looks) if "overdue" in line or "escalation" in line or "repeat" in line]


def test_protocol_chooses_the_steps() -> None:
    looks = mornings("2025-03-25", "2025-05-20")
    assert sent(study_of(JANUARY, plan=PlainPlan(steps=("target",))), looks) == [
        "2025-04-15 V1 target berlin",
        "2025-05-20 V1 escalation *",
    ]


def test_hour_and_escalation_are_those_in_force_on_the_day() -> None:
    amendment = PlanAmendment(
        at=local("2025-03-01"),
        effective_on=day("2025-04-15"),
        plan=PlainPlan(digest_at=time(12), escalate_after_days=28),
    )
    study = study_of(JANUARY, amendments=[amendment])
    looks = [*mornings("2025-03-25", "2025-05-27"), *mornings("2025-03-25", "2025-05-27", clock="12:01")]
    composed = {line: digest.composed_at for digest in list_digests(study, looks) for line in lines([digest])}
    assert composed["2025-04-01 V1 open berlin"] == local("2025-04-01", "08:01")
    assert composed["2025-04-15 V1 target berlin"] == local("2025-04-15", "12:01")
    assert composed["2025-05-27 V1 escalation *"] == local("2025-05-27", "12:01")


def test_member_who_is_away_leaves_the_step_for_the_day_after() -> None:
    study = study_of(JANUARY)
    away = [replace(digest, away_until=day("2025-04-07")) for digest in study.digests]
    looks = mornings("2025-03-25", "2025-04-16")
    assert sent(replace(study, digests=away), looks) == ["2025-04-07 V1 open berlin", "2025-04-15 V1 target berlin"]
    nobody = [replace(digest, until=LONG_BEFORE) for digest in study.digests]
    assert sent(replace(study, digests=nobody), looks) == []


def test_two_members_get_the_same_and_the_later_one_no_old_step() -> None:
    study = study_of(JANUARY)
    second = ConfirmedDigest(member="second", site_id="berlin", since=LONG_BEFORE)
    late = ConfirmedDigest(member="late", site_id="berlin", since=local("2025-04-03"))
    digests = list_digests(replace(study, digests=[*study.digests, second, late]), mornings("2025-03-25", "2025-04-16"))
    members = [(digest.day.isoformat(), digest.member) for digest in digests]
    assert members == [
        *(("2025-04-01", member) for member in ("at-berlin", "second")),
        *(("2025-04-15", member) for member in ("at-berlin", "second", "late")),
    ]


def test_mail_that_nobody_accepted_is_sent_on_the_next_working_day() -> None:
    refused = {day("2025-04-01"), day("2025-04-02"), day("2025-04-03")}
    digests = list_digests(
        study_of(JANUARY), mornings("2025-03-25", "2025-04-16"), lambda member, day_of_mail: day_of_mail not in refused
    )
    assert lines(digests) == [
        *(f"2025-04-0{number} V1 open berlin" for number in (1, 2, 3, 4)),
        "2025-04-15 V1 target berlin",
    ]


def test_digest_counts_the_open_visits_that_it_does_not_name() -> None:
    alone = study_of(JANUARY, entry("acknowledged", VisitAcknowledgment(visit=1), "2025-04-02"))
    other = replace(alone.participants[0], participant_id="Q", facts=[anchor("2025-01-25")])
    study = replace(alone, participants=[*alone.participants, other])
    [both] = list_digests(study, mornings("2025-04-11", "2025-04-11"))
    assert (lines([both]), both.also_open) == (["2025-04-11 V1 open berlin"] * 2, {"berlin": 0})
    [target] = list_digests(study, mornings("2025-04-25", "2025-04-25"))
    assert (lines([target]), target.also_open) == (["2025-04-25 V1 target berlin"], {"berlin": 1})


def test_closed_site_is_not_reminded() -> None:
    closing = EndOfActivity(at=local("2025-03-01"), on=day("2025-04-10"), site_id="berlin")
    assert sent(study_of(JANUARY, endings=[closing]), mornings("2025-03-25", "2025-06-30")) == [
        "2025-04-01 V1 open berlin"
    ]


def test_order_of_the_facts_of_one_day_changes_nothing() -> None:
    facts = [
        entry("contact", VisitContact(seen_on=day("2025-04-03")), "2025-04-14"),
        entry("snooze", ReminderSnooze(visit=2, until=day("2025-04-20")), "2025-04-14"),
        entry("acknowledged", VisitAcknowledgment(visit=2), "2025-04-14"),
    ]
    looks = mornings("2025-03-25", "2025-09-30")
    assert sent(study_of(JANUARY, *facts), looks) == sent(study_of(JANUARY, *reversed(facts)), looks)
