"""Reminders go by the plan that is in force on the day of the digest, also where only the plan has changed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from shared.protocol.protocol import ReminderPlan
from shared.testing.builders import facts
from tests.conftest import Database
from tests.integration.support.reminded_study import RemindedStudy, subscriber

BERLIN = facts.site_activated("berlin", zone="Europe/Berlin", country="DE")
PATIENT_PLAN = ReminderPlan(escalate_after_days=60)
SHORT_PLAN = ReminderPlan(steps=("open", "overdue"))


@pytest.fixture
async def study(analytics_database: Database, study_id: str) -> RemindedStudy:
    return RemindedStudy(
        analytics_database, study_id, [subscriber("nurse@berlin.study", "berlin"), subscriber("coordinator@study")]
    )


async def open_with(study: RemindedStudy, plan: ReminderPlan) -> None:
    """Opens the study with a plan of reminders, and treats a participant whose first target is on April 15."""
    study.study.record(facts.study_opened(facts.protocol(reminders=plan)), BERLIN)
    await study.project(study.study.events)
    await study.treat("2025-01-15")


async def amend(study: RemindedStudy, effective_on: str, plan: ReminderPlan) -> None:
    """Changes nothing of the protocol but the plan of reminders."""
    fact = facts.protocol_amended(effective_on, facts.protocol(reminders=plan))
    await study.project([study.study.record(fact)])
    await study.derive()


async def test_a_step_that_an_amendment_adds_is_sent_on_its_first_day_in_force(study: RemindedStudy) -> None:
    await open_with(study, SHORT_PLAN)
    await amend(study, "2025-04-16", ReminderPlan())
    await study.live("2025-03-28", "2025-04-17")
    assert await study.sent() == ["04-01 open site", "04-16 target site"]


async def test_a_step_that_is_added_after_the_looks_of_the_day_is_sent_on_that_day(study: RemindedStudy) -> None:
    await open_with(study, SHORT_PLAN)
    await study.live("2025-03-28", "2025-04-16")
    await amend(study, "2025-04-16", ReminderPlan())
    await study.tick()
    assert await study.sent() == ["04-01 open site", "04-16 target site"]


@pytest.mark.parametrize(
    ("effective_on", "sent_on"),
    [("2025-06-02", "06-02"), ("2025-06-12", "06-12"), ("2025-06-28", "06-30")],
    ids=["Monday", "Thursday", "Saturday"],
)
@pytest.mark.parametrize("stated_ahead", [True, False], ids=["stated ahead", "stated on the day"])
async def test_an_earlier_escalation_is_sent_on_its_first_working_day_in_force(
    study: RemindedStudy, effective_on: str, sent_on: str, stated_ahead: bool
) -> None:
    await open_with(study, ReminderPlan(escalate_after_days=62))
    if stated_ahead:
        await amend(study, effective_on, ReminderPlan())
        await study.live("2025-05-19", "2025-07-01")
    else:
        eve = f"2025-06-{int(effective_on[-2:]) - 1:02}"
        await study.live("2025-05-19", eve)
        await amend(study, effective_on, ReminderPlan())
        await study.live(effective_on, "2025-07-01")
    to_study = [line for line in await study.sent() if line.endswith(" study")]
    assert to_study == [f"{sent_on} escalation study", "07-01 missed study"]


async def test_an_escalation_that_is_moved_back_in_time_is_sent_on_the_next_working_day(study: RemindedStudy) -> None:
    await open_with(study, PATIENT_PLAN)
    await study.live("2025-05-19", "2025-06-12")
    await amend(study, "2025-05-26", ReminderPlan())
    await study.live("2025-06-13", "2025-06-13")
    assert "06-13 escalation study" in await study.sent()


async def test_a_later_escalation_is_not_sent_on_its_former_day(study: RemindedStudy) -> None:
    await open_with(study, ReminderPlan())
    await amend(study, "2025-05-20", PATIENT_PLAN)
    await study.live("2025-05-13", "2025-06-30")
    assert [line for line in await study.sent() if line.endswith(" study")] == ["06-30 escalation study"]


async def test_an_amendment_sends_no_step_twice(study: RemindedStudy) -> None:
    await open_with(study, ReminderPlan())
    await study.live("2025-03-28", "2025-05-20")
    before = await study.sent()
    await amend(study, "2025-05-21", ReminderPlan(escalate_after_days=7))
    await study.live("2025-05-21", "2025-05-27")
    assert await study.sent() == before


async def test_the_study_wide_digest_goes_by_the_plan_of_its_own_day(study: RemindedStudy) -> None:
    study.subscribers = [subscriber("coordinator@study", hour_of_site="tokyo")]
    study.study.record(
        facts.study_opened(facts.protocol(reminders=PATIENT_PLAN)),
        facts.site_activated("new-york", zone="America/New_York", country="US"),
        facts.site_activated("tokyo", zone="Asia/Tokyo", country="JP"),
    )
    await study.project(study.study.events)
    await study.treat("2025-01-15", site="new-york")
    await amend(study, "2025-06-12", ReminderPlan())
    for day in (11, 12):  # in Tokyo, where it is the morning; in New York it is the evening before
        study.now = datetime(2025, 6, day - 1, 23, 1, 30, tzinfo=UTC)
        await study.tick()
    assert await study.sent() == ["06-12 escalation study"]
