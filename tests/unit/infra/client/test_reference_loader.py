from __future__ import annotations

import asyncio
from collections import Counter
from datetime import date

import httpx
import pytest

from infra.client.reference_loader import load_reference_study, reference_participants
from infra.client.study_client import ApiError, Cancelled, StudyClient, interruptible_sleep
from infra.reference import published_cases
from infra.reference.study import OPENING_DATA, PAPER_CUT, STUDY_ID, subject
from tests.unit.infra.conftest import FakeQuartal, fail_once

ALL_PEOPLE = reference_participants()


def token_for(role: str, site_id: str | None) -> str:
    return subject(STUDY_ID, role, site_id)


async def test_load_records_everyone_through_the_public_api(quartal: FakeQuartal) -> None:
    lines: list[str] = []
    async with quartal.client() as client:
        await load_reference_study(client, token_for, lines.append)
    assert sorted(Counter(participant_id for participant_id, _ in quartal.recorded_facts).values()) == sorted(
        len(facts) for facts in ALL_PEOPLE
    )
    assert set(quartal.callers) == {"administrator@study-wide.atc-rt", "site@site-01.atc-rt"}
    participant_ids = [
        quartal.participant_ids_by_key[f"{STUDY_ID}/participant/published-{case['case']}"]
        for case in published_cases.cases()
    ]
    assert lines == [
        "atc-rt: loaded 4 published cases, 27 synthetic participants and 9 synthetic people who were not enrolled",
        f"atc-rt: the published cases are {', '.join(participant_ids)}; all others are synthetic",
        "atc-rt: 21 publications stand beside the cohort",
    ]


async def test_load_returns_the_number_of_facts(quartal: FakeQuartal) -> None:
    async with quartal.client() as client:
        assert await load_reference_study(client, token_for, lambda _: None) == len(quartal.event_ids)


async def test_load_reports_progress_up_to_the_end(quartal: FakeQuartal) -> None:
    progress_calls: list[tuple[int, int]] = []
    async with quartal.client() as client:
        facts = await load_reference_study(
            client, token_for, lambda _: None, lambda done, of: progress_calls.append((done, of))
        )
    assert len(progress_calls) == len(ALL_PEOPLE)
    assert progress_calls == sorted(progress_calls)
    assert {of for _, of in progress_calls} == {facts}
    assert progress_calls[-1] == (facts, facts)


async def test_later_facts_of_published_cases_go_to_their_services(quartal: FakeQuartal) -> None:
    async with quartal.client() as client:
        await load_reference_study(client, token_for, lambda _: None)
    for case in published_cases.cases():
        participant_id = quartal.participant_ids_by_key[f"{STUDY_ID}/participant/published-{case['case']}"]
        recorded_types = Counter(name for whose, name in quartal.recorded_facts if whose == participant_id)
        assert recorded_types == Counter(fact["type"] for fact in [*case["facts"], *case["later"]])


async def test_downstream_requests_name_the_required_enrollment_version(quartal: FakeQuartal) -> None:
    async with quartal.client() as client:
        await load_reference_study(client, token_for, lambda _: None)
    requests_by_service = Counter(service for service, _ in quartal.participant_requests)
    assert (requests_by_service["enrollment"], requests_by_service["toxicity"], requests_by_service["followup"]) == (
        40,
        31,
        len(keys_of_people_with_follow_up()),
    )
    sizes = {f"enrollment={len(participant.batches['enrollment'])}" for participant in ALL_PEOPLE}
    assert {after for service, after in quartal.participant_requests if service != "enrollment"} <= sizes


def keys_of_people_with_follow_up() -> list[str]:
    return [participant.key for participant in ALL_PEOPLE if "followup" in participant.batches]


async def test_a_second_load_records_nothing_twice(quartal: FakeQuartal) -> None:
    async with quartal.client() as client:
        await load_reference_study(client, token_for, lambda _: None)
        recorded = set(quartal.event_ids)
        await load_reference_study(client, token_for, lambda _: None)
    assert quartal.event_ids == recorded
    assert len(quartal.participant_ids_by_key) == len(ALL_PEOPLE)


async def test_data_cut_is_taken_once_for_its_name(quartal: FakeQuartal) -> None:
    async with quartal.client() as client:
        facts = await load_reference_study(client, token_for, lambda _: None)
        for _ in range(2):
            await StudyClient(client, STUDY_ID, token_for).take_cut(PAPER_CUT)
            assert len(quartal.event_ids) == facts + 1
    assert quartal.callers[-1] == "administrator@study-wide.atc-rt"


async def test_no_two_requests_share_an_idempotency_key(quartal: FakeQuartal) -> None:
    async with quartal.client() as client:
        await load_reference_study(client, token_for, lambda _: None)
    assert len(set(quartal.idempotency_keys)) == len(quartal.idempotency_keys)
    assert {participant.key for participant in ALL_PEOPLE} < set(quartal.idempotency_keys)
    assert max(map(len, quartal.idempotency_keys)) <= 200


async def test_problem_response_is_raised_with_code_and_pointers(quartal: FakeQuartal) -> None:
    quartal.set_today(date(2024, 12, 1))
    async with quartal.client() as client:
        with pytest.raises(ApiError) as problem:
            await load_reference_study(client, token_for, lambda _: None)
    assert (problem.value.status, problem.value.code) == (422, "in-the-future")
    assert {code for code, _ in problem.value.errors} == {"in-the-future"}
    assert "in-the-future at /facts/" in str(problem.value)


async def test_response_without_problem_document_is_raised_with_its_status(quartal: FakeQuartal) -> None:
    quartal.failure = fail_once(lambda _: httpx.Response(403, text="a gateway's page"))
    async with quartal.client() as client:
        with pytest.raises(ApiError, match="403 unnamed"):
            await load_reference_study(client, token_for, lambda _: None)


async def test_at_most_four_participants_are_loaded_concurrently(quartal: FakeQuartal) -> None:
    under_way, max_under_way = 0, 0

    class ConcurrencyCountingTransport(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            nonlocal under_way, max_under_way
            under_way += 1
            max_under_way = max(max_under_way, under_way)
            await asyncio.sleep(0)
            response = await quartal.handle_async_request(request)
            under_way -= 1
            return response

    async with httpx.AsyncClient(transport=ConcurrencyCountingTransport(), base_url="http://quartal") as client:
        await load_reference_study(client, token_for, lambda _: None)
    assert max_under_way == 4


async def test_temporary_failure_is_retried_with_the_same_key(quartal: FakeQuartal) -> None:
    quartal.failure = fail_once(lambda _: httpx.Response(503, headers={"retry-after": "0"}))
    async with quartal.client() as client:
        await StudyClient(client, STUDY_ID, token_for).open_study(OPENING_DATA, "opened")
    assert quartal.idempotency_keys == ["opened", "opened"]
    assert len(quartal.event_ids) == 2  # the opening, and its administrator


async def test_last_failure_is_raised_after_the_maximum_of_attempts(quartal: FakeQuartal) -> None:
    def refuse_connection(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    quartal.failure = refuse_connection
    async with quartal.client() as client:
        with pytest.raises(httpx.ConnectError):
            await StudyClient(client, STUDY_ID, token_for, attempts=2).open_study(OPENING_DATA, "opened")
    assert len(quartal.idempotency_keys) == 2


async def test_interruptible_sleep_ends_when_stopped() -> None:
    stop = asyncio.Event()
    stop.set()
    async with asyncio.timeout(5):
        with pytest.raises(Cancelled):
            await interruptible_sleep(stop, 60)
