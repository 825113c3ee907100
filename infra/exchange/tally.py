"""What became of every line: recorded, there already, or refused and why. The numbers add up to the lines sent."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from infra.exchange.line import Line
from shared.kernel.refusal import Fault

Outcome = Literal["recorded", "there", "by form", "left out", "refused"]


@dataclass(frozen=True, slots=True)
class RefusedLine:
    """`type` is '' where the line could not be read. Nothing of the line's content is in it."""

    number: int
    type: str
    faults: tuple[Fault, ...]

    def __str__(self) -> str:
        what = f"line {self.number}" + (f", {self.type}" if self.type else "")
        said = (
            f"{fault.code}{f' at {fault.pointer}' if fault.pointer else ''}: {fault.message}" for fault in self.faults
        )
        return f"{what}: {' · '.join(said)}"

    def json(self) -> str:
        errors = [{"code": each.code, "message": each.message, "pointer": each.pointer} for each in self.faults]
        return json.dumps({"line": self.number, "type": self.type, "errors": errors})


@dataclass
class Tally:
    """`advance` hears of every line once. `withheld` are texts that an export did not have and that were replaced.
    `grants` are lacking, so that a dry run, which records none, cannot have anything decided."""

    dry_run: bool = False
    advance: Callable[[], None] = lambda: None
    counts: Counter[Outcome] = field(default_factory=Counter)
    refusals: list[RefusedLine] = field(default_factory=list)
    withheld: int = 0
    grants: int = 0

    def one(self, outcome: Outcome) -> None:
        self.counts[outcome] += 1
        self.advance()

    def refuse(self, line: Line, faults: Sequence[Fault]) -> None:
        self.refuse_line(line.number, line.type, faults)

    def refuse_line(self, number: int, type_name: str, faults: Sequence[Fault]) -> None:
        self.refusals.append(RefusedLine(number, type_name, tuple(faults)))
        self.one("refused")

    def summary(self) -> list[str]:
        counts, sent = self.counts, self.counts.total()
        recorded = "would be recorded" if self.dry_run else "recorded"
        parts = [f"{counts['recorded']} {recorded}", f"{counts['there']} there already", f"{counts['refused']} refused"]
        parts += [f"{counts['left out']} left out"] if counts["left out"] else []
        parts += [f"{counts['by form']} checked by form only"] if counts["by form"] else []
        lines = [f"{sent} lines: {', '.join(parts)}"]
        if counts["by form"]:
            lines.append("Checked by form only: what depends on facts that are not recorded yet.")
        if self.grants:
            lines.append(
                f"Nothing can be decided before {self.grants} grants are recorded, which an import does first."
            )
        if self.withheld:
            lines.append(
                f"Texts that the export withheld and that cannot be left out, stated as withheld: {self.withheld}"
            )
        return lines
