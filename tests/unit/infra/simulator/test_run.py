"""Simulated participants and their facts in the services: order, rate, sites, restarts, refusals and outages."""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from infra.client import study_client
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
from tests.unit.infra.simulator.support import (
    DAY_AFTER_ALL_FACTS,
    SEED,
    fact_count,
    repeated_keys,
    run_simulation,
    simulation_plan,
    stop_after,
    token_for,
)


def fact_types(simulated: SimulatedParticipant) -> list[str]:
    return [fact.type for fact in simulated.facts]


def test_equal_seeds_give_equal_participants() -> None:
    assert [simulate_participant(3, index) for index in range(20)] == [
        simulate_participant(3, index) for index in range(20)
    ]
    assert simulate_participant(3, 0) != simulate_participant(4, 0)


def test_every_course_of_events_occurs() -> None:
    participants = [simulate_participant(1, index) for index in range(200)]
    occurring = Counter(name for simulated in participants for name in set(fact_types(simulated)))
    assert {"participant.screen_failed", "participant.withdrawn", "radiotherapy.discontinued"} <= set(occurring)
    assert occurring["participant.enrolled"] > 150
    facts = [fact for simulated in participants for fact in simulated.facts]
    deliveries = {target["delivery"] for fact in facts for target in fact.data.get("targets", [])}
    assert {"SBRT", "conventional", "hypofractionated"} <= deliveries
    assert sum(PARTICIPANT_PATH_WEIGHTS.values()) == 100


def test_simulated_study_and_sites_are_valid_facts() -> None:
    catalogue.fact_class("enrollment", "study.opened").model_validate(OPENING_DATA)
    for site in SITES:
        SiteActivated.model_validate({**vars(site), "on": FIRST_SCREENING_DAY.isoformat()})
    assert len({site.time_zone for site in SITES}) == len(SITES) == 8
    assert all(ZoneInfo(site.time_zone) for site in SITES)


@dataclass(frozen=True)
class CompletedRun:
    """Services with all facts of the first 80 participants; the number and the lines that the simulation returned."""

    quartal: FakeQuartal
    recorded_count: int
    lines: list[str]


@pytest.fixture(scope="module")
async def completed_run() -> CompletedRun:
    quartal, lines = FakeQuartal(DAY_AFTER_ALL_FACTS), list[str]()
    return CompletedRun(quartal, await run_simulation(quartal, 80, lines=lines), lines)


@pytest.fixture(scope="module")
async def facts_of_six() -> list[str]:
    """Types of the facts of the first six participants, as a simulation without interruption records them."""
    quartal = FakeQuartal(DAY_AFTER_ALL_FACTS)
    await run_simulation(quartal, 6)
    return [name for _, name in quartal.recorded_facts]


def test_every_simulated_fact_is_accepted_by_the_services(completed_run: CompletedRun) -> None:
    quartal = completed_run.quartal
    assert completed_run.recorded_count == len(quartal.recorded_facts) == fact_count(80)
    assert {service for service, _ in quartal.participant_requests} == {"enrollment", "toxicity", "followup"}
    assert completed_run.lines == ["demo-live: 80 simulated participants at 8 sites"]


async def test_simulation_ends_after_the_given_number_of_participants(quartal: FakeQuartal) -> None:
    await run_simulation(quartal, 5)
    assert len(quartal.participant_ids_by_key) == 5


def test_facts_are_sent_in_order_of_their_days(completed_run: CompletedRun) -> None:
    quartal = completed_run.quartal
    remaining_days = {
        participant_id: iter(simulate_participant(SEED, int(key.split("/")[-2])).report_days)
        for key, participant_id in quartal.participant_ids_by_key.items()
    }
    days = [next(remaining_days[participant_id]) for participant_id, _ in quartal.recorded_facts]
    assert days == sorted(days)


def test_each_site_reports_with_its_own_token(completed_run: CompletedRun) -> None:
    staff = {subject(STUDY_ID, "site", site.site_id) for site in SITES}
    assert set(completed_run.quartal.callers) == {*staff, subject(STUDY_ID, "administrator")}


def test_downstream_requests_name_the_required_enrollment_version(completed_run: CompletedRun) -> None:
    for service, after in completed_run.quartal.participant_requests:
        assert (after is None) == (service == "enrollment")
        assert after is None or after.startswith("enrollment=")


def count_until(predicate: Callable[[SimulatedParticipant], object], *, seed: int = SEED) -> int:
    """Returns how many participants of a seed have to be drawn until one satisfies the predicate."""
    return next(index for index in count() if predicate(simulate_participant(seed, index))) + 1


async def test_corrections_name_their_event_after_a_restart_too(quartal: FakeQuartal, tmp_path: Path) -> None:
    number, progress_file = count_until(lambda simulated: simulated.last_corrections), tmp_path / "progress.json"
    corrected = simulate_participant(SEED, number - 1).last_corrections
    while len(quartal.recorded_facts) < fact_count(number):
        await run_simulation(
            quartal, number, stop=stop_after(quartal, len(quartal.recorded_facts) + 9), progress_file=progress_file
        )
    assert sum(name == "record.corrected" for _, name in quartal.recorded_facts) >= len(corrected)
    assert json.loads(progress_file.read_text())["known"] == {}


async def test_repeated_run_records_a_transferred_participant_completely(quartal: FakeQuartal) -> None:
    seed = 46  # its first participant is transferred
    number = count_until(lambda simulated: len({fact.site_id for fact in simulated.facts}) > 1, seed=seed)
    assert number == 1
    lines: list[str] = []
    first_count = await run_simulation(quartal, number, seed=seed)
    second_count = await run_simulation(quartal, number, seed=seed, lines=lines)
    assert lines[1:] == []
    assert first_count == second_count == fact_count(number, seed=seed) == len(quartal.recorded_facts)


async def test_restarted_simulation_continues_and_records_nothing_twice(
    quartal: FakeQuartal, facts_of_six: list[str]
) -> None:
    while len(quartal.recorded_facts) < len(facts_of_six):
        before = len(quartal.recorded_facts)
        await run_simulation(quartal, 6, stop=stop_after(quartal, before + 17))
        assert before < len(quartal.recorded_facts) <= before + 17
    assert [name for _, name in quartal.recorded_facts] == facts_of_six


async def test_progress_file_avoids_repeated_requests(
    quartal: FakeQuartal, facts_of_six: list[str], tmp_path: Path
) -> None:
    progress_file, lines, request_count = tmp_path / "progress.json", list[str](), 0
    while len(quartal.recorded_facts) < len(facts_of_six):
        stop = stop_after(quartal, len(quartal.recorded_facts) + 17)
        await run_simulation(quartal, 6, stop=stop, lines=lines, progress_file=progress_file)
        assert repeated_keys(quartal, request_count) == []
        request_count = len(quartal.idempotency_keys)
    assert [name for _, name in quartal.recorded_facts] == facts_of_six
    assert lines[2] == "demo-live: 6 simulated participants at 8 sites, going on after fact 17"
    assert await run_simulation(quartal, 6, progress_file=progress_file) == 0
    assert os.listdir(tmp_path) == ["progress.json"]


async def test_refused_participant_is_skipped_after_a_restart_too(quartal: FakeQuartal, tmp_path: Path) -> None:
    progress_file, gone = tmp_path / "progress.json", httpx.Response(410)
    quartal.failure = lambda request: gone if request.headers["idempotency-key"].endswith("/7/2/1") else None
    accepted_count = fact_count(6) - len(simulate_participant(SEED, 2).facts) + 1
    await run_simulation(quartal, 6, stop=stop_after(quartal, accepted_count - 2), progress_file=progress_file)
    await run_simulation(quartal, 6, progress_file=progress_file)
    assert len(quartal.recorded_facts) == accepted_count
    assert quartal.idempotency_keys.count(f"{STUDY_ID}/simulated/7/2/1") == 1


@pytest.mark.parametrize("content", ["", "{", "[]", '{"order": "of another", "told": 30, "known": {}}'])
async def test_foreign_progress_file_is_ignored(quartal: FakeQuartal, tmp_path: Path, content: str) -> None:
    progress_file = tmp_path / "progress.json"
    progress_file.write_text(content)
    assert await run_simulation(quartal, 3, progress_file=progress_file) == len(quartal.recorded_facts) > 0
    assert await run_simulation(quartal, 4, progress_file=progress_file) == len(quartal.recorded_facts)


async def test_simulation_killed_before_writing_progress_records_nothing_twice(
    quartal: FakeQuartal, tmp_path: Path
) -> None:
    progress_file = tmp_path / "progress.json"
    await run_simulation(quartal, 6, stop=stop_after(quartal, 17), progress_file=progress_file)
    progress = progress_file.read_text()
    await run_simulation(quartal, 6, stop=stop_after(quartal, 30), progress_file=progress_file)
    progress_file.write_text(progress)
    await run_simulation(quartal, 6, progress_file=progress_file)
    assert len(quartal.recorded_facts) == fact_count(6)


async def test_facts_are_not_sent_before_their_day_at_the_site(quartal: FakeQuartal) -> None:
    day, stop = date(2024, 3, 1), asyncio.Event()
    report_days = [report_day for index in range(40) for report_day in simulate_participant(SEED, index).report_days]
    due = [report_day for report_day in report_days if report_day <= day.isoformat()]
    all_due_are_recorded = stop_after(quartal, len(due))
    running = asyncio.create_task(run_simulation(quartal, 40, today=day, stop=stop))
    async with asyncio.timeout(60):
        await all_due_are_recorded.wait()
        for _ in range(100):
            await asyncio.sleep(0)
        stop.set()
        assert await running == len(due) == len(quartal.recorded_facts)


async def test_fact_is_sent_when_its_day_starts_in_the_time_zone_of_the_site(quartal: FakeQuartal) -> None:
    simulated = simulate_participant(SEED, 0)
    stop = stop_after(quartal, 1)
    time_zone = simulated.site.time_zone

    def today(zone: str) -> date:
        return date.fromisoformat(simulated.report_days[0]) if zone == time_zone else date(2024, 1, 1)

    quartal.set_today(DAY_AFTER_ALL_FACTS)
    async with quartal.client() as client, asyncio.timeout(60):
        await simulate(client, token_for, simulation_plan(1), today=today, stop=stop, report=lambda _: None)
    assert [name for _, name in quartal.recorded_facts][:1] == ["participant.screened"]


def refuse_connection(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


@pytest.mark.parametrize(
    "failure",
    [
        refuse_connection,
        lambda _: httpx.Response(503, headers={"retry-after": "0"}),
        lambda _: httpx.Response(429, headers={"retry-after": "0"}),
        lambda _: httpx.Response(409, headers={"retry-after": "0"}),
    ],
    ids=["connection-refused", "busy", "too-many", "not-known-yet"],
)
async def test_unavailable_services_are_retried(
    quartal: FakeQuartal, failure: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study_client, "RETRY_MIN_SECONDS", 0.01)
    quartal.failure = fail_once(failure)
    assert await run_simulation(quartal, 2) == fact_count(2)


async def test_simulation_stops_at_once_while_services_are_unavailable(quartal: FakeQuartal) -> None:
    stop = asyncio.Event()

    def stop_and_refuse(request: httpx.Request) -> httpx.Response:
        stop.set()
        return refuse_connection(request)

    quartal.failure = fail_once(stop_and_refuse)
    assert await run_simulation(quartal, 3, stop=stop) == 0
    assert len(quartal.idempotency_keys) == 1


async def test_participant_with_a_refused_fact_is_skipped_and_others_continue(
    quartal: FakeQuartal,
) -> None:
    lines: list[str] = []
    problem = {"type": "/problems/refused", "errors": [{"code": "participant-voided", "pointer": ""}]}
    headers = {"content-type": "application/problem+json"}

    def refuse_one_fact(request: httpx.Request) -> httpx.Response | None:
        is_second_fact = request.headers["idempotency-key"] == f"{STUDY_ID}/simulated/7/2/1"
        return httpx.Response(422, json=problem, headers=headers) if is_second_fact else None

    quartal.failure = refuse_one_fact
    recorded_count = await run_simulation(quartal, 6, lines=lines)
    assert recorded_count == fact_count(6) - len(simulate_participant(SEED, 2).facts) + 1
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
    assert await run_simulation(quartal, 2) == fact_count(2)


async def test_previously_recorded_facts_are_not_rate_limited(quartal: FakeQuartal) -> None:
    await run_simulation(quartal, 3)
    quartal.headers = {"date": "Thu, 01 Jan 2026 01:00:00 GMT"}
    async with quartal.client() as client, asyncio.timeout(60):
        recorded_count = await simulate(
            client,
            token_for,
            simulation_plan(3, rate=0.001),
            today=lambda _: DAY_AFTER_ALL_FACTS,
            stop=asyncio.Event(),
            report=lambda _: None,
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
            simulation_plan(9, rate=rate),
            today=lambda _: DAY_AFTER_ALL_FACTS,
            stop=stop_after(quartal, facts),
            report=lambda _: None,
        )
    assert loop.time() - began >= (facts - 1) / rate
