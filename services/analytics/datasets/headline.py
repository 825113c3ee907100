"""The numbers of figures at a data cut that an R script computes again from the data sets. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain

from services.analytics.datasets.cohort import CutCohort
from services.analytics.datasets.csv_format import write_csv
from services.analytics.datasets.headline_tables import (
    Name,
    NamedNumber,
    Number,
    causes_of_death,
    characteristics,
    response,
    symptom_relief,
    toxicity_grades,
    treatments,
    visit_adherence,
)
from services.analytics.datasets.lesion_times import lesion_selections
from services.analytics.datasets.page_numbers import page_numbers
from services.analytics.figures.causes_of_death import CausesOfDeath
from services.analytics.figures.characteristics import Characteristics
from services.analytics.figures.distant_control import DistantControl
from services.analytics.figures.figure import Figure
from services.analytics.figures.first_failure import FirstFailure
from services.analytics.figures.follow_up import FollowUp
from services.analytics.figures.hazard_ratios import HazardRatios
from services.analytics.figures.incidence_numbers import IncidenceGroup
from services.analytics.figures.local_control import LocalControl
from services.analytics.figures.locoregional_control import LocoregionalControl
from services.analytics.figures.overall_survival import OverallSurvival
from services.analytics.figures.participant_flow import ParticipantFlow
from services.analytics.figures.progression_control import ProgressionControl
from services.analytics.figures.progression_free_survival import ProgressionFreeSurvival
from services.analytics.figures.registry import FIGURES
from services.analytics.figures.response import BestResponse
from services.analytics.figures.severe_toxicity import SevereToxicity
from services.analytics.figures.survival_figure import SurvivalFigure
from services.analytics.figures.survival_numbers import DAYS_OF_MONTH, Interval, TimedInterval
from services.analytics.figures.symptom_relief import SymptomReliefFigure
from services.analytics.figures.toxicity_grades import ToxicityGradesFigure
from services.analytics.figures.treatments import Treatments
from services.analytics.figures.visit_adherence import VisitAdherence

_FLOW = (
    *("screened", "screen_failed", "screen_failed_after_consent", "consented", "enrolled", "treated", "stereotactic"),
    *("stereotactic_percent", "died", "withdrawn", "lost", "completed", "in_follow_up", "awaiting_treatment"),
)
_PERSON_LEVEL = frozenset(name for name, figure in FIGURES.items() if figure.DISCLOSURE.person_level)
_ALL = "all"
_DIVISION = "sex"


def headline_csv(archive: CutCohort, figures: CutCohort | None = None) -> bytes:
    """Returns a row for every number, with whom it counts, and its figure; the value is empty where it is not defined.

    `archive`: those of the data sets. `figures`: those whom the figures of a site count, who are enrolled there; its
    figures of single participants show those of the archive.
    """
    rows = [("archive", *number) for number in headline_numbers(archive)]
    if figures:
        rows += [("enrolled", *number) for number in headline_numbers(figures) if number[0] not in _PERSON_LEVEL]
    return write_csv(["PARTICIPANTS", "FIGURE", "NAME", "VALUE"], rows)


def headline_numbers(cohort: CutCohort) -> Iterator[tuple[str, str, Number]]:
    """Yields the figure, the name and the value of every number; None where it is not reached or not defined."""
    for figure_type in FIGURES.values():
        first_numbers = page_numbers(cohort, figure_type.compute(cohort.snapshot, cohort.selection))
        others = _NUMBERS[figure_type](cohort) if figure_type in _NUMBERS else ()
        for name, value in chain(first_numbers, others):
            yield figure_type.NAME, "/".join(map(str, name)), value


def _flow(cohort: CutCohort) -> Iterator[NamedNumber]:
    flow = ParticipantFlow.compute(cohort.snapshot, cohort.selection)
    for name in _FLOW:
        yield (name,), getattr(flow, name)
    lower, upper = flow.stereotactic_interval or (None, None)
    yield ("stereotactic_interval", "lower"), lower
    yield ("stereotactic_interval", "upper"), upper


def _survival(figure_type: type[SurvivalFigure]) -> Callable[[CutCohort], Iterator[NamedNumber]]:
    """Returns the function that yields the numbers of a survival figure, undivided, and its test by sex."""

    def numbers(cohort: CutCohort) -> Iterator[NamedNumber]:
        figure = figure_type.compute(cohort.snapshot, cohort.selection)
        (group,) = figure.groups
        yield (_ALL, "n"), group.n
        yield (_ALL, "events"), group.events
        yield from _interval((_ALL, "median"), group.median)
        yield from _landmarks((_ALL,), group.landmarks)
        for line in figure.sensitivity:
            yield (line.name, "n"), line.participants
            yield (line.name, "events"), line.events
            yield from _interval((line.name, "median"), line.median)
            yield from _landmarks((line.name,), line.landmarks)
        if figure_type.HAS_TEST:
            by_sex = figure_type.compute(cohort.snapshot, replace(cohort.selection, by=_DIVISION))
            if by_sex.test and by_sex.test.reason is None:
                yield ("test", _DIVISION, "statistic"), by_sex.test.statistic
                yield ("test", _DIVISION, "p"), by_sex.test.p

    return numbers


def _follow_up(cohort: CutCohort) -> Iterator[NamedNumber]:
    figure = FollowUp.compute(cohort.snapshot, cohort.selection)
    yield from _survival(FollowUp)(cohort)
    if figure.currency:
        yield ("currency", "living"), figure.currency.living
        yield ("currency", "current"), figure.currency.current
    yield ("completeness",), figure.completeness


def _interval(name: Name, interval: Interval) -> Iterator[NamedNumber]:
    for part in ("estimate", "lower", "upper"):
        yield (*name, part), getattr(interval, part)


def _landmarks(name: Name, landmarks: Sequence[TimedInterval]) -> Iterator[NamedNumber]:
    for landmark in landmarks:
        yield from _interval((*name, "months", round(landmark.time / DAYS_OF_MONTH)), landmark)


def _incidence(name: Name, group: IncidenceGroup) -> Iterator[NamedNumber]:
    yield (*name, "n"), group.n
    yield (*name, "events"), group.events
    for cause, events in group.events_by_cause.items():
        yield (*name, cause), events
    yield (*name, "median"), group.median.estimate
    yield from _landmarks(name, group.landmarks)
    for landmark in group.landmarks:
        yield (*name, "months", round(landmark.time / DAYS_OF_MONTH), "competing"), landmark.competing
    if group.rate:
        yield from _interval((*name, "rate"), group.rate)


def _control(figure_type: type[ProgressionControl]) -> Callable[[CutCohort], Iterator[NamedNumber]]:
    def numbers(cohort: CutCohort) -> Iterator[NamedNumber]:
        for group in figure_type.compute(cohort.snapshot, cohort.selection).groups:
            yield from _incidence((group.name,), group)

    return numbers


def _first_failure(cohort: CutCohort) -> Iterator[NamedNumber]:
    figure = FirstFailure.compute(cohort.snapshot, cohort.selection)
    for group in (*figure.groups, *figure.patterns):
        yield from _incidence((group.name,), group)


def _local_control(cohort: CutCohort) -> Iterator[NamedNumber]:
    for parameter, selection in lesion_selections(cohort).items():
        figure = LocalControl.compute(cohort.snapshot, selection)
        yield (parameter, "lesions"), figure.lesions
        yield (parameter, "participants"), figure.participants
        yield (parameter, "deaths_without_imaging"), figure.deaths_without_imaging
        for status, lesions in figure.status:
            yield (parameter, "status", status), lesions
        for group in figure.groups:
            yield from _incidence((parameter,), group)


def _severe_toxicity(cohort: CutCohort) -> Iterator[NamedNumber]:
    figure = SevereToxicity.compute(cohort.snapshot, cohort.selection)
    for parameter, groups in (("TOX3", figure.groups), ("TOX3R", figure.related.groups)):
        for group in groups:
            yield from _incidence((parameter, group.name), group)


def _hazard_ratios(cohort: CutCohort) -> Iterator[NamedNumber]:
    figure = HazardRatios.compute(cohort.snapshot, cohort.selection)
    yield ("n",), figure.n
    for row in figure.rows:
        yield (row.by, row.group, "n"), row.n
        yield (row.by, row.group, "events"), row.events
        yield from _interval((row.by, row.group, "ratio"), row)


_NUMBERS: Mapping[type[Figure], Callable[[CutCohort], Iterator[NamedNumber]]] = {
    ParticipantFlow: _flow,
    Characteristics: characteristics,
    Treatments: treatments,
    OverallSurvival: _survival(OverallSurvival),
    HazardRatios: _hazard_ratios,
    CausesOfDeath: causes_of_death,
    ProgressionFreeSurvival: _survival(ProgressionFreeSurvival),
    BestResponse: response,
    LocalControl: _local_control,
    LocoregionalControl: _control(LocoregionalControl),
    DistantControl: _control(DistantControl),
    FirstFailure: _first_failure,
    SevereToxicity: _severe_toxicity,
    ToxicityGradesFigure: toxicity_grades,
    SymptomReliefFigure: symptom_relief,
    FollowUp: _follow_up,
    VisitAdherence: visit_adherence,
}
"""The functions that yield more numbers of a figure than its page shows first."""
