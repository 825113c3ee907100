"""What became of every line of a file: each has one outcome, so that the numbers add up to the lines. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from infra.exchange.line import Line, Read, Wrong
from shared.kernel.refusal import Fault

Outcome = Literal[
    "recorded", "would-record", "there-already", "text-not-compared", "repeated", "refused", "checked-by-form",
    "left-out", "not-decided",
]  # fmt: skip
_MOST_NAMED = 20
"""So many participants are named in the summary; the report names all."""


@dataclass
class LineReport:
    """The outcome of one line. `type` is '' where the line could not be read. Nothing of its content is in it.

    `participant`: the number of somebody new, or recognized by a ref. `repeats`: the line that says the same.
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
        what = f"line {self.number}" + (f", {self.type}" if self.type else "")
        return f"{what}: {' · '.join(self._sentence(fault) for fault in self.faults)}"

    def _sentence(self, fault: Fault) -> str:
        column = column_of(fault.pointer, self.columns)
        place = f" at {fault.pointer}" if fault.pointer else ""
        return f"{fault.code}{place}{f' (column {column})' if column else ''}: {_as_sentence(fault.message)}"

    def json(self) -> str:
        entry: dict[str, Any] = {"line": self.number, "type": self.type, "outcome": self.outcome}
        if self.participant:
            entry |= {"participant": self.participant, "new_participant": self.is_new}
        elif self.is_new:
            entry |= {"new_participant": True}
        if self.repeats:
            entry["repeats_line"] = self.repeats
        return json.dumps({**entry, "errors": [self.error_of(fault) for fault in self.faults]})

    def error_of(self, fault: Fault) -> dict[str, str]:
        column = column_of(fault.pointer, self.columns)
        entry = {"code": fault.code, "message": _as_sentence(fault.message), "pointer": fault.pointer}
        return {**entry, "column": column} if column else entry


def column_of(pointer: str, columns: Mapping[str, str]) -> str:
    """Return the name of the column that a pointer leads to, as the file has it; '' where the line is of no table."""
    begin, rest = pointer, ""
    while begin and begin not in columns:
        begin, _, last = begin.rpartition("/")
        rest = f"/{last}{rest}"
    return f"{columns[begin]}{rest}" if begin else ""


def _as_sentence(message: str) -> str:
    whole = message[:1].upper() + message[1:]
    return whole if whole.endswith((".", "?", "!")) else f"{whole}."


@dataclass
class Tally:
    """`advance` hears of every line once. `withheld` are texts that an export did not have and that were replaced.
    `grants` are lacking, so that a dry run, which records none, cannot have anything decided."""

    dry_run: bool = False
    advance: Callable[[], None] = lambda: None
    lines: dict[int, LineReport] = field(default_factory=dict)
    refs: dict[int, str] = field(default_factory=dict)
    decided: int = 0
    withheld: int = 0
    grants: int = 0

    def expect(self, lines: Sequence[Read]) -> None:
        """Note every line of the file, as not decided yet."""
        for number, line in lines:
            self.lines[number] = LineReport(number, _type_of(line), columns=line.columns)

    def set(self, number: int, outcome: Outcome, **details: Any) -> None:
        """Note the outcome of a line, once."""
        report = self.lines.setdefault(number, LineReport(number, ""))
        self.decided += report.outcome == "not-decided"
        report.outcome = outcome
        for name, value in details.items():
            setattr(report, name, value)
        self.advance()

    def recorded(self, number: int) -> None:
        self.set(number, "would-record" if self.dry_run else "recorded")

    def refuse(self, line: Line, faults: Sequence[Fault]) -> None:
        self.set(line.number, "refused", faults=tuple(faults))

    def refuse_line(self, number: int, faults: Sequence[Fault]) -> None:
        self.set(number, "refused", faults=tuple(faults))

    def name(self, line: Line, participant: str, *, is_new: bool) -> None:
        """Note whom a screening registers, or whom its ref was recognized as."""
        report = self.lines.setdefault(line.number, LineReport(line.number, line.type))
        report.participant, report.is_new = participant, is_new
        self.refs[line.number] = line.person

    @property
    def counts(self) -> Counter[Outcome]:
        return Counter(report.outcome for report in self.lines.values())

    @property
    def refusals(self) -> list[LineReport]:
        return sorted(
            (report for report in self.lines.values() if report.outcome == "refused"), key=lambda each: each.number
        )

    def report(self) -> str:
        """JSON lines: an entry for every line of the file."""
        return "".join(f"{self.lines[number].json()}\n" for number in sorted(self.lines))

    def summary(self) -> list[str]:
        return [f"{_lines(len(self.lines))}: {', '.join(self._parts())}.", *self._remarks(), *self._participants()]

    def _parts(self) -> Iterator[str]:
        counts = self.counts
        there = counts["there-already"] + counts["repeated"]
        if self.dry_run:
            yield f"{counts['would-record']} would be recorded"
        else:
            yield f"{counts['recorded']} {_were(counts['recorded'])} recorded"
        yield f"{there} {_are(there)} there already"
        if not_compared := counts["text-not-compared"]:
            yield f"{not_compared} {_are(not_compared)} there already with {_its(not_compared)} not compared"
        yield f"{counts['refused']} {'would be' if self.dry_run else _were(counts['refused'])} refused"
        if left_out := counts["left-out"]:
            yield f"{left_out} {_were(left_out)} left out"
        if by_form := counts["checked-by-form"]:
            yield f"{by_form} {_were(by_form)} checked by form only"
        if open_lines := counts["not-decided"]:
            yield f"{open_lines} {_were(open_lines)} not decided"

    def _remarks(self) -> Iterator[str]:
        counts = self.counts
        if repeated := counts["repeated"]:
            yield f"{_lines(repeated)} {'repeats' if repeated == 1 else 'repeat'} another line word for word."
        if counts["text-not-compared"]:
            yield "Texts that only the own site reads cannot be read here, and were not compared with the file's."
        if counts["checked-by-form"]:
            yield "Lines that depend on facts that are not recorded yet were checked by their form only."
        if self.grants:
            yield f"Nothing can be decided before {self.grants} grants are recorded, which an import does first."
        if self.withheld:
            yield f"Texts that the export withheld and that a fact needs, stated as withheld: {self.withheld}."

    def _participants(self) -> Iterator[str]:
        named = [self.lines[number] for number in sorted(self.refs) if self.lines[number].outcome != "refused"]
        new = [report for report in named if report.is_new]
        again = [report for report in named if not report.is_new]
        people = "participant" if len(new) == 1 else "participants"
        if new and self.dry_run:
            yield f"The import would register {len(new)} new {people}: {self._named(new)}."
        elif new:
            yield f"{len(new)} new {people} {_were(len(new))} registered: {self._named(new)}."
        if again:
            people = "participant was" if len(again) == 1 else "participants were"
            yield f"{len(again)} {people} recognized from an earlier import: {self._named(again)}."

    def _named(self, reports: Sequence[LineReport]) -> str:
        shown = "; ".join(self._one(report) for report in reports[:_MOST_NAMED])
        rest = len(reports) - _MOST_NAMED
        return f"{shown}; and {rest} more, all of which --report names" if rest > 0 else shown

    def _one(self, report: LineReport) -> str:
        number = f", number {report.participant}" if report.participant else ""
        return f"line {report.number}, ref {self.refs[report.number]}{number}"


def _type_of(line: Line | Wrong) -> str:
    return line.type


def _lines(count: int) -> str:
    return f"{count} line" if count == 1 else f"{count} lines"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _its(count: int) -> str:
    return "its text" if count == 1 else "their texts"
