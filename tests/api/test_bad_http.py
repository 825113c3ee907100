"""Requests that no honest program sends: canaries everywhere, bodies without end, HTTP that is none, servers away."""

from __future__ import annotations

import gzip
import json
import secrets
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from shared.contracts.catalogue import STREAMS
from shared.testing import facts
from tests.api.own_study import SAID, SITE, OwnStudy, own_study
from tests.demo import Demo

CANARY = f"zk{secrets.token_hex(8)}"
"""A member's name could be this, or a value; no answer may hold it, in whatever case."""
MIB = 1024 * 1024
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[OwnStudy]:
    with own_study(demo) as opened:
        yield opened


@pytest.fixture(scope="module")
def number(study: OwnStudy) -> str:
    return study.at_site("rome", facts.lesion(), facts.course())


@pytest.fixture(scope="module")
def told(study: OwnStudy, number: str) -> str:
    """Where a dry run is sent, which an unspoilt `LESION` passes."""
    return study.address(f"participants/{number}/facts/lesion.registered?dry_run=true")


LESION = json.dumps(SAID["lesion.registered"]).encode()


def canaries_for(value: Any) -> Iterator[Any]:
    """The value with canaries for its texts, for its names, for one name more, and for all of these."""
    if (spoilt := _texts(value)) != value:  # a fact may say nothing in words
        yield spoilt
    yield _names(value)
    yield {**value, CANARY: CANARY}
    yield _names(_texts(value))
    yield CANARY
    yield [CANARY]


def _texts(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _texts(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_texts(member) for member in value]
    return CANARY if isinstance(value, str) else value


def _names(value: Any) -> Any:
    if isinstance(value, dict):
        return {f"{CANARY}{place}": _names(member) for place, member in enumerate(value.values())}
    return [_names(member) for member in value] if isinstance(value, list) else value


def quoted(answer: httpx.Response) -> bool:
    return CANARY in answer.text.lower() or CANARY in str(answer.headers).lower()


def written(study: OwnStudy) -> list[str]:
    """Logs, and other things that anybody may read, with the canary in them."""
    logs = [str(log) for log in study.demo.data.rglob("*.log") if CANARY.encode() in log.read_bytes().lower()]
    return logs + [page for page in ("/metrics", "/problems") if CANARY in study.http.get(page).text.lower()]


def of_fact(study: OwnStudy, number: str, name: str) -> str:
    """The address at which such a fact is stated."""
    stream = next(stream for stream in STREAMS if name in stream.facts)
    return study.address(
        f"facts/{name}" if stream.subject == "study" else f"participants/{number}/facts/{name}", stream.service
    )


def test_nothing_of_a_refused_body_comes_back_or_is_written_down(study: OwnStudy, number: str) -> None:
    named = {of_fact(study, number, name): said for name, said in SAID.items()}
    correction = {"event_id": CANARY, "reason_code": "other", "reason": CANARY,
                  "replacement": {"type": "lesion.registered", "data": SAID["lesion.registered"]}}  # fmt: skip
    named[study.address("participants")] = SAID["participant.screened"]
    named[study.address(f"participants/{number}/facts/record.corrected")] = correction
    for path, said in named.items():
        who = SITE if "/participants" in path else "administrator"
        for spoilt in canaries_for(said):
            answer = study.send(path, spoilt, who)
            assert answer.status_code == 422, (path, spoilt)
            assert not quoted(answer), answer.text
    several = [{"type": name, "data": _texts(said)} for name, said in SAID.items()] + [{"type": CANARY, "data": {}}]
    for service in ("enrollment", "toxicity", "followup"):
        assert not quoted(study.send(study.address(f"participants/{number}/facts", service), several))
    assert not quoted(study.post("participants", {"facts": several}))
    assert written(study) == []


def test_nothing_of_a_refused_address_or_header_comes_back_or_is_written_down(study: OwnStudy, number: str) -> None:
    ours, said = study.bearer(SITE), SAID["lesion.registered"]
    base = study.address(f"participants/{number}")
    paths = [f"/{CANARY}", f"/enrollment/v1/studies/{CANARY}", f"/enrollment/{CANARY}/docs", f"/problems/{CANARY}",
             study.address(CANARY), study.address(f"{CANARY}/"), study.address(f"participants/{CANARY}"),
             study.address(f"participants/{CANARY}/"), f"{base}/{CANARY}", f"{base}/facts/{CANARY}",
             study.address(f"figures/{CANARY}.json", "analytics"), study.address(f"figures/flow.{CANARY}", "analytics"),
             f"/analytics/studies/{CANARY}", f"/analytics/static/{CANARY}", f"/health/{CANARY}"]  # fmt: skip
    for path in paths:
        for answer in (study.http.get(path, headers=ours), study.http.post(path, json=said, headers=ours)):
            assert answer.status_code in (401, 404, 405, 415, 422), path
            assert not quoted(answer), (path, answer.text)
    for name in ("site", "status", "after", "limit", "at", "cut", "as_of", "by", "subset", "epoch", "dry_run"):
        asked = {name: f"{CANARY} \0"}
        for path in ("participants", "facts", f"participants/{number}"):
            assert not quoted(study.get(path, **asked))
        assert not quoted(study.read("figures/flow.json", **asked))
        assert not quoted(study.post(f"participants?{name}={CANARY}", {}))
    for name in ("Idempotency-Key", "If-Match", "traceparent", "Quartal-After", "X-Forwarded-Host", "Host", "Accept",
                 "Content-Type", "Content-Encoding", "Cookie", "Referer", "User-Agent", CANARY):  # fmt: skip
        for path in (f"{base}/facts/participant.enrolled", f"{base}/", "/session"):
            assert not quoted(study.http.post(path, json=SAID["participant.enrolled"], headers={**ours, name: CANARY}))
    spoken(study.demo, to_demo(study, f"{CANARY} /{CANARY} HTTP/1.1\r\nHost: a\r\n\r\n{CANARY}\r\n\r\n".encode()))
    assert written(study) == []


BODIES: dict[str, tuple[bytes, int]] = {
    "as it should be": (LESION, 200),
    "with a byte order mark": (b"\xef\xbb\xbf" + LESION, 200),
    "with every blank that JSON has": (b" \t\r\n" + LESION + b" \t\r\n", 200),
    "as large as can be": (b" " * (MIB - len(LESION)) + LESION, 200),
    "one byte too large": (b" " * (MIB - len(LESION) + 1) + LESION, 413),
    "empty": (b"", 400),
    "half": (LESION[:-1], 400),
    "twice": (LESION * 2, 400),
    "UTF-16": (LESION.decode().encode("utf-16"), 400),
    "not UTF-8": (LESION.replace(b"brain", b"br\xffin"), 400),
    "an encoded surrogate": (LESION.replace(b"brain", b"\xed\xa0\x80"), 400),
    "a lone surrogate": (LESION.replace(b"brain", b"\\ud800"), 400),
    "a lone surrogate as a name": (LESION.replace(b"body_site", b"\\udfff"), 400),
    "NUL": (LESION.replace(b"brain", b"br\\u0000in"), 400),
    "NaN": (LESION[:-1] + b', "size_mm": NaN}', 400),
    "-Infinity": (LESION[:-1] + b', "size_mm": -Infinity}', 400),
    "a number that is not finite": (LESION[:-1] + b', "size_mm": 1e999}', 422),
    "a number of 400 digits": (LESION[:-1] + b', "size_mm": ' + b"9" * 400 + b"}", 422),
    "a number of a million digits": (LESION[:-1] + b', "size_mm": ' + b"9" * (MIB - 300) + b"}", 400),
    "a member twice": (LESION[:-1] + b', "kind": "node"}', 400),
    "a trailing comma": (LESION[:-1] + b",}", 400),
    "a comment": (LESION + b"// L1", 400),
    "single quotes": (LESION.replace(b'"', b"'"), 400),
    "nested a little too deeply": (LESION[:-1] + b', "size_mm": ' + b"[" * 41 + b"]" * 41 + b"}", 400),
    "nested without end": (b"[" * 500_000, 400),
    "objects without end": (b'{"a":' * 150_000, 400),
    "null": (b"null", 422),
    "a text": (b'"lesion"', 422),
    "a list": (b"[" + LESION + b"]", 422),
}


@pytest.mark.parametrize("kind", BODIES)
def test_a_body_is_json_of_bounded_size_that_says_each_thing_once(study: OwnStudy, told: str, kind: str) -> None:
    content, status = BODIES[kind]
    answer = study.http.post(told, content=content, headers={**study.bearer(SITE), **JSON})
    assert answer.status_code == status, answer.text


def test_a_body_in_pieces_is_measured_as_it_comes(study: OwnStudy, told: str) -> None:
    said = {**study.bearer(SITE), **JSON}
    small = study.http.post(told, content=iter([LESION[:7], LESION[7:]]), headers=said)
    assert small.status_code == 200
    large = study.http.post(told, content=(b" " * 65536 for _ in range(40)), headers=said)
    assert large.status_code == 413
    signing_in = {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}
    assert study.http.post("/session", content=b"token=" + b"x" * 2 * MIB, headers=signing_in).status_code == 413


def test_only_plain_json_is_taken(study: OwnStudy, told: str) -> None:
    for media in ("text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data", "",
                  "application/jsonx", "application/json5", "text/json"):  # fmt: skip
        answer = study.http.post(told, content=LESION, headers={**study.bearer(SITE), "Content-Type": media})
        assert answer.status_code == 415, media
    for media in ("application/json", "Application/JSON ; charset=utf-8", "application/json;charset=UTF-8"):
        answer = study.http.post(told, content=LESION, headers={**study.bearer(SITE), "Content-Type": media})
        assert answer.status_code == 200, media
    packed = {**study.bearer(SITE), **JSON, "Content-Encoding": "gzip"}
    assert study.http.post(told, content=gzip.compress(LESION), headers=packed).status_code == 415


def spoken(demo: Demo, *pieces: bytes, pause: float = 0.0) -> bytes:
    """What the server says to these bytes, until it hangs up or has been silent for a while."""
    heard = b""
    with socket.create_connection(("127.0.0.1", demo.port), timeout=5) as line:
        for piece in pieces:
            line.sendall(piece)
            time.sleep(pause)
        line.settimeout(0.5)
        try:
            while more := line.recv(65536):
                heard += more
        except (TimeoutError, ConnectionResetError):
            return heard
    return heard


def request(study: OwnStudy, told: str, length: int, *more: str) -> bytes:
    host, bearer = f"127.0.0.1:{study.demo.port}", study.bearer(SITE)["Authorization"]
    lines = [f"POST {told} HTTP/1.1", f"Host: {host}", f"Authorization: {bearer}",
             "Content-Type: application/json", f"Content-Length: {length}", *more, "", ""]  # fmt: skip
    return "\r\n".join(lines).encode()


def test_a_slow_body_is_waited_for(study: OwnStudy, told: str) -> None:
    pieces = [LESION[place : place + 20] for place in range(0, len(LESION), 20)]
    assert spoken(study.demo, request(study, told, len(LESION)), *pieces, pause=0.02).startswith(b"HTTP/1.1 200 ")


def test_a_length_that_lies_breaks_nothing(study: OwnStudy, told: str) -> None:
    assert spoken(study.demo, request(study, told, len(LESION) + 100), LESION) == b""
    too_short = spoken(study.demo, request(study, told, len(LESION) - 1), LESION)
    assert too_short.startswith(b"HTTP/1.1 400 ")
    assert too_short.count(b"HTTP/1.1") <= 2
    assert spoken(study.demo, request(study, told, 50_000_000), LESION).startswith(b"HTTP/1.1 413 ")
    for lie in ("Content-Length: 7", "Content-Length: -1", "Content-Length: 1x", "Transfer-Encoding: zip"):
        heard = spoken(study.demo, request(study, told, len(LESION), lie), LESION)
        assert heard.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 ")), lie


GARBAGE = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\r\n\r\n\r\n", b"GET\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\n\x00: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n" + b"x: y\r\n" * 20_000 + b"\r\n", b"GET " + b"/" * 100_000,
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET nowhere HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /%00%ff%fe HTTP/1.1\r\nHost: a\r\n\r\n",
)  # fmt: skip


def to_demo(study: OwnStudy, garbage: bytes) -> bytes:
    """With the name that the demo answers to: another host is refused before anything else is looked at."""
    return garbage.replace(b"Host: a\r\n", f"Host: 127.0.0.1:{study.demo.port}\r\n".encode())


def test_what_is_hardly_http_breaks_nothing(study: OwnStudy) -> None:
    for garbage in GARBAGE:
        heard = spoken(study.demo, to_demo(study, garbage))
        assert heard == b"" or heard.startswith((b"HTTP/1.1 4", b"HTTP/1.1 200 ")), (garbage[:40], heard[:200])
        assert b"Traceback" not in heard
    honest = f"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1:{study.demo.port}\r\n\r\n".encode()
    heard = spoken(study.demo, honest * 2 + b"\x00\x01garbage\r\n\r\n")
    assert heard.count(b"HTTP/1.1 200 ") == 2
    assert b"HTTP/1.1 400 " in heard
    assert study.http.get("/health/ready").status_code == 200
