"""A request that is sent again under its key: the response of the first one, marked as such, in every service."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import httpx
import pytest

from shared.testing.builders import facts
from tests.api.support.study import ROME_USER, StudyUnderTest, batch_entry, body, open_study
from tests.demo import Demo

REPLAY_HEADER = "Idempotency-Replayed"


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[StudyUnderTest]:
    with open_study(demo) as study:
        yield study


def replay_marker(response: httpx.Response) -> str | None:
    value: str | None = response.headers.get(REPLAY_HEADER)
    return value


def test_repeated_request_is_marked_as_replayed(study: StudyUnderTest) -> None:
    participant_id, key = study.enroll_at("rome"), secrets.token_hex(8)
    first, repeated = (
        study.record_fact(participant_id, facts.procedure_performed(), Idempotency_Key=key) for _ in range(2)
    )
    assert [(response.status_code, replay_marker(response)) for response in (first, repeated)] == [
        (201, None),
        (201, "true"),
    ]
    assert first.json() == repeated.json()
    by_event = study.record_fact(participant_id, facts.procedure_performed(), Idempotency_Key=first.json()["event_id"])
    assert (by_event.status_code, by_event.json(), replay_marker(by_event)) == (201, first.json(), "true")


def test_event_id_as_key_is_recognized_in_upper_case(study: StudyUnderTest) -> None:
    participant_id = study.enroll_at("rome")
    first = study.record_fact(participant_id, facts.procedure_performed()).json()
    for _ in range(2):
        repeated = study.record_fact(
            participant_id, facts.procedure_performed(), Idempotency_Key=first["event_id"].upper()
        )
        assert (repeated.status_code, repeated.json()["event_id"], replay_marker(repeated)) == (
            201,
            first["event_id"],
            "true",
        )


def test_repeated_registration_is_marked_and_returns_the_same_number(study: StudyUnderTest) -> None:
    body, key = (
        {"facts": [batch_entry(facts.participant_screened()), batch_entry(facts.consent_signed())]},
        secrets.token_hex(8),
    )
    first, repeated = (study.post("participants", body, Idempotency_Key=key) for _ in range(2))
    assert (replay_marker(first), replay_marker(repeated)) == (None, "true")
    assert (repeated.json(), repeated.headers["Location"]) == (first.json(), first.headers["Location"])


def test_dry_run_with_a_used_key_returns_the_recorded_outcome(study: StudyUnderTest) -> None:
    content, key = body(facts.participant_screened()), secrets.token_hex(8)
    before = study.post("participants?dry_run=true", content, Idempotency_Key=key)
    assert (before.status_code, replay_marker(before), len(before.json()["would_record"])) == (200, None, 1)
    first = study.post("participants", content, Idempotency_Key=key).json()
    after = study.post("participants?dry_run=true", content, Idempotency_Key=key)
    assert (after.status_code, replay_marker(after)) == (200, "true")
    assert after.json() == {
        "participant_id": first["participant_id"],
        "version": first["version"],
        "recorded_at": first["recorded_at"],
        "event_ids": [first["event_id"]],
        "dry_run": True,
        "would_record": [],
    }
    other = study.post("participants?dry_run=true", body(facts.participant_screened(1)), Idempotency_Key=key)
    assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency-key-reused")
    assert study.get(f"participants/{first['participant_id']}").json()["version"] == 1


def test_dry_run_with_an_event_id_as_key_returns_the_recorded_outcome(study: StudyUnderTest) -> None:
    participant_id = study.enroll_at("rome")
    first = study.record_fact(participant_id, facts.procedure_performed()).json()
    path = f"participants/{participant_id}/facts/procedure.performed?dry_run=true"
    repeated = study.post(path, body(facts.procedure_performed()), Idempotency_Key=first["event_id"])
    assert (repeated.status_code, replay_marker(repeated), repeated.json()["event_ids"]) == (
        200,
        "true",
        [first["event_id"]],
    )


@pytest.mark.parametrize("name", ["Idempotency-Key", "Quartal-After"])
def test_header_sent_twice_is_rejected(study: StudyUnderTest, name: str) -> None:
    value = {"Idempotency-Key": secrets.token_hex(8), "Quartal-After": "enrollment=1"}[name]
    headers = [*study.authorization(ROME_USER).items(), (name, value), (name, f"{value}")]
    response = study.http.post(study.address("participants"), json=body(facts.participant_screened()), headers=headers)
    assert (response.status_code, response.json()["type"]) == (422, "/problems/schema")
    assert (
        response.json()["errors"][0]["message"]
        == f"header {name.lower()}: This header is sent more than once. Send it once."
    )
    assert value not in response.text
