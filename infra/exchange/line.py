"""One fact of a file, as it is written there. Pure.

In JSON lines: `{"type", "participant": "K7F2-9QXA-3", "data": {…}}`, or `"ref": "p1"` for somebody whom a file
registers. What an export adds (`event_id`, `study`, `service`, `version`, …) tells where a fact comes from.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from shared.contracts import catalogue
from shared.kernel.fact import Corrected, Stream
from shared.kernel.ids import participant_id
from shared.kernel.refusal import Fault, Malformed
from shared.web.parsing import parsed


class NotAFile(Exception):
    """The file as a whole cannot be read: not UTF-8, no header, nothing in it."""


class Wrong(Exception):
    """A line that says nothing that could be stated: what is wrong with it.

    `columns`: the names of a table's columns, by pointer. `type`: the fact's, where that much can be read.
    """

    def __init__(self, *faults: Fault) -> None:
        self.faults = faults
        self.columns: Mapping[str, str] = {}
        self.type = ""
        super().__init__(faults[0].code)


@dataclass(frozen=True, slots=True)
class Line:
    """`person` is a participant's number, or, where `is_ref`, a name in the study; '' for a fact of the study.

    `version` and `recorded_at` are given by an export, and so is `event_id`, unless the file itself corrects the fact.
    `faults` were found while the line was read; `columns` are the names of a table's columns, by pointer.
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
    faults: tuple[Fault, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)

    @property
    def stream(self) -> Stream:
        return catalogue.stream(self.service, of_study=self.type not in _OF_PARTICIPANTS)

    @property
    def is_exported(self) -> bool:
        return self.version is not None

    def for_study(self, study_id: str) -> Line:
        """Who has a number in another study is somebody new in this one."""
        if self.study in (None, study_id) or not self.person or self.is_ref:
            return self
        return replace(self, person=f"{self.study}/{self.person}", is_ref=True)


Read = tuple[int, Line | Wrong]
_BOTH = "participant-or-ref"
_COUNTS = ("version", "schema_version")
_LOOK = 50
"""The form of a file is told from so many lines."""
_MEMBERS = {
    "type", "participant", "participant_id", "ref", "data", "study", "service", "event_id", "version",
    "schema_version", "recorded_at",
}  # fmt: skip
_LONGEST_REF = 100
_SERVICES = ("enrollment", "toxicity", "followup")
_OF_STUDY, _OF_PARTICIPANTS = (
    {name: each.service for each in catalogue.STREAMS if each.subject == subject for name in each.facts}
    for subject in ("study", "participant")
)


def json_lines(text: str) -> Iterator[Read]:
    """Every line that is not blank, by its number. Raises NotAFile for what is JSON, or a table, but no JSON lines."""
    _refuse_other_forms(text)
    for number, written in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        if written.strip():
            yield number, _of_json(number, written)


def _refuse_other_forms(text: str) -> None:
    lines = [line for line in re.split(r"\r\n|\r|\n", text) if line.strip()]
    if not any(line.lstrip().startswith("{") for line in lines[:_LOOK]) and not text.lstrip().startswith("["):
        raise NotAFile(
            "The file is named like JSON lines, and its first lines are not JSON objects. If it is CSV, give it a name "
            "that ends in .csv."
        )
    if lines[0].strip() == "{" or text.lstrip().startswith("["):
        raise NotAFile("The file is JSON over several lines. JSON lines have one object a line: {…}, without a comma.")


def _of_json(number: int, written: str) -> Line | Wrong:
    try:
        said = parsed(written.encode("utf-8", "surrogatepass"))
        if not isinstance(said, dict):
            return wrong("schema-object", "A line is one JSON object.")
        return line_of(number, said)
    except Malformed as malformed:
        return wrong("malformed", malformed.title.replace("The body", "The line"))
    except Wrong as found:
        return found


def line_of(
    number: int, said: Mapping[str, Any], faults: Sequence[Fault] = (), columns: Mapping[str, str] | None = None
) -> Line:
    """Return the line that an object says, with its faults and those that were found before.

    Raises Wrong where not even the fact is known that it states.
    """
    type_name, data = said.get("type"), said.get("data")
    if not isinstance(type_name, str) or not isinstance(data, dict):
        raise Wrong(*faults, Fault("schema-missing", "A line has a type, and data as an object."))
    if not type_name:
        raise Wrong(*faults, Fault("schema-missing", "The line does not say which fact it is.", "/type"))
    if type_name not in {**_OF_STUDY, **_OF_PARTICIPANTS}:
        raise Wrong(
            *faults, Fault("no-such-fact", "There is no fact of that type: /enrollment/docs lists them.", "/type")
        )
    found = list(faults)
    if set(said) - _MEMBERS:
        allowed = ", ".join(sorted(_MEMBERS))
        found.append(Fault("schema-extra-forbidden", f"The line has a member that is none of these: {allowed}."))
    person, is_ref = _without_faults(_person, said, found) or ("", False)
    service = _without_faults(_service, said, found) or _SERVICES[0]
    event_id = _without_faults(_event_id, said, found)
    version, schema_version = (_without_faults(partial(_count, name=name), said, found) for name in _COUNTS)
    study, recorded_at = (_without_faults(partial(_text, name=name), said, found) for name in ("study", "recorded_at"))
    _refuse_other_subject(type_name, person, found)
    return Line(
        number, type_name, service, data, person, is_ref, study, event_id, version, schema_version, recorded_at or "",
        tuple(found), columns or {},
    )  # fmt: skip


T = TypeVar("T")


def _without_faults(read: Callable[[Mapping[str, Any]], T], said: Mapping[str, Any], faults: list[Fault]) -> T | None:
    """Return what is read; None where it is wrong, which is noted in `faults`."""
    try:
        return read(said)
    except Wrong as wrong:
        faults.extend(wrong.faults)
        return None


def _refuse_other_subject(type_name: str, person: str, faults: list[Fault]) -> None:
    if person and type_name not in _OF_PARTICIPANTS:
        faults.append(Fault("no-such-fact", "The fact is of the study: leave participant and ref out.", "/type"))
    names_nobody = not any(fault.pointer in ("/participant", "/ref") or fault.code == _BOTH for fault in faults)
    if not person and type_name in _OF_PARTICIPANTS and names_nobody:
        faults.append(
            Fault("participant-needed", "Say of whom this is: a participant's number, or a ref.", "/participant")
        )


def _person(said: Mapping[str, Any]) -> tuple[str, bool]:
    who: Any = said.get("participant") or said.get("participant_id")
    ref: Any = said.get("ref")
    if isinstance(who, dict) and set(who) == {"ref"}:
        who, ref = None, who["ref"]
    if who and ref:
        raise wrong(_BOTH, "The line names a participant and a ref: leave one of the two out.")
    if ref:
        return _ref(ref), True
    if not who:
        return "", False
    try:
        return participant_id(who), False
    except ValueError as mistyped:
        raise wrong("bad-participant-number", f"{mistyped}".capitalize() + ".", "/participant") from None


def _ref(ref: Any) -> str:
    if not isinstance(ref, str) or len(ref) > _LONGEST_REF:
        raise wrong("bad-ref", f"A ref is a text of at most {_LONGEST_REF} characters.", "/ref")
    if not ref.isprintable() or ref != ref.strip():
        raise wrong("bad-ref", "Leave line breaks, hidden signs and blanks at the ends out of a ref.", "/ref")
    return ref


def _service(said: Mapping[str, Any]) -> str:
    if said["type"] == Corrected.type_name:
        return _corrected_in(said)
    return str({**_OF_STUDY, **_OF_PARTICIPANTS}[said["type"]])


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


def _count(said: Mapping[str, Any], *, name: str) -> int | None:
    value = said.get(name)
    if value is None or (type(value) is int and value > 0):
        return value
    raise wrong("schema-int", "Give a whole number, 1 or more.", f"/{name}")


def _text(said: Mapping[str, Any], *, name: str) -> str | None:
    value = said.get(name)
    if value is None or isinstance(value, str):
        return value
    raise wrong("schema-string", "Give a text.", f"/{name}")


def wrong(code: str, message: str, pointer: str = "") -> Wrong:
    return Wrong(Fault(code, message, pointer))
