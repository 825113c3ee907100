"""Facts of a participant's adverse events, graded by CTCAE, each grade in the version that it was given in."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StrictBool,
    StringConstraints,
    ValidationInfo,
    model_validator,
)

from shared.contracts.streams import TOXICITY
from shared.kernel.fact import Fact, FactPart, add_no_member
from shared.kernel.ids import LOCAL_ID, LocalId
from shared.kernel.partial_date import ClinicalDate, PartialDate
from shared.kernel.patterns import explain_pattern
from shared.kernel.presentation import Presentation, id_presentation
from shared.kernel.sealed_text import KEEPING_TEXTS, READING_STORED, SealedString, SealedText
from shared.kernel.timestamps import Timestamp

_TERM = explain_pattern(
    r"^(3\.0|4\.03|5\.0|6\.0):[0-9]{4}$",
    "Give the id of a CTCAE term: the version (3.0, 4.03, 5.0 or 6.0), a colon and four digits, such as 3.0:0150.",
)
_CAUSE = explain_pattern(
    f"^((course|line):{LOCAL_ID}|disease|other)$",
    "Give course: or line: and the id of the treatment, such as course:RT1; or disease; or other.",
)
TermId = Annotated[
    str,
    StringConstraints(strict=True, pattern=_TERM),
    Field(
        description="CTCAE term: version and code. In version 3.0 a term may name the part of the body too.",
        examples=["3.0:0150"],
    ),
    Presentation(label="CTCAE term", offers="terms"),
]
Grade = Annotated[int, Field(strict=True, ge=0, le=5)]
VISIT_NUMBER = "[1-9][0-9]{0,2}"
"""The pattern of the number of a visit, for texts that have it as a part."""
VisitNumber = Annotated[int, Field(strict=True, ge=1, le=120), Presentation(offers="visits")]
Timepoint = Annotated[
    Literal["baseline", "during_rt", "end_of_rt", "follow_up"],
    Presentation(words={"during_rt": "During radiotherapy", "end_of_rt": "End of radiotherapy"}),
]
AttributionLevel = Literal["unrelated", "unlikely", "possible", "probable", "definite"]
RELATED_LEVELS: frozenset[AttributionLevel] = frozenset({"possible", "probable", "definite"})
"""Levels from which on an event counts as related to a treatment."""


class Attribution(FactPart):
    """Likelihood that one treatment, the disease or something else caused an adverse event."""

    to: Annotated[
        str,
        StringConstraints(strict=True, pattern=_CAUSE),
        Field(examples=["course:RT1"]),
        Presentation(label="Cause", help="Cause that was considered.", offers="causes", one_row_each=True),
    ]
    """Cause that was considered: `course:<id>`, `line:<id>`, `disease` or `other`."""
    level: AttributionLevel
    """Likelihood that this is the cause."""

    @property
    def treatment(self) -> tuple[str, str] | None:
        """("course" or "line", its id); None for what is no treatment."""
        kind, _, name = self.to.partition(":")
        return (kind, name) if name else None


def _require_each_cause_once(attributions: tuple[Attribution, ...]) -> tuple[Attribution, ...]:
    if len({attribution.to for attribution in attributions}) < len(attributions):
        raise ValueError("A cause is named twice. Give each cause once, with one level.")
    return attributions


Attributions = Annotated[tuple[Attribution, ...], Field(max_length=50), AfterValidator(_require_each_cause_once)]


class Finding(FactPart):
    """One CTCAE term with its grade."""

    term: Annotated[TermId, Presentation(offers="checklist", one_row_each=True)]
    grade: Annotated[Grade | None, Presentation(help="0: looked for and absent.", words={"null": "Not graded"})]
    """CTCAE grade, 0 to 5. 0: looked for and absent. null: not graded."""
    not_graded: Annotated[
        SealedString | None,
        Presentation(label="Not graded, because", help="Reason, if the term was not graded.", may_be_needed=True),
    ] = None
    """Reason why the term was not graded, if the grade is null. Encrypted: only the site reads it."""
    attribution: Annotated[Attributions, Presentation(comes_last=True)] = ()
    """Likelihood of each cause that was considered."""
    onset_on: ClinicalDate | None = None
    """Day on which the adverse event began."""

    @model_validator(mode="after")
    def _require_grade_or_reason(self, info: ValidationInfo) -> Self:
        if info.context == READING_STORED or (self.grade is None) == (self.not_graded is not None):
            return self
        if info.context == KEEPING_TEXTS and self.grade is None:
            return self.model_copy(update={"not_graded": SealedText(None)})
        raise ValueError("Give either a grade, or null as the grade and the reason in not_graded.")


@TOXICITY.fact("toxicity.assessed", on="assessed_on", heading="Assessment of toxicity")
class ToxicityAssessed(Fact, schema_name="Assessed"):
    """Assessment of toxicity by CTCAE at one time point."""

    assessed_on: ClinicalDate
    """Day of the assessment."""
    timepoint: Timepoint
    """Time point in the course of treatment: before, during or at the end of radiotherapy, or in follow-up."""
    visit: VisitNumber | None = None
    """Number of the planned visit at which toxicity was assessed, if any."""
    course_id: Annotated[LocalId | None, Presentation(offers="courses")] = None
    """Course of radiotherapy that is meant, if there are several."""
    findings: Annotated[tuple[Finding, ...], Field(max_length=200)] = ()
    """Terms that were graded."""
    checklist_complete: StrictBool
    """Every term of the protocol's checklist was looked for; those without a finding are absent."""


def _replace_hyphens(value: object) -> object:
    return value.replace("-", "_") if isinstance(value, str) else value


Seriousness = Annotated[
    Literal["death", "life_threatening", "hospitalisation", "disability", "congenital", "important"],
    BeforeValidator(_replace_hyphens),
    Presentation(
        words={
            "hospitalisation": "Hospital admission or a longer stay",
            "disability": "Persistent disability",
            "congenital": "Congenital anomaly",
            "important": "Medically important for another reason",
        }
    ),
]
"""ICH E2A. Serious is not severe: a hospital stay makes an event serious, not grade 3."""
Outcome = Annotated[
    Literal[
        "RECOVERED/RESOLVED",
        "RECOVERED/RESOLVED WITH SEQUELAE",
        "RECOVERING/RESOLVING",
        "NOT RECOVERED/NOT RESOLVED",
        "FATAL",
        "UNKNOWN",
    ],
    Presentation(
        words={
            "RECOVERED/RESOLVED": "Recovered",
            "RECOVERED/RESOLVED WITH SEQUELAE": "Recovered with sequelae",
            "RECOVERING/RESOLVING": "Recovering",
            "NOT RECOVERED/NOT RESOLVED": "Not recovered",
            "FATAL": "Fatal",
            "UNKNOWN": "Unknown",
        }
    ),
]
"""CDISC codelist OUT."""
SeriousnessCriteria = Annotated[tuple[Seriousness, ...], Field(min_length=1, max_length=6)]


@TOXICITY.fact(
    "toxicity.serious_event_reported",
    heading="Serious adverse event: first report",
    on="onset_on",
    version=2,
    upcasts={1: add_no_member},
)
class SeriousEventReported(Fact):
    """First report of a serious adverse event, due within 24 hours after the site became aware of it.

    A later report is accepted, and raises a data query.
    """

    serious_event_id: Annotated[LocalId, id_presentation("serious adverse event", "SAE1", "next_serious_event")]
    """The site's id of the serious adverse event, unique within the participant."""
    aware_at: Annotated[
        Timestamp, Presentation(label="Site became aware at", help="Time at which the site learned of the event.")
    ]
    """Time at which the site became aware of the event, with the offset from UTC."""
    term: TermId
    grade: Grade
    """CTCAE grade, 0 to 5."""
    onset_on: ClinicalDate
    """Day on which the event began."""
    seriousness: SeriousnessCriteria
    """Criteria by which the event is serious (ICH E2A), at least one."""
    narrative: Annotated[SealedString, Presentation(lines=8, comes_last=True)]
    """Narrative of the event in the site's words. Encrypted: only the site reads it."""
    outcome: Annotated[Outcome, Presentation(help="Outcome at the time of the report.", comes_last=True)]
    """Outcome at the time of the report (CDISC codelist OUT)."""
    attribution: Attributions = ()
    """Likelihood of each cause that was considered."""


class _SeriousEventFollowUp(Fact):
    """A follow-up report of a serious adverse event. What is left out is unchanged."""

    serious_event_id: Annotated[
        LocalId, Presentation(label="Event", help="Event that was reported before.", offers="serious_events")
    ]
    """The site's id of the event, as in its first report."""
    aware_at: Annotated[
        Timestamp, Presentation(label="Site became aware at", help="Time at which the site learned of what is new.")
    ]
    """Time at which the site learned of what is new, with the offset from UTC."""
    term: TermId | None = None
    """CTCAE term, if it changed."""
    grade: Grade | None = None
    """CTCAE grade, 0 to 5, if it changed."""
    onset_on: ClinicalDate | None = None
    """Day on which the event began, if it is known better now."""
    seriousness: SeriousnessCriteria | None = None
    """Criteria by which the event is serious (ICH E2A), if they changed."""
    narrative: Annotated[SealedString | None, Presentation(lines=8)] = None
    """Narrative of what is new, in the site's words. Encrypted: only the site reads it."""
    attribution: Attributions = ()
    """Likelihood of each cause that was considered."""

    @property
    def happened_on(self) -> PartialDate | None:
        """The clinical day, or without one the day on which the site became aware."""
        return super().happened_on or PartialDate.from_day(self.aware_at.date())

    @property
    def date_member(self) -> str:
        return super().date_member if super().happened_on else "aware_at"


@TOXICITY.fact(
    "toxicity.serious_event_updated",
    heading="Serious adverse event: follow-up report",
    on="onset_on",
    version=2,
    upcasts={1: add_no_member},
)
class SeriousEventUpdated(_SeriousEventFollowUp):
    """Follow-up report of a serious adverse event that continues. What is left out is unchanged."""

    outcome: Annotated[Outcome | None, Presentation(help="Outcome at the time of the report, if it changed.")] = None
    """Outcome at the time of the report (CDISC codelist OUT), if it changed."""


@TOXICITY.fact(
    "toxicity.serious_event_resolved",
    heading="Serious adverse event: final report",
    on="resolved_on",
    version=2,
    upcasts={1: add_no_member},
)
class SeriousEventResolved(_SeriousEventFollowUp):
    """Final report of a serious adverse event, which has ended. What is left out is unchanged."""

    outcome: Annotated[Outcome, Presentation(help="Final outcome.")]
    """Final outcome (CDISC codelist OUT)."""
    resolved_on: ClinicalDate | None = None
    """Day on which the event ended."""
