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

from infra.reference.load import NotAccepted, StudyApi
from infra.reference.study import subject
from infra.simulator.patients import COURSES, OPENED, SINCE, SITES, STUDY_ID, Life, life
from infra.simulator.run import simulate
from shared.contracts import catalogue
from shared.contracts.study import SiteActivated
from tests.unit.infra.conftest import Quartal, once

FAST = 1_000_000.0
LATE = date(2030, 1, 1)


def token_for(role: str, site_id: str | None) -> str:
    return subject(STUDY_ID, role, site_id)


async def run(
    quartal: Quartal,
    participants: int,
    *,
    seed: int = 7,
    today: date = LATE,
    stop: asyncio.Event | None = None,
    lines: list[str] | None = None,
    study_id: str = STUDY_ID,
    kept_in: Path | None = None,
    endless: bool = False,
) -> int:
    quartal.let_it_be(today)
    said = [] if lines is None else lines
    async with quartal.client() as client, asyncio.timeout(120):
        return await simulate(
            client, token_for, study_id, SITES, seed, FAST, participants, lambda _: today, stop or asyncio.Event(),
            said.append, kept_in, endless=endless,
        )  # fmt: skip


def types(one: Life) -> list[str]:
    return [fact.type for fact in one.facts]


def stop_after(quartal: Quartal, facts: int) -> asyncio.Event:
    """An event that is set once so many participant facts are recorded."""
    stop = asyncio.Event()

    def count() -> None:
        if len(quartal.stated) >= facts:
            stop.set()

    quartal.on_recorded = count
    return stop


def test_equal_seeds_give_equal_lives() -> None:
    assert [life(3, index) for index in range(20)] == [life(3, index) for index in range(20)]
    assert life(3, 0) != life(4, 0)


def test_every_course_of_events_occurs() -> None:
    lives = [life(1, index) for index in range(200)]
    occurring = Counter(name for each in lives for name in set(types(each)))
    assert {"participant.screen_failed", "participant.withdrawn", "radiotherapy.discontinued"} <= set(occurring)
    assert occurring["participant.enrolled"] > 150
    deliveries = {
        target["delivery"] for each in lives for fact in each.facts for target in fact.data.get("targets", [])
    }
    assert {"SBRT", "conventional", "hypofractionated"} <= deliveries
    assert sum(COURSES.values()) == 100


def test_the_study_and_its_eight_sites_are_of_the_published_language() -> None:
    catalogue.fact_class("enrollment", "study.opened").model_validate(OPENED)
    for site in SITES:
        SiteActivated.model_validate({**vars(site), "on": SINCE.isoformat()})
    assert len({site.time_zone for site in SITES}) == len(SITES) == 8
    assert all(ZoneInfo(site.time_zone) for site in SITES)


async def test_every_life_passes_contract_rules_and_gate_when_its_facts_are_stated_one_by_one(
    quartal: Quartal,
) -> None:
    lines: list[str] = []
    told = await run(quartal, 80, lines=lines)
    assert told == len(quartal.stated) == sum(len(life(7, index).facts) for index in range(80))
    assert {service for service, _ in quartal.heard} == {"enrollment", "toxicity", "followup"}
    assert lines == ["demo-live: 80 simulated participants at 8 sites"]


async def test_it_ends_when_a_bounded_number_of_lives_are_told(quartal: Quartal) -> None:
    await run(quartal, 5)
    assert len(quartal.numbers) == 5


async def test_facts_are_told_in_the_order_of_their_days(quartal: Quartal) -> None:
    await run(quartal, 40)
    lives = {number: iter(life(7, int(key.split("/")[-2])).days) for key, number in quartal.numbers.items()}
    days = [next(lives[number]) for number, _ in quartal.stated]
    assert days == sorted(days)


async def test_each_site_speaks_for_itself(quartal: Quartal) -> None:
    await run(quartal, 60)
    staff = {subject(STUDY_ID, "site", site.site_id) for site in SITES}
    assert set(quartal.callers) == {*staff, subject(STUDY_ID, "administrator")}


async def test_other_services_are_told_which_version_of_enrollment_they_must_have_heard_of(quartal: Quartal) -> None:
    await run(quartal, 20)
    for service, after in quartal.heard:
        assert (after is None) == (service == "enrollment")
        assert after is None or after.startswith("enrollment=")


def first(what: Callable[[Life], object]) -> int:
    """How many lives have to be told, from the first on, until one is told of whom that holds."""
    return next(index for index in count() if what(life(7, index))) + 1


async def test_corrections_name_the_event_that_they_are_about_also_after_a_restart(
    quartal: Quartal, tmp_path: Path
) -> None:
    number, kept_in = first(lambda each: each.corrected), tmp_path / "told.json"
    corrected = life(7, number - 1).corrected
    everything = sum(len(life(7, index).facts) for index in range(number))
    while len(quartal.stated) < everything:
        await run(quartal, number, stop=stop_after(quartal, len(quartal.stated) + 9), kept_in=kept_in)
    assert sum(name == "record.corrected" for _, name in quartal.stated) >= len(corrected)
    assert json.loads(kept_in.read_text())["known"] == {}


async def test_somebody_who_has_moved_on_is_told_on_when_all_is_asked_again(quartal: Quartal) -> None:
    number = first(lambda each: len({fact.site_id for fact in each.facts}) > 1)
    lines: list[str] = []
    told = await run(quartal, number)
    recorded = len(quartal.stated)
    again = await run(quartal, number, lines=lines)
    assert lines[1:] == []
    assert again == told == recorded == len(quartal.stated)


async def test_interrupted_and_started_again_it_goes_on_and_states_nothing_twice(quartal: Quartal) -> None:
    whole = Quartal(LATE)
    await run(whole, 12)
    while len(quartal.stated) < len(whole.stated):
        before = len(quartal.stated)
        await run(quartal, 12, stop=stop_after(quartal, before + 17))
        assert before < len(quartal.stated) <= before + 17
    assert [name for _, name in quartal.stated] == [name for _, name in whole.stated]


def asked_again(quartal: Quartal, since: int) -> list[str]:
    """Keys of participants' facts that were sent before the request `since` and after it."""
    return [key for key in quartal.keys[since:] if "/simulated/" in key and key in quartal.keys[:since]]


async def test_with_a_progress_file_it_goes_on_without_asking_for_what_was_told(
    quartal: Quartal, tmp_path: Path
) -> None:
    whole, lines, asked = Quartal(LATE), list[str](), 0
    await run(whole, 12)
    while len(quartal.stated) < len(whole.stated):
        stop = stop_after(quartal, len(quartal.stated) + 17)
        await run(quartal, 12, stop=stop, lines=lines, kept_in=tmp_path / "told.json")
        assert asked_again(quartal, asked) == []
        asked = len(quartal.keys)
    assert [name for _, name in quartal.stated] == [name for _, name in whole.stated]
    assert lines[2] == "demo-live: 12 simulated participants at 8 sites, going on after fact 17"
    assert await run(quartal, 12, kept_in=tmp_path / "told.json") == 0
    assert os.listdir(tmp_path) == ["told.json"]


async def test_a_participant_who_was_refused_is_told_no_further_after_a_restart_either(
    quartal: Quartal, tmp_path: Path
) -> None:
    kept_in, gone = tmp_path / "told.json", httpx.Response(410)
    quartal.trouble = lambda asked: gone if asked.headers["idempotency-key"].endswith("/7/2/1") else None
    everything = sum(len(life(7, index).facts) for index in range(6) if index != 2) + 1
    await run(quartal, 6, stop=stop_after(quartal, everything - 2), kept_in=kept_in)
    await run(quartal, 6, kept_in=kept_in)
    assert len(quartal.stated) == everything
    assert quartal.keys.count(f"{STUDY_ID}/simulated/7/2/1") == 1


@pytest.mark.parametrize("content", ["", "{", "[]", '{"order": "of another", "told": 30, "known": {}}'])
async def test_a_progress_file_that_is_not_of_this_simulation_counts_as_none(
    quartal: Quartal, tmp_path: Path, content: str
) -> None:
    kept_in = tmp_path / "told.json"
    kept_in.write_text(content)
    assert await run(quartal, 3, kept_in=kept_in) == len(quartal.stated) > 0
    assert await run(quartal, 4, kept_in=kept_in) == len(quartal.stated)


async def test_killed_before_the_progress_was_written_it_states_nothing_twice(quartal: Quartal, tmp_path: Path) -> None:
    kept_in = tmp_path / "told.json"
    await run(quartal, 12, stop=stop_after(quartal, 17), kept_in=kept_in)
    written = kept_in.read_text()
    await run(quartal, 12, stop=stop_after(quartal, 30), kept_in=kept_in)
    kept_in.write_text(written)
    await run(quartal, 12, kept_in=kept_in)
    assert len(quartal.stated) == sum(len(life(7, index).facts) for index in range(12))


async def test_nothing_is_stated_before_its_day_has_come_at_the_site(quartal: Quartal) -> None:
    day, stop = date(2024, 3, 1), asyncio.Event()
    due = [each for index in range(40) for each in life(7, index).days if each <= day.isoformat()]
    all_due_are_told = stop_after(quartal, len(due))
    running = asyncio.create_task(run(quartal, 40, today=day, stop=stop))
    async with asyncio.timeout(60):
        await all_due_are_told.wait()
        for _ in range(100):
            await asyncio.sleep(0)
        stop.set()
        assert await running == len(due) == len(quartal.stated)


async def test_a_site_whose_day_has_come_first_speaks_first(quartal: Quartal) -> None:
    one = life(7, 0)
    stop = stop_after(quartal, 1)
    here = one.site.time_zone

    def today(zone: str) -> date:
        return date.fromisoformat(one.days[0]) if zone == here else date(2024, 1, 1)

    quartal.let_it_be(LATE)
    async with quartal.client() as client, asyncio.timeout(60):
        await simulate(client, token_for, STUDY_ID, SITES, 7, FAST, 1, today, stop, lambda _: None)
    assert [name for _, name in quartal.stated][:1] == ["participant.screened"]


def _away(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


@pytest.mark.parametrize(
    "trouble",
    [
        _away,
        lambda _: httpx.Response(503, headers={"retry-after": "0"}),
        lambda _: httpx.Response(429, headers={"retry-after": "0"}),
        lambda _: httpx.Response(409, headers={"retry-after": "0"}),
    ],
    ids=["connection-refused", "busy", "too-many", "not-known-yet"],
)
async def test_services_that_are_away_or_busy_are_waited_for(quartal: Quartal, trouble: Any) -> None:
    quartal.trouble = once(trouble)
    assert await run(quartal, 2) == sum(len(life(7, index).facts) for index in range(2))


async def test_it_stops_at_once_while_the_services_are_away(quartal: Quartal) -> None:
    stop = asyncio.Event()

    def away_for_good(request: httpx.Request) -> httpx.Response:
        stop.set()
        return _away(request)

    quartal.trouble = once(away_for_good)
    assert await run(quartal, 3, stop=stop) == 0
    assert len(quartal.keys) == 1


async def test_a_participant_whose_fact_is_refused_is_told_no_further_and_the_others_are(
    quartal: Quartal,
) -> None:
    lines: list[str] = []
    problem = {"type": "/problems/refused", "errors": [{"code": "participant-voided", "pointer": ""}]}
    kind = {"content-type": "application/problem+json"}

    def refused(request: httpx.Request) -> httpx.Response | None:
        is_it = request.headers["idempotency-key"] == f"{STUDY_ID}/simulated/7/2/1"
        return httpx.Response(422, json=problem, headers=kind) if is_it else None

    quartal.trouble = refused
    told = await run(quartal, 6, lines=lines)
    assert told == sum(len(life(7, index).facts) for index in range(6) if index != 2) + 1
    assert "422 refused (participant-voided at /)" in lines[1]


async def test_a_simulation_that_is_not_let_in_says_so(quartal: Quartal) -> None:
    quartal.trouble = once(lambda _: httpx.Response(403))
    with pytest.raises(NotAccepted, match="403"):
        await run(quartal, 1)


async def test_a_study_that_somebody_opened_already_is_joined(quartal: Quartal) -> None:
    async with quartal.client() as client:
        api = StudyApi(client, STUDY_ID, token_for)
        await api.open(OPENED, "another-key")
        await api.state("study.site_activated", {**vars(SITES[0]), "on": SINCE.isoformat()}, "yet-another")
    assert await run(quartal, 2) == sum(len(life(7, index).facts) for index in range(2))


async def test_what_was_recorded_before_is_not_waited_for(quartal: Quartal) -> None:
    await run(quartal, 3)
    quartal.headers = {"date": "Thu, 01 Jan 2026 01:00:00 GMT"}
    async with quartal.client() as client, asyncio.timeout(60):
        told = await simulate(
            client, token_for, STUDY_ID, SITES, 7, 0.001, 3, lambda _: LATE, asyncio.Event(), lambda _: None
        )
    assert told == len(quartal.stated)


async def test_what_is_new_is_told_at_the_rate_that_was_asked_for(quartal: Quartal) -> None:
    quartal.let_it_be(LATE)
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
            lambda _: LATE,
            stop_after(quartal, facts),
            lambda _: None,
        )
    assert loop.time() - began >= (facts - 1) / rate
