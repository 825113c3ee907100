from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from collections.abc import Callable
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from infra.client.study_client import ApiError, StudyClient
from infra.reference.study import subject
from infra.simulator.participants import (
    FIRST_SCREENING_DAY,
    OPENING_DATA,
    PARTICIPANT_PATH_WEIGHTS,
    SITES,
    STUDY_ID,
    SimulatedParticipant,
    simulate_participant,
)
from infra.simulator.run import simulate
from shared.contracts import catalogue
from shared.contracts.study import SiteActivated
from tests.unit.infra.conftest import FakeQuartal, fail_once

FACTS_PER_SECOND = 1_000_000.0
DAY_AFTER_ALL_FACTS = date(2030, 1, 1)


def token_for(role: str, site_id: str | None) -> str:
    return subject(STUDY_ID, role, site_id)


async def run_simulation(
    quartal: FakeQuartal,
    participants: int,
    *,
    seed: int = 7,
    today: date = DAY_AFTER_ALL_FACTS,
    stop: asyncio.Event | None = None,
    lines: list[str] | None = None,
    study_id: str = STUDY_ID,
    progress_file: Path | None = None,
    endless: bool = False,
) -> int:
    quartal.set_today(today)
    output = [] if lines is None else lines
    async with quartal.client() as client, asyncio.timeout(120):
        return await simulate(
            client,
            token_for,
            study_id,
            SITES,
            seed,
            FACTS_PER_SECOND,
            participants,
            lambda _: today,
            stop or asyncio.Event(),
            output.append,
            progress_file,
            endless=endless,
        )


def fact_types(simulated: SimulatedParticipant) -> list[str]:
    return [fact.type for fact in simulated.facts]


def stop_after(quartal: FakeQuartal, facts: int) -> asyncio.Event:
    """An event that is set once so many participant facts are recorded."""
    stop = asyncio.Event()

    def count() -> None:
        if len(quartal.recorded_facts) >= facts:
            stop.set()

    quartal.on_recorded = count
    return stop


def test_equal_seeds_give_equal_participants() -> None:
    assert [simulate_participant(3, index) for index in range(20)] == [
        simulate_participant(3, index) for index in range(20)
    ]
    assert simulate_participant(3, 0) != simulate_participant(4, 0)


def test_every_course_of_events_occurs() -> None:
    lives = [simulate_participant(1, index) for index in range(200)]
    occurring = Counter(name for each in lives for name in set(fact_types(each)))
    assert {"participant.screen_failed", "participant.withdrawn", "radiotherapy.discontinued"} <= set(occurring)
    assert occurring["participant.enrolled"] > 150
    deliveries = {
        target["delivery"] for each in lives for fact in each.facts for target in fact.data.get("targets", [])
    }
    assert {"SBRT", "conventional", "hypofractionated"} <= deliveries
    assert sum(PARTICIPANT_PATH_WEIGHTS.values()) == 100


def test_simulated_study_and_sites_are_valid_facts() -> None:
    catalogue.fact_class("enrollment", "study.opened").model_validate(OPENING_DATA)
    for site in SITES:
        SiteActivated.model_validate({**vars(site), "on": FIRST_SCREENING_DAY.isoformat()})
    assert len({site.time_zone for site in SITES}) == len(SITES) == 8
    assert all(ZoneInfo(site.time_zone) for site in SITES)


async def test_every_simulated_fact_is_accepted_by_the_services(
    quartal: FakeQuartal,
) -> None:
    lines: list[str] = []
    recorded_count = await run_simulation(quartal, 80, lines=lines)
    assert (
        recorded_count
        == len(quartal.recorded_facts)
        == sum(len(simulate_participant(7, index).facts) for index in range(80))
    )
    assert {service for service, _ in quartal.participant_requests} == {"enrollment", "toxicity", "followup"}
    assert lines == ["demo-live: 80 simulated participants at 8 sites"]


async def test_simulation_ends_after_the_given_number_of_participants(quartal: FakeQuartal) -> None:
    await run_simulation(quartal, 5)
    assert len(quartal.participant_ids_by_key) == 5


async def test_facts_are_sent_in_order_of_their_days(quartal: FakeQuartal) -> None:
    await run_simulation(quartal, 40)
    lives = {
        number: iter(simulate_participant(7, int(key.split("/")[-2])).report_days)
        for key, number in quartal.participant_ids_by_key.items()
    }
    days = [next(lives[number]) for number, _ in quartal.recorded_facts]
    assert days == sorted(days)


async def test_each_site_reports_with_its_own_token(quartal: FakeQuartal) -> None:
    await run_simulation(quartal, 60)
    staff = {subject(STUDY_ID, "site", site.site_id) for site in SITES}
    assert set(quartal.callers) == {*staff, subject(STUDY_ID, "administrator")}


async def test_downstream_requests_name_the_required_enrollment_version(quartal: FakeQuartal) -> None:
    await run_simulation(quartal, 20)
    for service, after in quartal.participant_requests:
        assert (after is None) == (service == "enrollment")
        assert after is None or after.startswith("enrollment=")


def count_until(predicate: Callable[[SimulatedParticipant], object]) -> int:
    """How many lives have to be told, from the first on, until one is told of whom that holds."""
    return next(index for index in count() if predicate(simulate_participant(7, index))) + 1


async def test_corrections_name_their_event_after_a_restart_too(quartal: FakeQuartal, tmp_path: Path) -> None:
    number, progress_file = count_until(lambda each: each.last_corrections), tmp_path / "told.json"
    corrected = simulate_participant(7, number - 1).last_corrections
    everything = sum(len(simulate_participant(7, index).facts) for index in range(number))
    while len(quartal.recorded_facts) < everything:
        await run_simulation(
            quartal, number, stop=stop_after(quartal, len(quartal.recorded_facts) + 9), progress_file=progress_file
        )
    assert sum(name == "record.corrected" for _, name in quartal.recorded_facts) >= len(corrected)
    assert json.loads(progress_file.read_text())["known"] == {}


async def test_repeated_run_records_a_transferred_participant_completely(quartal: FakeQuartal) -> None:
    number = count_until(lambda each: len({fact.site_id for fact in each.facts}) > 1)
    lines: list[str] = []
    recorded_count = await run_simulation(quartal, number)
    recorded = len(quartal.recorded_facts)
    second_count = await run_simulation(quartal, number, lines=lines)
    assert lines[1:] == []
    assert second_count == recorded_count == recorded == len(quartal.recorded_facts)


async def test_restarted_simulation_continues_and_records_nothing_twice(quartal: FakeQuartal) -> None:
    whole = FakeQuartal(DAY_AFTER_ALL_FACTS)
    await run_simulation(whole, 12)
    while len(quartal.recorded_facts) < len(whole.recorded_facts):
        before = len(quartal.recorded_facts)
        await run_simulation(quartal, 12, stop=stop_after(quartal, before + 17))
        assert before < len(quartal.recorded_facts) <= before + 17
    assert [name for _, name in quartal.recorded_facts] == [name for _, name in whole.recorded_facts]


def repeated_keys(quartal: FakeQuartal, since: int) -> list[str]:
    """Keys of participants' facts that were sent before the request `since` and after it."""
    return [
        key
        for key in quartal.idempotency_keys[since:]
        if "/simulated/" in key and key in quartal.idempotency_keys[:since]
    ]


async def test_progress_file_avoids_repeated_requests(quartal: FakeQuartal, tmp_path: Path) -> None:
    whole, lines, request_count = FakeQuartal(DAY_AFTER_ALL_FACTS), list[str](), 0
    await run_simulation(whole, 12)
    while len(quartal.recorded_facts) < len(whole.recorded_facts):
        stop = stop_after(quartal, len(quartal.recorded_facts) + 17)
        await run_simulation(quartal, 12, stop=stop, lines=lines, progress_file=tmp_path / "told.json")
        assert repeated_keys(quartal, request_count) == []
        request_count = len(quartal.idempotency_keys)
    assert [name for _, name in quartal.recorded_facts] == [name for _, name in whole.recorded_facts]
    assert lines[2] == "demo-live: 12 simulated participants at 8 sites, going on after fact 17"
    assert await run_simulation(quartal, 12, progress_file=tmp_path / "told.json") == 0
    assert os.listdir(tmp_path) == ["told.json"]


async def test_refused_participant_is_skipped_after_a_restart_too(quartal: FakeQuartal, tmp_path: Path) -> None:
    progress_file, gone = tmp_path / "told.json", httpx.Response(410)
    quartal.failure = lambda request: gone if request.headers["idempotency-key"].endswith("/7/2/1") else None
    everything = sum(len(simulate_participant(7, index).facts) for index in range(6) if index != 2) + 1
    await run_simulation(quartal, 6, stop=stop_after(quartal, everything - 2), progress_file=progress_file)
    await run_simulation(quartal, 6, progress_file=progress_file)
    assert len(quartal.recorded_facts) == everything
    assert quartal.idempotency_keys.count(f"{STUDY_ID}/simulated/7/2/1") == 1


@pytest.mark.parametrize("content", ["", "{", "[]", '{"order": "of another", "told": 30, "known": {}}'])
async def test_foreign_progress_file_is_ignored(quartal: FakeQuartal, tmp_path: Path, content: str) -> None:
    progress_file = tmp_path / "told.json"
    progress_file.write_text(content)
    assert await run_simulation(quartal, 3, progress_file=progress_file) == len(quartal.recorded_facts) > 0
    assert await run_simulation(quartal, 4, progress_file=progress_file) == len(quartal.recorded_facts)


async def test_simulation_killed_before_writing_progress_records_nothing_twice(
    quartal: FakeQuartal, tmp_path: Path
) -> None:
    progress_file = tmp_path / "told.json"
    await run_simulation(quartal, 12, stop=stop_after(quartal, 17), progress_file=progress_file)
    written = progress_file.read_text()
    await run_simulation(quartal, 12, stop=stop_after(quartal, 30), progress_file=progress_file)
    progress_file.write_text(written)
    await run_simulation(quartal, 12, progress_file=progress_file)
    assert len(quartal.recorded_facts) == sum(len(simulate_participant(7, index).facts) for index in range(12))


async def test_facts_are_not_sent_before_their_day_at_the_site(quartal: FakeQuartal) -> None:
    day, stop = date(2024, 3, 1), asyncio.Event()
    due = [
        each for index in range(40) for each in simulate_participant(7, index).report_days if each <= day.isoformat()
    ]
    all_due_are_told = stop_after(quartal, len(due))
    running = asyncio.create_task(run_simulation(quartal, 40, today=day, stop=stop))
    async with asyncio.timeout(60):
        await all_due_are_told.wait()
        for _ in range(100):
            await asyncio.sleep(0)
        stop.set()
        assert await running == len(due) == len(quartal.recorded_facts)


async def test_fact_is_sent_when_its_day_starts_in_the_time_zone_of_the_site(quartal: FakeQuartal) -> None:
    simulated = simulate_participant(7, 0)
    stop = stop_after(quartal, 1)
    time_zone = simulated.site.time_zone

    def today(zone: str) -> date:
        return date.fromisoformat(simulated.report_days[0]) if zone == time_zone else date(2024, 1, 1)

    quartal.set_today(DAY_AFTER_ALL_FACTS)
    async with quartal.client() as client, asyncio.timeout(60):
        await simulate(client, token_for, STUDY_ID, SITES, 7, FACTS_PER_SECOND, 1, today, stop, lambda _: None)
    assert [name for _, name in quartal.recorded_facts][:1] == ["participant.screened"]


def refuse_connection(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


@pytest.mark.parametrize(
    "trouble",
    [
        refuse_connection,
        lambda _: httpx.Response(503, headers={"retry-after": "0"}),
        lambda _: httpx.Response(429, headers={"retry-after": "0"}),
        lambda _: httpx.Response(409, headers={"retry-after": "0"}),
    ],
    ids=["connection-refused", "busy", "too-many", "not-known-yet"],
)
async def test_unavailable_services_are_retried(quartal: FakeQuartal, trouble: Any) -> None:
    quartal.failure = fail_once(trouble)
    assert await run_simulation(quartal, 2) == sum(len(simulate_participant(7, index).facts) for index in range(2))


async def test_simulation_stops_at_once_while_services_are_unavailable(quartal: FakeQuartal) -> None:
    stop = asyncio.Event()

    def away_for_good(request: httpx.Request) -> httpx.Response:
        stop.set()
        return refuse_connection(request)

    quartal.failure = fail_once(away_for_good)
    assert await run_simulation(quartal, 3, stop=stop) == 0
    assert len(quartal.idempotency_keys) == 1


async def test_participant_with_a_refused_fact_is_skipped_and_others_continue(
    quartal: FakeQuartal,
) -> None:
    lines: list[str] = []
    problem = {"type": "/problems/refused", "errors": [{"code": "participant-voided", "pointer": ""}]}
    kind = {"content-type": "application/problem+json"}

    def refuse_one_fact(request: httpx.Request) -> httpx.Response | None:
        is_it = request.headers["idempotency-key"] == f"{STUDY_ID}/simulated/7/2/1"
        return httpx.Response(422, json=problem, headers=kind) if is_it else None

    quartal.failure = refuse_one_fact
    recorded_count = await run_simulation(quartal, 6, lines=lines)
    assert recorded_count == sum(len(simulate_participant(7, index).facts) for index in range(6) if index != 2) + 1
    assert "422 refused (participant-voided at /)" in lines[1]


async def test_forbidden_simulation_raises_the_error(quartal: FakeQuartal) -> None:
    quartal.failure = fail_once(lambda _: httpx.Response(403))
    with pytest.raises(ApiError, match="403"):
        await run_simulation(quartal, 1)


async def test_simulation_joins_an_existing_study(quartal: FakeQuartal) -> None:
    async with quartal.client() as client:
        api = StudyClient(client, STUDY_ID, token_for)
        await api.open_study(OPENING_DATA, "another-key")
        await api.record_study_fact(
            "study.site_activated", {**vars(SITES[0]), "on": FIRST_SCREENING_DAY.isoformat()}, "yet-another"
        )
    assert await run_simulation(quartal, 2) == sum(len(simulate_participant(7, index).facts) for index in range(2))


async def test_previously_recorded_facts_are_not_rate_limited(quartal: FakeQuartal) -> None:
    await run_simulation(quartal, 3)
    quartal.headers = {"date": "Thu, 01 Jan 2026 01:00:00 GMT"}
    async with quartal.client() as client, asyncio.timeout(60):
        recorded_count = await simulate(
            client,
            token_for,
            STUDY_ID,
            SITES,
            7,
            0.001,
            3,
            lambda _: DAY_AFTER_ALL_FACTS,
            asyncio.Event(),
            lambda _: None,
        )
    assert recorded_count == len(quartal.recorded_facts)


async def test_new_facts_are_sent_at_the_requested_rate(quartal: FakeQuartal) -> None:
    quartal.set_today(DAY_AFTER_ALL_FACTS)
    rate, facts = 50.0, 10
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with quartal.client() as client, asyncio.timeout(60):
        await simulate(
            client,
            token_for,
            STUDY_ID,
            SITES,
            7,
            rate,
            9,
            lambda _: DAY_AFTER_ALL_FACTS,
            stop_after(quartal, facts),
            lambda _: None,
        )
    assert loop.time() - began >= (facts - 1) / rate
