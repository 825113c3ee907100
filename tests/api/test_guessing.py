"""Guessing reveals nothing that a caller may not read.

Every route that takes a body is tried by every role that may not read a site's sealed texts and references, twice: with
the right guess and with a wrong one. Two participants of one history, one for each guess, are led through the same
requests. Nothing may tell the responses apart but ids and times. The routes are those of the applications: a new one is
in it without a line here.

`tests/unit/eventstore/test_sealed_texts.py` compares the calls of the store, which are the same for a right and a wrong
guess, since wall time on a loaded machine says nothing.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from services.analytics.app import create_app as analytics
from services.enrollment.app import create_app as enrollment
from services.followup.app import create_app as followup
from services.toxicity.app import create_app as toxicity
from shared.contracts.catalogue import FOLLOWUP, PARTICIPANT, TOXICITY
from shared.kernel.fact import Correction, Fact, Stream
from shared.kernel.ids import new_participant_id
from shared.settings import Settings
from shared.testing.builders import facts
from shared.web.same_origin import PageRoute
from tests.api.support.study import ALL_USERS, EXAMPLE_BODIES, StudyUnderTest, body, open_study, users_of_site
from tests.demo import Demo

APP_FACTORIES = {"enrollment": enrollment, "toxicity": toxicity, "followup": followup, "analytics": analytics}
STREAM_BY_SERVICE: dict[str, Stream] = {"enrollment": PARTICIPANT, "toxicity": TOXICITY, "followup": FOLLOWUP}
USERS_WITHOUT_ACCESS = tuple(user for user in (*ALL_USERS, "nobody") if user not in users_of_site("rome"))
CORRECT_GUESS, WRONG_GUESS = "Zq-marked-right", "Zq-guess-wrong!"
REFERENCE, OTHER_REFERENCE, UNUSED_REFERENCE = "Zq-ref-right", "Zq-ref-other", "Zq-ref-wrong"
ID_PATTERN = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TIME_PATTERN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(\+00:00|Z)")
NUMBER_PATTERN = re.compile(r"[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]")
ENDING_FACTS = ("participant.voided", "participant.withdrawn")


@cache
def study_routes() -> tuple[tuple[str, APIRoute], ...]:
    """Returns the routes of all services whose path names a study."""
    apps = ((name, create_app(Settings())) for name, create_app in APP_FACTORIES.items())
    return tuple(
        (name, route)
        for name, app in apps
        for route in app.routes
        if isinstance(route, APIRoute) and "{study_id}" in route.path
    )


def sealed_members(kind: type[Fact]) -> list[str]:
    """The members of a fact that are one sealed text."""
    properties = kind.model_json_schema(mode="validation").get("properties", {})
    return [
        name
        for name, member_schema in properties.items()
        if any(branch.get("x-sealed") for branch in (member_schema, *member_schema.get("anyOf", ())))
    ]


def body_with_guess(kind: type[Fact], text: str, reference: str) -> dict[str, Any]:
    """The fact as it is sent, with the guess in every sealed member."""
    body = {**EXAMPLE_BODIES[kind.type_name]}
    return {**body, **{name: reference if name == "local_reference" else text for name in sealed_members(kind)}}


@dataclass
class GuessTarget:
    """A participant of Rome, and what is guessed of them."""

    participant_id: str
    text: str
    reference: str
    events: dict[tuple[str, str], str] = field(default_factory=dict)


@dataclass
class GuessTargets:
    study: StudyUnderTest
    correct: GuessTarget
    wrong: GuessTarget
    keyed_facts: set[tuple[str, str]]


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[StudyUnderTest]:
    with open_study(demo) as study:
        yield study


def idempotency_key(service: str, type_name: str, twin: GuessTarget) -> str:
    return f"{service}-{type_name}-{twin.participant_id}"


def create_target(study: StudyUnderTest, guess: str, reference: str, own_reference: str) -> GuessTarget:
    participant_id = study.enroll_at(
        "rome", facts.lesion_registered(), facts.radiotherapy_started(), local_reference=own_reference
    )
    twin = GuessTarget(study.wait_until_known(participant_id), guess, reference)
    history = study.get(f"participants/{participant_id}/history").json()["events"]
    twin.events["enrollment", "participant.screened"] = history[0]["event_id"]
    types = [
        (service, kind) for service, stream in STREAM_BY_SERVICE.items() for kind in stream.declared_facts.values()
    ]
    for service, kind in sorted(types, key=lambda item: item[1].type_name in ENDING_FACTS):
        if sealed_members(kind) and kind.type_name != "participant.screened":
            body, key = (
                body_with_guess(kind, CORRECT_GUESS, own_reference),
                idempotency_key(service, kind.type_name, twin),
            )
            path = f"participants/{participant_id}/facts/{kind.type_name}"
            response = study.post(path, body, service=service, Idempotency_Key=key)
            if response.status_code == 201:
                twin.events[service, kind.type_name] = response.json()["event_id"]
    return twin


@pytest.fixture(scope="module")
def targets(study: StudyUnderTest) -> GuessTargets:
    """Two participants with equal facts: the marked texts of one are guessed, those of the other are not."""
    correct, wrong = (
        create_target(study, CORRECT_GUESS, REFERENCE, REFERENCE),
        create_target(study, WRONG_GUESS, UNUSED_REFERENCE, OTHER_REFERENCE),
    )
    assert correct.events.keys() == wrong.events.keys()
    return GuessTargets(study, correct, wrong, set(correct.events))


def comparable_response(response: httpx.Response) -> tuple[int, str, list[tuple[str, str]], int]:
    """Observable parts of a response: status, body and headers without ids and times, and its size."""
    text, headers = response.text, []
    for name, value in response.headers.items():
        if name not in ("date", "content-length"):
            headers.append((name, value))
    for pattern in (ID_PATTERN, TIME_PATTERN, NUMBER_PATTERN):
        text = pattern.sub("…", text)
        headers = [(name, pattern.sub("…", value)) for name, value in headers]
    return response.status_code, text, headers, len(text)


def guess_requests(service: str, route: APIRoute, twin: GuessTarget) -> Iterator[tuple[str, dict[str, str], Any]]:
    """Yields the requests that can contain a guess about a participant: in the query, the headers, the body."""
    name = route.name
    stream = STREAM_BY_SERVICE.get(service)
    kind = stream.facts.get(name) if stream else None
    if kind is not None and kind.type_name in (stream.declared_facts if stream else {}):
        yield from requests_under_keys(service, kind.type_name, twin, body_with_guess(kind, twin.text, twin.reference))
    elif kind is not None and issubclass(kind, Correction):
        for (event_service, type_name), event in twin.events.items():
            if event_service == service and stream:
                replacement = body_with_guess(stream.facts[type_name], twin.text, twin.reference)
                body = {
                    "event_id": event,
                    "reason_code": "typing_error",
                    "reason": twin.text,
                    "replacement": {"type": type_name, "data": replacement},
                }
                yield from requests_under_keys(service, type_name, twin, body)
                yield from requests_under_keys(service, type_name, twin, {**body, "reason": None})
    elif name == "facts" and stream:
        for kind in stream.declared_facts.values():
            if sealed_members(kind):
                body = body_with_guess(kind, twin.text, twin.reference)
                yield from requests_under_keys(service, kind.type_name, twin, [{"type": kind.type_name, "data": body}])
    elif name == "new_participant":
        body = body_with_guess(PARTICIPANT.facts["participant.screened"], twin.text, twin.reference)
        yield from requests_under_keys(service, "participant.screened", twin, body)
        batch = {"facts": [{"type": "participant.screened", "data": body}]}
        yield from requests_under_keys(service, "participant.screened", twin, batch)
    else:
        yield "", {}, {"local_reference": twin.reference}


def requests_under_keys(
    service: str, type_name: str, twin: GuessTarget, body: Any
) -> Iterator[tuple[str, dict[str, str], Any]]:
    """Yields a dry run, then a dry run and a request under each used key: the site's key and the event's id."""
    yield "?dry_run=true", {}, body
    if event := twin.events.get((service, type_name)):
        for key in (idempotency_key(service, type_name, twin), event):
            for query in ("?dry_run=true", ""):
                yield query, {"Idempotency_Key": key}, body


TYPE_BY_SERVICE = {
    "enrollment": "procedure.performed",
    "toxicity": "toxicity.serious_event_reported",
    "followup": "query.explained",
}
"""A fact with a sealed text, whose form and event are asked for."""


def route_path(
    service: str, route: APIRoute, study: StudyUnderTest, target: GuessTarget, participant_id: str = ""
) -> str:
    """Returns the address of a route for the target, or for another participant in its place."""
    type_name = TYPE_BY_SERVICE.get(service, "")
    values = {
        "study_id": study.study_id,
        "participant_id": participant_id or target.participant_id,
        "name": "treatments",
        "kind": "json",
        "type": type_name,
        "event_id": target.events.get((service, type_name), next(iter(target.events.values()))),
    }
    return re.sub(r"{(\w+)[^}]*}", r"{\1}", route.path).format(**values)


@pytest.mark.parametrize("user", USERS_WITHOUT_ACCESS)
def test_correct_guess_gets_the_same_response_as_a_wrong_one(targets: GuessTargets, user: str) -> None:
    study, attempts = targets.study, 0
    for service, route in study_routes():
        if "POST" not in (route.methods or ()):
            continue
        request_pairs = zip(
            *(guess_requests(service, route, twin) for twin in (targets.correct, targets.wrong)), strict=True
        )
        for (query, headers, sent_body), (_, other_headers, other_body) in request_pairs:
            correct_response = study.send(
                route_path(service, route, study, targets.correct) + query, sent_body, user, **headers
            )
            wrong_response = study.send(
                route_path(service, route, study, targets.wrong) + query, other_body, user, **other_headers
            )
            assert comparable_response(correct_response) == comparable_response(wrong_response), (
                route.path,
                query,
                headers,
            )
            assert CORRECT_GUESS not in correct_response.text
            assert REFERENCE not in correct_response.text + str(correct_response.headers)
            attempts += 1
    assert attempts > 60


def test_readers_of_the_texts_can_distinguish_a_correct_guess(targets: GuessTargets) -> None:
    """A control: callers who may read the texts see the difference, before and after all attempts."""
    assert len(targets.keyed_facts) >= 6, targets.keyed_facts
    assert {service for service, _ in targets.keyed_facts} == set(STREAM_BY_SERVICE)
    for service, type_name in targets.keyed_facts - {("enrollment", "participant.screened")}:
        target = targets.correct
        body = body_with_guess(STREAM_BY_SERVICE[service].facts[type_name], CORRECT_GUESS, REFERENCE)
        path = f"participants/{target.participant_id}/facts/{type_name}?dry_run=true"
        repeated = targets.study.post(
            path, body, service=service, Idempotency_Key=idempotency_key(service, type_name, target)
        )
        assert (repeated.status_code, repeated.headers["Idempotency-Replayed"]) == (200, "true"), type_name


@pytest.mark.parametrize("user", USERS_WITHOUT_ACCESS)
def test_reads_reveal_no_sealed_text_and_no_foreign_participant(targets: GuessTargets, user: str) -> None:
    study, is_study_wide = targets.study, "@" not in user
    for service, route in study_routes():
        if "GET" not in (route.methods or ()) or route.path.endswith("/live"):
            continue
        existing_response, unknown_response = (
            study.http.get(
                route_path(service, route, study, targets.correct, participant_id), headers=study.authorization(user)
            )
            for participant_id in (targets.correct.participant_id, new_participant_id())
        )
        for text in (CORRECT_GUESS, REFERENCE, OTHER_REFERENCE):
            assert text not in existing_response.text + str(existing_response.headers), (user, route.path)
        if "{participant_id}" in route.path and not is_study_wide:
            assert comparable_response(existing_response) == comparable_response(unknown_response), route.path
        guess_responses = [
            study.http.get(
                route_path(service, route, study, targets.correct),
                params={name: text},
                headers=study.authorization(user),
            )
            for name in ("local_reference", "q")
            for text in (REFERENCE, UNUSED_REFERENCE)
        ]
        assert comparable_response(guess_responses[0]) == comparable_response(guess_responses[1])
        assert comparable_response(guess_responses[2]) == comparable_response(guess_responses[3])


def test_sealed_texts_are_in_no_log_or_metric(targets: GuessTargets) -> None:
    secrets_used = [
        text.encode() for text in (CORRECT_GUESS, WRONG_GUESS, REFERENCE, OTHER_REFERENCE, UNUSED_REFERENCE)
    ]
    logs = [path for path in targets.study.demo.data.rglob("*.log") if path.is_file()]
    assert {"web.log", "enrollment.log"} <= {path.name for path in logs}
    for path in logs:
        assert not [text for text in secrets_used if text in path.read_bytes()], path
    metrics = targets.study.http.get("/metrics")
    assert metrics.status_code == 200
    assert not [text for text in secrets_used if text in metrics.content]


def test_only_its_own_site_can_tell_that_a_reference_is_taken(targets: GuessTargets) -> None:
    """A control: callers who may read the reference see the difference."""
    bodies = [
        body(facts.participant_screened(local_reference=text)) for text in (REFERENCE, f"Zq-{secrets.token_hex(4)}")
    ]
    statuses = [targets.study.post("participants?dry_run=true", screening).status_code for screening in bodies]
    assert statuses == [409, 200]


@pytest.mark.parametrize("name", ["a%00b", "%ED%A0%80", "x" * 2000, "Rome%20", "%7B"])
def test_impossible_study_id_gets_the_same_response_as_an_unknown_one(study: StudyUnderTest, name: str) -> None:
    """Sends a text that PostgreSQL cannot store to every route, as a member with many roles: none lets it through."""
    paths_by_status: dict[str, set[str]] = {}
    for service, route in study_routes():
        path = route.path.replace("{study_id}", name).replace("{participant_id}", new_participant_id())
        path = path.replace("{name}", "flow")
        for method in route.methods or ():
            response = study.http.request(method, path, headers=study.authorization("coordinator"))
            if isinstance(route, PageRoute) and method == "POST":
                assert response.status_code == 403, path  # no page of ours sent it, whatever it names
                continue
            paths_by_status.setdefault(f"{response.status_code}", set()).add(f"{service} {method} {path[:80]}")
    assert not {status: paths for status, paths in paths_by_status.items() if status not in ("404", "409")}
