from __future__ import annotations

import asyncio
from collections import Counter
from datetime import date

import httpx
import pytest

from infra.reference import published, synthetic
from infra.reference.load import NotAccepted, Stopped, StudyApi, batches_by_key, load, pause
from infra.reference.study import OPENED, STUDY_ID, subject
from tests.unit.infra.conftest import Enrollment, once

EVERYONE = [case["facts"] for case in published.cases()] + synthetic.participants() + synthetic.not_enrolled()


def token_for(role: str, site_id: str | None) -> str:
    return subject(STUDY_ID, role, site_id)


async def test_loading_states_everyone_through_the_public_api(enrollment: Enrollment) -> None:
    lines: list[str] = []
    async with enrollment.client() as client:
        await load(client, token_for, lines.append)
    assert sorted(Counter(number for number, _ in enrollment.stated).values()) == sorted(
        len(facts) for facts in EVERYONE
    )
    assert set(enrollment.callers) == {"administrator@study-wide.atc-rt", "site@site-01.atc-rt"}
    assert lines == ["atc-rt: 4 published cases, 27 synthetic participants, 9 synthetic people who were not enrolled"]


async def test_a_second_load_records_nothing_twice(enrollment: Enrollment) -> None:
    async with enrollment.client() as client:
        await load(client, token_for, lambda _: None)
        recorded = set(enrollment.events)
        await load(client, token_for, lambda _: None)
    assert enrollment.events == recorded
    assert len(enrollment.numbers) == len(EVERYONE)


async def test_no_two_requests_share_an_idempotency_key(enrollment: Enrollment) -> None:
    async with enrollment.client() as client:
        await load(client, token_for, lambda _: None)
    assert len(set(enrollment.keys)) == len(enrollment.keys)
    assert set(batches_by_key()) < set(enrollment.keys)
    assert max(map(len, enrollment.keys)) <= 200


async def test_a_problem_answer_is_raised_with_its_code_and_pointers(enrollment: Enrollment) -> None:
    enrollment.let_it_be(date(2024, 12, 1))
    async with enrollment.client() as client:
        with pytest.raises(NotAccepted) as problem:
            await load(client, token_for, lambda _: None)
    assert (problem.value.status, problem.value.code) == (422, "in-the-future")
    assert {code for code, _ in problem.value.errors} == {"in-the-future"}
    assert "in-the-future at /facts/" in str(problem.value)


async def test_an_answer_that_is_no_problem_document_is_raised_by_its_status(enrollment: Enrollment) -> None:
    enrollment.trouble = once(lambda _: httpx.Response(403, text="a gateway's page"))
    async with enrollment.client() as client:
        with pytest.raises(NotAccepted, match="403 unnamed"):
            await load(client, token_for, lambda _: None)


async def test_no_more_than_four_participants_are_stated_at_once(enrollment: Enrollment) -> None:
    under_way, most = 0, 0

    class Counting(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0)
            answer = await enrollment.handle_async_request(request)
            under_way -= 1
            return answer

    async with httpx.AsyncClient(transport=Counting(), base_url="http://quartal") as client:
        await load(client, token_for, lambda _: None)
    assert most == 4


async def test_what_passes_is_asked_again_with_the_same_key(enrollment: Enrollment) -> None:
    enrollment.trouble = once(lambda _: httpx.Response(503, headers={"retry-after": "0"}))
    async with enrollment.client() as client:
        await StudyApi(client, STUDY_ID, token_for).open(OPENED, "opened")
    assert enrollment.keys == ["opened", "opened"]
    assert len(enrollment.events) == 2  # the opening, and its administrator


async def test_a_bounded_number_of_attempts_ends_with_the_last_failure(enrollment: Enrollment) -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    enrollment.trouble = away
    async with enrollment.client() as client:
        with pytest.raises(httpx.ConnectError):
            await StudyApi(client, STUDY_ID, token_for, attempts=2).open(OPENED, "opened")
    assert len(enrollment.keys) == 2


async def test_a_pause_ends_as_soon_as_it_is_told_to_stop() -> None:
    stop = asyncio.Event()
    stop.set()
    async with asyncio.timeout(5):
        with pytest.raises(Stopped):
            await pause(stop, 60)
