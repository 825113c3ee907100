from __future__ import annotations

import asyncio
from collections import Counter
from datetime import date

import httpx
import pytest

from infra.reference import published
from infra.reference.load import NotAccepted, Stopped, StudyApi, load, pause, people
from infra.reference.study import OPENED, STUDY_ID, subject
from tests.unit.infra.conftest import Quartal, once

EVERYONE = people()


def token_for(role: str, site_id: str | None) -> str:
    return subject(STUDY_ID, role, site_id)


async def test_loading_states_everyone_through_the_public_api(quartal: Quartal) -> None:
    lines: list[str] = []
    async with quartal.client() as client:
        await load(client, token_for, lines.append)
    assert sorted(Counter(number for number, _ in quartal.stated).values()) == sorted(len(facts) for facts in EVERYONE)
    assert set(quartal.callers) == {"administrator@study-wide.atc-rt", "site@site-01.atc-rt"}
    numbers = [quartal.numbers[f"{STUDY_ID}/participant/published-{case['case']}"] for case in published.cases()]
    assert lines == [
        "atc-rt: loaded 4 published cases, 27 synthetic participants and 9 synthetic people who were not enrolled",
        f"atc-rt: the published cases are {', '.join(numbers)}; all others are synthetic",
    ]


async def test_it_returns_how_many_facts_the_study_has(quartal: Quartal) -> None:
    async with quartal.client() as client:
        assert await load(client, token_for, lambda _: None) == len(quartal.events)


async def test_it_tells_how_far_it_is_up_to_its_end(quartal: Quartal) -> None:
    heard: list[tuple[int, int]] = []
    async with quartal.client() as client:
        facts = await load(client, token_for, lambda _: None, lambda done, of: heard.append((done, of)))
    assert len(heard) == len(EVERYONE)
    assert heard == sorted(heard)
    assert {of for _, of in heard} == {facts}
    assert heard[-1] == (facts, facts)


async def test_what_the_published_cases_report_later_is_told_to_the_services_that_take_it(quartal: Quartal) -> None:
    async with quartal.client() as client:
        await load(client, token_for, lambda _: None)
    for case in published.cases():
        number = quartal.numbers[f"{STUDY_ID}/participant/published-{case['case']}"]
        stated = Counter(name for whose, name in quartal.stated if whose == number)
        assert stated == Counter(fact["type"] for fact in [*case["facts"], *case["later"]])


async def test_other_services_are_told_once_they_have_heard_of_the_registration(quartal: Quartal) -> None:
    async with quartal.client() as client:
        await load(client, token_for, lambda _: None)
    told = Counter(service for service, _ in quartal.heard)
    assert (told["enrollment"], told["toxicity"], told["followup"]) == (40, 31, len(followed()))
    sizes = {f"enrollment={len(person.batches['enrollment'])}" for person in EVERYONE}
    assert {after for service, after in quartal.heard if service != "enrollment"} <= sizes


def followed() -> list[str]:
    return [person.key for person in EVERYONE if "followup" in person.batches]


async def test_a_second_load_records_nothing_twice(quartal: Quartal) -> None:
    async with quartal.client() as client:
        await load(client, token_for, lambda _: None)
        recorded = set(quartal.events)
        await load(client, token_for, lambda _: None)
    assert quartal.events == recorded
    assert len(quartal.numbers) == len(EVERYONE)


async def test_no_two_requests_share_an_idempotency_key(quartal: Quartal) -> None:
    async with quartal.client() as client:
        await load(client, token_for, lambda _: None)
    assert len(set(quartal.keys)) == len(quartal.keys)
    assert {person.key for person in EVERYONE} < set(quartal.keys)
    assert max(map(len, quartal.keys)) <= 200


async def test_a_problem_answer_is_raised_with_its_code_and_pointers(quartal: Quartal) -> None:
    quartal.let_it_be(date(2024, 12, 1))
    async with quartal.client() as client:
        with pytest.raises(NotAccepted) as problem:
            await load(client, token_for, lambda _: None)
    assert (problem.value.status, problem.value.code) == (422, "in-the-future")
    assert {code for code, _ in problem.value.errors} == {"in-the-future"}
    assert "in-the-future at /facts/" in str(problem.value)


async def test_an_answer_that_is_no_problem_document_is_raised_by_its_status(quartal: Quartal) -> None:
    quartal.trouble = once(lambda _: httpx.Response(403, text="a gateway's page"))
    async with quartal.client() as client:
        with pytest.raises(NotAccepted, match="403 unnamed"):
            await load(client, token_for, lambda _: None)


async def test_no_more_than_four_participants_are_stated_at_once(quartal: Quartal) -> None:
    under_way, most = 0, 0

    class Counting(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0)
            answer = await quartal.handle_async_request(request)
            under_way -= 1
            return answer

    async with httpx.AsyncClient(transport=Counting(), base_url="http://quartal") as client:
        await load(client, token_for, lambda _: None)
    assert most == 4


async def test_what_passes_is_asked_again_with_the_same_key(quartal: Quartal) -> None:
    quartal.trouble = once(lambda _: httpx.Response(503, headers={"retry-after": "0"}))
    async with quartal.client() as client:
        await StudyApi(client, STUDY_ID, token_for).open(OPENED, "opened")
    assert quartal.keys == ["opened", "opened"]
    assert len(quartal.events) == 2  # the opening, and its administrator


async def test_a_bounded_number_of_attempts_ends_with_the_last_failure(quartal: Quartal) -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    quartal.trouble = away
    async with quartal.client() as client:
        with pytest.raises(httpx.ConnectError):
            await StudyApi(client, STUDY_ID, token_for, attempts=2).open(OPENED, "opened")
    assert len(quartal.keys) == 2


async def test_a_pause_ends_as_soon_as_it_is_told_to_stop() -> None:
    stop = asyncio.Event()
    stop.set()
    async with asyncio.timeout(5):
        with pytest.raises(Stopped):
            await pause(stop, 60)
