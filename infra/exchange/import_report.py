"""The outcome of every line of a file. Each line has one outcome, so the counts add up to the lines. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from infra.exchange.import_line import ImportLine, InvalidLine, NumberedLine
from shared.kernel.errors import Fault

Outcome = Literal[
    "recorded",
    "would-record",
    "there-already",
    "text-not-compared",
    "repeated",
    "refused",
    "checked-by-form",
    "left-out",
    "not-decided",
]
_MAX_NAMED_PARTICIPANTS = 20
"""Participants that the summary names at most; the report names all."""


@dataclass
class LineReport:
    """The outcome of one line, without its content. `type` is '' if the line could not be read.

    `participant` is the number of a new participant, or of one recognized by a ref; `repeats` is the line that this one
    repeats.
    """

    number: int
    type: str
    outcome: Outcome = "not-decided"
    faults: tuple[Fault, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    participant: str = ""
    is_new: bool = False
    repeats: int = 0

    def __str__(self) -> str:
        line = f"line {self.number}" + (f", {self.type}" if self.type else "")
        return f"{line}: {' · '.join(self._sentence(fault) for fault in self.faults)}"

    def _sentence(self, fault: Fault) -> str:
        column = column_name(fault.pointer, self.columns)
        location = f" at {fault.pointer}" if fault.pointer else ""
        return f"{fault.code}{location}{f' (column {column})' if column else ''}: {_as_sentence(fault.message)}"

    def as_json(self) -> str:
        entry: dict[str, Any] = {"line": self.number, "type": self.type, "outcome": self.outcome}
        if self.participant:
            entry |= {"participant": self.participant, "new_participant": self.is_new}
        elif self.is_new:
            entry |= {"new_participant": True}
        if self.repeats:
            entry["repeats_line"] = self.repeats
        return json.dumps({**entry, "errors": [self.error(fault) for fault in self.faults]})

    def error(self, fault: Fault) -> dict[str, str]:
        column = column_name(fault.pointer, self.columns)
        error_entry = {"code": fault.code, "message": _as_sentence(fault.message), "pointer": fault.pointer}
        return {**error_entry, "column": column} if column else error_entry


def column_name(pointer: str, columns: Mapping[str, str]) -> str:
    """Returns the column of a pointer as the file names it; '' if the file is not a table."""
    prefix, suffix = pointer, ""
    while prefix and prefix not in columns:
        prefix, _, last = prefix.rpartition("/")
        suffix = f"/{last}{suffix}"
    return f"{columns[prefix]}{suffix}" if prefix else ""


def _as_sentence(message: str) -> str:
    whole = message[:1].upper() + message[1:]
    return whole if whole.endswith((".", "?", "!")) else f"{whole}."


@dataclass
class ImportReport:
    """The outcomes of an import; `on_progress` is called once for each line.

    `withheld_count` counts texts that the export lacks and that were replaced. `missing_grant_count` counts grants
    that a dry run does not record, and without which the services cannot check anything.
    """

    dry_run: bool = False
    on_progress: Callable[[], None] = lambda: None
    lines: dict[int, LineReport] = field(default_factory=dict)
    refs: dict[int, str] = field(default_factory=dict)
    decided_count: int = 0
    withheld_count: int = 0
    missing_grant_count: int = 0

    def expect_lines(self, lines: Sequence[NumberedLine]) -> None:
        """Adds every line of the file, as not decided yet."""
        for number, line in lines:
            self.lines[number] = LineReport(number, _type_of(line), columns=line.columns)

    def set_outcome(self, number: int, outcome: Outcome, **details: Any) -> None:
        """Sets the outcome of a line, once."""
        line_report = self.lines.setdefault(number, LineReport(number, ""))
        self.decided_count += line_report.outcome == "not-decided"
        line_report.outcome = outcome
        for name, value in details.items():
            setattr(line_report, name, value)
        self.on_progress()

    def set_recorded(self, number: int) -> None:
        self.set_outcome(number, "would-record" if self.dry_run else "recorded")

    def refuse(self, line: ImportLine, faults: Sequence[Fault]) -> None:
        self.set_outcome(line.number, "refused", faults=tuple(faults))

    def refuse_line(self, number: int, faults: Sequence[Fault]) -> None:
        self.set_outcome(number, "refused", faults=tuple(faults))

    def name_participant(self, line: ImportLine, participant: str, *, is_new: bool) -> None:
        """Notes the participant that a screening registers, or that its ref already names."""
        line_report = self.lines.setdefault(line.number, LineReport(line.number, line.type))
        line_report.participant, line_report.is_new = participant, is_new
        self.refs[line.number] = line.participant_key

    @property
    def counts(self) -> Counter[Outcome]:
        return Counter(report.outcome for report in self.lines.values())

    @property
    def refusals(self) -> list[LineReport]:
        return sorted(
            (report for report in self.lines.values() if report.outcome == "refused"),
            key=lambda line_report: line_report.number,
        )

    def as_json_lines(self) -> str:
        """Returns JSON lines with an entry for every line of the file."""
        return "".join(f"{self.lines[number].as_json()}\n" for number in sorted(self.lines))

    def summary(self) -> list[str]:
        return [
            f"{_count_lines(len(self.lines))}: {', '.join(self._summary_parts())}.",
            *self._summary_remarks(),
            *self._summary_participants(),
        ]

    def _summary_parts(self) -> Iterator[str]:
        counts = self.counts
        existing = counts["there-already"] + counts["repeated"]
        if self.dry_run:
            yield f"{counts['would-record']} would be recorded"
        else:
            yield f"{counts['recorded']} {_was_or_were(counts['recorded'])} recorded"
        yield f"{existing} {_is_or_are(existing)} there already"
        if not_compared := counts["text-not-compared"]:
            yield (
                f"{not_compared} {_is_or_are(not_compared)} there already with "
                f"{_its_or_their_texts(not_compared)} not compared"
            )
        yield f"{counts['refused']} {'would be' if self.dry_run else _was_or_were(counts['refused'])} refused"
        if left_out := counts["left-out"]:
            yield f"{left_out} {_was_or_were(left_out)} left out"
        if by_form := counts["checked-by-form"]:
            yield f"{by_form} {_was_or_were(by_form)} checked by form only"
        if open_lines := counts["not-decided"]:
            yield f"{open_lines} {_was_or_were(open_lines)} not decided"

    def _summary_remarks(self) -> Iterator[str]:
        counts = self.counts
        if repeated := counts["repeated"]:
            yield f"{_count_lines(repeated)} {'repeats' if repeated == 1 else 'repeat'} another line word for word."
        if counts["text-not-compared"]:
            yield "Texts that only the own site reads cannot be read here, and were not compared with the file's."
        if counts["checked-by-form"]:
            yield "Lines that depend on facts that are not recorded yet were checked by their form only."
        if self.missing_grant_count:
            yield (
                f"Nothing can be decided before {self.missing_grant_count} grants are recorded, "
                f"which an import does first."
            )
        if self.withheld_count:
            yield f"Texts that the export withheld and that a fact needs, stated as withheld: {self.withheld_count}."

    def _summary_participants(self) -> Iterator[str]:
        accepted = [self.lines[number] for number in sorted(self.refs) if self.lines[number].outcome != "refused"]
        registered = [report for report in accepted if report.is_new]
        recognized = [report for report in accepted if not report.is_new]
        noun = "participant" if len(registered) == 1 else "participants"
        if registered and self.dry_run:
            yield f"The import would register {len(registered)} new {noun}: {self._list_participants(registered)}."
        elif registered:
            yield (
                f"{len(registered)} new {noun} {_was_or_were(len(registered))} registered: "
                f"{self._list_participants(registered)}."
            )
        if recognized:
            noun = "participant was" if len(recognized) == 1 else "participants were"
            yield (
                f"{len(recognized)} {noun} recognized from an earlier import: {self._list_participants(recognized)}."
            )

    def _list_participants(self, reports: Sequence[LineReport]) -> str:
        listed_names = "; ".join(self._describe_participant(report) for report in reports[:_MAX_NAMED_PARTICIPANTS])
        omitted = len(reports) - _MAX_NAMED_PARTICIPANTS
        return f"{listed_names}; and {omitted} more, all of which --report names" if omitted > 0 else listed_names

    def _describe_participant(self, report: LineReport) -> str:
        number = f", number {report.participant}" if report.participant else ""
        return f"line {report.number}, ref {self.refs[report.number]}{number}"


def _type_of(line: ImportLine | InvalidLine) -> str:
    return line.type


def _count_lines(count: int) -> str:
    return f"{count} line" if count == 1 else f"{count} lines"


def _was_or_were(count: int) -> str:
    return "was" if count == 1 else "were"


def _is_or_are(count: int) -> str:
    return "is" if count == 1 else "are"


def _its_or_their_texts(count: int) -> str:
    return "its text" if count == 1 else "their texts"
