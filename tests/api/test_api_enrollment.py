"""Enrollment's interface as it is documented, row by row, for whoever writes a program against it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import datetime
from itertools import chain
from typing import Any
from uuid import UUID

import pytest

from shared.kernel.ids import participant_id
from shared.testing import facts
from tests.api.own_study import SAID, SITE, OwnStudy, body, entry, event_of, opening, own_study
from tests.demo import Demo


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[OwnStudy]:
    with own_study(demo) as opened:
        yield opened


def recorded(said: dict[str, Any], version: int) -> bool:
    """Has it the members that every recording has, with a time in UTC?"""
    when = datetime.fromisoformat(said["recorded_at"])
    return bool(UUID(said["event_id"])) and said["version"] == version and when.utcoffset() is not None


def test_a_study_is_opened_with_its_administrator(demo: Demo) -> None:
    with own_study(demo) as study:
        again = study.http.post(
            "/enrollment/v1/studies", json=opening(study.study_id), headers=study.bearer("administrator")
        )
        assert again.status_code == 422
        answer = study.get(who="administrator")
        said = answer.json()
        assert (said["study_id"], answer.headers["ETag"]) == (study.study_id, f'"{said["version"]}"')
        assert [fact["type"] for fact in said["facts"][:3]] == [
            "study.opened", "study.member_granted", "study.site_activated"
        ]  # fmt: skip
        assert said["facts"][0]["data"]["protocol"]["follow_up"]["every_months"] == 3


def test_a_fact_of_the_study_answers_with_its_version(study: OwnStudy) -> None:
    before = study.get().json()["version"]
    answer = study.of_study(facts.site_activated(f"s-{secrets.token_hex(3)}"))
    assert answer.status_code == 201
    assert recorded(answer.json(), before + 1)
    assert answer.json()["study_id"] == study.study_id
    assert answer.headers["ETag"] == f'"{before + 1}"'
    assert answer.headers["Quartal-Version"] == f"enrollment={before + 1}"


def test_who_is_screened_gets_a_number_and_an_address(study: OwnStudy) -> None:
    answer = study.post("participants", body(facts.screened()))
    said = answer.json()
    assert answer.status_code == 201
    assert set(said) == {"participant_id", "event_id", "version", "recorded_at"}
    assert recorded(said, 1)
    assert participant_id(said["participant_id"]) == said["participant_id"]
    assert answer.headers["Location"] == study.address(f"participants/{said['participant_id']}")
    assert study.http.get(answer.headers["Location"], headers=study.bearer(SITE)).status_code == 200


def test_somebody_can_be_registered_with_all_that_is_known(study: OwnStudy) -> None:
    several = [entry(fact) for fact in facts.ON_STUDY]
    answer = study.post("participants", {"facts": several})
    said = answer.json()
    assert (answer.status_code, said["version"], len(said["event_ids"])) == (201, 3, 3)
    assert said["event_id"] == said["event_ids"][0]
    later = study.post("participants", {"facts": several[1:]})
    assert (later.status_code, later.json()["errors"][0]["pointer"]) == (422, "/facts/0/type")


def test_a_fact_answers_with_four_members_and_the_version_as_etag(study: OwnStudy) -> None:
    number = study.at_site("rome")
    answer = study.state(number, facts.lesion())
    assert set(answer.json()) == {"participant_id", "event_id", "version", "recorded_at"}
    assert recorded(answer.json(), 4)
    assert (answer.headers["ETag"], answer.headers["Quartal-Version"]) == ('"4"', "enrollment=4")
    assert "Location" not in answer.headers


@pytest.mark.parametrize("many", [1, 2, 200])
def test_a_batch_is_recorded_whole_or_not_at_all(study: OwnStudy, many: int) -> None:
    number = study.at_site("rome")
    batch = [entry(facts.lesion(f"L{place}")) for place in range(many)]
    spoilt = [*batch[:-1], entry(facts.lesion("L1", 9000))]
    assert study.post(f"participants/{number}/facts", spoilt).status_code == 422
    answer = study.post(f"participants/{number}/facts", batch)
    assert answer.status_code == 201
    assert (answer.json()["version"], len(answer.json()["event_ids"])) == (3 + many, many)
    assert len(study.get(f"participants/{number}/history").json()["events"]) == 3 + many


def test_a_batch_has_at_most_two_hundred_facts(study: OwnStudy) -> None:
    number = study.at_site("rome")
    batch = [entry(facts.lesion(f"L{place}")) for place in range(201)]
    assert study.post(f"participants/{number}/facts", batch).status_code == 422


def test_a_dry_run_decides_and_records_nothing(study: OwnStudy) -> None:
    number, version = study.at_site("rome"), study.get().json()["version"]
    base = f"participants/{number}/facts"
    for said, due in ((study.post(f"{base}/lesion.registered?dry_run=true", body(facts.lesion())), 4),
                      (study.post(f"{base}?dry_run=true", [entry(facts.lesion()), entry(facts.course())]), 5),
                      (study.post("facts/study.closed?dry_run=true", SAID["study.closed"], "administrator"),
                       version + 1)):  # fmt: skip
        assert (said.status_code, said.json()["version"], said.json()["dry_run"]) == (200, due, True)
        assert "event_id" not in said.json()
    screening = study.post("participants?dry_run=true", body(facts.screened()))
    tried = screening.json()
    assert (tried["version"], tried["dry_run"], "participant_id" in tried) == (1, True, False)
    assert [said["type"] for said in tried["would_record"]] == ["participant.screened"]
    assert study.post(f"{base}/lesion.registered?dry_run=true", body(facts.lesion("L1", 9000))).status_code == 422
    assert study.get(f"participants/{number}").json()["version"] == 3
    assert study.get().json()["version"] == version


def test_the_same_request_under_one_key_is_recorded_once(study: OwnStudy) -> None:
    number, key = study.at_site("rome"), secrets.token_hex(8)
    for path, said in ((f"participants/{number}/facts/lesion.registered", body(facts.lesion())),
                       (f"participants/{number}/facts", [entry(facts.procedure()), entry(facts.procedure())]),
                       ("participants", body(facts.screened()))):  # fmt: skip
        first, second = (study.post(path, said, Idempotency_Key=f"{key}/{path}") for _ in range(2))
        assert (first.status_code, second.status_code) == (201, 201)
        assert first.json() == second.json()
        assert first.headers["ETag"] == second.headers["ETag"]
        assert first.headers.get("Location") == second.headers.get("Location")
    assert study.get(f"participants/{number}").json()["version"] == 6


def test_a_version_in_if_match_guards_against_what_happened_since(study: OwnStudy) -> None:
    number = study.at_site("rome")
    seen = study.get(f"participants/{number}").headers["ETag"]
    assert study.state(number, facts.lesion("L1"), If_Match=seen).status_code == 201
    assert study.state(number, facts.lesion("L2"), If_Match=seen).status_code == 412
    assert study.state(number, facts.lesion("L2")).status_code == 201


def test_a_number_is_understood_in_any_case_with_or_without_hyphens(study: OwnStudy) -> None:
    number = study.at_site("rome")
    for written in (number.lower(), number.replace("-", ""), number.replace("-", "").lower()):
        assert study.get(f"participants/{written}").json()["participant_id"] == number
        answer = study.post(f"participants/{written}/facts/lesion.registered?dry_run=1", SAID["lesion.registered"])
        assert answer.json()["participant_id"] == number


def test_a_participant_is_shown_as_the_facts_stand(study: OwnStudy) -> None:
    number = study.at_site("rome", facts.lesion(), facts.procedure(detail="Told by telephone."))
    lesion = event_of(study, number, "lesion.registered")
    corrected = facts.correction(UUID(lesion), facts.lesion("L1", 5, body_site="lung"), reason="Read wrongly.")
    assert study.state(number, corrected).status_code == 201
    answer = study.get(f"participants/{number}")
    said = answer.json()
    assert (said["participant_id"], said["site_id"], said["status"], said["version"]) == (number, "rome", "enrolled", 6)
    assert answer.headers["ETag"] == '"6"'
    stands = {fact["type"]: fact for fact in said["facts"]}
    assert (stands["lesion.registered"]["event_id"], stands["lesion.registered"]["data"]["body_site"]) == (
        lesion,
        "lung",
    )
    assert stands["procedure.performed"]["data"]["detail"] == "Told by telephone."


def test_a_history_is_everything_as_first_stated(study: OwnStudy) -> None:
    number = study.at_site("rome", facts.lesion("L1"), facts.lesion("L2"))
    first, second = (event["event_id"] for event in study.get(f"participants/{number}/history").json()["events"][3:])
    restated, voided = (
        study.state(number, facts.correction(UUID(event), new)).json()["event_id"]
        for event, new in ((first, facts.lesion("L1", 7)), (second, None))
    )
    answer = study.get(f"participants/{number}/history")
    events = answer.json()["events"]
    assert answer.headers["ETag"] == '"7"'
    assert [event["version"] for event in events] == list(range(1, 8))
    assert [(event["standing"], event["corrected_by"]) for event in events[3:]] == [
        (True, restated), (False, voided), (True, None), (True, None)
    ]  # fmt: skip
    assert events[3]["data"]["found_on"] == facts.day(0)
    for event in events:
        assert set(event) == {
            "event_id", "version", "type", "data", "texts_shown", "recorded_at", "recorded_by", "standing",
            "corrected_by",
        }  # fmt: skip
        assert event["recorded_by"] == f"site@rome.{study.study_id}"


def test_participants_are_listed_by_site_and_status_a_page_at_a_time(demo: Demo) -> None:
    with own_study(demo) as study:
        rome = [study.at_site("rome") for _ in range(3)]
        milan = study.at_site("milan")
        screened = study.participant(facts.screened())
        pages, after = [], ""
        while after is not None:
            page = study.get("participants", "monitor", limit=2, after=after).json()
            pages.append([row["participant_id"] for row in page["rows"]])
            after = page["next"]
        assert [len(page) for page in pages] == [2, 2, 1]
        assert list(chain(*pages)) == sorted([*rome, milan, screened])
        named = {row["participant_id"] for row in study.get("participants", "monitor", site="milan").json()["rows"]}
        assert named == {milan}
        rows = study.get("participants", status="screening").json()["rows"]
        assert rows == [{"participant_id": screened, "site_id": "rome", "status": "screening", "version": 1}]
        assert study.get("participants", status="withdrawn").json() == {"rows": [], "next": None}


def test_the_status_is_the_furthest_that_was_stated(study: OwnStudy) -> None:
    number, seen = study.participant(facts.screened()), ["screening"]
    for fact in (facts.consented(), facts.enrolled(), facts.withdrawn(9), facts.voided()):
        assert study.state(number, fact).status_code == 201
        seen.append(study.get(f"participants/{number}").json()["status"])
    assert seen == ["screening", "consented", "enrolled", "withdrawn", "voided"]
    failed = study.participant(facts.screened(), facts.screen_failed())
    assert study.get(f"participants/{failed}").json()["status"] == "screen_failed"


def test_the_feed_lets_a_site_compare_what_it_sent(demo: Demo) -> None:
    with own_study(demo) as study:
        for _ in range(3):
            study.at_site("rome", facts.lesion())
        study.at_site("milan")
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
        assert rows[3]["data"] == {**body(facts.lesion()), "laterality": None, "size_mm": None}
        assert len(study.get("facts", "monitor", limit=1000).json()["rows"]) == 15


def test_an_exported_fact_can_be_imported_again_under_its_id(study: OwnStudy) -> None:
    number = study.at_site("rome", facts.procedure(detail="Under local anaesthesia."))
    event = event_of(study, number, "procedure.performed")
    again = study.state(number, facts.procedure(detail="Under local anaesthesia."), Idempotency_Key=event)
    assert (again.status_code, again.json()["event_id"], again.json()["version"]) == (201, event, 4)
    assert study.state(number, facts.procedure(detail="Otherwise."), Idempotency_Key=event).status_code == 422


def test_health_metrics_and_problems_need_no_token(study: OwnStudy) -> None:
    for service in ("enrollment", "analytics"):
        assert study.http.get(f"/{service}/health/live").json() == {"status": "live"}
        assert study.http.get(f"/{service}/health/ready").json() == {"status": "ready"}
        assert "quartal_http_requests_total" in study.http.get(f"/{service}/metrics").text
    problems = study.http.get("/problems").json()
    assert {"not-found", "busy", "schema", "version-mismatch", "already-registered"} <= set(problems)
    assert all(problems.values())
    assert study.http.get("/problems/too-young").json() == {"code": "too-young", "means": problems["too-young"]}
    assert study.http.get("/problems/no-such-code").status_code == 404


CACHED = {"/enrollment/openapi.json": "public, no-cache", "/problems": "public, no-cache"}


def test_every_answer_forbids_sniffing_framing_and_keeping(study: OwnStudy) -> None:
    for path in ("/enrollment/openapi.json", "/problems", "/health/live", "/metrics", "/nothing", study.address()):
        said = study.http.get(path, headers=study.bearer(SITE)).headers
        assert (said["X-Content-Type-Options"], said["X-Frame-Options"]) == ("nosniff", "DENY")
        assert said["Referrer-Policy"] == "no-referrer"
        assert said["Cache-Control"] == CACHED.get(path, "private, no-cache" if path == study.address() else "no-store")
        assert "default-src 'none'" in said["Content-Security-Policy"]
        assert "server" not in said
