"""Events as Kafka messages: CloudEvents 1.0 in Kafka's binary content mode.

Every attribute is a header, `ce_` and its name; the value is the fact. Kafka's binding takes header values as they are,
in UTF-8 (3.2.3): percent-encoding is HTTP's. Ours are ASCII. Who recorded an event, by what judged, stays in the store.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from pydantic_core import from_json

from shared.contracts import catalogue
from shared.contracts.event import Event
from shared.contracts.schemas import schema_reference
from shared.kernel.fact import Corrected, Stream

_STUDY, _SITE = "[a-z0-9][a-z0-9-]{0,30}[a-z0-9]", "[A-Za-z0-9][A-Za-z0-9_-]{0,31}"
_PARTICIPANT = "[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]"
_SERVICE, _VERSION = "|".join(sorted({stream.service for stream in catalogue.STREAMS})), "[1-9][0-9]{0,8}"
_TYPE = r"[a-z_]{1,64}\.[a-z_]{1,64}"
REQUIRED = {
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
OPTIONAL = {
    "ce_siteid": _SITE,
    "ce_traceparent": "[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}",
    "ce_correctstype": _TYPE,
    "ce_correctsversion": _VERSION,
}
_SHAPES = {name: re.compile(shape) for name, shape in {**REQUIRED, **OPTIONAL}.items()}
PARTITIONS = 16
"""Of every topic, in version 1 for good: no key ever changes its partition."""
# What JSON can say and PostgreSQL's jsonb cannot hold: a zero character, a number of thousands of digits.
_ZERO, _HUGE = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000"), re.compile(rb"[eE][+-]?[0-9]{4}")
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')


class Malformed(ValueError):
    """A message that is not one of ours. `reason_code` names the part at fault (`ce_id-missing`), never its content."""

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


def may_speak(topic: str, service: str) -> bool:
    """A topic carries the streams of one service: `quartal.<service>.v1`."""
    return topic.split(".")[-2:-1] == [service]


def subject_shape(stream: Stream) -> str:
    return _STUDY if stream.subject == "study" else _PARTICIPANT


def key_shape(stream: Stream) -> str:
    return _STUDY if stream.subject == "study" else f"{_STUDY}/{_PARTICIPANT}"


def encode(event: Event) -> Message:
    """The message of an event: a pure function of what is published of it."""
    of_service, same = _same_for_all(event.service, event.type, event.schema_version)
    headers = (*same, *((name, value.encode("ascii")) for name, value in _own(event)))
    return Message(of_service, event.key.encode("ascii"), headers, event.data.encode())


@lru_cache(maxsize=1024)
def _same_for_all(service: str, type_name: str, schema_version: int) -> tuple[str, tuple[tuple[str, bytes], ...]]:
    """Topic and headers that every event of one type has."""
    headers = {
        "content-type": "application/json",
        "ce_specversion": "1.0",
        "ce_type": f"quartal.{type_name}",
        "ce_dataschema": schema_reference(service, type_name, schema_version),
    }
    return topic(service), tuple((name, value.encode("ascii")) for name, value in headers.items())


def _own(event: Event) -> Iterator[tuple[str, str]]:
    yield "ce_id", str(event.event_id)
    yield "ce_source", event.source
    yield "ce_subject", event.stream_id
    yield "ce_time", event.recorded_at.astimezone(UTC).isoformat(timespec="microseconds")[: -len("+00:00")] + "Z"
    yield "ce_streamversion", str(event.version)
    if event.site_id is not None:
        yield "ce_siteid", event.site_id
    # Clients name their traces; a name that could not be read back would park the stream.
    if (trace := event.meta.get("traceparent")) and _SHAPES["ce_traceparent"].fullmatch(trace):
        yield "ce_traceparent", trace
    if corrects := event.meta.get("corrects"):
        yield "ce_correctstype", corrects["type"]
        yield "ce_correctsversion", str(corrects["version"])


def decode(key: bytes | None, headers: Iterable[tuple[str, bytes | None]], value: bytes | None) -> Event:
    """The event of a message, `meta` being what is published of it; Malformed for anything that isn't ours.

    Headers of other names are passed over. Whether the content is of its schema shows when the event is stated.
    """
    said = _read(headers)
    (study_id, service), type_name, site = said["ce_source"].groups(), said["ce_type"][1], said.get("ce_siteid")
    schema_version = int(said["ce_dataschema"][1])
    if said["ce_dataschema"][0] != schema_reference(service, type_name, schema_version):
        raise Malformed("ce_dataschema-of-another-type")
    event = Event(
        study_id, service, said["ce_subject"][0], int(said["ce_streamversion"][0]), UUID(said["ce_id"][0]), type_name,
        schema_version, site and site[0], _content(value), _time(said["ce_time"][0]), _meta(type_name, said),
    )  # fmt: skip
    if key != event.key.encode():
        raise Malformed("key-of-another-stream")
    return event


def _read(headers: Iterable[tuple[str, bytes | None]]) -> dict[str, re.Match[str]]:
    said: dict[str, re.Match[str]] = {}
    for name, value in headers:
        if name in said:
            raise Malformed(f"{name}-twice")
        if shape := _SHAPES.get(name):
            if not (shown := shape.fullmatch((value or b"").decode("ascii", "replace"))):
                raise Malformed(f"{name}-malformed")
            said[name] = shown
    if missing := REQUIRED.keys() - said.keys():
        raise Malformed(f"{min(missing)}-missing")
    return said


def _time(said: str) -> datetime:
    try:
        return datetime.fromisoformat(said)
    except ValueError:
        raise Malformed("ce_time-malformed") from None


def _meta(type_name: str, said: dict[str, re.Match[str]]) -> dict[str, Any]:
    if said.keys() & {"ce_correctstype", "ce_correctsversion"} and type_name != Corrected.type_name:
        raise Malformed("ce_correctstype-malformed")
    meta: dict[str, Any] = {"traceparent": said["ce_traceparent"][0]} if "ce_traceparent" in said else {}
    if type_name == Corrected.type_name:
        if not said.keys() >= {"ce_correctstype", "ce_correctsversion"}:
            raise Malformed("ce_correctstype-missing")
        meta["corrects"] = {"type": said["ce_correctstype"][0], "version": int(said["ce_correctsversion"][0])}
    return meta


def _content(value: bytes | None) -> str:
    try:
        ours = isinstance(from_json(value or b"", allow_inf_nan=False), dict)
    except ValueError:
        ours = False
    if not value or not ours or _ZERO.search(value) or (_HUGE.search(value) and _HUGE.search(_STRING.sub(b"", value))):
        raise Malformed("value-malformed" if value else "value-missing")
    return value.decode()
