"""What sentences about any fact share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any

from services.analytics.figures import format_number, humanize
from services.analytics.statistics.dose import gray
from shared.contracts.enrollment import LesionRegistered, NotReported, Performance
from shared.contracts.treatment import SystemicTherapyStarted
from shared.kernel.record import Record


@dataclass(frozen=True, slots=True)
class Description:
    """`label` is for the drawing and may be empty. `more` are members that programs read, by the fact's own names."""

    lane: str
    title: str
    label: str = ""
    detail: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DescriptionContext:
    """What else stands of the participant, and the names of toxicity terms by their ids (empty: ids are shown)."""

    record: Record
    term_names: Mapping[str, str]

    @cached_property
    def lesions(self) -> Mapping[str, LesionRegistered]:
        return {lesion.lesion_id: lesion for lesion in self.record.facts_of(LesionRegistered)}

    @cached_property
    def systemic_lines(self) -> Mapping[str, SystemicTherapyStarted]:
        return {line.line_id: line for line in self.record.facts_of(SystemicTherapyStarted)}

    def describe_lesion(self, lesion_id: str) -> str:
        """`L2 (brain, left)`; the id alone where nobody registered it."""
        lesion = self.lesions.get(lesion_id)
        return f"{lesion_id} ({describe_location(lesion)})" if lesion else lesion_id

    def term_label(self, term_id: str) -> str:
        return f"{self.term_names[term_id]} ({term_id})" if term_id in self.term_names else term_id


Describe = Callable[[Any, DescriptionContext], Description]


def describe_location(lesion: LesionRegistered) -> str:
    """`brain, left`."""
    side = lesion.laterality if lesion.laterality not in (None, "not_applicable") else None
    return join_words([humanize(lesion.body_site), *([humanize(side)] if side else [])], last_separator=", ")


def join_words(parts: Iterable[str], last_separator: str = " and ") -> str:
    """`a`, `a and b`, `a, b and c`."""
    *leading, end = list(parts) or [""]
    return f"{', '.join(leading)}{last_separator}{end}" if leading else end


def capitalize(text: str) -> str:
    return text[:1].upper() + text[1:]


def non_empty(*parts: str) -> tuple[str, ...]:
    """Those that say something."""
    return tuple(part for part in parts if part)


def describe_performance(performance_status: Performance | NotReported | None) -> str:
    if isinstance(performance_status, Performance):
        return f"{performance_status.scale} {performance_status.value}"
    return "performance not reported" if performance_status else ""


def format_gray(centigray: int) -> str:
    """`69.96 Gy`."""
    return f"{format_number(gray(centigray))} Gy"


def format_amount(value: float) -> str:
    return format_number(Decimal(str(value)))
