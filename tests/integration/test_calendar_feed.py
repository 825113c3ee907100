"""The calendar feed: events as calendars receive them, and the secret address that is their only credential."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from icalendar import Calendar

from services.analytics.app import create_app
from shared.kernel.fact import Fact
from shared.security.vault import make_key_file
from shared.settings import Settings
from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as follow_up
from shared.testing.builders.participant_history import ParticipantHistory
from tests.conftest import Database
from tests.integration.support.analytics_app import AnalyticsStudy, open_analytics_study
from tests.integration.support.worklist import add, state_fact, void_last

ENDED_ON = "2025-01-15"
NURSE, COORDINATOR = "site@rome", "coordinator"
TARGET, WINDOW = (date(2025, 4, 15), date(2025, 4, 16)), (date(2025, 4, 1), date(2025, 4, 30))
SUBSCRIBE = """
insert into subscription (study_id, member, email, renewed_at, digest, calendar)
values ($1, $2, 'a@b.example', $3, false, true)
"""


TODAY = "2025-02-28"


@pytest.fixture
async def study(analytics_database: Database, tmp_path: Path, study_id: str) -> AsyncIterator[AnalyticsStudy]:
    make_key_file(tmp_path / "links_key")
    settings, clock = {"links_key": tmp_path / "links_key"}, f"{study_id}={TODAY}"
    async with open_analytics_study(analytics_database, tmp_path, study_id, settings=settings, clock=clock) as study:
        yield study


async def subscribe(study: AnalyticsStudy, user: str = NURSE, *, renewed_days_ago: int = 0) -> str:
    """Writes a subscription that wants a calendar, and returns the path of the calendar."""
    renewed_at = datetime.now(UTC) - timedelta(days=renewed_days_ago)
    await study.database.system.execute(SUBSCRIBE, study.study_id, f"{user}.{study.study_id}", renewed_at)
    return await new_address(study, user)


async def new_address(study: AnalyticsStudy, user: str = NURSE) -> str:
    path = f"/analytics/v1/studies/{study.study_id}/subscription/calendar"
    response = await study.http.post(path, headers=study.authorization(user))
    assert response.status_code == 200, response.text
    url: str = response.json()["calendar_url"]
    return urlsplit(url).path


async def fetch(study: AnalyticsStudy, address: str, **params: str) -> httpx.Response:
    return await study.http.get(address, params=params)


async def events(study: AnalyticsStudy, address: str, **params: str) -> dict[str, Any]:
    """Returns the events by their summaries."""
    response = await fetch(study, address, **params)
    assert response.status_code == 200, response.text
    return {str(event["summary"]): event for event in Calendar.from_ical(response.content).walk("VEVENT")}


def days(event: Any) -> tuple[date, date]:
    return event.decoded("dtstart"), event.decoded("dtend")


async def test_calendar_has_two_events_for_each_visit_that_is_near(study: AnalyticsStudy) -> None:
    history = await add(study, ENDED_ON)
    await add(study, ENDED_ON, site="milan")
    in_feed = await events(study, await subscribe(study))
    number = history.participant_id
    assert set(in_feed) == {f"{number} visit {visit} {part}" for visit in (1, 2) for part in ("target", "window")}
    assert days(in_feed[f"{number} visit 1 target"]) == TARGET
    assert days(in_feed[f"{number} visit 1 window"]) == WINDOW
    assert {event["sequence"] for event in in_feed.values()} == {0}


async def test_correction_death_and_void_raise_the_sequence(study: AnalyticsStudy) -> None:
    """The worked example of the calendar."""
    history = await add(study, ENDED_ON)
    address, number = await subscribe(study), history.participant_id
    first = await events(study, address)
    corrected = facts.radiotherapy_completed("2025-02-15")
    await study.project([history.correct(history.events[-1], corrected)])
    second = await events(study, address)
    target, window = second[f"{number} visit 1 target"], second[f"{number} visit 1 window"]
    assert days(target) == (date(2025, 5, 15), date(2025, 5, 16))
    assert days(window) == (date(2025, 5, 1), date(2025, 5, 30))
    for event in (target, window):
        assert event["uid"] == first[str(event["summary"])]["uid"]
        assert event["sequence"] == 1
    await state_fact(study, history, follow_up.participant_died("2025-02-20"))
    third = await events(study, address)
    cancelled = third[f"Cancelled: {number} visit 1 target"]
    assert (cancelled["status"], cancelled["sequence"]) == ("CANCELLED", 2)
    await void_last(study, history)
    fourth = (await events(study, address))[f"{number} visit 1 target"]
    assert (fourth.get("status"), fourth["sequence"], fourth["uid"]) == (None, 3, target["uid"])


@pytest.mark.parametrize(
    "fact",
    [
        follow_up.follow_up_recorded("2025-04-10"),
        facts.consent_withdrawn("2025-01-20", "data_use"),
        facts.participant_voided(),
    ],
    ids=["reported", "withdrawal of the use of data", "voided"],
)
async def test_what_falls_away_is_cancelled_for_30_days(study: AnalyticsStudy, fact: Fact) -> None:
    history = await add(study, ENDED_ON)
    address = await subscribe(study)
    await events(study, address)
    await state_fact(study, history, fact)
    summary = f"Cancelled: {history.participant_id} visit 1 target"
    before = await events(study, address)
    assert before[summary]["status"] == "CANCELLED"
    await move_cancellations(study, 29)
    assert summary in await events(study, address)
    await move_cancellations(study, 1)
    assert not [in_feed for in_feed in await events(study, address) if "visit 1" in in_feed]
    await void_last(study, history)
    again = await events(study, address)
    assert again[f"{history.participant_id} visit 1 target"]["sequence"] == 2


async def move_cancellations(study: AnalyticsStudy, number_of_days: int) -> None:
    await study.database.system.execute(
        "update calendar_event set cancelled_on = cancelled_on - $2::integer where study_id = $1",
        study.study_id,
        number_of_days,
    )


async def test_a_visit_that_was_never_in_a_calendar_is_not_cancelled(study: AnalyticsStudy) -> None:
    await add(study, ENDED_ON, follow_up.participant_died("2025-01-20"))
    assert await events(study, await subscribe(study)) == {}


async def test_transferred_participant_moves_to_the_calendar_of_the_new_site(study: AnalyticsStudy) -> None:
    history = await add(study, ENDED_ON)
    rome, milan, whole = [await subscribe(study, user) for user in (NURSE, "site@milan", COORDINATOR)]
    summary = f"{history.participant_id} visit 1 target"
    for address in (rome, whole):
        assert summary in await events(study, address)
    assert await events(study, milan) == {}
    await state_fact(study, history, facts.participant_transferred("milan", "2025-01-20"))
    assert f"Cancelled: {summary}" in await events(study, rome)
    at_milan = (await events(study, milan))[summary]
    whole_study = await events(study, whole)
    assert whole_study[summary]["uid"] == at_milan["uid"]
    assert f"Cancelled: {summary}" not in whole_study
    assert whole_study[summary]["sequence"] >= 1
    await void_last(study, history)
    assert (await events(study, rome))[summary]["sequence"] > whole_study[summary]["sequence"]


async def test_unchanged_calendar_has_equal_bytes_and_a_strong_tag(study: AnalyticsStudy) -> None:
    await add(study, ENDED_ON)
    address = await subscribe(study)
    first, second = await fetch(study, address), await fetch(study, address)
    assert first.content == second.content
    tag = first.headers["etag"]
    assert tag.startswith('"')
    assert first.headers["cache-control"] == "private, no-cache"
    assert first.headers["content-type"] == "text/calendar; charset=utf-8"
    for conditional in (tag, f'"other", {tag}', "*"):
        assert (await study.http.get(address, headers={"If-None-Match": conditional})).status_code == 304
    head = await study.http.head(address)
    assert (head.status_code, head.headers["etag"], head.content) == (200, tag, b"")
    await add(study, ENDED_ON)
    assert (await study.http.get(address, headers={"If-None-Match": tag})).status_code == 200


async def test_windows_are_left_out_on_request(study: AnalyticsStudy) -> None:
    history = await add(study, ENDED_ON)
    address = await subscribe(study)
    in_feed = await events(study, address, windows="off")
    assert set(in_feed) == {f"{history.participant_id} visit {visit} target" for visit in (1, 2)}
    assert (await fetch(study, address, windows="maybe")).status_code == 422


async def test_every_secret_that_opens_nothing_is_answered_alike(study: AnalyticsStudy) -> None:
    await add(study, ENDED_ON)
    old, unwanted = await subscribe(study), await subscribe(study, "coordinator@milan")
    ended, expired = await subscribe(study, "site@milan"), await subscribe(study, COORDINATOR, renewed_days_ago=366)
    revoked, new = await subscribe(study, "coordinator@rome"), await new_address(study)
    for address in (new, revoked, ended, unwanted):
        assert (await fetch(study, address)).status_code == 200
    member = f"coordinator@milan.{study.study_id}"
    await study.database.system.execute("update subscription set calendar = false where member = $1", member)
    await study.database.system.execute("delete from subscription where member = $1", f"site@milan.{study.study_id}")
    study.study.record(facts.member_revoked(f"coordinator@rome.{study.study_id}", "coordinator", "rome"))
    await study.project(study.study.events[-1:])
    unknown = "/analytics/calendars/AAAAAAAAAAAAAAAAAAAAAA.ics"
    answers = [await fetch(study, address) for address in (unknown, old, unwanted, ended, expired, revoked)]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1
    assert (await fetch(study, new)).status_code == 200


async def test_another_key_voids_every_address(
    analytics_database: Database, tmp_path: Path, study_id: str, study: AnalyticsStudy
) -> None:
    address = await subscribe(study)
    (tmp_path / "other").mkdir()
    make_key_file(tmp_path / "other" / "links_key")
    settings = Settings(
        analytics_app_url=analytics_database.urls["app"],
        analytics_system_url=analytics_database.urls["system"],
        links_key=tmp_path / "other" / "links_key",
        clock=f"{study_id}={TODAY}",
    )
    app = create_app(settings)
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://x") as http:
        assert (await http.get(address)).status_code == 404
    assert (await fetch(study, address)).status_code == 200


async def test_a_new_subscription_has_a_new_address(study: AnalyticsStudy) -> None:
    old = await subscribe(study)
    await study.database.system.execute("delete from subscription where study_id = $1", study.study_id)
    await study.database.system.execute(SUBSCRIBE, study.study_id, f"{NURSE}.{study.study_id}", datetime.now(UTC))
    assert (await fetch(study, old)).status_code == 404


async def test_members_who_cannot_subscribe_have_no_address(study: AnalyticsStudy) -> None:
    path = f"/analytics/v1/studies/{study.study_id}/subscription/calendar"
    for user, status in (("monitor", 403), ("reader", 403), ("stranger", 404), (NURSE, 404)):
        assert (await study.http.post(path, headers=study.authorization(user))).status_code == status, user


async def test_neither_secret_nor_address_is_in_a_log_or_a_metric_or_the_database(
    study: AnalyticsStudy, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await add(study, ENDED_ON)
    address = await subscribe(study)
    secret = address.rpartition("/")[2].removesuffix(".ics")
    assert len(secret) == 22
    await fetch(study, address)
    await new_address(study)
    await fetch(study, address)
    assert not [record for record in caplog.records if record.name != "httpx" and secret in record.getMessage()]
    assert secret not in (await study.http.get("/metrics")).text
    rows = await study.database.system.fetch("select a::text, e::text from calendar_address a, calendar_event e")
    assert not [row for row in rows if secret in str(dict(row))]


async def test_fetches_are_in_the_log_of_reads(study: AnalyticsStudy) -> None:
    await add(study, ENDED_ON)
    await fetch(study, await subscribe(study))
    reads = (await study.get("reads", "auditor")).json()["rows"]
    assert [(read["read_by"], read["what"]) for read in reads] == [(f"{NURSE}.{study.study_id}", "calendar")]


async def test_calendar_waits_until_rows_of_an_earlier_version_are_derived_again(study: AnalyticsStudy) -> None:
    history: ParticipantHistory = await add(study, ENDED_ON)
    address = await subscribe(study)
    await study.database.system.execute("update derived_study set derivation_version = 0")
    assert (await fetch(study, address)).status_code == 503
    await study.project([])
    assert f"{history.participant_id} visit 1 target" in await events(study, address)
