"""Events as Kafka messages: CloudEvents 1.0 in Kafka's binary content mode.

Every attribute is a header with the prefix `ce_`; the message's value is the fact. Header values are ASCII and are not
percent-encoded, which only the HTTP binding requires (Kafka binding, 3.2.3). The recording member and the provenance of
the decision are not published.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from pydantic_core import from_json

from shared.contracts import catalogue
from shared.contracts.event import Event
from shared.contracts.json_schemas import schema_reference
from shared.kernel.fact import Correction, Stream

_STUDY, _SITE = "[a-z0-9][a-z0-9-]{0,30}[a-z0-9]", "[A-Za-z0-9][A-Za-z0-9_-]{0,31}"
_PARTICIPANT = "[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]"
_SERVICE, _VERSION = "|".join(sorted({stream.service for stream in catalogue.PUBLISHED_STREAMS})), "[1-9][0-9]{0,8}"
_TYPE = r"[a-z_]{1,64}\.[a-z_]{1,64}"
REQUIRED_HEADERS = {
    "content-type": "application/json",
    "ce_specversion": r"1\.0",
    "ce_id": "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "ce_source": f"/studies/({_STUDY})/({_SERVICE})",
    "ce_type": rf"quartal\.({_TYPE})",
    "ce_subject": f"{_STUDY}|{_PARTICIPANT}",
    "ce_time": r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?Z",
    "ce_dataschema": r"/schemas/[a-z_.]{1,150}\.v([1-9][0-9]{0,3})\.writer\.json",
    "ce_streamversion": _VERSION,
}
OPTIONAL_HEADERS = {
    "ce_siteid": _SITE,
    "ce_recordedon": "[0-9]{4}-[0-9]{2}-[0-9]{2}",
    "ce_traceparent": "[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}",
    "ce_correctstype": _TYPE,
    "ce_correctsversion": _VERSION,
}
_HEADER_PATTERNS = {name: re.compile(shape) for name, shape in {**REQUIRED_HEADERS, **OPTIONAL_HEADERS}.items()}
PARTITIONS_PER_TOPIC = 16
"""The number of partitions of every topic of version 1. It never changes, so that no key changes its partition."""
# Values that JSON allows and PostgreSQL's jsonb cannot store: a zero character, a number of thousands of digits.
_ZERO_CHARACTER, _HUGE_EXPONENT = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000"), re.compile(rb"[eE][+-]?[0-9]{4}")
_JSON_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')


class MalformedMessage(ValueError):
    """The message is no event of Quartal. `reason_code`, such as `ce_id-missing`, never quotes content."""

    def __init__(self, reason_code: str) -> None:
        self.reason_code = reason_code
        super().__init__(reason_code)


@dataclass(frozen=True, slots=True)
class Message:
    topic: str
    key: bytes
    headers: tuple[tuple[str, bytes], ...]
    value: bytes


def topic(service: str) -> str:
    return f"quartal.{service}.v1"


def topic_carries(topic: str, service: str) -> bool:
    """Returns whether a topic, `quartal.<service>.v1`, has the streams of the service."""
    return topic.split(".")[-2:-1] == [service]


def subject_pattern(stream: Stream) -> str:
    return _STUDY if stream.subject == "study" else _PARTICIPANT


def key_pattern(stream: Stream) -> str:
    return _STUDY if stream.subject == "study" else f"{_STUDY}/{_PARTICIPANT}"


def encode(event: Event) -> Message:
    """Builds the message of an event. It depends on the published parts of the event only."""
    topic_name, type_headers = _type_headers(event.service, event.type, event.schema_version)
    headers = (*type_headers, *((name, value.encode("ascii")) for name, value in _event_headers(event)))
    return Message(topic_name, event.key.encode("ascii"), headers, event.data.encode())


@lru_cache(maxsize=1024)
def _type_headers(service: str, type_name: str, schema_version: int) -> tuple[str, tuple[tuple[str, bytes], ...]]:
    """Returns the topic and the headers that all events of one type have in common."""
    headers = {
        "content-type": "application/json",
        "ce_specversion": "1.0",
        "ce_type": f"quartal.{type_name}",
        "ce_dataschema": schema_reference(service, type_name, schema_version),
    }
    return topic(service), tuple((name, value.encode("ascii")) for name, value in headers.items())


def _event_headers(event: Event) -> Iterator[tuple[str, str]]:
    yield "ce_id", str(event.event_id)
    yield "ce_source", event.source
    yield "ce_subject", event.stream_id
    yield "ce_time", event.recorded_at.astimezone(UTC).isoformat(timespec="microseconds")[: -len("+00:00")] + "Z"
    yield "ce_streamversion", str(event.version)
    if event.site_id is not None:
        yield "ce_siteid", event.site_id
    if recorded_on := event.meta.get("recorded_on"):
        yield "ce_recordedon", recorded_on
    # The trace comes from the client. A malformed one would make the message unreadable and park the stream.
    if (trace := event.meta.get("traceparent")) and _HEADER_PATTERNS["ce_traceparent"].fullmatch(trace):
        yield "ce_traceparent", trace
    if corrects := event.meta.get("corrects"):
        yield "ce_correctstype", corrects["type"]
        yield "ce_correctsversion", str(corrects["version"])


def decode(key: bytes | None, headers: Iterable[tuple[str, bytes | None]], value: bytes | None) -> Event:
    """Reads the event of a message. Raises MalformedMessage.

    `meta` has its published parts only. Headers with other names are ignored. The content is not compared with its
    schema; `Event.stated_fact` does that.
    """
    matches = _match_headers(headers)
    (study_id, service), type_name, site_match = (
        matches["ce_source"].groups(),
        matches["ce_type"][1],
        matches.get("ce_siteid"),
    )
    schema_version = int(matches["ce_dataschema"][1])
    if matches["ce_dataschema"][0] != schema_reference(service, type_name, schema_version):
        raise MalformedMessage("ce_dataschema-of-another-type")
    event = Event(
        study_id=study_id,
        service=service,
        stream_id=matches["ce_subject"][0],
        version=int(matches["ce_streamversion"][0]),
        event_id=UUID(matches["ce_id"][0]),
        type=type_name,
        schema_version=schema_version,
        site_id=site_match and site_match[0],
        data=_require_json_object(value),
        recorded_at=_parse_time(matches["ce_time"][0]),
        meta=_published_meta(type_name, matches),
    )
    if key != event.key.encode():
        raise MalformedMessage("key-of-another-stream")
    return event


def _match_headers(headers: Iterable[tuple[str, bytes | None]]) -> dict[str, re.Match[str]]:
    matches: dict[str, re.Match[str]] = {}
    for name, value in headers:
        if name in matches:
            raise MalformedMessage(f"{name}-twice")
        if pattern := _HEADER_PATTERNS.get(name):
            if not (match := pattern.fullmatch((value or b"").decode("ascii", "replace"))):
                raise MalformedMessage(f"{name}-malformed")
            matches[name] = match
    if missing := REQUIRED_HEADERS.keys() - matches.keys():
        raise MalformedMessage(f"{min(missing)}-missing")
    return matches


def _parse_time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise MalformedMessage("ce_time-malformed") from None


def _require_day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise MalformedMessage("ce_recordedon-malformed") from None


def _published_meta(type_name: str, matches: dict[str, re.Match[str]]) -> dict[str, Any]:
    if matches.keys() & {"ce_correctstype", "ce_correctsversion"} and type_name != Correction.type_name:
        raise MalformedMessage("ce_correctstype-malformed")
    meta: dict[str, Any] = {"traceparent": matches["ce_traceparent"][0]} if "ce_traceparent" in matches else {}
    if "ce_recordedon" in matches:
        meta["recorded_on"] = _require_day(matches["ce_recordedon"][0])
    if type_name == Correction.type_name:
        if not matches.keys() >= {"ce_correctstype", "ce_correctsversion"}:
            raise MalformedMessage("ce_correctstype-missing")
        meta["corrects"] = {"type": matches["ce_correctstype"][0], "version": int(matches["ce_correctsversion"][0])}
    return meta


def _require_json_object(value: bytes | None) -> str:
    try:
        is_object = isinstance(from_json(value or b"", allow_inf_nan=False), dict)
    except ValueError:
        is_object = False
    if (
        not value
        or not is_object
        or _ZERO_CHARACTER.search(value)
        or (_HUGE_EXPONENT.search(value) and _HUGE_EXPONENT.search(_JSON_STRING.sub(b"", value)))
    ):
        raise MalformedMessage("value-malformed" if value else "value-missing")
    return value.decode()
