"""Enrollment's interface as it is documented, row by row."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import chain
from typing import Any
from uuid import UUID

import pytest

from shared.kernel.ids import normalize_participant_id
from shared.testing.builders import facts
from tests.api.support.study import (
    EXAMPLE_BODIES,
    ROME_USER,
    StudyUnderTest,
    batch_entry,
    body,
    find_event_id,
    open_study,
    opening_request,
)
from tests.demo import OPENER, Demo


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[StudyUnderTest]:
    with open_study(demo) as study:
        yield study


def is_recording_response(document: dict[str, Any], version: int) -> bool:
    """Has it the members that every recording has, with a time in UTC?"""
    recorded_at = datetime.fromisoformat(document["recorded_at"])
    return bool(UUID(document["event_id"])) and document["version"] == version and recorded_at.utcoffset() is not None


def test_opened_study_has_an_administrator_and_cannot_be_opened_again(demo: Demo) -> None:
    with open_study(demo) as study:
        repeated = study.http.post(
            "/enrollment/v1/studies", json=opening_request(study.study_id), headers=study.authorization("administrator")
        )
        assert repeated.status_code == 422
        response = study.get(user="administrator")
        document = response.json()
        assert (document["study_id"], response.headers["ETag"]) == (study.study_id, f'"{document["version"]}"')
        assert [fact["type"] for fact in document["facts"][:3]] == [
            "study.opened",
            "study.member_granted",
            "study.site_activated",
        ]
        assert document["facts"][0]["data"]["protocol"]["follow_up"]["every_months"] == 3


def test_idempotency_key_that_opened_a_study_opens_no_other_one(study: StudyUnderTest) -> None:
    study_id, key = f"own-{secrets.token_hex(6)}", secrets.token_hex(16)
    headers = study.authorization(OPENER) | {"Idempotency-Key": key}
    opening, other = opening_request(study_id), opening_request(f"{study_id}-2")
    first, again = (study.http.post("/enrollment/v1/studies", json=opening, headers=headers) for _ in range(2))
    assert (first.status_code, again.status_code, again.json()) == (201, 201, first.json())
    refused = study.http.post("/enrollment/v1/studies", json=other, headers=headers)
    assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (422, "idempotency-key-reused")
    assert study_id in refused.text, refused.text
    new_key = headers | {"Idempotency-Key": secrets.token_hex(16)}
    assert study.http.post("/enrollment/v1/studies", json=other, headers=new_key).status_code == 201


def test_concurrent_openings_of_several_studies_under_one_key_open_one(study: StudyUnderTest) -> None:
    study_id, headers = f"own-{secrets.token_hex(6)}", study.authorization(OPENER)
    headers |= {"Idempotency-Key": secrets.token_hex(16)}

    def open_numbered(number: int) -> int:
        opening = opening_request(f"{study_id}-{number}")
        return study.http.post("/enrollment/v1/studies", json=opening, headers=headers).status_code

    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(open_numbered, range(8))) == [201, *[422] * 7]


def test_study_fact_response_states_the_new_version(study: StudyUnderTest) -> None:
    before = study.get().json()["version"]
    response = study.record_study_fact(facts.site_activated(f"s-{secrets.token_hex(3)}"))
    assert response.status_code == 201
    assert is_recording_response(response.json(), before + 1)
    assert response.json()["study_id"] == study.study_id
    assert response.headers["ETag"] == f'"{before + 1}"'
    assert response.headers["Quartal-Version"] == f"enrollment={before + 1}"


def test_screening_returns_a_participant_number_and_a_location(study: StudyUnderTest) -> None:
    response = study.post("participants", body(facts.participant_screened()))
    document = response.json()
    assert response.status_code == 201
    assert set(document) == {"participant_id", "event_id", "version", "recorded_at"}
    assert is_recording_response(document, 1)
    assert normalize_participant_id(document["participant_id"]) == document["participant_id"]
    assert response.headers["Location"] == study.address(f"participants/{document['participant_id']}")
    assert study.http.get(response.headers["Location"], headers=study.authorization(ROME_USER)).status_code == 200


def test_participant_can_be_registered_with_several_facts_at_once(study: StudyUnderTest) -> None:
    entries = [batch_entry(fact) for fact in facts.ENROLLMENT_FACTS]
    response = study.post("participants", {"facts": entries})
    document = response.json()
    assert (response.status_code, document["version"], len(document["event_ids"])) == (201, 3, 3)
    assert document["event_id"] == document["event_ids"][0]
    without_screening = study.post("participants", {"facts": entries[1:]})
    assert (without_screening.status_code, without_screening.json()["errors"][0]["pointer"]) == (422, "/facts/0/type")


def test_participant_fact_response_has_four_members_and_the_version_as_etag(study: StudyUnderTest) -> None:
    participant_id = study.enroll_at("rome")
    response = study.record_fact(participant_id, facts.lesion_registered())
    assert set(response.json()) == {"participant_id", "event_id", "version", "recorded_at"}
    assert is_recording_response(response.json(), 4)
    assert (response.headers["ETag"], response.headers["Quartal-Version"]) == ('"4"', "enrollment=4")
    assert "Location" not in response.headers


@pytest.mark.parametrize("many", [1, 2, 200])
def test_batch_is_recorded_entirely_or_not_at_all(study: StudyUnderTest, many: int) -> None:
    participant_id = study.enroll_at("rome")
    batch = [batch_entry(facts.lesion_registered(f"L{index}")) for index in range(many)]
    invalid_batch = [*batch[:-1], batch_entry(facts.lesion_registered("L1", 9000))]
    assert study.post(f"participants/{participant_id}/facts", invalid_batch).status_code == 422
    response = study.post(f"participants/{participant_id}/facts", batch)
    assert response.status_code == 201
    assert (response.json()["version"], len(response.json()["event_ids"])) == (3 + many, many)
    assert len(study.get(f"participants/{participant_id}/history").json()["events"]) == 3 + many


def test_batch_of_more_than_two_hundred_facts_is_rejected(study: StudyUnderTest) -> None:
    participant_id = study.enroll_at("rome")
    batch = [batch_entry(facts.lesion_registered(f"L{index}")) for index in range(201)]
    assert study.post(f"participants/{participant_id}/facts", batch).status_code == 422


def test_dry_run_validates_and_records_nothing(study: StudyUnderTest) -> None:
    participant_id, version = study.enroll_at("rome"), study.get().json()["version"]
    base = f"participants/{participant_id}/facts"
    for response, expected_version in (
        (study.post(f"{base}/lesion.registered?dry_run=true", body(facts.lesion_registered())), 4),
        (
            study.post(
                f"{base}?dry_run=true",
                [batch_entry(facts.lesion_registered()), batch_entry(facts.radiotherapy_started())],
            ),
            5,
        ),
        (study.post("facts/study.closed?dry_run=true", EXAMPLE_BODIES["study.closed"], "administrator"), version + 1),
    ):
        assert (response.status_code, response.json()["version"], response.json()["dry_run"]) == (
            200,
            expected_version,
            True,
        )
        assert "event_id" not in response.json()
    screening = study.post("participants?dry_run=true", body(facts.participant_screened()))
    document = screening.json()
    assert (document["version"], document["dry_run"], "participant_id" in document) == (1, True, False)
    assert [fact["type"] for fact in document["would_record"]] == ["participant.screened"]
    assert (
        study.post(f"{base}/lesion.registered?dry_run=true", body(facts.lesion_registered("L1", 9000))).status_code
        == 422
    )
    assert study.get(f"participants/{participant_id}").json()["version"] == 3
    assert study.get().json()["version"] == version


def test_repeated_request_with_the_same_key_is_recorded_once(study: StudyUnderTest) -> None:
    participant_id, key = study.enroll_at("rome"), secrets.token_hex(8)
    for path, content in (
        (f"participants/{participant_id}/facts/lesion.registered", body(facts.lesion_registered())),
        (
            f"participants/{participant_id}/facts",
            [batch_entry(facts.procedure_performed()), batch_entry(facts.procedure_performed())],
        ),
        ("participants", body(facts.participant_screened())),
    ):
        first, second = (study.post(path, content, Idempotency_Key=f"{key}/{path}") for _ in range(2))
        assert (first.status_code, second.status_code) == (201, 201)
        assert first.json() == second.json()
        assert first.headers["ETag"] == second.headers["ETag"]
        assert first.headers.get("Location") == second.headers.get("Location")
    assert study.get(f"participants/{participant_id}").json()["version"] == 6


def test_if_match_rejects_a_request_after_an_intermediate_change(study: StudyUnderTest) -> None:
    participant_id = study.enroll_at("rome")
    etag = study.get(f"participants/{participant_id}").headers["ETag"]
    assert study.record_fact(participant_id, facts.lesion_registered("L1"), If_Match=etag).status_code == 201
    assert study.record_fact(participant_id, facts.lesion_registered("L2"), If_Match=etag).status_code == 412
    assert study.record_fact(participant_id, facts.lesion_registered("L2")).status_code == 201


def test_participant_number_is_accepted_in_any_case_and_without_hyphens(study: StudyUnderTest) -> None:
    participant_id = study.enroll_at("rome")
    for spelling in (participant_id.lower(), participant_id.replace("-", ""), participant_id.replace("-", "").lower()):
        assert study.get(f"participants/{spelling}").json()["participant_id"] == participant_id
        response = study.post(
            f"participants/{spelling}/facts/lesion.registered?dry_run=1", EXAMPLE_BODIES["lesion.registered"]
        )
        assert response.json()["participant_id"] == participant_id


def test_participant_shows_corrected_facts(study: StudyUnderTest) -> None:
    participant_id = study.enroll_at(
        "rome", facts.lesion_registered(), facts.procedure_performed(detail="Told by telephone.")
    )
    event_id = find_event_id(study, participant_id, "lesion.registered")
    correction = facts.correction(
        UUID(event_id), facts.lesion_registered("L1", 5, body_site="lung"), reason="Read wrongly."
    )
    assert study.record_fact(participant_id, correction).status_code == 201
    response = study.get(f"participants/{participant_id}")
    document = response.json()
    assert (document["participant_id"], document["site_id"], document["status"], document["version"]) == (
        participant_id,
        "rome",
        "enrolled",
        6,
    )
    assert response.headers["ETag"] == '"6"'
    current_facts = {fact["type"]: fact for fact in document["facts"]}
    assert (
        current_facts["lesion.registered"]["event_id"],
        current_facts["lesion.registered"]["data"]["body_site"],
    ) == (
        event_id,
        "lung",
    )
    assert current_facts["procedure.performed"]["data"]["detail"] == "Told by telephone."


def test_history_lists_every_event_as_first_recorded(study: StudyUnderTest) -> None:
    participant_id = study.enroll_at("rome", facts.lesion_registered("L1"), facts.lesion_registered("L2"))
    first, second = (
        event["event_id"] for event in study.get(f"participants/{participant_id}/history").json()["events"][3:]
    )
    restating_event, voiding_event = (
        study.record_fact(participant_id, facts.correction(UUID(event), new)).json()["event_id"]
        for event, new in ((first, facts.lesion_registered("L1", 7)), (second, None))
    )
    response = study.get(f"participants/{participant_id}/history")
    events = response.json()["events"]
    assert response.headers["ETag"] == '"7"'
    assert [event["version"] for event in events] == list(range(1, 8))
    assert [(event["standing"], event["corrected_by"]) for event in events[3:]] == [
        (True, restating_event),
        (False, voiding_event),
        (True, None),
        (True, None),
    ]
    assert events[3]["data"]["found_on"] == facts.day(0)
    for event in events:
        assert set(event) == {
            "event_id",
            "version",
            "type",
            "data",
            "texts_shown",
            "recorded_at",
            "recorded_by",
            "standing",
            "corrected_by",
        }
        assert event["recorded_by"] == f"site@rome.{study.study_id}"


def test_participants_are_listed_by_site_and_status_in_pages(demo: Demo) -> None:
    with open_study(demo) as study:
        rome = [study.enroll_at("rome") for _ in range(3)]
        milan = study.enroll_at("milan")
        screened = study.register(facts.participant_screened())
        pages, after = [], ""
        while after is not None:
            page = study.get("participants", "monitor", limit=2, after=after).json()
            pages.append([row["participant_id"] for row in page["rows"]])
            after = page["next"]
        assert [len(page) for page in pages] == [2, 2, 1]
        assert list(chain(*pages)) == sorted([*rome, milan, screened])
        milan_numbers = {
            row["participant_id"] for row in study.get("participants", "monitor", site="milan").json()["rows"]
        }
        assert milan_numbers == {milan}
        rows = study.get("participants", status="screening").json()["rows"]
        assert rows == [{"participant_id": screened, "site_id": "rome", "status": "screening", "version": 1}]
        assert study.get("participants", status="withdrawn").json() == {"rows": [], "next": None}


def test_participant_status_is_the_furthest_recorded(study: StudyUnderTest) -> None:
    participant_id, statuses = study.register(facts.participant_screened()), ["screening"]
    for fact in (
        facts.consent_signed(),
        facts.participant_enrolled(),
        facts.consent_withdrawn(9),
        facts.participant_voided(),
    ):
        assert study.record_fact(participant_id, fact).status_code == 201
        statuses.append(study.get(f"participants/{participant_id}").json()["status"])
    assert statuses == ["screening", "consented", "enrolled", "withdrawn", "voided"]
    failed_number = study.register(facts.participant_screened(), facts.screening_failed())
    assert study.get(f"participants/{failed_number}").json()["status"] == "screen_failed"


def test_feed_pages_list_every_fact_of_the_site_in_order(demo: Demo) -> None:
    with open_study(demo) as study:
        for _ in range(3):
            study.enroll_at("rome", facts.lesion_registered())
        study.enroll_at("milan")
        rows, after = [], ""
        while after is not None:
            page = study.get("facts", limit=5, after=after).json()
            assert len(page["rows"]) <= 5
            rows += page["rows"]
            after = page["next"]
        assert len(rows) == 12
        assert [(row["participant_id"], row["version"]) for row in rows] == sorted(
            (row["participant_id"], row["version"]) for row in rows
        )
        assert len({row["event_id"] for row in rows}) == 12
        assert rows[3]["data"] == {**body(facts.lesion_registered()), "laterality": None, "size_mm": None}
        assert len(study.get("facts", "monitor", limit=1000).json()["rows"]) == 15


def test_exported_fact_can_be_imported_again_under_its_event_id(study: StudyUnderTest) -> None:
    participant_id = study.enroll_at("rome", facts.procedure_performed(detail="Under local anaesthesia."))
    event = find_event_id(study, participant_id, "procedure.performed")
    repeated = study.record_fact(
        participant_id, facts.procedure_performed(detail="Under local anaesthesia."), Idempotency_Key=event
    )
    assert (repeated.status_code, repeated.json()["event_id"], repeated.json()["version"]) == (201, event, 4)
    assert (
        study.record_fact(
            participant_id, facts.procedure_performed(detail="Otherwise."), Idempotency_Key=event
        ).status_code
        == 422
    )


def test_health_metrics_and_problem_pages_need_no_token(study: StudyUnderTest) -> None:
    for service in ("enrollment", "analytics"):
        assert study.http.get(f"/{service}/health/live").json() == {"status": "live"}
        assert study.http.get(f"/{service}/health/ready").json() == {"status": "ready"}
        assert "quartal_http_requests_total" in study.http.get(f"/{service}/metrics").text
    for service in ("enrollment", "toxicity", "followup"):
        relay = study.http.get(f"/{service}/health/relay")
        assert (relay.status_code, relay.json()["status"]) == (200, "ready")
        assert f'quartal_relay_seconds{{service="{service}"}}' in study.http.get(f"/{service}/metrics").text
    problems = study.http.get("/problems").json()
    assert {"not-found", "busy", "schema", "version-mismatch", "already-registered"} <= set(problems)
    assert all(problems.values())
    assert study.http.get("/problems/too-young").json() == {"code": "too-young", "means": problems["too-young"]}
    assert study.http.get("/problems/no-such-code").status_code == 404


CACHE_CONTROL = {"/enrollment/openapi.json": "public, no-cache", "/problems": "public, no-cache"}


def test_every_response_has_security_and_cache_headers(study: StudyUnderTest) -> None:
    for path in ("/enrollment/openapi.json", "/problems", "/health/live", "/metrics", "/nothing", study.address()):
        headers = study.http.get(path, headers=study.authorization(ROME_USER)).headers
        assert (headers["X-Content-Type-Options"], headers["X-Frame-Options"]) == ("nosniff", "DENY")
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == CACHE_CONTROL.get(
            path, "private, no-cache" if path == study.address() else "no-store"
        )
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "server" not in headers
