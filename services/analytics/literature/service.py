"""The literature beside a study: publications as they are recorded, and the cohort's own numbers apart from them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from services.analytics.figures.figure import Figure, FigureAnswer
from services.analytics.figures.literature_marks import ONE_YEAR_MONTHS
from services.analytics.figures.overall_survival import OverallSurvival
from services.analytics.figures.parameters import FigureRequest
from services.analytics.figures.service import FigureService
from services.analytics.figures.severe_toxicity import SevereToxicity
from services.analytics.figures.survival_numbers import DAYS_OF_MONTH, Interval
from services.analytics.literature.comparison import ComparisonTable, Contradiction
from services.analytics.snapshot.as_of import AsOf
from services.analytics.snapshot.selection import Origin
from services.analytics.snapshot.study_reader import StudyReader
from shared.contracts.literature import PublishedStudyRecorded, literature
from shared.kernel.errors import ReadersSeeCuts, RequestError

Subset = Literal["all", "stereotactic"]
SUBSETS: tuple[Subset, ...] = ("all", "stereotactic")
_FIGURES = (OverallSurvival.NAME, SevereToxicity.NAME)


@dataclass(frozen=True, slots=True, kw_only=True)
class SevereToxicityCount:
    """The participants with an adverse event of grade 3 or more, of those whose toxicity is counted."""

    participants: int
    events: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortNumbers:
    """The study's own numbers, as the member may see them, of all participants or of the stereotactic ones.

    `site`: the enrolling sites that they are limited to, separated by commas; None: all. `median` in days, `one_year`
    as a share, both of overall survival from the `origin`.
    """

    subset: Subset
    site: str | None
    position: int
    cut_date: date
    origin: Origin
    participants: int
    deaths: int
    median: Interval
    one_year: Interval
    severe_toxicity: SevereToxicityCount | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LiteratureComparison:
    """The literature beside a study at a position: nothing of it is among the cohort's numbers.

    `table`: the published table that the study is compared with; None for most studies.
    """

    study_id: str
    position: int
    recorded_at: datetime | None
    cohort: Sequence[CohortNumbers]
    studies: Sequence[PublishedStudyRecorded]
    table: ComparisonTable | None

    def contradictions_of(self, ref_id: str) -> Sequence[Contradiction]:
        return self.table.contradictions_of(ref_id) if self.table else ()

    @property
    def compared(self) -> list[PublishedStudyRecorded]:
        """The publications of the published table, in its order."""
        by_id = {study.ref_id: study for study in self.studies}
        return [by_id[ref_id] for ref_id in (self.table.ref_ids if self.table else ()) if ref_id in by_id]

    @property
    def others(self) -> list[PublishedStudyRecorded]:
        """All other publications."""
        compared = self.compared
        return [study for study in self.studies if study not in compared]


class LiteratureService:
    """Reads the literature beside studies. `tables`: published tables by study id."""

    def __init__(self, reader: StudyReader, figures: FigureService, tables: Mapping[str, ComparisonTable]) -> None:
        self._reader, self._figures, self._tables = reader, figures, tables

    async def comparison(self, study_id: str, member: str, as_of: AsOf) -> LiteratureComparison:
        """Returns the literature beside a study, for every member but readers: it is not in a publication.

        Raises NotFound, PositionGone or RequestRejected, and for readers ReadersSeeCuts.
        """
        rights = await self._reader.member_rights(study_id, member)
        if rights.is_reader:
            raise ReadersSeeCuts
        cohort = [numbers async for numbers in self._cohort(study_id, member, as_of)]
        position = cohort[0].position if cohort else await self._position(study_id, as_of)
        record = await self._reader.study_record(study_id, position)
        return LiteratureComparison(
            study_id=study_id,
            position=position,
            recorded_at=await self._reader.recorded_at(study_id, position),
            cohort=cohort,
            studies=literature(record),
            table=self._tables.get(study_id),
        )

    async def _position(self, study_id: str, as_of: AsOf) -> int:
        """Returns the position that a request selects, for a member who sees no numbers there. Raises the refusal."""
        current = await self._reader.projection_position(study_id)
        return (await self._reader.resolve_position(study_id, current, as_of)).position

    async def _cohort(self, study_id: str, member: str, as_of: AsOf) -> AsyncIterator[CohortNumbers]:
        """Yields the study's own numbers of each subset that the member may see."""
        for subset in SUBSETS:
            request, figures = FigureRequest(as_of=as_of, subset=subset), dict[str, FigureAnswer]()
            async for answer in self._figures.figures(_FIGURES, study_id, member, request):
                if not isinstance(answer, RequestError):
                    figures[answer.name] = answer
            if survival := figures.get(OverallSurvival.NAME):
                toxicity = figures.get(SevereToxicity.NAME)
                yield _cohort_numbers(subset, survival, toxicity.figure if toxicity else None)


def _cohort_numbers(subset: Subset, answer: FigureAnswer, toxicity: Figure | None) -> CohortNumbers:
    survival = answer.figure
    if not isinstance(survival, OverallSurvival):
        raise TypeError(f"{answer.name} is no overall survival")
    (group,) = survival.groups
    year = next(mark for mark in group.landmarks if mark.time == ONE_YEAR_MONTHS * DAYS_OF_MONTH)
    return CohortNumbers(
        subset=subset,
        site=answer.context.filters.site,
        position=answer.context.position,
        cut_date=answer.context.cut_date,
        origin=survival.origin,
        participants=group.n,
        deaths=group.events,
        median=group.median,
        one_year=Interval(estimate=year.estimate, lower=year.lower, upper=year.upper),
        severe_toxicity=_severe_toxicity(toxicity) if isinstance(toxicity, SevereToxicity) else None,
    )


def _severe_toxicity(figure: SevereToxicity) -> SevereToxicityCount:
    """Returns the counts of all groups: participants graded in different versions of CTCAE are groups of their own."""
    return SevereToxicityCount(
        participants=sum(group.n for group in figure.groups), events=sum(group.events for group in figure.groups)
    )
