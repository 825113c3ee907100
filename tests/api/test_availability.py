"""A caller cannot make others wait, by large, slow or many requests; callers without a right are refused first."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest

from shared.settings import Limits
from shared.terminology import ctcae
from shared.testing.builders import facts
from shared.testing.builders import toxicity_facts as toxicity
from shared.testing.hostile_bodies import BATCH_BODIES, FACT_BODIES, encode_json
from tests.api.support.study import ROME_USER, StudyUnderTest, body, open_study, wait_until
from tests.demo import Demo

MAX_WAIT_SECONDS = 0.5
"""Beyond what the machine itself delays; docs/performance.md has what a quiet one measures."""
_PAUSE_SECONDS = 0.002
JSON_HEADERS = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[StudyUnderTest]:
    with open_study(demo) as study:
        yield study


@pytest.fixture(scope="module")
def participant_id(study: StudyUnderTest) -> str:
    return study.wait_until_known(study.enroll_at("rome", facts.lesion_registered(), facts.radiotherapy_started()))


class HealthProber:
    """A client that asks for the server's health again and again."""

    def __init__(self, demo: Demo) -> None:
        self._demo, self._stopped = demo, threading.Event()
        self.waits: list[float] = []
        self._late_wakes: list[float] = []

    def longest_wait(self) -> float:
        """Returns the longest wait in seconds, less the delays of the machine.

        A request wakes the server and then the client, each as late as the client was woken from a pause at worst.
        """
        return max(self.waits) - 2 * max(self._late_wakes)

    def probe(self) -> None:
        with httpx.Client(base_url=self._demo.url, timeout=60, trust_env=False) as http:
            while not self._stopped.is_set():
                started_at = time.monotonic()
                assert http.get("/health/live").status_code == 200
                answered_at = time.monotonic()
                self.waits.append(answered_at - started_at)
                time.sleep(_PAUSE_SECONDS)
                self._late_wakes.append(time.monotonic() - answered_at - _PAUSE_SECONDS)

    @contextmanager
    def probing(self) -> Iterator[None]:
        thread = threading.Thread(target=self.probe)
        thread.start()
        try:
            wait_until(lambda: bool(self.waits), "the prober asks")
            yield
        finally:
            self._stopped.set()
            thread.join()


def assessment_path(study: StudyUnderTest, participant_id: str, several: bool = False) -> str:
    name = "facts" if several else "facts/toxicity.assessed"
    return study.address(f"participants/{participant_id}/{name}?dry_run=true", "toxicity")


@pytest.mark.parametrize("name", [*FACT_BODIES, *BATCH_BODIES])
def test_costly_request_bodies_do_not_delay_other_callers(
    study: StudyUnderTest, participant_id: str, name: str
) -> None:
    content = {**FACT_BODIES, **BATCH_BODIES}[name]()
    assert len(content) <= Limits().max_body_bytes
    path, prober = assessment_path(study, participant_id, several=name in BATCH_BODIES), HealthProber(study.demo)
    headers = {**study.authorization(ROME_USER), **JSON_HEADERS, "Idempotency-Key": f"worst-{time.monotonic_ns()}"}
    study.http.get("/health/live")
    with prober.probing():
        responses = [study.http.post(path, content=content, headers=headers) for _ in range(2)]
    for response in responses:
        assert response.status_code in (200, 400, 422), response.text[:500]
        assert response.status_code == 200 or len(response.content) < 100_000
    assert prober.longest_wait() < MAX_WAIT_SECONDS


def test_unauthorized_request_is_refused_before_its_body_is_parsed(study: StudyUnderTest, participant_id: str) -> None:
    fact_path, batch_path = assessment_path(study, participant_id), assessment_path(study, participant_id, several=True)
    screening_path, site_closing_path = study.address("participants"), study.address("facts/study.site_closed")
    no_grant = {
        fact_path: 409,
        batch_path: 409,
        screening_path: 404,
        site_closing_path: 404,
        "/enrollment/v1/studies": 403,
    }
    no_role = {fact_path: 403, batch_path: 403, screening_path: 403, site_closing_path: 403}
    for user, expected_statuses in (("nobody", no_grant), ("reader", no_role)):
        for path, status in expected_statuses.items():
            for content in (b"{", b"[" * 1000, FACT_BODIES["60,000 wrong findings"](), b"\xff", b"null", b""):
                response = study.http.post(path, content=content, headers={**study.authorization(user), **JSON_HEADERS})
                assert response.status_code == status, (user, path, content[:20], response.text)
                (fault,) = response.json()["errors"]
                assert (f"/problems/{fault['code']}", fault["pointer"]) == (response.json()["type"], "")
    for path in (fact_path, batch_path, screening_path, site_closing_path):
        user = "administrator" if path == site_closing_path else ROME_USER
        response = study.http.post(path, content=b"{", headers={**study.authorization(user), **JSON_HEADERS})
        assert response.status_code == 400, "a caller with the role learns the fault"


def test_response_lists_at_most_a_hundred_errors_and_says_when_there_are_more(
    study: StudyUnderTest, participant_id: str
) -> None:
    lesions = [{"type": "lesion.registered", "data": body(facts.lesion_registered("L77"))}] * 150
    invalid_bodies = {
        assessment_path(study, participant_id): encode_json({"findings": [{"x": 1}] * 450}),
        assessment_path(study, participant_id, several=True): BATCH_BODIES["200 facts of 400 undeclared members"](),
        study.address(f"participants/{participant_id}/facts"): encode_json(lesions),
        study.address("participants"): encode_json({"criteria": {f"c{index}": "wrong" for index in range(400)}}),
    }
    for path, content in invalid_bodies.items():
        response = study.http.post(path, content=content, headers={**study.authorization(ROME_USER), **JSON_HEADERS})
        assert response.status_code == 422, path
        errors = response.json()["errors"]
        assert (len(errors), errors[-1]["code"], errors[-1]["pointer"]) == (101, "more-faults", "")
        assert "There are more faults" in errors[-1]["message"]
        assert "more-faults" not in {fault["code"] for fault in errors[:-1]}


def test_too_many_items_are_rejected_with_a_pointer(study: StudyUnderTest, participant_id: str) -> None:
    invalid_bodies = {
        assessment_path(study, participant_id): (FACT_BODIES["60,000 wrong findings"](), ""),
        study.address(f"participants/{participant_id}/facts/lesion.registered"): (
            encode_json({"kind": [0] * 501}),
            "/kind",
        ),
        assessment_path(study, participant_id, several=True): (BATCH_BODIES["340,000 empty objects"](), ""),
    }
    for path, (content, pointer) in invalid_bodies.items():
        response = study.http.post(path, content=content, headers={**study.authorization(ROME_USER), **JSON_HEADERS})
        assert (response.status_code, response.json()["type"]) == (422, "/problems/too-many-items")
        assert [fault["pointer"] for fault in response.json()["errors"]] == [pointer]
    many_params = "&".join(f"p{index}=1" for index in range(200))
    response = study.http.get(
        f"{study.address('figures/flow.json', 'analytics')}?{many_params}", headers=study.authorization(ROME_USER)
    )
    assert (response.status_code, response.json()["type"], len(response.content) < 1000) == (
        422,
        "/problems/parameter",
        True,
    )


def test_largest_realistic_requests_are_accepted(study: StudyUnderTest) -> None:
    participant_id = study.wait_until_known(study.enroll_at("rome", facts.radiotherapy_started()))
    causes = [{"to": to, "level": "possible"} for to in ("course:RT1", "disease", "other")]
    terms = list(ctcae.load_dictionary(facts.protocol().toxicity.dictionary).terms)[:200]
    findings = [{"term": term, "grade": 0, "attribution": causes} for term in terms]
    content = {**body(toxicity.toxicity_assessed(2)), "findings": findings, "checklist_complete": False}
    path = study.address(f"participants/{participant_id}/facts", "toxicity")
    response = study.send(f"{path}/toxicity.assessed", content)
    assert response.status_code == 201, response.text
    batch = [{"type": "toxicity.assessed", "data": {**content, "findings": findings[:20]}}] * 200
    response = study.send(path, batch)
    assert response.status_code == 201, response.text
    assert len(response.json()["event_ids"]) == 200


def test_event_streams_are_limited_per_caller(study: StudyUnderTest) -> None:
    study.wait_for_analytics()
    path = study.address("live", "analytics")
    limit = Limits().max_streams_per_caller
    with ExitStack() as stack, httpx.Client(base_url=study.demo.url, timeout=30, trust_env=False) as http:
        for _ in range(limit):
            assert (
                stack.enter_context(http.stream("GET", path, headers=study.authorization("reader"))).status_code == 200
            )
        refused = http.get(path, headers=study.authorization("reader"))
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
        assert refused.json()["title"].startswith(f"You have {limit} event streams open")
        with http.stream("GET", path, headers=study.authorization("monitor")) as other:
            assert other.status_code == 200
    wait_until(lambda: can_open_stream(study, path), "streams that were closed count no more")


def can_open_stream(study: StudyUnderTest, path: str) -> bool:
    with httpx.stream("GET", study.demo.url + path, headers=study.authorization("reader"), trust_env=False) as response:
        return response.status_code == 200


MANY_FACTS = 15 * 200
TERMS = "/toxicity/v1/dictionaries/ctcae-3.0/terms"
SINGLE_LETTER_WORDS = " ".join("abcdefghijklmnopqrstuvwxyz"[index % 26] for index in range(100))


def test_reading_a_participant_with_many_facts_does_not_delay_others(study: StudyUnderTest) -> None:
    participant_id = study.enroll_at("rome")
    for _ in range(MANY_FACTS // 200):
        batch = [{"type": "procedure.performed", "data": body(facts.procedure_performed(detail="By telephone."))}] * 200
        assert study.post(f"participants/{participant_id}/facts", {"facts": batch}).status_code == 201
    prober = HealthProber(study.demo)
    with prober.probing():
        participant = study.get(f"participants/{participant_id}")
        history = study.get(f"participants/{participant_id}/history")
    assert len(participant.json()["facts"]) >= MANY_FACTS
    assert len(history.json()["events"]) >= MANY_FACTS
    assert prober.longest_wait() < MAX_WAIT_SECONDS


def test_search_for_many_words_does_not_delay_others(study: StudyUnderTest) -> None:
    prober = HealthProber(study.demo)
    with prober.probing():
        for _ in range(20):
            assert (
                study.http.get(TERMS, params={"q": SINGLE_LETTER_WORDS}, headers=study.authorization(ROME_USER)).json()[
                    "rows"
                ]
                == []
            )
    assert prober.longest_wait() < MAX_WAIT_SECONDS
