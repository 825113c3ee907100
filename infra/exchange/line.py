"""One fact of a file, as it is written there. Pure.

In JSON lines: `{"type", "participant": "K7F2-9QXA-3", "data": {…}}`, or `"ref": "p1"` for somebody whom the file itself
registers. What an export adds (`event_id`, `study`, `service`, `version`, …) tells where a fact comes from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from shared.contracts import catalogue
from shared.kernel.fact import Corrected, Stream
from shared.kernel.ids import participant_id
from shared.kernel.refusal import Fault, Malformed
from shared.web.parsing import parsed


class NotAFile(Exception):
    """The file as a whole cannot be read: not UTF-8, no header, nothing in it."""


class Wrong(Exception):
    """A line that says nothing that could be stated: what is wrong with it."""

    def __init__(self, *faults: Fault) -> None:
        self.faults = faults
        super().__init__(faults[0].code)


@dataclass(frozen=True, slots=True)
class Line:
    """`person` is a participant's number, or, where `is_ref`, a name within the file; '' for a fact of the study.

    `version` and `recorded_at` are given by an export, and so is `event_id`, unless the file itself corrects the fact.
    """

    number: int
    type: str
    service: str
    data: Mapping[str, Any]
    person: str = ""
    is_ref: bool = False
    study: str | None = None
    event_id: str | None = None
    version: int | None = None
    schema_version: int | None = None
    recorded_at: str = ""

    @property
    def stream(self) -> Stream:
        return catalogue.stream(self.service, of_study=not self.person)

    @property
    def is_exported(self) -> bool:
        return self.version is not None

    def for_study(self, study_id: str) -> Line:
        """Who has a number in another study is somebody new in this one."""
        if self.study in (None, study_id) or not self.person or self.is_ref:
            return self
        return replace(self, person=f"{self.study}/{self.person}", is_ref=True)


Read = tuple[int, Line | Wrong]
_MEMBERS = {
    "type", "participant", "participant_id", "ref", "data", "study", "service", "site", "event_id", "version",
    "schema_version", "recorded_at",
}  # fmt: skip
_SERVICES = ("enrollment", "toxicity", "followup")
_OF_STUDY, _OF_PARTICIPANTS = (
    {name: each.service for each in catalogue.STREAMS if each.subject == subject for name in each.facts}
    for subject in ("study", "participant")
)


def text_of(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as wrong:
        line = content[: wrong.start].count(b"\n") + 1
        raise NotAFile(f"Line {line} is not UTF-8: save the file as UTF-8.") from None


def json_lines(text: str) -> Iterator[Read]:
    """Every line that is not blank, by its number."""
    for number, written in enumerate(text.split("\n"), 1):
        if written.strip():
            yield number, _of_json(number, written)


def _of_json(number: int, written: str) -> Line | Wrong:
    try:
        said = parsed(written.encode())
        if not isinstance(said, dict):
            return wrong("schema-object", "A line is one JSON object.")
        return line_of(number, said)
    except Malformed as malformed:
        return wrong("malformed", malformed.title)
    except Wrong as found:
        return found


def line_of(number: int, said: Mapping[str, Any]) -> Line:
    """The line that an object says; raises Wrong."""
    if set(said) - _MEMBERS:
        raise wrong("schema-extra-forbidden", f"A line has the members {', '.join(sorted(_MEMBERS))}.")
    type_name, data = said.get("type"), said.get("data")
    if not isinstance(type_name, str) or not isinstance(data, dict):
        raise wrong("schema-missing", "A line has a type, and data as an object.")
    person, is_ref = _person(said)
    version, schema_version = (_count(said, name) for name in ("version", "schema_version"))
    return Line(
        number, type_name, _service(type_name, said, person), data, person, is_ref, _text(said, "study"),
        _event_id(said), version, schema_version, _text(said, "recorded_at") or "",
    )  # fmt: skip


def _person(said: Mapping[str, Any]) -> tuple[str, bool]:
    who: Any = said.get("participant") or said.get("participant_id")
    ref: Any = said.get("ref")
    if isinstance(who, dict) and set(who) == {"ref"}:
        who, ref = None, who["ref"]
    if who and ref:
        raise wrong("participant-or-ref", "A line names its participant by number or by ref, not by both.")
    if ref:
        if not isinstance(ref, str) or len(ref) > 100:
            raise wrong("bad-ref", "A ref is a text of at most 100 characters.", "/ref")
        return ref, True
    if not who:
        return "", False
    try:
        return participant_id(who), False
    except ValueError as mistyped:
        raise wrong("bad-participant-number", f"{mistyped}".capitalize() + ".", "/participant") from None


def _service(type_name: str, said: Mapping[str, Any], person: str) -> str:
    if type_name == Corrected.type_name and person:
        return _corrected_in(said)
    if service := (_OF_PARTICIPANTS if person else _OF_STUDY).get(type_name):
        return service
    if type_name in _OF_PARTICIPANTS:
        raise wrong("participant-needed", "Say of whom this is: a participant's number, or a ref.", "/participant")
    raise wrong("no-such-fact", "There is no fact of that type, or it is stated of something else.", "/type")


def _corrected_in(said: Mapping[str, Any]) -> str:
    """The service whose fact a correction restates."""
    replacement = said["data"].get("replacement")
    restated = replacement.get("type") if isinstance(replacement, dict) else None
    service = said.get("service") or _OF_PARTICIPANTS.get(restated if isinstance(restated, str) else "")
    if service not in _SERVICES:
        raise wrong("service-needed", f"Say whose fact is taken back: {', '.join(_SERVICES)}.", "/service")
    return str(service)


def _event_id(said: Mapping[str, Any]) -> str | None:
    try:
        return str(UUID(said["event_id"])) if said.get("event_id") else None
    except (ValueError, TypeError, AttributeError):
        raise wrong("schema-uuid-parsing", "Give a UUID.", "/event_id") from None


def _count(said: Mapping[str, Any], name: str) -> int | None:
    value = said.get(name)
    if value is None or (type(value) is int and value > 0):
        return value
    raise wrong("schema-int", "Give a whole number from 1 on.", f"/{name}")


def _text(said: Mapping[str, Any], name: str) -> str | None:
    value = said.get(name)
    if value is None or isinstance(value, str):
        return value
    raise wrong("schema-string", "Give a text.", f"/{name}")


def wrong(code: str, message: str, pointer: str = "") -> Wrong:
    return Wrong(Fault(code, message, pointer))
