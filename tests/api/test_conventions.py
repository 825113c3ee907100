"""Conventions of every route: HEAD, OPTIONS, conditional requests, the feed from a cursor, lists as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from shared.security.cursors import CursorCipher
from shared.security.vault import KeyEncryptionKey
from shared.testing.builders import facts
from shared.testing.builders import toxicity_facts as toxicity
from tests.api.support.study import ROME_USER, StudyUnderTest, demo_environment, find_event_id, open_study
from tests.demo import Demo


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[StudyUnderTest]:
    with open_study(demo) as study:
        yield study


@pytest.fixture(scope="module")
def participant_id(study: StudyUnderTest) -> str:
    return study.wait_until_known(study.enroll_at("rome", facts.procedure_performed(detail="By telephone.")))


PUBLIC_PATHS = (
    "/problems",
    "/asyncapi.json",
    "/enrollment/openapi.json",
    "/toxicity/docs",
    "/analytics/static/app.css",
)


@pytest.mark.parametrize(
    "path", [*PUBLIC_PATHS, "/health/live", "/health/ready", "/metrics", "/analytics/health/live", "/"]
)
def test_head_and_options_are_answered_where_get_is(study: StudyUnderTest, path: str) -> None:
    head, get_response = study.http.head(path), study.http.get(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == get_response.headers["content-type"]
    options = study.http.options(path)
    assert (options.status_code, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS")
    refused = study.http.put(path)
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


@pytest.mark.parametrize("path", PUBLIC_PATHS)
def test_public_documents_are_cacheable_and_revalidated_by_etag(study: StudyUnderTest, path: str) -> None:
    first = study.http.get(path)
    assert first.headers["cache-control"] == "public, no-cache"
    revalidated = study.http.get(path, headers={"If-None-Match": f"W/{first.headers['etag'].removeprefix('W/')}"})
    assert (revalidated.status_code, revalidated.content) == (304, b"")


def test_head_of_the_event_stream_ends(study: StudyUnderTest) -> None:
    response = study.http.head(study.address("live", "analytics"), headers=study.authorization(ROME_USER))
    assert (response.status_code, response.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")


def test_participant_data_is_cached_privately_and_revalidated(study: StudyUnderTest, participant_id: str) -> None:
    path = f"participants/{participant_id}"
    first = study.get(path)
    assert first.headers["cache-control"].startswith("private, no-cache")
    validators = {"If-None-Match": first.headers["etag"]}
    revalidated = study.http.get(study.address(path), headers={**study.authorization(ROME_USER), **validators})
    assert (revalidated.status_code, revalidated.headers["etag"], revalidated.headers["quartal-version"]) == (
        304,
        first.headers["etag"],
        first.headers["quartal-version"],
    )
    assert study.record_fact(participant_id, facts.lesion_registered("L1")).status_code == 201
    assert (
        study.http.get(study.address(path), headers={**study.authorization(ROME_USER), **validators}).status_code == 200
    )


def test_etags_differ_between_callers_who_see_different_texts(study: StudyUnderTest, participant_id: str) -> None:
    """A caller who may read the texts gets no 304 for a response without them."""
    for path in (f"participants/{participant_id}", f"participants/{participant_id}/history"):
        site_response, investigator_response = study.get(path), study.get(path, "investigator")
        assert "By telephone." in site_response.text
        assert "By telephone." not in investigator_response.text
        assert site_response.headers["etag"] != investigator_response.headers["etag"]
        headers = {"If-None-Match": investigator_response.headers["etag"], **study.authorization(ROME_USER)}
        assert study.http.get(study.address(path), headers=headers).status_code == 200
        assert "no-transform" in site_response.headers["cache-control"]
        assert "no-transform" not in investigator_response.headers["cache-control"]


def test_etags_differ_between_callers_who_see_different_members(study: StudyUnderTest) -> None:
    coordinator_response, reader = study.get("", "coordinator"), study.get("", "reader")
    assert coordinator_response.json()["version"] == reader.json()["version"]
    assert coordinator_response.json()["facts"] != reader.json()["facts"]
    headers = {"If-None-Match": coordinator_response.headers["etag"], **study.authorization("reader")}
    assert study.http.get(study.address(""), headers=headers).status_code == 200
    headers = {"If-None-Match": reader.headers["etag"], **study.authorization("reader")}
    assert study.http.get(study.address(""), headers=headers).status_code == 304


def test_etag_changes_with_the_known_enrollment_version(study: StudyUnderTest) -> None:
    participant = study.wait_until_known(study.enroll_at("rome"))
    before = study.get_from("toxicity", f"participants/{participant}")
    assert study.record_fact(participant, facts.lesion_registered("L1")).status_code == 201
    study.wait_until_known(participant)
    after = study.get_from("toxicity", f"participants/{participant}")
    assert before.json()["version"] == after.json()["version"]
    assert before.headers["etag"] != after.headers["etag"]


def test_large_responses_are_compressed_unless_they_hold_sealed_texts(
    study: StudyUnderTest, participant_id: str
) -> None:
    for _ in range(12):
        study.register(facts.participant_screened())
    compressed = study.get("participants", "investigator", limit=100)
    assert compressed.headers.get("content-encoding") == "gzip"
    with httpx.Client(base_url=study.demo.url, trust_env=False, cookies={"quartal-session-1": "x"}) as browser:
        uncompressed = browser.get(study.address("participants"), headers=study.authorization("investigator"))
    assert "content-encoding" not in uncompressed.headers
    assert uncompressed.json() == compressed.json()
    assert "content-encoding" not in study.get(f"participants/{participant_id}/history").headers


def read_feed(
    study: StudyUnderTest, user: str, cursor: str = "", limit: int = 3, **filters: Any
) -> tuple[list[dict[str, Any]], str]:
    """Reads every page behind the cursor; returns the rows and the cursor after them."""
    rows: list[dict[str, Any]] = []
    while True:
        response = study.get("facts", user, since=cursor, limit=limit, **filters)
        assert response.status_code == 200, response.text
        assert response.json().keys() == {"rows", "cursor"}
        cursor = response.json()["cursor"]
        if not response.json()["rows"]:
            return rows, cursor
        rows += response.json()["rows"]


def test_feed_continues_from_its_cursor(demo: Demo) -> None:
    with open_study(demo) as study:
        first, second = study.enroll_at("rome"), study.enroll_at("milan")
        third = study.enroll_at("rome", facts.procedure_performed(detail="By telephone."))
        rows, cursor = read_feed(study, ROME_USER)
        assert [(row["participant_id"], row["version"]) for row in rows] == [
            *((first, version) for version in (1, 2, 3)),
            *((third, version) for version in (1, 2, 3, 4)),
        ]
        assert rows[-1]["data"]["detail"] == "By telephone."
        assert read_feed(study, ROME_USER, cursor)[0] == []
        added_event = study.record_fact(first, facts.lesion_registered("L1")).json()["event_id"]
        assert study.record_fact(second, facts.lesion_registered("L1"), "site@milan").status_code == 201
        new_rows, _ = read_feed(study, ROME_USER, cursor)
        assert [row["event_id"] for row in new_rows] == [added_event]
        all_rows, investigator_cursor = read_feed(study, "investigator")
        assert len(all_rows) == 12
        assert all(row["data"].get("detail") is None for row in all_rows)
        assert read_feed(study, "investigator", investigator_cursor)[0] == []
        assert {row["site_id"] for row in read_feed(study, "investigator", site="milan")[0]} == {"milan"}


def test_after_a_transfer_each_site_reads_the_facts_it_recorded(demo: Demo) -> None:
    with open_study(demo) as study:
        participant = study.enroll_at("rome", facts.procedure_performed(detail="By telephone."))
        response = study.record_fact(participant, facts.participant_transferred("milan", 5))
        assert response.status_code == 201
        later_event = study.record_fact(participant, facts.lesion_registered("L1"), "site@milan").json()["event_id"]
        assert study.get(f"participants/{participant}").status_code == 404
        old_site_rows = read_feed(study, ROME_USER)[0]
        assert [row["version"] for row in old_site_rows] == [1, 2, 3, 4, 5]
        assert old_site_rows[3]["data"]["detail"] is None
        assert study.get("facts").json()["rows"] == []
        for new_site_rows in (read_feed(study, "site@milan")[0], study.get("facts", "site@milan").json()["rows"]):
            assert [row["event_id"] for row in new_site_rows] == [later_event]
        assert len(read_feed(study, "investigator")[0]) == 6


def test_cursor_is_valid_only_for_its_reader_and_service(study: StudyUnderTest, participant_id: str) -> None:
    _, cursor = read_feed(study, ROME_USER)
    other_users = {"milan": "site@milan", "whole": "investigator"}
    for user in other_users.values():
        rejected = study.get("facts", user, since=cursor)
        assert (rejected.status_code, rejected.json()["type"]) == (422, "/problems/parameter"), user
    other_service = study.get_from("toxicity", "facts", since=cursor)
    assert (other_service.status_code, other_service.json()["type"]) == (422, "/problems/parameter")
    for invalid_cursor in ("x", cursor[:-1], cursor + "A", cursor.swapcase(), "é", "1"):
        assert study.get("facts", since=invalid_cursor).status_code == 422, invalid_cursor
    conflicting = study.get("facts", since=cursor, after=f"{participant_id}.1")
    assert (conflicting.status_code, conflicting.json()["type"]) == (422, "/problems/parameter")
    assert study.get("facts", "reader", since="").status_code == 403


def test_cursor_from_before_a_database_restore_is_410(study: StudyUnderTest, participant_id: str) -> None:
    """Cursor of a database before a restore: its snapshots would denote other events."""
    _, cursor = read_feed(study, ROME_USER)
    cursors = CursorCipher(KeyEncryptionKey.load(Path(demo_environment(study.demo)["QUARTAL_KEK"])))
    cursor_context = ("facts", "enrollment", study.study_id)
    scope, done, up_to, last_seq, database = cursors.open(cursor_context, cursor)
    assert (
        study.get("facts", since=cursors.seal(cursor_context, [scope, done, up_to, last_seq, database])).status_code
        == 200
    )
    later_snapshot = f"{10**12}:{10**12}:"
    for contents in ([scope, done, up_to, last_seq, "1.1"], [scope, later_snapshot, up_to, last_seq, database]):
        response = study.get("facts", since=cursors.seal(cursor_context, contents))
        assert (response.status_code, response.json()["type"]) == (410, "/problems/position-gone")
        assert "since=" in response.json()["title"]


def test_participant_list_json_equals_the_page(demo: Demo) -> None:
    with open_study(demo) as study:
        rome = sorted(study.enroll_at("rome") for _ in range(3))
        milan = study.enroll_at("milan")
        participant = rome[0]
        study.wait_until_known(participant)
        assert study.record_fact(participant, toxicity.toxicity_assessed(9, toxicity.finding())).status_code == 201
        study.wait_for_analytics()
        full_list = study.get_analytics("participants.json").json()
        assert [row["participant_id"] for row in full_list["rows"]] == sorted([*rome, milan])
        assert full_list["rows"][0].keys() == {"participant_id", "site_id", "status", "open_queries"}
        assert (full_list["next"], full_list["position"]) == (None, study.wait_for_analytics())
        first_page = study.get_analytics("participants.json", ROME_USER, limit=2).json()
        second_page = study.get_analytics("participants.json", ROME_USER, limit=2, after=first_page["next"]).json()
        assert [row["participant_id"] for row in (*first_page["rows"], *second_page["rows"])] == rome
        assert second_page["next"] is None
        page = study.http.get(
            f"/analytics/studies/{study.study_id}/participants",
            headers={**study.authorization(ROME_USER), "Accept": "text/html"},
        ).text
        assert all(name in page for name in rome)
        assert milan not in page
        assert study.get_analytics("participants.json", "reader").status_code == 403
        assert study.get_analytics("participants.json", "administrator").status_code == 403


def test_time_whose_plus_became_a_space_is_accepted(study: StudyUnderTest, participant_id: str) -> None:
    study.wait_for_analytics()
    times = ("2999-01-31T12:00:00+01:00", "2999-01-31T12:00:00%2B01:00", "2999-01-31T11:00:00Z")
    for base in ("/analytics/v1/studies/{}/figures/flow.json", "/analytics/studies/{}"):
        address = base.format(study.study_id)
        responses = [
            study.http.get(f"{address}?as_of={time}", headers=study.authorization("investigator")) for time in times
        ]
        assert [response.status_code for response in responses] == [200, 200, 200]
    for invalid_time in ("2999-01-31 12:00:00%2B01:00", "2999-01-31T12:00:00 Z", "2999-01-31T12 00:00+01:00"):
        address = study.address("figures/flow.json", "analytics")
        assert (
            study.http.get(f"{address}?as_of={invalid_time}", headers=study.authorization("investigator")).status_code
            == 422
        )


def test_api_requests_are_never_redirected_to_sign_in(study: StudyUnderTest) -> None:
    browser = {"Accept": "text/html"}
    assert study.http.get(study.address("figures/flow.csv", "analytics"), headers=browser).status_code == 401
    page = study.http.get(f"/analytics/studies/{study.study_id}", headers=browser)
    assert (page.status_code, page.headers["location"][:8]) == (303, "/session")


def test_correction_appears_in_the_feed_as_it_was_recorded(study: StudyUnderTest) -> None:
    participant = study.enroll_at("rome", facts.lesion_registered("L1"))
    _, cursor = read_feed(study, ROME_USER)
    event = find_event_id(study, participant, "lesion.registered")
    assert study.record_fact(participant, facts.correction(UUID(event), None)).status_code == 201
    (row,) = read_feed(study, ROME_USER, cursor)[0]
    assert (row["type"], row["data"]["event_id"], row["data"]["replacement"]) == ("record.corrected", event, None)


def test_filter_by_an_unknown_site_is_rejected(study: StudyUnderTest) -> None:
    for service, path in (
        ("enrollment", "participants"),
        ("enrollment", "facts"),
        ("toxicity", "participants"),
        ("analytics", "figures/flow.json"),
        ("analytics", "figures/treatments.json"),
        ("analytics", "queries.json"),
        ("analytics", "worklist.json"),
    ):
        response = study.get_from(service, path, "coordinator", site="nope")
        assert (response.status_code, response.json()["errors"][0]["code"]) == (422, "parameter"), path
        assert study.get_from(service, path, "coordinator", site="milan").status_code == 200, path
