"""What sentences about any fact share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any

from services.analytics.figures import plain, spoken
from services.analytics.statistics.dose import gray
from shared.contracts.enrollment import LesionRegistered, NotReported, Performance
from shared.contracts.treatment import SystemicTherapyStarted
from shared.kernel.record import Record


@dataclass(frozen=True, slots=True)
class Told:
    """`label` is for the drawing and may be empty. `more` are members that programs read, by the fact's own names."""

    lane: str
    title: str
    label: str = ""
    detail: tuple[str, ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Known:
    """What else stands of the participant, and the names of toxicity terms by their ids (empty: ids are shown)."""

    record: Record
    names: Mapping[str, str]

    @cached_property
    def lesions(self) -> Mapping[str, LesionRegistered]:
        return {lesion.lesion_id: lesion for lesion in self.record.facts(LesionRegistered)}

    @cached_property
    def lines(self) -> Mapping[str, SystemicTherapyStarted]:
        return {line.line_id: line for line in self.record.facts(SystemicTherapyStarted)}

    def lesion(self, lesion_id: str) -> str:
        """`L2 (brain, left)`; the id alone where nobody registered it."""
        lesion = self.lesions.get(lesion_id)
        return f"{lesion_id} ({place(lesion)})" if lesion else lesion_id

    def term(self, term: str) -> str:
        return f"{self.names[term]} ({term})" if term in self.names else term


Tell = Callable[[Any, Known], Told]


def place(lesion: LesionRegistered) -> str:
    """`brain, left`."""
    side = lesion.laterality if lesion.laterality not in (None, "not_applicable") else None
    return listed([spoken(lesion.body_site), *([spoken(side)] if side else [])], last=", ")


def listed(parts: Iterable[str], last: str = " and ") -> str:
    """`a`, `a and b`, `a, b and c`."""
    *most, end = list(parts) or [""]
    return f"{', '.join(most)}{last}{end}" if most else end


def capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def some(*parts: str) -> tuple[str, ...]:
    """Those that say something."""
    return tuple(part for part in parts if part)


def performance(measured: Performance | NotReported | None) -> str:
    if isinstance(measured, Performance):
        return f"{measured.scale} {measured.value}"
    return "performance not reported" if measured else ""


def gy(centigray: int) -> str:
    """`69.96 Gy`."""
    return f"{plain(gray(centigray))} Gy"


def amount(value: float) -> str:
    return plain(Decimal(str(value)))
