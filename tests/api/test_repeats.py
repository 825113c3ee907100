"""A request that is sent again under its key: the answer of the first one, marked as such, in every service."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import httpx
import pytest

from shared.testing import facts
from tests.api.own_study import SITE, OwnStudy, body, entry, own_study
from tests.demo import Demo

REPLAYED = "Idempotency-Replayed"


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[OwnStudy]:
    with own_study(demo) as opened:
        yield opened


def marked(answer: httpx.Response) -> str | None:
    value: str | None = answer.headers.get(REPLAYED)
    return value


def test_an_answer_that_repeats_an_outcome_says_so(study: OwnStudy) -> None:
    number, key = study.at_site("rome"), secrets.token_hex(8)
    first, again = (study.state(number, facts.procedure(), Idempotency_Key=key) for _ in range(2))
    assert [(answer.status_code, marked(answer)) for answer in (first, again)] == [(201, None), (201, "true")]
    assert first.json() == again.json()
    by_event = study.state(number, facts.procedure(), Idempotency_Key=first.json()["event_id"])
    assert (by_event.status_code, by_event.json(), marked(by_event)) == (201, first.json(), "true")


def test_the_id_of_an_event_is_recognized_in_capitals_too(study: OwnStudy) -> None:
    number = study.at_site("rome")
    first = study.state(number, facts.procedure()).json()
    for _ in range(2):
        again = study.state(number, facts.procedure(), Idempotency_Key=first["event_id"].upper())
        assert (again.status_code, again.json()["event_id"], marked(again)) == (201, first["event_id"], "true")


def test_a_registration_that_is_repeated_says_so_and_has_the_same_number(study: OwnStudy) -> None:
    said, key = {"facts": [entry(facts.screened()), entry(facts.consented())]}, secrets.token_hex(8)
    first, again = (study.post("participants", said, Idempotency_Key=key) for _ in range(2))
    assert (marked(first), marked(again)) == (None, "true")
    assert (again.json(), again.headers["Location"]) == (first.json(), first.headers["Location"])


def test_a_dry_run_under_a_used_key_answers_what_was_recorded(study: OwnStudy) -> None:
    said, key = body(facts.screened()), secrets.token_hex(8)
    before = study.post("participants?dry_run=true", said, Idempotency_Key=key)
    assert (before.status_code, marked(before), len(before.json()["would_record"])) == (200, None, 1)
    first = study.post("participants", said, Idempotency_Key=key).json()
    after = study.post("participants?dry_run=true", said, Idempotency_Key=key)
    assert (after.status_code, marked(after)) == (200, "true")
    assert after.json() == {
        "participant_id": first["participant_id"], "version": first["version"], "recorded_at": first["recorded_at"],
        "event_ids": [first["event_id"]], "dry_run": True, "would_record": [],
    }  # fmt: skip
    other = study.post("participants?dry_run=true", body(facts.screened(1)), Idempotency_Key=key)
    assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency-key-reused")
    assert study.get(f"participants/{first['participant_id']}").json()["version"] == 1


def test_a_dry_run_under_the_id_of_an_event_answers_what_was_recorded(study: OwnStudy) -> None:
    number = study.at_site("rome")
    first = study.state(number, facts.procedure()).json()
    path = f"participants/{number}/facts/procedure.performed?dry_run=true"
    again = study.post(path, body(facts.procedure()), Idempotency_Key=first["event_id"])
    assert (again.status_code, marked(again), again.json()["event_ids"]) == (200, "true", [first["event_id"]])


@pytest.mark.parametrize("name", ["Idempotency-Key", "Quartal-After"])
def test_a_header_that_is_sent_twice_is_refused(study: OwnStudy, name: str) -> None:
    value = {"Idempotency-Key": secrets.token_hex(8), "Quartal-After": "enrollment=1"}[name]
    headers = [*study.bearer(SITE).items(), (name, value), (name, f"{value}")]
    answer = study.http.post(study.address("participants"), json=body(facts.screened()), headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/schema")
    assert (
        answer.json()["errors"][0]["message"]
        == f"header {name.lower()}: This header is sent more than once. Send it once."
    )
    assert value not in answer.text
