"""Subscriptions over HTTP: who may have one, what they hold, and when they end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.analytics.reminders.subscriptions.endings import end_subscriptions
from shared.eventstore.study_cache import StudyState
from shared.inbox.participant_registry.repository import ReplicatedStudies
from shared.protocol.schedule import add_months
from shared.testing.builders.facts import member_granted, member_revoked
from tests.conftest import Database
from tests.integration.support.analytics_app import AnalyticsStudy
from tests.integration.support.subscriptions import (
    NURSE,
    address_of,
    addresses_of_recipients,
    call,
    confirm,
    link_token,
    load_recipients,
    mails,
    open_confirmation,
    open_study_with_mail,
    subscribe,
    subscribed,
)


@pytest.fixture
async def study(analytics_database: Database, tmp_path: Path, study_id: str) -> AsyncIterator[AnalyticsStudy]:
    async with open_study_with_mail(analytics_database, tmp_path, study_id) as study:
        yield study


async def test_a_member_without_a_subscription_has_none(study: AnalyticsStudy) -> None:
    assert (await call(study, "GET", "subscription")).status_code == 404


async def test_a_subscription_is_answered_as_it_was_written(study: AnalyticsStudy) -> None:
    response = await subscribe(study, away_until="2025-03-01")
    assert response.status_code == 200, response.text
    assert response.json() == {
        "email": address_of(study),
        "digest": True,
        "calendar": False,
        "away_until": "2025-03-01",
        "site_id": None,
        "confirmed": False,
        "confirmed_email": None,
        "calendar_url": None,
        "ends_on": add_months(datetime.now(UTC).date(), 12).isoformat(),
    }
    assert (await call(study, "GET", "subscription")).json() == response.json()


async def test_a_digest_goes_nowhere_until_the_address_is_confirmed(study: AnalyticsStudy) -> None:
    await subscribe(study)
    assert await addresses_of_recipients(study) == []
    confirmed = await confirm(study, await link_token(study))
    assert confirmed.status_code == 303
    assert confirmed.headers["location"] == f"/analytics/studies/{study.study_id}/subscription"
    assert (await call(study, "GET", "subscription")).json()["confirmed"] is True
    assert await addresses_of_recipients(study) == [(address_of(study), "rome")]


async def test_the_confirmation_mail_names_only_the_study_and_the_installation(study: AnalyticsStudy) -> None:
    await subscribe(study)
    ((address, message),) = await mails(study)
    assert (address, message["To"], message["From"]) == (
        address_of(study),
        address_of(study),
        "quartal@hospital.example",
    )
    assert message["Subject"] == f"Quartal {study.study_id}: confirm this address"
    body = message.get_body(("plain",))
    assert body is not None
    assert f"site@rome.{study.study_id}" not in body.get_content()
    assert "http://127.0.0.1:8000/analytics/subscriptions/confirm?token=" in body.get_content()


async def test_three_confirmation_mails_an_hour_for_a_member(study: AnalyticsStudy) -> None:
    for number in range(3):
        assert (await subscribe(study, email=f"n{number}-{address_of(study)}")).status_code == 200
    refused = await subscribe(study, email=f"n4-{address_of(study)}")
    assert (refused.status_code, refused.json()["type"]) == (429, "/problems/too-many-mails")
    assert refused.headers["retry-after"] == "3600"
    assert (await call(study, "GET", "subscription")).json()["email"] == f"n2-{address_of(study)}"
    assert len(await mails(study)) == 3


async def test_three_confirmation_mails_an_hour_to_an_address(study: AnalyticsStudy) -> None:
    for user in ("site@rome", "site@milan", "coordinator@rome"):
        assert (await subscribe(study, user)).status_code == 200
    assert (
        await subscribe(study, "coordinator@milan", email=address_of(study).replace("nurse", "NURSE"))
    ).status_code == 429


async def test_the_rest_of_a_choice_changes_although_no_further_link_may_be_mailed(study: AnalyticsStudy) -> None:
    for _ in range(3):
        await subscribe(study)
    changed = await subscribe(study, digest=False)
    assert (changed.status_code, changed.json()["digest"]) == (200, False)
    assert len(await mails(study)) == 3


@pytest.mark.parametrize(
    ("changes", "code", "pointer"),
    [
        ({"email": "nurse@private.example"}, "mail-domain", "/email"),
        ({"email": "Nurse <nurse@hospital.example>"}, "schema-value-error", "/email"),
        ({"email": "=?UTF-8?Q?=0A?=@hospital.example"}, "schema-value-error", "/email"),
        ({"email": "a@hospital.example\nBcc: b@hospital.example"}, "schema-value-error", "/email"),
        ({"digest": "yes"}, None, "/digest"),
        ({"site_id": "rome"}, "not-study-wide", "/site_id"),
        ({"away_until": "2025-02-30"}, None, "/away_until"),
        ({"phone": "1"}, None, ""),
    ],
)
async def test_a_choice_that_cannot_be_kept_is_refused(
    study: AnalyticsStudy, changes: dict[str, Any], code: str | None, pointer: str
) -> None:
    refused = await subscribe(study, **changes)
    assert refused.status_code == 422
    (fault,) = refused.json()["errors"]
    assert fault["pointer"] == pointer
    assert code in (None, fault["code"])
    assert "private.example" not in refused.text
    assert (await call(study, "GET", "subscription")).status_code == 404


async def test_a_study_wide_coordinator_chooses_the_site_of_the_hour(study: AnalyticsStudy) -> None:
    assert (await subscribe(study, "coordinator", site_id="nowhere")).status_code == 422
    assert (await subscribe(study, "coordinator", site_id="milan")).status_code == 200
    await confirm(study, await link_token(study), "coordinator")
    (recipient,) = await load_recipients(study)
    assert (recipient.site_id, recipient.hour_of_site) == (None, "milan")


@pytest.mark.parametrize("user", ["investigator", "monitor", "auditor", "administrator", "reader"])
async def test_only_sites_and_coordinators_subscribe(study: AnalyticsStudy, user: str) -> None:
    assert (await subscribe(study, user)).status_code == 403
    assert (await call(study, "GET", "subscription", user)).status_code == 403


async def test_a_stranger_learns_nothing(study: AnalyticsStudy) -> None:
    assert (await subscribe(study, "nobody")).status_code == 404


async def test_a_subscription_ends_on_request(study: AnalyticsStudy) -> None:
    await subscribe(study)
    token = await link_token(study)
    assert (await call(study, "DELETE", "subscription")).status_code == 204
    assert (await call(study, "GET", "subscription")).status_code == 404
    assert (await open_confirmation(study, token)).status_code == 404
    assert (await call(study, "DELETE", "subscription")).status_code == 204


async def test_a_subscription_ends_12_months_after_it_was_renewed(study: AnalyticsStudy) -> None:
    await subscribe(study)
    await confirm(study, await link_token(study))
    renewed_at, in_a_year = datetime(2027, 6, 1, 9, tzinfo=UTC), datetime(2028, 6, 1, 9, tzinfo=UTC)  # a leap year
    statement = "update subscription set renewed_at = $2 where study_id = $1"
    await study.database.system.execute(statement, study.study_id, renewed_at)
    assert await addresses_of_recipients(study, in_a_year - timedelta(seconds=1)) == [(address_of(study), "rome")]
    assert await addresses_of_recipients(study, in_a_year) == []


async def test_a_member_without_the_grant_is_no_recipient(study: AnalyticsStudy) -> None:
    await subscribe(study)
    await confirm(study, await link_token(study))
    member = f"{NURSE}.{study.study_id}"
    study.study.record(member_granted(member, "coordinator", "milan"))
    await study.project(study.study.events[-1:])
    assert await addresses_of_recipients(study) == [(address_of(study), "milan"), (address_of(study), "rome")]
    study.study.record(member_revoked(member, "site", "rome"), member_revoked(member, "coordinator", "milan"))
    await study.project(study.study.events[-2:])
    assert await addresses_of_recipients(study) == []
    assert (await call(study, "GET", "subscription")).status_code == 404


async def test_subscriptions_that_are_over_are_removed(study: AnalyticsStudy) -> None:
    studies = ReplicatedStudies(study.database.system)
    for user in (NURSE, "site@milan"):
        await subscribe(study, user, email=f"{user[-4:]}-{address_of(study)}")
    now = datetime.now(UTC)
    await end_subscriptions(study.database.system, studies, now)
    assert (await call(study, "GET", "subscription")).status_code == 200
    study.study.record(member_revoked(f"{NURSE}.{study.study_id}", "site", "rome"))
    study.study.record(member_granted(f"{NURSE}.{study.study_id}", "site", "milan"))
    study.study.record(member_revoked(f"{NURSE}.{study.study_id}", "site", "milan"))
    await study.project(study.study.events[-3:])
    await end_subscriptions(study.database.system, studies, now)
    assert await subscribed(study) == [f"site@milan.{study.study_id}"]
    await end_subscriptions(study.database.system, studies, now + timedelta(days=364))
    assert await subscribed(study) == [f"site@milan.{study.study_id}"]
    await end_subscriptions(study.database.system, studies, now + timedelta(days=366))
    assert await subscribed(study) == []


class PartlyUnreadableStudies(ReplicatedStudies):
    """The studies, of which one has a fact that this release cannot read."""

    unreadable = ""

    async def reload(self, study_id: str) -> StudyState:
        if study_id == self.unreadable:
            raise ValueError("a fact of a later release")
        return await super().reload(study_id)


async def test_study_that_cannot_be_read_keeps_its_subscriptions_and_holds_up_no_other(study: AnalyticsStudy) -> None:
    await subscribe(study)
    studies = PartlyUnreadableStudies(study.database.system)
    in_two_years = datetime.now(UTC) + timedelta(days=731)
    studies.unreadable = study.study_id
    await end_subscriptions(study.database.system, studies, in_two_years)
    assert await subscribed(study) == [f"{NURSE}.{study.study_id}"]
    studies.unreadable = "another-study"
    await end_subscriptions(study.database.system, studies, in_two_years)
    assert await subscribed(study) == []


async def test_an_administrator_marks_an_address_dead_without_seeing_it(study: AnalyticsStudy) -> None:
    await subscribe(study)
    await confirm(study, await link_token(study))
    member = {"member": f"{NURSE}.{study.study_id}"}
    assert (await call(study, "POST", "dead-addresses", "coordinator", member)).status_code == 403
    marked = await call(study, "POST", "dead-addresses", "administrator", member)
    assert (marked.status_code, marked.text) == (204, "")
    assert await addresses_of_recipients(study) == []
    assert (await call(study, "GET", "subscription")).json()["confirmed"] is False
    assert "an administrator marked the address as not in use" in (await study.get_page("subscription", NURSE)).text
    await subscribe(study)
    await confirm(study, await link_token(study))
    assert await addresses_of_recipients(study) == [(address_of(study), "rome")]
