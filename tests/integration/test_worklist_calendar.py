"""The worklist as an iCalendar file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path

import pytest
from icalendar import Calendar

from services.analytics.reminders import worklist_calendar
from tests.conftest import Database
from tests.integration.support.analytics_app import TODAY, AnalyticsStudy, open_analytics_study
from tests.integration.support.worklist import DUE, OVERDUE, add, enrolled


@pytest.fixture
async def study(analytics_database: Database, tmp_path: Path, study_id: str) -> AsyncIterator[AnalyticsStudy]:
    async with open_analytics_study(analytics_database, tmp_path, study_id) as study:
        yield study


async def test_calendar_file_has_the_target_and_the_window_of_each_visit(
    study: AnalyticsStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    overdue, due = [await add(study, ended_on) for ended_on in (OVERDUE, DUE)]
    await study.add_participant("rome", *enrolled())
    response = await study.get("worklist.ics")
    assert (response.status_code, response.headers["content-type"]) == (200, "text/calendar; charset=utf-8")
    assert f"{study.study_id}_worklist_{TODAY}_position-{study.position}.ics" in response.headers["content-disposition"]
    assert calendar_days(response.content) == {
        (f"{overdue.participant_id} visit 1 target", date(2025, 1, 15), date(2025, 1, 16)),
        (f"{overdue.participant_id} visit 1 window", date(2025, 1, 1), date(2025, 1, 30)),
        (f"{due.participant_id} visit 1 target", date(2025, 2, 5), date(2025, 2, 6)),
        (f"{due.participant_id} visit 1 window", date(2025, 1, 22), date(2025, 2, 20)),
    }
    assert (await study.get("worklist.ics")).content == response.content
    targets = await study.get("worklist.ics", state="due", windows="off")
    assert {summary for summary, *_ in calendar_days(targets.content)} == {f"{due.participant_id} visit 1 target"}
    monkeypatch.setattr(worklist_calendar, "MAX_VISITS", 1)
    refusal = await study.get("worklist.ics")
    assert (refusal.status_code, refusal.json()["type"]) == (422, "/problems/parameter")


def calendar_days(content: bytes) -> set[tuple[str, date, date]]:
    """Returns summary, first day, and the day after the last day of each event."""
    events = Calendar.from_ical(content).walk("VEVENT")
    return {(str(event["summary"]), event.decoded("dtstart"), event.decoded("dtend")) for event in events}
