"""Facts of a participant's adverse events, graded by CTCAE, each grade in the version that it was given in."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, StrictBool, StringConstraints, ValidationInfo, model_validator

from shared.contracts.streams import TOXICITY
from shared.kernel.fact import Fact, FactPart
from shared.kernel.ids import LocalId
from shared.kernel.partial_date import ClinicalDate, PartialDate
from shared.kernel.patterns import explain_pattern
from shared.kernel.sealed_text import READING_STORED, SealedString
from shared.kernel.timestamps import Timestamp

_TERM = explain_pattern(
    r"^(3\.0|4\.03|5\.0|6\.0):[0-9]{4}$",
    "Give the id of a CTCAE term: the version (3.0, 4.03, 5.0 or 6.0), a colon and four digits, such as 3.0:0150.",
)
_CAUSE = explain_pattern(
    r"^((course|line):[A-Za-z0-9][A-Za-z0-9_.-]{0,31}|disease|other)$",
    "Give course: or line: and the id of the treatment, such as course:RT1; or disease; or other.",
)
TermId = Annotated[
    str,
    StringConstraints(strict=True, pattern=_TERM),
    Field(description="a term of a CTCAE dictionary; of v3.0 it names the site too", examples=["3.0:0150"]),
]
Grade = Annotated[int, Field(strict=True, ge=0, le=5)]
VisitNumber = Annotated[int, Field(strict=True, ge=1, le=120, description="the visit k that the protocol plans")]
Timepoint = Literal["baseline", "during_rt", "end_of_rt", "follow_up"]
AttributionLevel = Literal["unrelated", "unlikely", "possible", "probable", "definite"]
RELATED_LEVELS: frozenset[AttributionLevel] = frozenset({"possible", "probable", "definite"})
"""Levels from which on an event counts as related to a treatment."""


class Attribution(FactPart):
    """How far an event goes back to one treatment, or to something else; a level for each that was considered."""

    to: Annotated[
        str,
        StringConstraints(strict=True, pattern=_CAUSE),
        Field(description="course:<id>, line:<id>, disease or other", examples=["course:RT1"]),
    ]
    level: AttributionLevel

    @property
    def treatment(self) -> tuple[str, str] | None:
        """("course" or "line", its id); None for what is no treatment."""
        kind, _, name = self.to.partition(":")
        return (kind, name) if name else None


class Finding(FactPart):
    """One term with its grade. Grade 0: looked for and not there. null: not graded, and why."""

    term: TermId
    grade: Grade | None
    not_graded: Annotated[SealedString | None, Field(description="the reason, where the grade is null")] = None
    attribution: Annotated[tuple[Attribution, ...], Field(max_length=50)] = ()
    onset_on: ClinicalDate | None = None

    @model_validator(mode="after")
    def _require_grade_or_reason(self, info: ValidationInfo) -> Self:
        if info.context != READING_STORED and (self.grade is None) != (self.not_graded is not None):
            raise ValueError("Give either a grade, or null as the grade and the reason in not_graded.")
        if len({attribution.to for attribution in self.attribution}) < len(self.attribution):
            raise ValueError("A cause is named twice. Give each cause once, with one level.")
        return self


@TOXICITY.fact("toxicity.assessed", on="assessed_on")
class ToxicityAssessed(Fact, schema_name="Assessed"):
    """Toxicity graded at one time point. `checklist_complete`: every term of the protocol's checklist was looked for,
    and those without a finding are absent."""

    assessed_on: ClinicalDate
    timepoint: Timepoint
    visit: VisitNumber | None = None
    course_id: LocalId | None = None
    findings: Annotated[tuple[Finding, ...], Field(max_length=200)] = ()
    checklist_complete: StrictBool


def _replace_hyphens(value: object) -> object:
    return value.replace("-", "_") if isinstance(value, str) else value


Seriousness = Annotated[
    Literal["death", "life_threatening", "hospitalisation", "disability", "congenital", "important"],
    BeforeValidator(_replace_hyphens),
]
"""ICH E2A. Serious is not severe: a hospital stay makes an event serious, not grade 3."""
Outcome = Literal[
    "RECOVERED/RESOLVED",
    "RECOVERED/RESOLVED WITH SEQUELAE",
    "RECOVERING/RESOLVING",
    "NOT RECOVERED/NOT RESOLVED",
    "FATAL",
    "UNKNOWN",
]
"""CDISC codelist OUT."""
SeriousnessCriteria = Annotated[tuple[Seriousness, ...], Field(min_length=1, max_length=6)]


@TOXICITY.fact("toxicity.serious_event_reported", on="onset_on")
class SeriousEventReported(Fact):
    """A serious adverse event, within 24 hours of becoming aware of it; later is accepted, and questioned."""

    serious_event_id: LocalId
    aware_at: Timestamp
    term: TermId
    grade: Grade
    onset_on: ClinicalDate
    seriousness: SeriousnessCriteria
    narrative: SealedString
    outcome: Outcome


class _SeriousEventFollowUp(Fact):
    """A follow-up report of a serious event. Members that are left out are unchanged."""

    serious_event_id: LocalId
    aware_at: Timestamp
    term: TermId | None = None
    grade: Grade | None = None
    onset_on: ClinicalDate | None = None
    seriousness: SeriousnessCriteria | None = None
    narrative: SealedString | None = None

    @property
    def happened_on(self) -> PartialDate | None:
        """The clinical day, or without one the day on which the site became aware."""
        return super().happened_on or PartialDate.from_day(self.aware_at.date())

    @property
    def date_member(self) -> str:
        return super().date_member if super().happened_on else "aware_at"


@TOXICITY.fact("toxicity.serious_event_updated", on="onset_on")
class SeriousEventUpdated(_SeriousEventFollowUp):
    """More is known of a serious event. What is left out is as it was."""

    outcome: Outcome | None = None


@TOXICITY.fact("toxicity.serious_event_resolved", on="resolved_on")
class SeriousEventResolved(_SeriousEventFollowUp):
    """A serious event came to its end, one way or the other."""

    outcome: Outcome
    resolved_on: ClinicalDate | None = None
