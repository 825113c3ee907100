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
from shared.testing.builders import facts
from tests.api.support.study import EXAMPLE_BODIES, ROME_USER, StudyUnderTest, open_study
from tests.demo import Demo

CANARY = f"zk{secrets.token_hex(8)}"
"""A name or value in requests, which no response may contain, in upper or lower case."""
MIB = 1024 * 1024
JSON_HEADERS = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[StudyUnderTest]:
    with open_study(demo) as study:
        yield study


@pytest.fixture(scope="module")
def participant_id(study: StudyUnderTest) -> str:
    return study.enroll_at("rome", facts.lesion_registered(), facts.radiotherapy_started())


@pytest.fixture(scope="module")
def dry_run_path(study: StudyUnderTest, participant_id: str) -> str:
    """Path of a dry run that accepts `LESION_BODY` unchanged."""
    return study.address(f"participants/{participant_id}/facts/lesion.registered?dry_run=true")


LESION_BODY = json.dumps(EXAMPLE_BODIES["lesion.registered"]).encode()


def values_with_canaries(value: Any) -> Iterator[Any]:
    """The value with canaries for its texts, for its names, for one name more, and for all of these."""
    if (with_text_canaries := _replace_texts(value)) != value:  # a fact may say nothing in words
        yield with_text_canaries
    yield _replace_names(value)
    yield {**value, CANARY: CANARY}
    yield _replace_names(_replace_texts(value))
    yield CANARY
    yield [CANARY]


def _replace_texts(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _replace_texts(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_replace_texts(member) for member in value]
    return CANARY if isinstance(value, str) else value


def _replace_names(value: Any) -> Any:
    if isinstance(value, dict):
        return {f"{CANARY}{index}": _replace_names(member) for index, member in enumerate(value.values())}
    return [_replace_names(member) for member in value] if isinstance(value, list) else value


def contains_canary(response: httpx.Response) -> bool:
    return CANARY in response.text.lower() or CANARY in str(response.headers).lower()


def find_written_canaries(study: StudyUnderTest) -> list[str]:
    """Logs and public documents with the canary in them."""
    logs = [str(log) for log in study.demo.data.rglob("*.log") if CANARY.encode() in log.read_bytes().lower()]
    return logs + [page for page in ("/metrics", "/problems") if CANARY in study.http.get(page).text.lower()]


def fact_path(study: StudyUnderTest, participant_id: str, name: str) -> str:
    """The address at which such a fact is stated."""
    stream = next(stream for stream in STREAMS if name in stream.facts)
    return study.address(
        f"facts/{name}" if stream.subject == "study" else f"participants/{participant_id}/facts/{name}", stream.service
    )


def test_rejected_body_is_neither_returned_nor_logged(study: StudyUnderTest, participant_id: str) -> None:
    bodies_by_path = {fact_path(study, participant_id, name): content for name, content in EXAMPLE_BODIES.items()}
    correction = {
        "event_id": CANARY,
        "reason_code": "other",
        "reason": CANARY,
        "replacement": {"type": "lesion.registered", "data": EXAMPLE_BODIES["lesion.registered"]},
    }
    bodies_by_path[study.address("participants")] = EXAMPLE_BODIES["participant.screened"]
    publication = "literature.study_recorded"  # it has only free texts, so a member too many makes it wrong
    bodies_by_path[fact_path(study, participant_id, publication)] = {**EXAMPLE_BODIES[publication], "surplus": 1}
    bodies_by_path[study.address(f"participants/{participant_id}/facts/record.corrected")] = correction
    for path, body in bodies_by_path.items():
        user = ROME_USER if "/participants" in path else "administrator"
        for canary_body in values_with_canaries(body):
            response = study.send(path, canary_body, user)
            assert response.status_code == 422, (path, canary_body)
            assert not contains_canary(response), response.text
    entries = [{"type": name, "data": _replace_texts(body)} for name, body in EXAMPLE_BODIES.items()] + [
        {"type": CANARY, "data": {}}
    ]
    for service in ("enrollment", "toxicity", "followup"):
        assert not contains_canary(study.send(study.address(f"participants/{participant_id}/facts", service), entries))
    assert not contains_canary(study.post("participants", {"facts": entries}))
    assert find_written_canaries(study) == []


def test_rejected_path_query_and_headers_are_neither_returned_nor_logged(
    study: StudyUnderTest, participant_id: str
) -> None:
    authorization, content = study.authorization(ROME_USER), EXAMPLE_BODIES["lesion.registered"]
    base = study.address(f"participants/{participant_id}")
    paths = [
        f"/{CANARY}",
        f"/enrollment/v1/studies/{CANARY}",
        f"/enrollment/{CANARY}/docs",
        f"/problems/{CANARY}",
        study.address(CANARY),
        study.address(f"{CANARY}/"),
        study.address(f"participants/{CANARY}"),
        study.address(f"participants/{CANARY}/"),
        f"{base}/{CANARY}",
        f"{base}/facts/{CANARY}",
        study.address(f"figures/{CANARY}.json", "analytics"),
        study.address(f"figures/flow.{CANARY}", "analytics"),
        f"/analytics/studies/{CANARY}",
        f"/analytics/static/{CANARY}",
        f"/health/{CANARY}",
    ]
    for path in paths:
        for response in (
            study.http.get(path, headers=authorization),
            study.http.post(path, json=content, headers=authorization),
        ):
            assert response.status_code in (401, 404, 405, 415, 422), path
            assert not contains_canary(response), (path, response.text)
    for name in ("site", "status", "after", "limit", "at", "cut", "as_of", "by", "subset", "epoch", "dry_run"):
        params = {name: f"{CANARY} \0"}
        for path in ("participants", "facts", f"participants/{participant_id}"):
            assert not contains_canary(study.get(path, **params))
        assert not contains_canary(study.get_analytics("figures/flow.json", **params))
        assert not contains_canary(study.post(f"participants?{name}={CANARY}", {}))
    for name in (
        "Idempotency-Key",
        "If-Match",
        "traceparent",
        "Quartal-After",
        "X-Forwarded-Host",
        "Host",
        "Accept",
        "Content-Type",
        "Content-Encoding",
        "Cookie",
        "Referer",
        "User-Agent",
        CANARY,
    ):
        for path in (f"{base}/facts/participant.enrolled", f"{base}/", "/session"):
            assert not contains_canary(
                study.http.post(
                    path, json=EXAMPLE_BODIES["participant.enrolled"], headers={**authorization, name: CANARY}
                )
            )
    exchange_bytes(
        study.demo, with_demo_host(study, f"{CANARY} /{CANARY} HTTP/1.1\r\nHost: a\r\n\r\n{CANARY}\r\n\r\n".encode())
    )
    assert find_written_canaries(study) == []


BODIES: dict[str, tuple[bytes, int]] = {
    "as it should be": (LESION_BODY, 200),
    "with a byte order mark": (b"\xef\xbb\xbf" + LESION_BODY, 200),
    "with every blank that JSON has": (b" \t\r\n" + LESION_BODY + b" \t\r\n", 200),
    "as large as can be": (b" " * (MIB - len(LESION_BODY)) + LESION_BODY, 200),
    "one byte too large": (b" " * (MIB - len(LESION_BODY) + 1) + LESION_BODY, 413),
    "empty": (b"", 400),
    "half": (LESION_BODY[:-1], 400),
    "twice": (LESION_BODY * 2, 400),
    "UTF-16": (LESION_BODY.decode().encode("utf-16"), 400),
    "not UTF-8": (LESION_BODY.replace(b"brain", b"br\xffin"), 400),
    "an encoded surrogate": (LESION_BODY.replace(b"brain", b"\xed\xa0\x80"), 400),
    "a lone surrogate": (LESION_BODY.replace(b"brain", b"\\ud800"), 400),
    "a lone surrogate as a name": (LESION_BODY.replace(b"body_site", b"\\udfff"), 400),
    "NUL": (LESION_BODY.replace(b"brain", b"br\\u0000in"), 400),
    "NaN": (LESION_BODY[:-1] + b', "size_mm": NaN}', 400),
    "-Infinity": (LESION_BODY[:-1] + b', "size_mm": -Infinity}', 400),
    "a number that is not finite": (LESION_BODY[:-1] + b', "size_mm": 1e999}', 422),
    "a number of 400 digits": (LESION_BODY[:-1] + b', "size_mm": ' + b"9" * 400 + b"}", 422),
    "a number of a million digits": (LESION_BODY[:-1] + b', "size_mm": ' + b"9" * (MIB - 300) + b"}", 400),
    "a member twice": (LESION_BODY[:-1] + b', "kind": "node"}', 400),
    "a trailing comma": (LESION_BODY[:-1] + b",}", 400),
    "a comment": (LESION_BODY + b"// L1", 400),
    "single quotes": (LESION_BODY.replace(b'"', b"'"), 400),
    "nested a little too deeply": (LESION_BODY[:-1] + b', "size_mm": ' + b"[" * 41 + b"]" * 41 + b"}", 400),
    "nested without end": (b"[" * 500_000, 400),
    "objects without end": (b'{"a":' * 150_000, 400),
    "null": (b"null", 422),
    "a text": (b'"lesion"', 422),
    "a list": (b"[" + LESION_BODY + b"]", 422),
}


@pytest.mark.parametrize("kind", BODIES)
def test_body_must_be_valid_bounded_json_without_duplicate_members(
    study: StudyUnderTest, dry_run_path: str, kind: str
) -> None:
    content, status = BODIES[kind]
    response = study.http.post(
        dry_run_path, content=content, headers={**study.authorization(ROME_USER), **JSON_HEADERS}
    )
    assert response.status_code == status, response.text


def test_chunked_body_is_limited_by_its_actual_size(study: StudyUnderTest, dry_run_path: str) -> None:
    headers = {**study.authorization(ROME_USER), **JSON_HEADERS}
    small = study.http.post(dry_run_path, content=iter([LESION_BODY[:7], LESION_BODY[7:]]), headers=headers)
    assert small.status_code == 200
    large = study.http.post(dry_run_path, content=(b" " * 65536 for _ in range(40)), headers=headers)
    assert large.status_code == 413
    signing_in = {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}
    assert study.http.post("/session", content=b"token=" + b"x" * 2 * MIB, headers=signing_in).status_code == 413


def test_only_uncompressed_json_is_accepted(study: StudyUnderTest, dry_run_path: str) -> None:
    for content_type in (
        "text/plain",
        "application/xml",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "",
        "application/jsonx",
        "application/json5",
        "text/json",
    ):
        response = study.http.post(
            dry_run_path, content=LESION_BODY, headers={**study.authorization(ROME_USER), "Content-Type": content_type}
        )
        assert response.status_code == 415, content_type
    for content_type in ("application/json", "Application/JSON ; charset=utf-8", "application/json;charset=UTF-8"):
        response = study.http.post(
            dry_run_path, content=LESION_BODY, headers={**study.authorization(ROME_USER), "Content-Type": content_type}
        )
        assert response.status_code == 200, content_type
    gzip_headers = {**study.authorization(ROME_USER), **JSON_HEADERS, "Content-Encoding": "gzip"}
    assert study.http.post(dry_run_path, content=gzip.compress(LESION_BODY), headers=gzip_headers).status_code == 415


def exchange_bytes(demo: Demo, *pieces: bytes, pause: float = 0.0) -> bytes:
    """Response to these bytes, read until the server closes the connection or sends nothing for a while."""
    received = b""
    with socket.create_connection(("127.0.0.1", demo.port), timeout=5) as connection:
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(pause)
        connection.settimeout(0.5)
        try:
            while chunk := connection.recv(65536):
                received += chunk
        except (TimeoutError, ConnectionResetError):
            return received
    return received


def request_head(study: StudyUnderTest, dry_run_path: str, length: int, *extra_headers: str) -> bytes:
    host, bearer = f"127.0.0.1:{study.demo.port}", study.authorization(ROME_USER)["Authorization"]
    lines = [
        f"POST {dry_run_path} HTTP/1.1",
        f"Host: {host}",
        f"Authorization: {bearer}",
        "Content-Type: application/json",
        f"Content-Length: {length}",
        *extra_headers,
        "",
        "",
    ]
    return "\r\n".join(lines).encode()


def test_slow_body_is_waited_for(study: StudyUnderTest, dry_run_path: str) -> None:
    pieces = [LESION_BODY[index : index + 20] for index in range(0, len(LESION_BODY), 20)]
    assert exchange_bytes(
        study.demo, request_head(study, dry_run_path, len(LESION_BODY)), *pieces, pause=0.02
    ).startswith(b"HTTP/1.1 200 ")


def test_wrong_content_length_is_rejected_safely(study: StudyUnderTest, dry_run_path: str) -> None:
    assert exchange_bytes(study.demo, request_head(study, dry_run_path, len(LESION_BODY) + 100), LESION_BODY) == b""
    too_short = exchange_bytes(study.demo, request_head(study, dry_run_path, len(LESION_BODY) - 1), LESION_BODY)
    assert too_short.startswith(b"HTTP/1.1 400 ")
    assert too_short.count(b"HTTP/1.1") <= 2
    assert exchange_bytes(study.demo, request_head(study, dry_run_path, 50_000_000), LESION_BODY).startswith(
        b"HTTP/1.1 413 "
    )
    for header in ("Content-Length: 7", "Content-Length: -1", "Content-Length: 1x", "Transfer-Encoding: zip"):
        received = exchange_bytes(study.demo, request_head(study, dry_run_path, len(LESION_BODY), header), LESION_BODY)
        assert received.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 ")), header


GARBAGE = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"\r\n\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\n\x00: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n" + b"x: y\r\n" * 20_000 + b"\r\n",
    b"GET " + b"/" * 100_000,
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET nowhere HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /%00%ff%fe HTTP/1.1\r\nHost: a\r\n\r\n",
)


def with_demo_host(study: StudyUnderTest, garbage: bytes) -> bytes:
    """Returns the request with the demo's own host, since another host is refused before anything else is read."""
    return garbage.replace(b"Host: a\r\n", f"Host: 127.0.0.1:{study.demo.port}\r\n".encode())


def test_malformed_http_is_rejected_and_leaves_the_server_up(study: StudyUnderTest) -> None:
    for garbage in GARBAGE:
        received = exchange_bytes(study.demo, with_demo_host(study, garbage))
        assert received == b"" or received.startswith((b"HTTP/1.1 4", b"HTTP/1.1 200 ")), (garbage[:40], received[:200])
        assert b"Traceback" not in received
    honest = f"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1:{study.demo.port}\r\n\r\n".encode()
    received = exchange_bytes(study.demo, honest * 2 + b"\x00\x01garbage\r\n\r\n")
    assert received.count(b"HTTP/1.1 200 ") == 2
    assert b"HTTP/1.1 400 " in received
    assert study.http.get("/health/ready").status_code == 200
