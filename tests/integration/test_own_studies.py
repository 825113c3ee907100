"""The start page leads each person to the studies in which they have a role, and says so if there is none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.testing.builders.facts import member_granted, member_revoked
from tests.conftest import Database
from tests.integration.support.analytics_app import AnalyticsStudy, open_analytics_study


@pytest.fixture
async def study(analytics_database: Database, tmp_path: Path, study_id: str) -> AsyncIterator[AnalyticsStudy]:
    async with open_analytics_study(analytics_database, tmp_path, study_id) as study:
        yield study


async def start_page(study: AnalyticsStudy, user: str = "") -> str:
    response = await study.http.get("/", headers=study.authorization(user) if user else {})
    assert response.status_code == 200
    return response.text


@pytest.mark.parametrize("user", ["site@rome", "coordinator", "administrator", "reader"])
async def test_member_of_any_role_finds_the_study(study: AnalyticsStudy, user: str) -> None:
    page = await start_page(study, user)
    assert page.count('href="/analytics/studies/') == 1
    assert f'<a href="/analytics/studies/{study.study_id}">' in page
    assert f"<p>{study.study_id}</p>" in page


async def test_person_without_a_role_learns_their_user_id_and_of_no_study(study: AnalyticsStudy) -> None:
    page = await start_page(study, "newcomer")
    assert f"<code>newcomer.{study.study_id}</code>" in page
    assert f"/analytics/studies/{study.study_id}" not in page


async def test_revoked_grant_leads_to_no_study(study: AnalyticsStudy) -> None:
    member = f"passing.{study.study_id}"
    await study.project([study.study.record(member_granted(member, "monitor"))])
    assert study.study_id in await start_page(study, "passing")
    await study.project([study.study.record(member_revoked(member, "monitor"))])
    assert f"/analytics/studies/{study.study_id}" not in await start_page(study, "passing")


async def test_visitor_is_asked_to_sign_in(study: AnalyticsStudy) -> None:
    page = await start_page(study)
    assert '<a href="/session?next=/">Sign in</a> to see your studies' in page
    assert study.study_id not in page
