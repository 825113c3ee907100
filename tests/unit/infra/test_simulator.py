from __future__ import annotations

import asyncio
import os
from collections import Counter
from datetime import date
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
from tests.unit.infra.conftest import Enrollment, once

FAST = 1_000_000.0
LATE = date(2027, 1, 1)


def token_for(role: str, site_id: str | None) -> str:
    return subject(STUDY_ID, role, site_id)


async def run(
    enrollment: Enrollment,
    participants: int,
    *,
    seed: int = 7,
    today: date = LATE,
    stop: asyncio.Event | None = None,
    lines: list[str] | None = None,
    study_id: str = STUDY_ID,
    kept_in: Path | None = None,
) -> int:
    enrollment.let_it_be(today)
    said = [] if lines is None else lines
    async with enrollment.client() as client, asyncio.timeout(30):
        return await simulate(
            client, token_for, study_id, SITES, seed, FAST, participants, lambda _: today, stop or asyncio.Event(),
            said.append, kept_in,
        )  # fmt: skip


def types(one: Life) -> list[str]:
    return [fact["type"] for fact in one.facts]


def stop_after(enrollment: Enrollment, facts: int) -> asyncio.Event:
    """An event that is set once so many participant facts are recorded."""
    stop = asyncio.Event()

    def count() -> None:
        if len(enrollment.stated) >= facts:
            stop.set()

    enrollment.on_recorded = count
    return stop


def test_equal_seeds_give_equal_lives() -> None:
    assert [life(3, index) for index in range(20)] == [life(3, index) for index in range(20)]
    assert life(3, 0) != life(4, 0)


def test_a_life_does_not_depend_on_how_many_others_there_are() -> None:
    alone = life(3, 17)
    assert [life(3, index) for index in range(30)][17] == alone


def test_lives_are_short_and_every_course_of_events_occurs() -> None:
    lives = [life(1, index) for index in range(300)]
    assert max(len(each.facts) for each in lives) <= 30
    occurring = Counter(name for each in lives for name in set(types(each)))
    assert {"participant.screen_failed", "participant.withdrawn", "radiotherapy.discontinued"} <= set(occurring)
    assert occurring["participant.enrolled"] > 200
    deliveries = {
        target["delivery"] for each in lives for fact in each.facts for target in fact["data"].get("targets", [])
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
    enrollment: Enrollment,
) -> None:
    lines: list[str] = []
    told = await run(enrollment, 250, lines=lines)
    assert told == len(enrollment.stated) == sum(len(life(7, index).facts) for index in range(250))
    assert lines == ["demo-live: 250 simulated participants at 8 sites"]


async def test_it_ends_when_a_bounded_number_of_lives_are_told(enrollment: Enrollment) -> None:
    await run(enrollment, 5)
    assert len(enrollment.numbers) == 5


async def test_facts_are_told_in_the_order_of_their_days(enrollment: Enrollment) -> None:
    await run(enrollment, 40)
    lives = {number: iter(life(7, int(key.split("/")[-2])).days) for key, number in enrollment.numbers.items()}
    days = [next(lives[number]) for number, _ in enrollment.stated]
    assert days == sorted(days)


async def test_each_site_speaks_for_itself(enrollment: Enrollment) -> None:
    await run(enrollment, 60)
    staff = {subject(STUDY_ID, "site", site.site_id) for site in SITES}
    assert set(enrollment.callers) == {*staff, subject(STUDY_ID, "administrator")}


async def test_interrupted_and_started_again_it_goes_on_and_states_nothing_twice(enrollment: Enrollment) -> None:
    whole = Enrollment(LATE)
    await run(whole, 12)
    while len(enrollment.stated) < len(whole.stated):
        before = len(enrollment.stated)
        await run(enrollment, 12, stop=stop_after(enrollment, before + 17))
        assert before < len(enrollment.stated) <= before + 17
    assert [name for _, name in enrollment.stated] == [name for _, name in whole.stated]


def asked_again(enrollment: Enrollment, since: int) -> list[str]:
    """Keys of participants' facts that were sent before the request `since` and after it."""
    return [key for key in enrollment.keys[since:] if "/simulated/" in key and key in enrollment.keys[:since]]


async def test_with_a_progress_file_it_goes_on_without_asking_for_what_was_told(
    enrollment: Enrollment, tmp_path: Path
) -> None:
    whole, lines, asked = Enrollment(LATE), list[str](), 0
    await run(whole, 12)
    while len(enrollment.stated) < len(whole.stated):
        stop = stop_after(enrollment, len(enrollment.stated) + 17)
        await run(enrollment, 12, stop=stop, lines=lines, kept_in=tmp_path / "told.json")
        assert asked_again(enrollment, asked) == []
        asked = len(enrollment.keys)
    assert [name for _, name in enrollment.stated] == [name for _, name in whole.stated]
    assert lines[2] == "demo-live: 12 simulated participants at 8 sites, going on after fact 17"
    assert await run(enrollment, 12, kept_in=tmp_path / "told.json") == 0
    assert os.listdir(tmp_path) == ["told.json"]


async def test_a_participant_who_was_refused_is_told_no_further_after_a_restart_either(
    enrollment: Enrollment, tmp_path: Path
) -> None:
    kept_in, gone = tmp_path / "told.json", httpx.Response(410)
    enrollment.trouble = lambda asked: gone if asked.headers["idempotency-key"].endswith("/7/2/1") else None
    everything = sum(len(life(7, index).facts) for index in range(6) if index != 2) + 1
    await run(enrollment, 6, stop=stop_after(enrollment, everything - 2), kept_in=kept_in)
    await run(enrollment, 6, kept_in=kept_in)
    assert len(enrollment.stated) == everything
    assert enrollment.keys.count(f"{STUDY_ID}/simulated/7/2/1") == 1


@pytest.mark.parametrize("content", ["", "{", "[]", '{"order": "of another", "told": 30, "numbers": {}}'])
async def test_a_progress_file_that_is_not_of_this_simulation_counts_as_none(
    enrollment: Enrollment, tmp_path: Path, content: str
) -> None:
    kept_in = tmp_path / "told.json"
    kept_in.write_text(content)
    assert await run(enrollment, 3, kept_in=kept_in) == len(enrollment.stated) > 0
    assert await run(enrollment, 4, kept_in=kept_in) == len(enrollment.stated)


async def test_killed_before_the_progress_was_written_it_states_nothing_twice(
    enrollment: Enrollment, tmp_path: Path
) -> None:
    kept_in = tmp_path / "told.json"
    await run(enrollment, 12, stop=stop_after(enrollment, 17), kept_in=kept_in)
    written = kept_in.read_text()
    await run(enrollment, 12, stop=stop_after(enrollment, 30), kept_in=kept_in)
    kept_in.write_text(written)
    await run(enrollment, 12, kept_in=kept_in)
    assert len(enrollment.stated) == sum(len(life(7, index).facts) for index in range(12))


async def test_nothing_is_stated_before_its_day_has_come_at_the_site(enrollment: Enrollment) -> None:
    day, stop = date(2024, 3, 1), asyncio.Event()
    due = [each for index in range(40) for each in life(7, index).days if each <= day.isoformat()]
    all_due_are_told = stop_after(enrollment, len(due))
    running = asyncio.create_task(run(enrollment, 40, today=day, stop=stop))
    async with asyncio.timeout(20):
        await all_due_are_told.wait()
        for _ in range(100):
            await asyncio.sleep(0)
        stop.set()
        assert await running == len(due) == len(enrollment.stated)


async def test_a_site_whose_day_has_come_first_speaks_first(enrollment: Enrollment) -> None:
    one = life(7, 0)
    stop = stop_after(enrollment, 1)
    here = one.site.time_zone

    def today(zone: str) -> date:
        return date.fromisoformat(one.days[0]) if zone == here else date(2024, 1, 1)

    enrollment.let_it_be(LATE)
    async with enrollment.client() as client, asyncio.timeout(20):
        await simulate(client, token_for, STUDY_ID, SITES, 7, FAST, 1, today, stop, lambda _: None)
    assert [name for _, name in enrollment.stated][:1] == ["participant.screened"]


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
async def test_services_that_are_away_or_busy_are_waited_for(enrollment: Enrollment, trouble: Any) -> None:
    enrollment.trouble = once(trouble)
    assert await run(enrollment, 2) == sum(len(life(7, index).facts) for index in range(2))


async def test_it_stops_at_once_while_the_services_are_away(enrollment: Enrollment) -> None:
    stop = asyncio.Event()

    def away_for_good(request: httpx.Request) -> httpx.Response:
        stop.set()
        return _away(request)

    enrollment.trouble = once(away_for_good)
    assert await run(enrollment, 3, stop=stop) == 0
    assert len(enrollment.keys) == 1


async def test_a_participant_whose_fact_is_refused_is_told_no_further_and_the_others_are(
    enrollment: Enrollment,
) -> None:
    lines: list[str] = []
    problem = {"type": "/problems/refused", "errors": [{"code": "participant-voided", "pointer": ""}]}
    kind = {"content-type": "application/problem+json"}

    def refused(request: httpx.Request) -> httpx.Response | None:
        is_it = request.headers["idempotency-key"] == f"{STUDY_ID}/simulated/7/2/1"
        return httpx.Response(422, json=problem, headers=kind) if is_it else None

    enrollment.trouble = refused
    told = await run(enrollment, 6, lines=lines)
    assert told == sum(len(life(7, index).facts) for index in range(6) if index != 2) + 1
    assert "422 refused (participant-voided at /)" in lines[1]


async def test_a_simulation_that_is_not_let_in_says_so(enrollment: Enrollment) -> None:
    enrollment.trouble = once(lambda _: httpx.Response(403))
    with pytest.raises(NotAccepted, match="403"):
        await run(enrollment, 1)


async def test_a_study_that_somebody_opened_already_is_joined(enrollment: Enrollment) -> None:
    async with enrollment.client() as client:
        api = StudyApi(client, STUDY_ID, token_for)
        await api.open(OPENED, "another-key")
        await api.state("study.site_activated", {**vars(SITES[0]), "on": SINCE.isoformat()}, "yet-another")
    assert await run(enrollment, 2) == sum(len(life(7, index).facts) for index in range(2))


async def test_what_was_recorded_before_is_not_waited_for(enrollment: Enrollment) -> None:
    await run(enrollment, 3)
    enrollment.headers = {"date": "Thu, 01 Jan 2026 01:00:00 GMT"}
    async with enrollment.client() as client, asyncio.timeout(20):
        told = await simulate(
            client, token_for, STUDY_ID, SITES, 7, 0.001, 3, lambda _: LATE, asyncio.Event(), lambda _: None
        )
    assert told == len(enrollment.stated)


async def test_what_is_new_is_told_at_the_rate_that_was_asked_for(enrollment: Enrollment) -> None:
    enrollment.let_it_be(LATE)
    rate, facts = 50.0, 10
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with enrollment.client() as client, asyncio.timeout(20):
        await simulate(
            client,
            token_for,
            STUDY_ID,
            SITES,
            7,
            rate,
            9,
            lambda _: LATE,
            stop_after(enrollment, facts),
            lambda _: None,
        )
    assert loop.time() - began >= (facts - 1) / rate
