"""Nobody makes the others wait: not by what they send, and not by how much of it; and who may not is refused first."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest

from shared.settings import Limits
from shared.terminology import ctcae
from shared.testing import facts
from shared.testing import toxicity_facts as toxicity
from shared.testing.hostile import BATCH_BODIES, FACT_BODIES, as_json
from tests.api.own_study import SITE, OwnStudy, body, own_study, waiting_for
from tests.demo import Demo

OTHERS_WAIT = 0.5  # seconds, on a machine that does other things too; docs/performance.md has what a quiet one measures
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[OwnStudy]:
    with own_study(demo) as opened:
        yield opened


@pytest.fixture(scope="module")
def number(study: OwnStudy) -> str:
    return study.known_everywhere(study.at_site("rome", facts.lesion(), facts.course()))


class Others:
    """Somebody who asks whether the server lives, again and again."""

    def __init__(self, demo: Demo) -> None:
        self._demo, self._over = demo, threading.Event()
        self.waits: list[float] = []

    def ask(self) -> None:
        with httpx.Client(base_url=self._demo.url, timeout=60, trust_env=False) as http:
            while not self._over.is_set():
                began = time.monotonic()
                assert http.get("/health/live").status_code == 200
                self.waits.append(time.monotonic() - began)
                time.sleep(0.002)

    @contextmanager
    def asking(self) -> Iterator[None]:
        thread = threading.Thread(target=self.ask)
        thread.start()
        try:
            waiting_for(lambda: bool(self.waits), "somebody else asks")
            yield
        finally:
            self._over.set()
            thread.join()


def assessment(study: OwnStudy, number: str, several: bool = False) -> str:
    name = "facts" if several else "facts/toxicity.assessed"
    return study.address(f"participants/{number}/{name}?dry_run=true", "toxicity")


@pytest.mark.parametrize("name", [*FACT_BODIES, *BATCH_BODIES])
def test_the_worst_bodies_leave_the_others_answered(study: OwnStudy, number: str, name: str) -> None:
    content = {**FACT_BODIES, **BATCH_BODIES}[name]()
    assert len(content) <= Limits().max_body_bytes
    path, others = assessment(study, number, several=name in BATCH_BODIES), Others(study.demo)
    headers = {**study.bearer(SITE), **JSON, "Idempotency-Key": f"worst-{time.monotonic_ns()}"}
    study.http.get("/health/live")
    with others.asking():
        answers = [study.http.post(path, content=content, headers=headers) for _ in range(2)]
    for answer in answers:
        assert answer.status_code in (200, 400, 422), answer.text[:500]
        assert answer.status_code == 200 or len(answer.content) < 100_000
    assert max(others.waits) < OTHERS_WAIT


def test_who_may_not_state_it_is_refused_before_the_body_is_looked_at(study: OwnStudy, number: str) -> None:
    one, several = assessment(study, number), assessment(study, number, several=True)
    screening, fact = study.address("participants"), study.address("facts/study.site_closed")
    no_grant = {one: 409, several: 409, screening: 404, fact: 404, "/enrollment/v1/studies": 403}
    no_role = {one: 403, several: 403, screening: 403, fact: 403}
    for who, answers in (("nobody", no_grant), ("reader", no_role)):
        for path, status in answers.items():
            for content in (b"{", b"[" * 1000, FACT_BODIES["60,000 wrong findings"](), b"\xff", b"null", b""):
                answer = study.http.post(path, content=content, headers={**study.bearer(who), **JSON})
                assert answer.status_code == status, (who, path, content[:20], answer.text)
                (fault,) = answer.json()["errors"]
                assert (f"/problems/{fault['code']}", fault["pointer"]) == (answer.json()["type"], "")
    for path in (one, several, screening, fact):
        who = "administrator" if path == fact else SITE
        answer = study.http.post(path, content=b"{", headers={**study.bearer(who), **JSON})
        assert answer.status_code == 400, "who may state it is told what is wrong with it"


def test_an_answer_lists_a_hundred_faults_and_says_that_there_are_more(study: OwnStudy, number: str) -> None:
    lesions = [{"type": "lesion.registered", "data": body(facts.lesion("L77"))}] * 150
    wrong = {
        assessment(study, number): as_json({"findings": [{"x": 1}] * 450}),
        assessment(study, number, several=True): BATCH_BODIES["200 facts of 400 undeclared members"](),
        study.address(f"participants/{number}/facts"): as_json(lesions),
        study.address("participants"): as_json({"criteria": {f"c{each}": "wrong" for each in range(400)}}),
    }
    for path, content in wrong.items():
        answer = study.http.post(path, content=content, headers={**study.bearer(SITE), **JSON})
        assert answer.status_code == 422, path
        errors = answer.json()["errors"]
        assert (len(errors), errors[-1]["code"], errors[-1]["pointer"]) == (101, "more-faults", "")
        assert "There are more faults" in errors[-1]["message"]
        assert "more-faults" not in {each["code"] for each in errors[:-1]}


def test_what_is_too_many_is_refused_with_its_place(study: OwnStudy, number: str) -> None:
    wrong = {
        assessment(study, number): (FACT_BODIES["60,000 wrong findings"](), ""),
        study.address(f"participants/{number}/facts/lesion.registered"): (as_json({"kind": [0] * 501}), "/kind"),
        assessment(study, number, several=True): (BATCH_BODIES["340,000 empty objects"](), ""),
    }
    for path, (content, pointer) in wrong.items():
        answer = study.http.post(path, content=content, headers={**study.bearer(SITE), **JSON})
        assert (answer.status_code, answer.json()["type"]) == (422, "/problems/too-many-items")
        assert [each["pointer"] for each in answer.json()["errors"]] == [pointer]
    many = "&".join(f"p{each}=1" for each in range(200))
    answer = study.http.get(f"{study.address('figures/flow.json', 'analytics')}?{many}", headers=study.bearer(SITE))
    assert (answer.status_code, answer.json()["type"], len(answer.content) < 1000) == (422, "/problems/parameter", True)


def test_what_real_use_sends_at_most_is_taken(study: OwnStudy) -> None:
    number = study.known_everywhere(study.at_site("rome", facts.course()))
    causes = [{"to": to, "level": "possible"} for to in ("course:RT1", "disease", "other")]
    terms = list(ctcae.dictionary(facts.protocol().toxicity.dictionary).terms)[:200]
    findings = [{"term": term, "grade": 0, "attribution": causes} for term in terms]
    said = {**body(toxicity.assessed(2)), "findings": findings, "checklist_complete": False}
    path = study.address(f"participants/{number}/facts", "toxicity")
    answer = study.send(f"{path}/toxicity.assessed", said)
    assert answer.status_code == 201, answer.text
    batch = [{"type": "toxicity.assessed", "data": {**said, "findings": findings[:20]}}] * 200
    answer = study.send(path, batch)
    assert answer.status_code == 201, answer.text
    assert len(answer.json()["event_ids"]) == 200


def test_a_caller_has_so_many_event_streams_and_the_others_have_theirs(study: OwnStudy) -> None:
    study.position()
    path = study.address("live", "analytics")
    most = Limits().max_streams_per_caller
    with ExitStack() as stack, httpx.Client(base_url=study.demo.url, timeout=30, trust_env=False) as http:
        for _ in range(most):
            assert stack.enter_context(http.stream("GET", path, headers=study.bearer("reader"))).status_code == 200
        refused = http.get(path, headers=study.bearer("reader"))
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
        assert refused.json()["title"].startswith(f"You have {most} event streams open")
        with http.stream("GET", path, headers=study.bearer("monitor")) as other:
            assert other.status_code == 200
    waiting_for(lambda: opens(study, path), "streams that were closed count no more")


def opens(study: OwnStudy, path: str) -> bool:
    with httpx.stream("GET", study.demo.url + path, headers=study.bearer("reader"), trust_env=False) as again:
        return again.status_code == 200


MANY_FACTS = 15 * 200
TERMS = "/toxicity/v1/dictionaries/ctcae-3.0/terms"
LETTERS = " ".join("abcdefghijklmnopqrstuvwxyz"[place % 26] for place in range(100))


def test_a_participant_with_very_many_facts_is_read_while_others_are_answered(study: OwnStudy) -> None:
    number = study.at_site("rome")
    for _ in range(MANY_FACTS // 200):
        batch = [{"type": "procedure.performed", "data": body(facts.procedure(detail="By telephone."))}] * 200
        assert study.post(f"participants/{number}/facts", {"facts": batch}).status_code == 201
    others = Others(study.demo)
    with others.asking():
        shown = study.get(f"participants/{number}")
        told = study.get(f"participants/{number}/history")
    assert len(shown.json()["facts"]) >= MANY_FACTS
    assert len(told.json()["events"]) >= MANY_FACTS
    assert max(others.waits) < OTHERS_WAIT


def test_many_words_are_sought_while_others_are_answered(study: OwnStudy) -> None:
    others = Others(study.demo)
    with others.asking():
        for _ in range(20):
            assert study.http.get(TERMS, params={"q": LETTERS}, headers=study.bearer(SITE)).json()["rows"] == []
    assert max(others.waits) < OTHERS_WAIT
