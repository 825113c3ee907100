"""The steps that are sent of a visit, their days and audiences: the worked examples of the schedule of reminders."""

from __future__ import annotations

from datetime import date

from services.analytics.reminders.steps import (
    PlanFrom,
    Step,
    current_step,
    decide,
    next_step,
    passed_steps,
    visit_steps,
)
from services.analytics.reminders.working_days import first_working_day
from shared.protocol.protocol import FollowUpPlan, ReminderPlan, VisitWindow
from shared.protocol.schedule import PlanPeriod, Visit, planned_visits
from shared.protocol.visit_status import FollowUpEnd
from tests.unit.analytics.reminders.sending import PLAN, Facts, Outbox, changing, day

VISIT = planned_visits((PlanPeriod(FollowUpPlan()),), day("2025-01-15"))[0]  # opens 2025-04-01, its slot to 06-30


def first_visit(anchor: str, plan: FollowUpPlan) -> Visit:
    return planned_visits((PlanPeriod(plan),), day(anchor))[0]


def names(visit: Visit, plan: ReminderPlan = PLAN) -> list[str]:
    return [f"{step.day:%m-%d} {step.name} {step.audience}" for step in visit_steps(visit, plan)]


def test_the_steps_of_a_visit_are_counted_from_its_window() -> None:
    assert names(VISIT) == [
        "04-01 open site",
        "04-15 target site",
        "04-30 overdue site",
        "05-14 repeat-1 site",
        "05-20 escalation study",
        "05-28 repeat-2 site",
        "06-11 repeat-3 site",
        "07-01 missed site",
        "07-01 missed study",
    ]


def test_a_visit_without_a_word_is_reminded_of_at_every_step() -> None:
    assert Outbox().run("2025-01-15", "2025-07-31", Facts()).listed(1) == [
        "04-01 V1 open site",
        "04-15 V1 target site",
        "04-30 V1 overdue site",
        "05-14 V1 repeat-1 site",
        "05-20 V1 escalation study",
        "05-28 V1 repeat-2 site",
        "06-11 V1 repeat-3 site",
        "07-01 V1 missed site",
        "07-01 V1 missed study",
    ]


def test_the_next_visit_opens_with_the_notice_of_the_missed_one() -> None:
    outbox = Outbox().run("2025-01-15", "2025-07-01", Facts())
    assert outbox.listed()[-3:] == ["07-01 V1 missed site", "07-01 V1 missed study", "07-01 V2 open site"]


def test_a_snooze_defers_the_step_of_the_day_to_its_end() -> None:
    facts = changing(Facts(), ("2025-04-14", {"snoozed": {1: day("2025-04-28")}}))
    assert Outbox().run("2025-04-01", "2025-04-30", facts).listed() == [
        "04-01 V1 open site",
        "04-28 V1 target site",
        "04-30 V1 overdue site",
    ]


def test_an_acknowledged_visit_has_neither_target_nor_repeats() -> None:
    facts = changing(Facts(), ("2025-04-02", {"acknowledged": frozenset({1})}))
    assert Outbox().run("2025-04-01", "2025-07-31", facts).listed(1) == [
        "04-01 V1 open site",
        "04-30 V1 overdue site",
        "05-20 V1 escalation study",
        "07-01 V1 missed site",
        "07-01 V1 missed study",
    ]


def test_a_death_stops_the_reminders_until_it_is_voided() -> None:
    death = FollowUpEnd(day("2025-04-10"), "died")
    facts = changing(Facts(), ("2025-04-11", {"end": death}), ("2025-04-22", {"end": None}))
    assert Outbox().run("2025-04-01", "2025-04-30", facts).listed() == [
        "04-01 V1 open site",
        "04-22 V1 target site",
        "04-30 V1 overdue site",
    ]


def test_after_an_outage_each_audience_gets_its_current_step_alone() -> None:
    outbox = Outbox().run("2025-05-20", "2025-05-20", Facts())
    assert outbox.listed() == ["05-20 V1 repeat-1 site", "05-20 V1 escalation study"]
    assert [step.name for step in passed_steps(VISIT, PLAN, "site", day("2025-05-20"))] == ["open", "target", "overdue"]


def test_steps_on_a_weekend_wait_for_monday() -> None:
    outbox = Outbox().run("2024-12-01", "2025-03-17", Facts(anchor=day("2024-12-01")))
    assert outbox.listed() == ["02-17 V1 open site", "03-03 V1 target site", "03-17 V1 overdue site"]


def test_a_step_is_sent_again_for_a_target_that_moved_from_the_sent_one_by_a_week() -> None:
    facts = changing(
        Facts(anchor=day("2025-01-10")),
        ("2025-04-01", {"anchor": day("2025-01-16")}),
        ("2025-04-07", {"anchor": day("2025-01-22")}),
    )
    assert Outbox().run("2025-03-01", "2025-04-10", facts).listed() == ["03-27 V1 open site", "04-08 V1 open site"]


def test_a_participant_who_is_entered_late_is_reminded_of_the_open_visit_alone() -> None:
    facts = Facts(anchor=day("2023-05-10"), contacts=[day("2023-09-15"), day("2024-02-20"), day("2024-05-02")])
    assert Outbox().run("2025-01-31", "2025-01-31", facts).listed() == ["01-31 V7 open site"]


def test_a_corrected_anchor_moves_the_first_reminder() -> None:
    """Example 12: the window opens on Saturday 04-26."""
    facts = changing(Facts(anchor=day("2025-01-10")), ("2025-03-01", {"anchor": day("2025-02-10")}))
    assert Outbox().run("2025-03-01", "2025-04-28", facts).listed() == ["04-28 V1 open site"]


def test_a_contact_before_the_window_that_the_site_takes_for_the_visit_silences_it() -> None:
    facts = Facts(contacts=[day("2025-04-20")], declared={2: day("2025-06-25")})
    assert Outbox().run("2025-04-25", "2025-12-31", facts).listed(2) == []


def test_a_declaration_a_month_and_more_before_the_window_silences_nothing() -> None:
    facts = Facts(contacts=[day("2025-04-20")], declared={2: day("2025-05-30")})
    assert Outbox().run("2025-04-25", "2025-07-01", facts).listed(2) == ["07-01 V2 open site"]


def test_a_booked_visit_is_silent_until_the_day_after_the_appointment() -> None:
    facts = changing(Facts(), ("2025-04-02", {"scheduled": {1: day("2025-04-22")}}))
    assert Outbox().run("2025-04-01", "2025-04-30", facts).listed() == [
        "04-01 V1 open site",
        "04-23 V1 target site",
        "04-30 V1 overdue site",
    ]


def test_an_escalation_comes_two_weeks_after_its_day_whatever_is_booked_or_snoozed() -> None:
    for silenced in ({"scheduled": {1: day("2025-06-20")}}, {"snoozed": {1: day("2025-06-20")}}):
        outbox = Outbox().run("2025-04-01", "2025-06-11", changing(Facts(), ("2025-05-15", silenced)))
        assert outbox.listed(audience="study") == ["06-03 V1 escalation study"]


def test_a_missed_visit_is_reported_although_an_appointment_lies_ahead() -> None:
    facts = changing(Facts(), ("2025-06-12", {"scheduled": {1: day("2025-07-20")}}))
    assert Outbox().run("2025-04-01", "2025-07-01", facts).listed(1)[-2:] == [
        "07-01 V1 missed site",
        "07-01 V1 missed study",
    ]


def test_a_visit_that_was_declared_missed_is_not_reported_as_missed() -> None:
    facts = changing(Facts(), ("2025-05-02", {"declared_missed": frozenset({1})}))
    assert Outbox().run("2025-04-01", "2025-07-31", facts).listed(1)[-1] == "04-30 V1 overdue site"


def test_the_new_site_of_a_transferred_participant_is_reminded_anew() -> None:
    facts = changing(Facts(), ("2025-04-02", {"site_id": "rome"}))
    outbox = Outbox().run("2025-04-01", "2025-04-15", facts)
    assert [(str(on), step.name, step.site_id) for on, _, step in outbox.sent] == [
        ("2025-04-01", "open", "berlin"),
        ("2025-04-02", "open", "rome"),
        ("2025-04-15", "target", "rome"),
    ]


def test_the_notice_of_a_missed_visit_lapses_after_two_weeks() -> None:
    outbox = Outbox().run("2025-04-01", "2025-06-30", Facts())
    assert outbox.run("2025-07-16", "2025-07-31", Facts()).listed(1, "study") == ["05-20 V1 escalation study"]


def test_an_escalation_beyond_the_slot_comes_on_its_last_day() -> None:
    monthly = FollowUpPlan(every_months=1, window_days=VisitWindow(before=7, after=7))
    assert names(first_visit("2025-01-15", monthly)) == [
        "02-08 open site",
        "02-15 target site",
        "02-23 overdue site",
        "03-07 escalation study",
        "03-08 missed site",
        "03-08 missed study",
    ]


def test_a_window_that_closes_with_its_slot_has_no_overdue_visit() -> None:
    wide = FollowUpPlan(window_days=VisitWindow(before=44, after=44))
    steps = names(first_visit("2024-11-28", wide))
    assert steps == ["01-15 open site", "02-28 target site", "04-14 missed site", "04-14 missed study"]


def test_the_protocol_chooses_among_open_target_and_overdue() -> None:
    assert names(VISIT, ReminderPlan(steps=("target",))) == [
        "04-15 target site",
        "05-20 escalation study",
        "07-01 missed site",
        "07-01 missed study",
    ]


def test_the_last_visit_is_reported_as_missed_after_its_slot() -> None:
    assert Outbox().run("2026-12-01", "2027-04-30", Facts()).listed(8) == [
        "01-04 V8 open site",  # 01-01 is New Year
        "01-15 V8 target site",
        "02-01 V8 overdue site",  # 01-30 is a Saturday
        "02-15 V8 repeat-1 site",
        "02-19 V8 escalation study",
        "03-01 V8 repeat-2 site",
        "03-15 V8 repeat-3 site",
        "04-01 V8 missed site",
        "04-01 V8 missed study",
    ]


def test_a_suppressed_step_says_why() -> None:
    today = day("2025-04-15")
    reasons = {
        "reported": Facts(contacts=[day("2025-04-10")]),
        "died": Facts(end=FollowUpEnd(day("2025-04-10"), "died")),
        "declared_missed": Facts(declared_missed=frozenset({1})),
        "declared": Facts(declared={1: day("2025-03-20")}),
        "snoozed": Facts(snoozed={1: day("2025-04-16")}),
        "acknowledged": Facts(acknowledged=frozenset({1})),
        "scheduled": Facts(scheduled={1: today}),
        "not_current": Facts(is_current=False),
    }
    for reason, facts in reasons.items():
        decision = decide(facts.occasion(VISIT, today), PLAN, [], "site")
        assert decision is not None
        assert (decision.step.name, decision.reason) == ("target", reason)


def test_nothing_is_current_before_the_window() -> None:
    assert current_step(VISIT, PLAN, "site", day("2025-03-31")) is None
    assert current_step(VISIT, PLAN, "site", day("2025-04-30")) == Step(day("2025-04-30"), "overdue", "site")


def next_of(facts: Facts, today: str) -> tuple[date, str] | None:
    """The next step to the site in Germany on a morning on which everything that was due has been sent."""

    def working_day(first: date) -> date:
        return first_working_day("DE", first)

    sent = Outbox().run("2025-01-15", today, facts).sent_of(1)
    step = next_step(facts.occasion(VISIT, day(today)), [PlanFrom(date.min, PLAN)], sent, "site", working_day)
    return step and (step.day, step.name)


def test_the_next_step_is_the_one_that_would_be_sent_next() -> None:
    assert next_of(Facts(), "2025-03-01") == (day("2025-04-01"), "open")
    assert next_of(Facts(), "2025-04-01") == (day("2025-04-15"), "target")
    assert next_of(Facts(acknowledged=frozenset({1})), "2025-04-01") == (day("2025-04-30"), "overdue")
    assert next_of(Facts(), "2025-06-11") == (day("2025-07-01"), "missed")


def test_the_next_step_waits_for_the_end_of_a_snooze_and_for_a_working_day() -> None:
    assert next_of(Facts(snoozed={1: day("2025-04-20")}), "2025-04-14") == (day("2025-04-22"), "target")  # Easter


def test_a_reported_visit_has_no_next_step() -> None:
    assert next_of(Facts(contacts=[day("2025-04-10")]), "2025-04-16") is None
