"""Reads one line of a file: a fact and the participant that it is about. Pure.

In JSON lines: `{"type", "participant": "K7F2-9QXA-3", "data": {…}}`, or `"ref": "p1"` for a participant that the file
registers. The members that an export adds (`event_id`, `study`, `service`, `version`, …) say where a fact comes from.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from infra.services import SERVICES
from shared.contracts import catalogue
from shared.kernel.errors import Fault, MalformedBody, MistypedParticipant
from shared.kernel.fact import Correction, Stream
from shared.kernel.ids import normalize_participant_id
from shared.validation.json_parsing import parse_json


class UnreadableFile(Exception):
    """The file as a whole cannot be read, for example for its encoding or a missing header; the message says why."""


class InvalidLine(Exception):
    """A line that cannot be recorded, with its faults.

    `columns` are the names of a table's columns by pointer; `type` is the type of the fact if that can be read.
    """

    def __init__(self, *faults: Fault) -> None:
        self.faults = faults
        self.columns: Mapping[str, str] = {}
        self.type = ""
        super().__init__(faults[0].code)


@dataclass(frozen=True, slots=True)
class ImportLine:
    """One line. `participant_key` is a participant's number or, if `is_ref`, a ref; '' for a fact of the study.

    `version` and `recorded_at` come from an export, and so does `event_id`, unless the file corrects its own facts.
    `faults` were found when the line was read; `columns` are the names of a table's columns by pointer.
    """

    number: int
    type: str
    service: str
    data: Mapping[str, Any]
    participant_key: str = ""
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
        return catalogue.find_stream(self.service, is_study=self.type not in _PARTICIPANT_FACT_SERVICES)

    @property
    def is_exported(self) -> bool:
        return self.version is not None

    def for_study(self, study_id: str) -> ImportLine:
        """Returns the line as one of this study: a participant number of another study becomes a ref."""
        if self.study in (None, study_id) or not self.participant_key or self.is_ref:
            return self
        return replace(self, participant_key=f"{self.study}/{self.participant_key}", is_ref=True)


NumberedLine = tuple[int, ImportLine | InvalidLine]
_PARTICIPANT_OR_REF = "participant-or-ref"
_COUNT_MEMBERS = ("version", "schema_version")
_FORMAT_SNIFF_LINES = 50
"""Lines from which the format of a file is recognized."""
_LINE_MEMBERS = {
    "type",
    "participant",
    "participant_id",
    "ref",
    "data",
    "study",
    "service",
    "event_id",
    "version",
    "schema_version",
    "recorded_at",
}
_MAX_REF_LENGTH = 100
_STUDY_FACT_SERVICES, _PARTICIPANT_FACT_SERVICES = (
    {name: stream.service for stream in catalogue.STREAMS if stream.subject == subject for name in stream.facts}
    for subject in ("study", "participant")
)


def read_json_lines(text: str) -> Iterator[NumberedLine]:
    """Yields every line that is not blank, with its number. Raises UnreadableFile for a table and for other JSON."""
    _refuse_other_formats(text)
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        if line.strip():
            yield number, _parse_json_line(number, line)


def _refuse_other_formats(text: str) -> None:
    lines = [line for line in re.split(r"\r\n|\r|\n", text) if line.strip()]
    if not any(line.lstrip().startswith("{") for line in lines[:_FORMAT_SNIFF_LINES]) and not text.lstrip().startswith(
        "["
    ):
        raise UnreadableFile(
            "The file is named like JSON lines, but its first lines are not JSON objects. If it is CSV, give it a "
            "name that ends in .csv."
        )
    if lines[0].strip() == "{" or text.lstrip().startswith("["):
        raise UnreadableFile(
            "The file is JSON over several lines. JSON lines have one object a line: {…}, without a comma."
        )


def _parse_json_line(number: int, text: str) -> ImportLine | InvalidLine:
    try:
        members = parse_json(text.encode("utf-8", "surrogatepass"))
        if not isinstance(members, dict):
            return invalid_line("schema-object", "A line is one JSON object.")
        return build_line(number, members)
    except MalformedBody as malformed:
        return invalid_line("malformed", malformed.title.replace("The body", "The line"))
    except InvalidLine as invalid:
        return invalid


def build_line(
    number: int, members: Mapping[str, Any], faults: Sequence[Fault] = (), columns: Mapping[str, str] | None = None
) -> ImportLine:
    """Returns the line of an object, with its faults and those that were found before.

    Raises InvalidLine if the type of its fact is missing or unknown.
    """
    type_name, data = members.get("type"), members.get("data")
    if not isinstance(type_name, str) or not isinstance(data, dict):
        raise InvalidLine(*faults, Fault("schema-missing", "A line has a type, and data as an object."))
    if not type_name:
        raise InvalidLine(*faults, Fault("schema-missing", "The line has no type of fact.", "/type"))
    if type_name not in {**_STUDY_FACT_SERVICES, **_PARTICIPANT_FACT_SERVICES}:
        raise InvalidLine(
            *faults, Fault("no-such-fact", "There is no fact of that type: /enrollment/docs lists them.", "/type")
        )
    all_faults = list(faults)
    if set(members) - _LINE_MEMBERS:
        allowed = ", ".join(sorted(_LINE_MEMBERS))
        all_faults.append(Fault("schema-extra-forbidden", f"The line has a member that is none of these: {allowed}."))
    participant_key, is_ref = _read_or_note_faults(_read_participant, members, all_faults) or ("", False)
    service = _read_or_note_faults(_read_service, members, all_faults) or SERVICES[0]
    event_id = _read_or_note_faults(_read_event_id, members, all_faults)
    version, schema_version = (
        _read_or_note_faults(partial(_read_count, name=name), members, all_faults) for name in _COUNT_MEMBERS
    )
    study, recorded_at = (
        _read_or_note_faults(partial(_read_text, name=name), members, all_faults) for name in ("study", "recorded_at")
    )
    _refuse_other_subject(type_name, participant_key, all_faults)
    return ImportLine(
        number=number,
        type=type_name,
        service=service,
        data=data,
        participant_key=participant_key,
        is_ref=is_ref,
        study=study,
        event_id=event_id,
        version=version,
        schema_version=schema_version,
        recorded_at=recorded_at or "",
        faults=tuple(all_faults),
        columns=columns or {},
    )


T = TypeVar("T")


def _read_or_note_faults(
    read: Callable[[Mapping[str, Any]], T], members: Mapping[str, Any], faults: list[Fault]
) -> T | None:
    """Returns the result of `read`; None if it is invalid, which adds its faults to `faults`."""
    try:
        return read(members)
    except InvalidLine as invalid:
        faults.extend(invalid.faults)
        return None


def _refuse_other_subject(type_name: str, participant_key: str, faults: list[Fault]) -> None:
    if participant_key and type_name not in _PARTICIPANT_FACT_SERVICES:
        faults.append(Fault("no-such-fact", "This is a fact of the study: leave out participant and ref.", "/type"))
    names_nobody = not any(
        fault.pointer in ("/participant", "/ref") or fault.code == _PARTICIPANT_OR_REF for fault in faults
    )
    if not participant_key and type_name in _PARTICIPANT_FACT_SERVICES and names_nobody:
        faults.append(Fault("participant-needed", "Name the participant, by number or by ref.", "/participant"))


def _read_participant(members: Mapping[str, Any]) -> tuple[str, bool]:
    participant: Any = members.get("participant") or members.get("participant_id")
    ref: Any = members.get("ref")
    if isinstance(participant, dict) and set(participant) == {"ref"}:
        participant, ref = None, participant["ref"]
    if participant and ref:
        raise invalid_line(_PARTICIPANT_OR_REF, "The line names a participant and a ref: leave one of the two out.")
    if ref:
        return _check_ref(ref), True
    if not participant:
        return "", False
    try:
        return normalize_participant_id(participant), False
    except ValueError as mistyped:
        raise invalid_line(MistypedParticipant.code, f"{mistyped}".capitalize() + ".", "/participant") from None


def _check_ref(ref: Any) -> str:
    if not isinstance(ref, str) or len(ref) > _MAX_REF_LENGTH:
        raise invalid_line("bad-ref", f"A ref is a text of at most {_MAX_REF_LENGTH} characters.", "/ref")
    if not ref.isprintable() or ref != ref.strip():
        raise invalid_line(
            "bad-ref", "A ref has no line breaks, no hidden characters, and no blanks at its ends.", "/ref"
        )
    return ref


def _read_service(members: Mapping[str, Any]) -> str:
    if members["type"] == Correction.type_name:
        return _corrected_service(members)
    return str({**_STUDY_FACT_SERVICES, **_PARTICIPANT_FACT_SERVICES}[members["type"]])


def _corrected_service(members: Mapping[str, Any]) -> str:
    """Returns the service whose fact is corrected."""
    replacement = members["data"].get("replacement")
    restated = replacement.get("type") if isinstance(replacement, dict) else None
    service = members.get("service") or _PARTICIPANT_FACT_SERVICES.get(restated if isinstance(restated, str) else "")
    if service not in SERVICES:
        raise invalid_line("service-needed", f"Name the service of the voided fact: {', '.join(SERVICES)}.", "/service")
    return str(service)


def _read_event_id(members: Mapping[str, Any]) -> str | None:
    try:
        return str(UUID(members["event_id"])) if members.get("event_id") else None
    except (ValueError, TypeError, AttributeError):
        raise invalid_line("schema-uuid-parsing", "Give a UUID.", "/event_id") from None


def _read_count(members: Mapping[str, Any], *, name: str) -> int | None:
    value = members.get(name)
    if value is None or (type(value) is int and value > 0):
        return value
    raise invalid_line("schema-int", "Give a whole number, 1 or more.", f"/{name}")


def _read_text(members: Mapping[str, Any], *, name: str) -> str | None:
    value = members.get(name)
    if value is None or isinstance(value, str):
        return value
    raise invalid_line("schema-string", "Give a text.", f"/{name}")


def invalid_line(code: str, message: str, pointer: str = "") -> InvalidLine:
    return InvalidLine(Fault(code, message, pointer))
