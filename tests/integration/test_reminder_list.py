"""The log of reminders on request: who sees which, what comes next, and the page."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from services.analytics.reminders.health import load_statuses
from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as follow_up
from tests.conftest import Database
from tests.integration.support.analytics_app import TODAY, AnalyticsStudy, open_analytics_study
from tests.integration.support.derived_study import DerivedStudy
from tests.integration.support.reminded_study import RemindedStudy, subscriber
from tests.integration.support.worklist import DUE, OVERDUE, add

NURSE = subscriber("nurse@rome", site_id="rome")


@pytest.fixture
async def study(analytics_database: Database, tmp_path: Path, study_id: str) -> AsyncIterator[AnalyticsStudy]:
    async with open_analytics_study(analytics_database, tmp_path, study_id) as study:
        yield study


async def remind(study: AnalyticsStudy) -> None:
    """Plans and sends the reminders of the study's frozen day."""
    reminded = RemindedStudy(study.database, study.study_id, [NURSE], setting=f"{study.study_id}={TODAY}")
    reminded.now = datetime(2026, 11, 29, 3, 0, tzinfo=UTC)
    await reminded.tick()


async def rows(study: AnalyticsStudy, user: str = "investigator", **filters: Any) -> list[dict[str, Any]]:
    answer = await study.get("reminders.json", user, **filters)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["rows"])


def brief(listed: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(row["visit"], row["step"], row["state"], row["reason"]) for row in listed]


async def test_the_list_has_what_was_sent_to_which_member_and_what_comes_next(study: AnalyticsStudy) -> None:
    history = await add(study, OVERDUE)
    await remind(study)
    listed = await rows(study, participant=history.participant_id)
    sent = next(row for row in listed if row["state"] == "sent")
    assert (sent["visit"], sent["step"], sent["audience"], sent["site_id"]) == (1, "overdue", "site", "rome")
    assert [(delivery["member"], delivery["state"]) for delivery in sent["deliveries"]] == [("nurse@rome", "sent")]
    assert sent["deliveries"][0]["message_id"].startswith("<d.")
    assert {row["visit"] for row in listed if row["state"] == "planned"} >= {2, 3, 8}
    assert len({row["reminder_id"] for row in listed}) == len(listed)


async def test_the_next_step_of_a_visit_is_listed_under_the_id_that_it_gets(study: AnalyticsStudy) -> None:
    history = await add(study, DUE)
    planned = (await rows(study, participant=history.participant_id))[0]
    await remind(study)
    assert (planned["visit"], planned["state"]) == (1, "planned")
    sent = await rows(study, participant=history.participant_id, state="sent")
    assert [row["reminder_id"] for row in sent] == [planned["reminder_id"]]


async def test_a_site_sees_the_reminders_of_its_own_participants(study: AnalyticsStudy) -> None:
    mine, other = await add(study, DUE), await add(study, DUE, site="milan")
    await remind(study)
    assert {row["participant_id"] for row in await rows(study, "site@rome")} == {mine.participant_id}
    assert {row["participant_id"] for row in await rows(study, "site@milan")} == {other.participant_id}
    assert (await study.get("reminders.json", "reader")).status_code == 403
    assert (await study.get("reminders.json", "site@rome", site="milan")).status_code == 403
    unreached = [row for row in await rows(study, "site@milan") if row["state"] == "suppressed"]
    assert [row["reason"] for row in unreached] == ["no_recipient"]


async def test_a_transferred_participant_is_in_the_list_of_the_new_site_alone(study: AnalyticsStudy) -> None:
    history = await add(study, DUE)
    await remind(study)
    await study.project([history.record(facts.participant_transferred("milan", "2025-01-30"))])
    assert await rows(study, "site@rome") == []
    assert history.participant_id in {row["participant_id"] for row in await rows(study, "site@milan")}


async def test_pages_have_every_reminder_once(study: AnalyticsStudy) -> None:
    for _ in range(3):
        await add(study, OVERDUE)
    await remind(study)
    whole, paged, after = await rows(study, limit=1000), list[dict[str, Any]](), ""
    while after is not None:
        answer = (await study.get("reminders.json", limit=2, **({"after": after} if after else {}))).json()
        assert len(answer["rows"]) <= 2
        paged, after = [*paged, *answer["rows"]], answer["next"]
    assert paged == whole


async def test_a_reported_visit_has_no_next_step(study: AnalyticsStudy) -> None:
    history = await add(study, DUE, follow_up.follow_up_recorded(TODAY))
    assert 1 not in {row["visit"] for row in await rows(study, participant=history.participant_id)}


async def test_the_table_has_a_row_for_each_digest(study: AnalyticsStudy) -> None:
    await add(study, DUE)
    await remind(study)
    lines = (await study.get("reminders.csv", state="sent")).text.splitlines()
    assert lines[0].startswith(
        "reminder_id,participant_id,site_id,visit,course_id,step,target,audience,state,reason,day"
    )
    assert len(lines) == 2
    assert ",nurse@rome,sent," in lines[1]


async def test_the_page_says_what_was_sent_and_why_not(study: AnalyticsStudy) -> None:
    reached, unreached = await add(study, DUE), await add(study, DUE, site="milan")
    await remind(study)
    text = (await study.get_page("reminders")).text
    assert reached.participant_id in text
    assert unreached.participant_id in text
    assert "nurse@rome, sent" in text
    assert "Not sent: nobody receives digests for it" in text
    assert (await study.get_page("reminders", "site@rome", state="suppressed")).text.count("nobody receives") == 0


async def test_health_says_whether_reminders_are_planned(study: AnalyticsStudy) -> None:
    await add(study, DUE)
    await remind(study)
    operations = (await study.get("operations.json")).json()["reminders"]
    assert (operations["fault"], operations["sent"], operations["failed"]) == (None, 1, 0)
    health = await study.http.get("/analytics/health/reminders")
    assert health.status_code in (200, 503)  # other studies of this database have no worker
    metrics = (await study.http.get("/analytics/metrics")).text
    assert f'quartal_reminders_sent_total{{study="{study.study_id}"}} 1.0' in metrics


async def faults(study: AnalyticsStudy) -> list[str | None]:
    statuses = await load_statuses(study.database.system)
    return [status.fault for status in statuses if status.study_id == study.study_id]


async def test_worker_is_taken_for_stopped_only_after_a_minute_of_silence(study: AnalyticsStudy) -> None:
    await add(study, DUE)
    assert await faults(study) == [None]
    await study.database.system.execute(
        "update study_position set applied_at = applied_at - interval '61 seconds' where study_id = $1", study.study_id
    )
    assert await faults(study) == ["stopped"]
    await remind(study)
    assert await faults(study) == [None]


async def test_study_without_sites_has_a_worker_too(analytics_database: Database, study_id: str) -> None:
    reminded = RemindedStudy(analytics_database, study_id)
    await reminded.open()
    await reminded.tick()
    query = "select ticked_at from reminder_status where study_id = $1"
    assert await analytics_database.system.fetchval(query, study_id)


async def wait_for(study: DerivedStudy | AnalyticsStudy, cause: str, minutes: int) -> None:
    await study.database.system.execute(
        "insert into reminder_status (study_id, ticked_at, waits)"
        " values ($1, clock_timestamp(), jsonb_build_object($2::text, clock_timestamp() - make_interval(mins => $3)))",
        study.study_id,
        cause,
        minutes,
    )


async def test_health_and_metrics_name_everything_that_digests_wait_for(
    study: AnalyticsStudy, analytics_database: Database
) -> None:
    await wait_for(study, "facts", 11)
    for cause, minutes in (("kafka", 12), ("derivation", 9)):
        other = DerivedStudy(analytics_database, f"{study.study_id}-{cause}")
        other.study.record(facts.study_opened())
        await other.project(other.study.events)
        await other.derive()
        await wait_for(other, cause, minutes)
    health = await study.http.get("/analytics/health/reminders")
    causes = health.json()["causes"]
    assert (health.status_code, causes["facts"], causes["kafka"]) == (503, 1, 1)
    assert "derivation" not in causes  # not for ten minutes
    metrics = (await study.http.get("/analytics/metrics")).text
    waiting = {
        (match[1].removeprefix(study.study_id), match[2]): float(match[3]) // 60
        for match in re.finditer(
            r'quartal_reminders_waiting_seconds{study="([^"]*)",waits_for="([a-z]*)"} ([0-9.]*)', metrics
        )
        if match[1].startswith(study.study_id)
    }
    assert {key: minutes for key, minutes in waiting.items() if minutes} == {
        ("", "facts"): 11,
        ("-kafka", "kafka"): 12,
        ("-derivation", "derivation"): 9,
    }
    assert waiting["", "kafka"] == 0
