"""Nobody finds by guessing what they may not read.

Every route that takes a body is tried by every role that may not read a site's sealed texts and references, twice: with
the right guess and with a wrong one. Two participants of one history, one for each guess, are led through the same
requests. Nothing may tell the answers apart but ids and times. The routes are those of the applications: a new one is
in it without a line here.

How long an answer takes is looked at in `tests/unit/enrollment/test_recorder.py`, by the statements that go to the
store: they are the same for a right and a wrong guess. Wall time on a loaded machine says nothing.
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
from shared.kernel.fact import Corrected, Fact, Stream
from shared.kernel.ids import new_participant_id
from shared.settings import Settings
from shared.testing import facts
from tests.api.own_study import EVERYBODY, SAID, OwnStudy, body, of_site, own_study
from tests.demo import Demo

APPS = {"enrollment": enrollment, "toxicity": toxicity, "followup": followup, "analytics": analytics}
STREAMS: dict[str, Stream] = {"enrollment": PARTICIPANT, "toxicity": TOXICITY, "followup": FOLLOWUP}
STRANGERS = tuple(who for who in (*EVERYBODY, "nobody") if who not in of_site("rome"))
RIGHT, WRONG = "Zq-marked-right", "Zq-guess-wrong!"
REFERENCE, OTHERS, UNUSED = "Zq-ref-right", "Zq-ref-other", "Zq-ref-wrong"
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(\+00:00|Z)")
NUMBER = re.compile(r"[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]")
ENDS_PARTICIPATION = ("participant.voided", "participant.withdrawn", "vital_status.recorded", "death.recorded")


@cache
def routes() -> tuple[tuple[str, APIRoute], ...]:
    """Every route of every service that is about a study."""
    made = ((name, create_app(Settings())) for name, create_app in APPS.items())
    return tuple(
        (name, route)
        for name, app in made
        for route in app.routes
        if isinstance(route, APIRoute) and "{study_id}" in route.path
    )


def sealed_members(kind: type[Fact]) -> list[str]:
    """The members of a fact that are one sealed text."""
    properties = kind.model_json_schema(mode="validation").get("properties", {})
    return [
        name
        for name, said in properties.items()
        if any(branch.get("x-sealed") for branch in (said, *said.get("anyOf", ())))
    ]


def guessing(kind: type[Fact], text: str, reference: str) -> dict[str, Any]:
    """The fact as it is sent, with the guess in every sealed member."""
    said = {**SAID[kind.type_name]}
    return {**said, **{name: reference if name == "local_reference" else text for name in sealed_members(kind)}}


@dataclass
class Twin:
    """A participant of Rome, and what is guessed of them."""

    number: str
    text: str
    reference: str
    events: dict[tuple[str, str], str] = field(default_factory=dict)


@dataclass
class Twins:
    study: OwnStudy
    right: Twin
    wrong: Twin
    keyed: set[tuple[str, str]]


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[OwnStudy]:
    with own_study(demo) as opened:
        yield opened


def key_of(service: str, type_name: str, twin: Twin) -> str:
    return f"{service}-{type_name}-{twin.number}"


def made(study: OwnStudy, guess: str, reference: str, own: str) -> Twin:
    number = study.at_site("rome", facts.lesion(), facts.course(), local_reference=own)
    twin = Twin(study.known_everywhere(number), guess, reference)
    history = study.get(f"participants/{number}/history").json()["events"]
    twin.events["enrollment", "participant.screened"] = history[0]["event_id"]
    types = [(service, kind) for service, stream in STREAMS.items() for kind in stream.declared.values()]
    for service, kind in sorted(types, key=lambda each: each[1].type_name in ENDS_PARTICIPATION):
        if sealed_members(kind) and kind.type_name != "participant.screened":
            said, key = guessing(kind, RIGHT, own), key_of(service, kind.type_name, twin)
            path = f"participants/{number}/facts/{kind.type_name}"
            answer = study.post(path, said, service=service, Idempotency_Key=key)
            if answer.status_code == 201:
                twin.events[service, kind.type_name] = answer.json()["event_id"]
    return twin


@pytest.fixture(scope="module")
def twins(study: OwnStudy) -> Twins:
    """Two participants of whom the same marked texts were stated; of one they are guessed, of the other missed."""
    right, wrong = made(study, RIGHT, REFERENCE, REFERENCE), made(study, WRONG, UNUSED, OTHERS)
    assert right.events.keys() == wrong.events.keys()
    return Twins(study, right, wrong, set(right.events))


def shape(answer: httpx.Response) -> tuple[int, str, list[tuple[str, str]], int]:
    """What an answer tells: status, body and headers, but for ids and times, and its size."""
    text, headers = answer.text, []
    for name, value in answer.headers.items():
        if name not in ("date", "content-length"):
            headers.append((name, value))
    for pattern in (ID, TIME, NUMBER):
        text = pattern.sub("…", text)
        headers = [(name, pattern.sub("…", value)) for name, value in headers]
    return answer.status_code, text, headers, len(text)


def ways(service: str, route: APIRoute, twin: Twin) -> Iterator[tuple[str, dict[str, str], Any]]:
    """Every way of putting a guess about one participant to a route: query, headers, body."""
    name = route.name
    stream = STREAMS.get(service)
    kind = stream.facts.get(name) if stream else None
    if kind is not None and kind.type_name in (stream.declared if stream else {}):
        yield from guesses(service, kind.type_name, twin, guessing(kind, twin.text, twin.reference))
    elif kind is not None and issubclass(kind, Corrected):
        for (of, type_name), event in twin.events.items():
            if of == service and stream:
                mended = guessing(stream.facts[type_name], twin.text, twin.reference)
                said = {"event_id": event, "reason_code": "typing_error", "reason": twin.text,
                        "replacement": {"type": type_name, "data": mended}}  # fmt: skip
                yield from guesses(service, type_name, twin, said)
                yield from guesses(service, type_name, twin, {**said, "reason": None})
    elif name == "facts" and stream:
        for kind in stream.declared.values():
            if sealed_members(kind):
                said = guessing(kind, twin.text, twin.reference)
                yield from guesses(service, kind.type_name, twin, [{"type": kind.type_name, "data": said}])
    elif name == "new_participant":
        said = guessing(PARTICIPANT.facts["participant.screened"], twin.text, twin.reference)
        yield from guesses(service, "participant.screened", twin, said)
        several = {"facts": [{"type": "participant.screened", "data": said}]}
        yield from guesses(service, "participant.screened", twin, several)
    else:
        yield "", {}, {"local_reference": twin.reference}


def guesses(service: str, type_name: str, twin: Twin, said: Any) -> Iterator[tuple[str, dict[str, str], Any]]:
    """Dry, and under the site's key and the event's id both dry and real: under a used key nothing is recorded."""
    yield "?dry_run=true", {}, said
    if event := twin.events.get((service, type_name)):
        for key in (key_of(service, type_name, twin), event):
            for query in ("?dry_run=true", ""):
                yield query, {"Idempotency_Key": key}, said


def path_of(route: APIRoute, study: OwnStudy, number: str) -> str:
    values = {"study_id": study.study_id, "participant_id": number, "name": "treatments", "kind": "json"}
    return route.path.format(**values)


@pytest.mark.parametrize("who", STRANGERS)
def test_a_right_guess_is_answered_like_a_wrong_one(twins: Twins, who: str) -> None:
    study, tried = twins.study, 0
    for service, route in routes():
        if "POST" not in (route.methods or ()):
            continue
        both = zip(*(ways(service, route, twin) for twin in (twins.right, twins.wrong)), strict=True)
        for (query, headers, said), (_, other_headers, other_said) in both:
            right = study.send(path_of(route, study, twins.right.number) + query, said, who, **headers)
            wrong = study.send(path_of(route, study, twins.wrong.number) + query, other_said, who, **other_headers)
            assert shape(right) == shape(wrong), (route.path, query, headers)
            assert RIGHT not in right.text
            assert REFERENCE not in right.text + str(right.headers)
            tried += 1
    assert tried > 60


def test_there_was_something_to_guess(twins: Twins) -> None:
    """The control: whoever may read the texts does see the difference, before and after all that was tried."""
    assert len(twins.keyed) >= 6, twins.keyed
    assert {service for service, _ in twins.keyed} == set(STREAMS)
    for service, type_name in twins.keyed - {("enrollment", "participant.screened")}:
        twin = twins.right
        said = guessing(STREAMS[service].facts[type_name], RIGHT, REFERENCE)
        path = f"participants/{twin.number}/facts/{type_name}?dry_run=true"
        again = twins.study.post(path, said, service=service, Idempotency_Key=key_of(service, type_name, twin))
        assert (again.status_code, again.headers["Idempotency-Replayed"]) == (200, "true"), type_name


@pytest.mark.parametrize("who", STRANGERS)
def test_what_is_read_has_no_marked_text_and_another_sites_participant_is_like_none(twins: Twins, who: str) -> None:
    study, sees = twins.study, "@" not in who
    for _, route in routes():
        if "GET" not in (route.methods or ()) or route.path.endswith("/live"):
            continue
        there, none = (
            study.http.get(path_of(route, study, number), headers=study.bearer(who))
            for number in (twins.right.number, new_participant_id())
        )
        for text in (RIGHT, REFERENCE, OTHERS):
            assert text not in there.text + str(there.headers), (who, route.path)
        if "{participant_id}" in route.path and not sees:
            assert shape(there) == shape(none), route.path
        guessed = [
            study.http.get(path_of(route, study, twins.right.number), params={name: text}, headers=study.bearer(who))
            for name in ("local_reference", "q")
            for text in (REFERENCE, UNUSED)
        ]
        assert shape(guessed[0]) == shape(guessed[1])
        assert shape(guessed[2]) == shape(guessed[3])


def test_no_marked_text_is_in_a_log_or_a_metric(twins: Twins) -> None:
    marked = [text.encode() for text in (RIGHT, WRONG, REFERENCE, OTHERS, UNUSED)]
    logs = [path for path in twins.study.demo.data.rglob("*.log") if path.is_file()]
    assert {"web.log", "enrollment.log"} <= {path.name for path in logs}
    for path in logs:
        assert not [text for text in marked if text in path.read_bytes()], path
    metrics = twins.study.http.get("/metrics")
    assert metrics.status_code == 200
    assert not [text for text in marked if text in metrics.content]


def test_a_screening_is_told_apart_by_its_own_site_alone(twins: Twins) -> None:
    """The control: whoever may read the reference does see the difference."""
    said = [body(facts.screened(local_reference=text)) for text in (REFERENCE, f"Zq-{secrets.token_hex(4)}")]
    told = [twins.study.post("participants?dry_run=true", each).status_code for each in said]
    assert told == [409, 200]


@pytest.mark.parametrize("name", ["a%00b", "%ED%A0%80", "x" * 2000, "Rome%20", "%7B"])
def test_a_name_that_no_study_can_have_is_answered_like_one_that_is_not_there(study: OwnStudy, name: str) -> None:
    """By every route, to whoever may do much in a study: a text that PostgreSQL cannot store reaches it by none."""
    answered: dict[str, set[str]] = {}
    for service, route in routes():
        path = route.path.replace("{study_id}", name).replace("{participant_id}", new_participant_id())
        path = path.replace("{name}", "flow")
        for method in route.methods or ():
            answer = study.http.request(method, path, headers=study.bearer("coordinator"))
            answered.setdefault(f"{answer.status_code}", set()).add(f"{service} {method} {path[:80]}")
    assert not {status: paths for status, paths in answered.items() if status not in ("404", "409")}
