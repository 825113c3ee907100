"""What every address does alike: HEAD, OPTIONS, what the client holds, the feed from a cursor, lists as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from shared.security.cursors import Cursors
from shared.security.vault import KeyEncryptionKey
from shared.testing import facts
from shared.testing import toxicity_facts as toxicity
from tests.api.own_study import SITE, OwnStudy, environment, event_of, own_study
from tests.demo import Demo


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[OwnStudy]:
    with own_study(demo) as opened:
        yield opened


@pytest.fixture(scope="module")
def number(study: OwnStudy) -> str:
    return study.known_everywhere(study.at_site("rome", facts.procedure(detail="By telephone.")))


PUBLIC = ("/problems", "/asyncapi.json", "/enrollment/openapi.json", "/toxicity/docs", "/analytics/static/app.css")


@pytest.mark.parametrize("path", [*PUBLIC, "/health/live", "/health/ready", "/metrics", "/analytics/health/live", "/"])
def test_head_is_answered_where_get_is(study: OwnStudy, path: str) -> None:
    head, whole = study.http.head(path), study.http.get(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == whole.headers["content-type"]
    options = study.http.options(path)
    assert (options.status_code, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS")
    refused = study.http.put(path)
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


@pytest.mark.parametrize("path", PUBLIC)
def test_public_documents_are_kept_by_anybody_and_sent_once(study: OwnStudy, path: str) -> None:
    whole = study.http.get(path)
    assert whole.headers["cache-control"] == "public, no-cache"
    again = study.http.get(path, headers={"If-None-Match": f"W/{whole.headers['etag'].removeprefix('W/')}"})
    assert (again.status_code, again.content) == (304, b"")


def test_head_of_the_stream_ends(study: OwnStudy) -> None:
    answer = study.http.head(study.address("live", "analytics"), headers=study.bearer(SITE))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")


def test_patient_data_is_kept_by_the_client_alone_and_is_new_when_it_changed(study: OwnStudy, number: str) -> None:
    path = f"participants/{number}"
    whole = study.get(path)
    assert whole.headers["cache-control"].startswith("private, no-cache")
    held = {"If-None-Match": whole.headers["etag"]}
    again = study.http.get(study.address(path), headers={**study.bearer(SITE), **held})
    assert (again.status_code, again.headers["etag"], again.headers["quartal-version"]) == (
        304, whole.headers["etag"], whole.headers["quartal-version"]
    )  # fmt: skip
    assert study.state(number, facts.lesion("L1")).status_code == 201
    assert study.http.get(study.address(path), headers={**study.bearer(SITE), **held}).status_code == 200


def test_who_sees_no_sealed_text_holds_another_answer(study: OwnStudy, number: str) -> None:
    """Nobody is told that what they hold is the same where it lacks the texts that they may read."""
    for path in (f"participants/{number}", f"participants/{number}/history"):
        own, other = study.get(path), study.get(path, "investigator")
        assert "By telephone." in own.text
        assert "By telephone." not in other.text
        assert own.headers["etag"] != other.headers["etag"]
        held = {"If-None-Match": other.headers["etag"], **study.bearer(SITE)}
        assert study.http.get(study.address(path), headers=held).status_code == 200
        assert "no-transform" in own.headers["cache-control"]
        assert "no-transform" not in other.headers["cache-control"]


def test_who_sees_fewer_members_of_a_study_holds_another_answer(study: OwnStudy) -> None:
    whole, reader = study.get("", "coordinator"), study.get("", "reader")
    assert whole.json()["version"] == reader.json()["version"]
    assert whole.json()["facts"] != reader.json()["facts"]
    held = {"If-None-Match": whole.headers["etag"], **study.bearer("reader")}
    assert study.http.get(study.address(""), headers=held).status_code == 200
    held = {"If-None-Match": reader.headers["etag"], **study.bearer("reader")}
    assert study.http.get(study.address(""), headers=held).status_code == 304


def test_elsewhere_the_answer_depends_on_what_is_known_of_enrollment(study: OwnStudy) -> None:
    person = study.known_everywhere(study.at_site("rome"))
    before = study.of("toxicity", f"participants/{person}")
    assert study.state(person, facts.lesion("L1")).status_code == 201
    study.known_everywhere(person)
    after = study.of("toxicity", f"participants/{person}")
    assert before.json()["version"] == after.json()["version"]
    assert before.headers["etag"] != after.headers["etag"]


def test_large_answers_are_compressed_but_those_with_sealed_texts(study: OwnStudy, number: str) -> None:
    for _ in range(12):
        study.participant(facts.screened())
    packed = study.get("participants", "investigator", limit=100)
    assert packed.headers.get("content-encoding") == "gzip"
    with httpx.Client(base_url=study.demo.url, trust_env=False, cookies={"quartal_session": "x"}) as browser:
        plain = browser.get(study.address("participants"), headers=study.bearer("investigator"))
    assert "content-encoding" not in plain.headers
    assert plain.json() == packed.json()
    assert "content-encoding" not in study.get(f"participants/{number}/history").headers


def feed(study: OwnStudy, who: str, cursor: str = "", limit: int = 3, **more: Any) -> tuple[list[dict[str, Any]], str]:
    """Everything behind the cursor, page by page, and the cursor after it."""
    rows: list[dict[str, Any]] = []
    while True:
        answer = study.get("facts", who, since=cursor, limit=limit, **more)
        assert answer.status_code == 200, answer.text
        assert answer.json().keys() == {"rows", "cursor"}
        cursor = answer.json()["cursor"]
        if not answer.json()["rows"]:
            return rows, cursor
        rows += answer.json()["rows"]


def test_the_feed_goes_on_from_where_it_ended(demo: Demo) -> None:
    with own_study(demo) as study:
        first, second = study.at_site("rome"), study.at_site("milan")
        third = study.at_site("rome", facts.procedure(detail="By telephone."))
        rows, cursor = feed(study, SITE)
        assert [(row["participant_id"], row["version"]) for row in rows] == [
            *((first, version) for version in (1, 2, 3)), *((third, version) for version in (1, 2, 3, 4))
        ]  # fmt: skip
        assert rows[-1]["data"]["detail"] == "By telephone."
        assert feed(study, SITE, cursor)[0] == []
        added = study.state(first, facts.lesion("L1")).json()["event_id"]
        assert study.state(second, facts.lesion("L1"), "site@milan").status_code == 201
        again, _ = feed(study, SITE, cursor)
        assert [row["event_id"] for row in again] == [added]
        everybody, whole = feed(study, "investigator")
        assert len(everybody) == 12
        assert all(row["data"].get("detail") is None for row in everybody)
        assert feed(study, "investigator", whole)[0] == []
        assert {row["site_id"] for row in feed(study, "investigator", site="milan")[0]} == {"milan"}


def test_after_a_transfer_each_site_reads_what_it_stated(demo: Demo) -> None:
    with own_study(demo) as study:
        person = study.at_site("rome", facts.procedure(detail="By telephone."))
        moved = study.state(person, facts.transferred("milan", 5))
        assert moved.status_code == 201
        later = study.state(person, facts.lesion("L1"), "site@milan").json()["event_id"]
        assert study.get(f"participants/{person}").status_code == 404
        old = feed(study, SITE)[0]
        assert [row["version"] for row in old] == [1, 2, 3, 4, 5]
        assert old[3]["data"]["detail"] is None
        assert study.get("facts").json()["rows"] == []
        for new in (feed(study, "site@milan")[0], study.get("facts", "site@milan").json()["rows"]):
            assert [row["event_id"] for row in new] == [later]
        assert len(feed(study, "investigator")[0]) == 6


def test_a_cursor_is_good_for_its_reader_alone(study: OwnStudy, number: str) -> None:
    _, cursor = feed(study, SITE)
    other = {"milan": "site@milan", "whole": "investigator"}
    for who in other.values():
        refused = study.get("facts", who, since=cursor)
        assert (refused.status_code, refused.json()["type"]) == (422, "/problems/parameter"), who
    elsewhere = study.of("toxicity", "facts", since=cursor)
    assert (elsewhere.status_code, elsewhere.json()["type"]) == (422, "/problems/parameter")
    for wrong in ("x", cursor[:-1], cursor + "A", cursor.swapcase(), "é", "1"):
        assert study.get("facts", since=wrong).status_code == 422, wrong
    both = study.get("facts", since=cursor, after=f"{number}.1")
    assert (both.status_code, both.json()["type"]) == (422, "/problems/parameter")
    assert study.get("facts", "reader", since="").status_code == 403


def test_a_cursor_of_another_state_of_the_database_is_gone(study: OwnStudy, number: str) -> None:
    """As after a restore: its snapshots would mean other events."""
    _, cursor = feed(study, SITE)
    cursors = Cursors(KeyEncryptionKey.load(Path(environment(study.demo)["QUARTAL_KEK"])))
    place = ("facts", "enrollment", study.study_id)
    scope, done, upto, last_seq, database = cursors.open(place, cursor)
    assert study.get("facts", since=cursors.seal(place, [scope, done, upto, last_seq, database])).status_code == 200
    later = f"{10**12}:{10**12}:"
    for gone in ([scope, done, upto, last_seq, "1.1"], [scope, later, upto, last_seq, database]):
        answer = study.get("facts", since=cursors.seal(place, gone))
        assert (answer.status_code, answer.json()["type"]) == (410, "/problems/position-gone")
        assert "since=" in answer.json()["title"]


def test_the_list_of_participants_is_the_pages(demo: Demo) -> None:
    with own_study(demo) as study:
        rome = sorted(study.at_site("rome") for _ in range(3))
        milan = study.at_site("milan")
        person = rome[0]
        study.known_everywhere(person)
        assert study.state(person, toxicity.assessed(9, toxicity.finding())).status_code == 201
        study.position()
        whole = study.read("participants.json").json()
        assert [row["participant_id"] for row in whole["rows"]] == sorted([*rome, milan])
        assert whole["rows"][0].keys() == {"participant_id", "site_id", "status", "open_queries"}
        assert (whole["next"], whole["position"]) == (None, study.position())
        first = study.read("participants.json", SITE, limit=2).json()
        rest = study.read("participants.json", SITE, limit=2, after=first["next"]).json()
        assert [row["participant_id"] for row in (*first["rows"], *rest["rows"])] == rome
        assert rest["next"] is None
        page = study.http.get(
            f"/analytics/studies/{study.study_id}/participants", headers={**study.bearer(SITE), "Accept": "text/html"}
        ).text
        assert all(name in page for name in rome)
        assert milan not in page
        assert study.read("participants.json", "reader").status_code == 403
        assert study.read("participants.json", "administrator").status_code == 403


def test_a_time_whose_plus_became_a_blank_is_read_as_it_was_meant(study: OwnStudy, number: str) -> None:
    study.position()
    times = ("2999-01-31T12:00:00+01:00", "2999-01-31T12:00:00%2B01:00", "2999-01-31T11:00:00Z")
    for base in ("/analytics/v1/studies/{}/figures/flow.json", "/analytics/studies/{}"):
        address = base.format(study.study_id)
        answers = [study.http.get(f"{address}?as_of={time}", headers=study.bearer("investigator")) for time in times]
        assert [answer.status_code for answer in answers] == [200, 200, 200]
    for wrong in ("2999-01-31 12:00:00%2B01:00", "2999-01-31T12:00:00 Z", "2999-01-31T12 00:00+01:00"):
        address = study.address("figures/flow.json", "analytics")
        assert study.http.get(f"{address}?as_of={wrong}", headers=study.bearer("investigator")).status_code == 422


def test_programs_are_never_sent_to_the_form(study: OwnStudy) -> None:
    browser = {"Accept": "text/html"}
    assert study.http.get(study.address("figures/flow.csv", "analytics"), headers=browser).status_code == 401
    page = study.http.get(f"/analytics/studies/{study.study_id}", headers=browser)
    assert (page.status_code, page.headers["location"][:8]) == (303, "/session")


def test_a_corrected_fact_is_in_the_feed_as_it_was_stated(study: OwnStudy) -> None:
    person = study.at_site("rome", facts.lesion("L1"))
    _, cursor = feed(study, SITE)
    event = event_of(study, person, "lesion.registered")
    assert study.state(person, facts.correction(UUID(event), None)).status_code == 201
    (row,) = feed(study, SITE, cursor)[0]
    assert (row["type"], row["data"]["event_id"], row["data"]["replacement"]) == ("record.corrected", event, None)


def test_a_filter_by_a_site_that_the_study_does_not_have_is_refused(study: OwnStudy) -> None:
    for service, path in (
        ("enrollment", "participants"), ("enrollment", "facts"), ("toxicity", "participants"),
        ("analytics", "figures/flow.json"), ("analytics", "figures/treatments.json"), ("analytics", "queries.json"),
    ):  # fmt: skip
        answer = study.of(service, path, "coordinator", site="nope")
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "parameter"), path
        assert study.of(service, path, "coordinator", site="milan").status_code == 200, path
