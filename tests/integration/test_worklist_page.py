"""The page of the worklist: its groups, links, counts and filters."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.testing.builders import follow_up_facts as follow_up
from tests.conftest import Database
from tests.integration.support.analytics_app import AnalyticsStudy, open_analytics_study
from tests.integration.support.worklist import (
    DUE,
    OPENING,
    OVERDUE,
    add,
    enrolled,
    page_text,
    treated,
)


@pytest.fixture
async def study(analytics_database: Database, tmp_path: Path, study_id: str) -> AsyncIterator[AnalyticsStudy]:
    async with open_analytics_study(analytics_database, tmp_path, study_id) as study:
        yield study


async def test_page_shows_groups_in_order_with_links(study: AnalyticsStudy) -> None:
    opening, due, overdue = [await add(study, ended_on) for ended_on in (OPENING, DUE, OVERDUE)]
    waiting = await study.add_participant("milan", *enrolled("milan"))
    text = await page_text(study)
    parts = ["state-overdue", overdue.participant_id, "16 days ago", "state-due", due.participant_id, "in 5 days"]
    parts += ["state-planned", "Opening within 14 days", opening.participant_id, "no-schedule", waiting.participant_id]
    positions = [text.index(part) for part in parts]
    assert positions == sorted(positions)
    for history in (opening, due, overdue, waiting):
        assert f'href="/analytics/studies/{study.study_id}/participants/{history.participant_id}"' in text
    assert f'href="/analytics/studies/{study.study_id}/queries?participant={overdue.participant_id}"' in text
    assert waiting.participant_id not in await page_text(study, "site@rome")
    assert f'href="/analytics/studies/{study.study_id}/worklist"' in (await study.get_page("participants")).text


async def test_page_counts_the_visits_missed_in_the_last_14_days(study: AnalyticsStudy) -> None:
    ended = {"rome": "2024-08-14", "milan": "2024-08-01"}
    recent = [await study.add_participant(site, *treated(day, site, "2024-06-01")) for site, day in ended.items()]
    await study.add_participant("rome", *treated("2024-07-31", "rome", "2024-06-01"))
    await add(study, OVERDUE, follow_up.visit_missed("2025-01-30", 1))
    expected = '<b data-number="missed">{}</b> {} missed in the last 14 days'
    assert expected.format(2, "visits") in await page_text(study)
    assert expected.format(1, "visit") in await page_text(study, site="milan")
    assert expected.format(1, "visit") in await page_text(study, "site@rome")
    assert expected.format(2, "visits") in await page_text(study, on="2025-01-29")
    missed = await page_text(study, state="missed")
    assert all(history.participant_id in missed for history in recent)


async def test_page_keeps_filters_and_leads_on(study: AnalyticsStudy) -> None:
    for _ in range(3):
        await add(study, OVERDUE, site="milan")
    address = f"/analytics/studies/{study.study_id}/worklist"
    text = await page_text(study, site="milan", on="2025-02-03", state=["overdue", "due"], limit=2)
    assert f'data-src="{address}?site=milan&amp;state=overdue&amp;state=due&amp;on=2025-02-03&amp;limit=2"' in text
    assert '<option value="milan" selected>' in text
    assert "Only Milan." in text
    assert '<input type="hidden" name="state" value="due">' in text
    assert "2 visits on this page" in text
    assert 'id="next-page"' in text
    assert "3 visits</caption>" in await page_text(study, site="", on="", participant="")
    assert "There are no visits in this state." in await page_text(study, state="done")
    assert "Nothing to do" in await page_text(study, "site@rome")


async def test_page_is_refused_as_the_list_is(study: AnalyticsStudy) -> None:
    for user, status in (("reader", 403), ("administrator", 403), ("stranger", 404)):
        assert (await study.get_page("worklist", user)).status_code == status
    assert (await study.get_page("worklist", "site@rome", site="milan")).status_code == 403
    assert (await study.get_page("worklist", state="open")).status_code == 422


async def test_row_offers_to_declare_only_a_visit_missed_that_has_opened(study: AnalyticsStudy) -> None:
    """The form of a missed visit does not offer an earlier one; its reminder may be put off."""
    for ended_on, is_offered in ((OVERDUE, True), (DUE, True), (OPENING, False)):
        history = await add(study, ended_on)
        text = await page_text(study, "site@rome", participant=history.participant_id)
        links = [f"facts/{name}?visit=1" in text for name in ("followup.visit_missed", "reminder.snoozed")]
        assert links == [is_offered, True], ended_on
