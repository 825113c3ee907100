"""The answer of the literature beside a study, as OpenAPI describes it, and its table."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from services.analytics.figures.literature_marks import published_median, published_one_year, published_origin
from services.analytics.figures.survival_numbers import Interval
from services.analytics.literature.service import LiteratureComparison, Subset
from services.analytics.snapshot.selection import Origin
from shared.contracts.literature import PublishedStudyRecorded

_MEMBERS = tuple(PublishedStudyRecorded.model_fields)
CSV_HEADER = [*_MEMBERS, "contradictions"]


class _LiteraturePart(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class SevereToxicityCountAnswer(_LiteraturePart):
    """Participants with an adverse event of grade 3 or more, of those whose toxicity is counted."""

    participants: int
    events: int


class CohortAnswer(_LiteraturePart):
    """The study's own numbers, as the caller may see them. No publication is among them."""

    subset: Subset
    site: Annotated[str | None, Field(description="the enrolling sites that the numbers are of; null: all")]
    cut_date: Annotated[date, Field(serialization_alias="cut")]
    origin: Annotated[Origin, Field(description="the day that overall survival is counted from")]
    participants: int
    deaths: int
    median: Annotated[Interval, Field(description="median overall survival, in days")]
    one_year: Annotated[Interval, Field(description="overall survival at one year, as a share")]
    severe_toxicity: SevereToxicityCountAnswer | None


class ContradictionAnswer(_LiteraturePart):
    """Two places of a publication that cannot both be right, in our own words."""

    id: str
    ref_ids: list[str]
    statement: str
    where: str
    against: str
    where_against: str


class PublishedStudyAnswer(BaseModel):
    """A publication: what was recorded of it, and what can be read from that."""

    recorded: PublishedStudyRecorded
    origin: Annotated[Origin | None, Field(description="the origin of figures that it counts from; null for another")]
    median: Annotated[Interval | None, Field(description="median overall survival, in days")]
    one_year: Annotated[Interval | None, Field(description="overall survival at one year, as a share")]
    contradictions: Annotated[list[str], Field(description="ids of the contradictions about it")]


class LiteratureAnswer(BaseModel):
    """The literature beside a study, which is not of this study, and the cohort's own numbers apart from it."""

    study_id: str
    position: int
    recorded_at: datetime | None
    cohort: list[CohortAnswer]
    table: Annotated[str | None, Field(description="the published table that the study is compared with")]
    compared: Annotated[list[str], Field(description="references of that table, in its order")]
    publications: list[PublishedStudyAnswer]
    contradictions: list[ContradictionAnswer]

    @classmethod
    def from_comparison(cls, comparison: LiteratureComparison) -> LiteratureAnswer:
        table = comparison.table
        return cls(
            study_id=comparison.study_id,
            position=comparison.position,
            recorded_at=comparison.recorded_at,
            cohort=[CohortAnswer.model_validate(numbers) for numbers in comparison.cohort],
            table=table.name if table else None,
            compared=[study.ref_id for study in comparison.compared],
            publications=[_publication(comparison, study) for study in comparison.studies],
            contradictions=[ContradictionAnswer.model_validate(row) for row in table.contradictions] if table else [],
        )


def _publication(comparison: LiteratureComparison, study: PublishedStudyRecorded) -> PublishedStudyAnswer:
    return PublishedStudyAnswer(
        recorded=study,
        origin=published_origin(study),
        median=published_median(study),
        one_year=published_one_year(study),
        contradictions=[contradiction.id for contradiction in comparison.contradictions_of(study.ref_id)],
    )


def literature_table(comparison: LiteratureComparison) -> tuple[list[str], list[list[str]]]:
    """Returns the header and the rows of the `.csv` file: the publications alone, as they were recorded."""
    return CSV_HEADER, [
        [
            *("" if (value := getattr(study, name)) is None else str(value) for name in _MEMBERS),
            " ".join(contradiction.id for contradiction in comparison.contradictions_of(study.ref_id)),
        ]
        for study in comparison.studies
    ]
