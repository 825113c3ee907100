"""The context that descriptions of facts share, and phrases that several of them use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from services.analytics.timeline.answers import FactMembers
from services.analytics.wording.phrasing import humanize, join_words, label_term
from shared.contracts.baseline import NotReported, Performance
from shared.contracts.enrollment import (
    LesionRegistered,
)
from shared.contracts.treatment import SystemicTherapyStarted
from shared.kernel.record import Record


@dataclass(frozen=True, slots=True)
class Description:
    """A fact in words. `label` is for the picture and may be empty. `members` are members of the JSON entry."""

    lane: str
    title: str
    label: str = ""
    detail: tuple[str, ...] = ()
    members: FactMembers = field(default_factory=FactMembers)


@dataclass(frozen=True)
class DescriptionContext:
    """The participant's record, and the names of toxicity terms by their ids (a term without a name shows its id).

    `zone`: the time zone of the participant's site, by whose clock times are shown.
    """

    record: Record
    term_names: Mapping[str, str]
    zone: str = "UTC"

    @cached_property
    def lesions(self) -> Mapping[str, LesionRegistered]:
        return {lesion.lesion_id: lesion for lesion in self.record.facts_of(LesionRegistered)}

    @cached_property
    def systemic_lines(self) -> Mapping[str, SystemicTherapyStarted]:
        return {line.line_id: line for line in self.record.facts_of(SystemicTherapyStarted)}

    def describe_lesion(self, lesion_id: str) -> str:
        """Returns `L2 (brain, left)`, or the id alone for a lesion that is not registered."""
        lesion = self.lesions.get(lesion_id)
        return f"{lesion_id} ({describe_location(lesion)})" if lesion else lesion_id

    def term_label(self, term_id: str) -> str:
        return label_term(term_id, self.term_names.get(term_id))


Describe = Callable[[Any, DescriptionContext], Description]


def describe_location(lesion: LesionRegistered) -> str:
    """Returns `brain, left`."""
    side = lesion.laterality if lesion.laterality not in (None, "not_applicable") else None
    return join_words([humanize(lesion.body_site), *([humanize(side)] if side else [])], last_separator=", ")


def describe_performance(performance_status: Performance | NotReported | None) -> str:
    if isinstance(performance_status, Performance):
        return f"{performance_status.scale} {performance_status.value}"
    return "performance not reported" if performance_status else ""
