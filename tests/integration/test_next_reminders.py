"""The next reminder of each visit of the worklist."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from shared.kernel.fact import Fact
from shared.protocol.protocol import ReminderPlan
from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as follow_up
from tests.conftest import Database
from tests.integration.support.analytics_app import AnalyticsStudy, open_analytics_study
from tests.integration.support.worklist import DUE, OPENING, OVERDUE, add, read_worklist

SENT = """
insert into reminder (reminder_id, study_id, participant_id, schedule, visit, step, audience, addressee, site_id,
                      target, day, state, changed_on, changed_at)
values (gen_random_uuid(), $1, $2, 'index', 1, $3, 'site', 'rome', 'rome', '2025-02-05', '2025-01-22', 'sent',
        '2025-01-22', now())
"""
"""A reminder of the visit of a participant whose course ended on `DUE`."""


@pytest.fixture
async def study(analytics_database: Database, tmp_path: Path, study_id: str) -> AsyncIterator[AnalyticsStudy]:
    async with open_analytics_study(analytics_database, tmp_path, study_id) as study:
        yield study


async def next_step(study: AnalyticsStudy) -> tuple[str, str] | None:
    (row,) = (await read_worklist(study, "site@rome"))["rows"]
    step: dict[str, Any] | None = row["next_step"]
    return (step["step"], step["day"]) if step else None


@pytest.mark.parametrize(
    ("ended_on", "stated", "expected"),
    [
        (OVERDUE, (), ("overdue", "2025-01-31")),
        (DUE, (), ("open", "2025-01-31")),
        (OPENING, (), ("open", "2025-02-06")),
        (DUE, (follow_up.reminder_snoozed("2025-02-10"),), ("target", "2025-02-10")),
        (DUE, (follow_up.visit_scheduled("2025-02-10", 1),), ("target", "2025-02-11")),
        (OVERDUE, (follow_up.follow_up_recorded("2024-12-30", visit=1),), None),
    ],
    ids=["overdue", "due", "opening", "put off", "appointment", "declared"],
)
async def test_row_has_the_reminder_that_is_sent_if_nothing_more_is_recorded(
    study: AnalyticsStudy, ended_on: str, stated: tuple[Fact, ...], expected: tuple[str, str] | None
) -> None:
    """Today is Friday, 2025-01-31."""
    await add(study, ended_on, *stated)
    assert await next_step(study) == expected


async def test_second_snooze_without_a_day_counts_from_its_own_day_of_recording(study: AnalyticsStudy) -> None:
    """Two equal facts put the visit off twice: until 2025-01-27, and then until 14 days after the second one."""
    history = await add(study, DUE)
    for day in (13, 28):
        stated = history.record(follow_up.reminder_snoozed(None), recorded_at=datetime(2025, 1, day, 12, tzinfo=UTC))
        await study.project([stated])
    assert await next_step(study) == ("target", "2025-02-11")


async def test_what_was_sent_comes_no_more(study: AnalyticsStudy) -> None:
    history = await add(study, DUE)
    await study.database.system.execute(SENT, study.study_id, history.participant_id, "open")
    assert await next_step(study) == ("target", "2025-02-05")
    page = await study.get_page("worklist", "site@rome")
    assert "2025-02-05" in page.text
    assert "Target day" in page.text


async def test_reminder_waits_for_a_working_day(analytics_database: Database, tmp_path: Path, study_id: str) -> None:
    """The window of the visit opens on Thursday 2025-05-01, a holiday, and Friday is a working day."""
    clock = f"{study_id}=2025-04-28"
    async with open_analytics_study(analytics_database, tmp_path, study_id, clock=clock) as study:
        await add(study, "2025-02-15")
        assert await next_step(study) == ("open", "2025-05-02")


WITHOUT_TARGET = ReminderPlan(steps=("open", "overdue"))


@pytest.mark.parametrize(
    ("today_plan", "later_plan", "expected"),
    [
        (WITHOUT_TARGET, ReminderPlan(), ("target", "2025-02-05")),
        (ReminderPlan(), WITHOUT_TARGET, ("overdue", "2025-02-20")),
    ],
    ids=["a step comes", "a step goes"],
)
async def test_next_step_goes_by_the_plan_in_force_on_its_day(
    study: AnalyticsStudy, today_plan: ReminderPlan, later_plan: ReminderPlan, expected: tuple[str, str]
) -> None:
    history = await add(study, DUE)
    for day, plan in (("2025-01-01", today_plan), ("2025-02-03", later_plan)):
        amended = facts.protocol_amended(day, facts.protocol(reminders=plan))
        await study.project([study.study.record(amended)])
    await study.database.system.execute(SENT, study.study_id, history.participant_id, "open")
    assert await next_step(study) == expected
    answer = await study.get("reminders.json", participant=history.participant_id)
    (coming,) = [row for row in answer.json()["rows"] if row["visit"] == 1 and row["state"] == "planned"]
    assert (coming["step"], coming["day"]) == expected
