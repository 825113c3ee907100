"""Questions about adverse events: what they say of death, of treatment, and of time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from services.analytics.queries.case import Case, Question
from services.analytics.queries.words import listed, named, sentence
from shared.contracts.followup import Died
from shared.contracts.toxicity import (
    RELATED,
    Assessed,
    SeriousEventReported,
    SeriousEventResolved,
    SeriousEventUpdated,
)
from shared.contracts.treatment import SystemicTherapyStarted
from shared.kernel.fact import Fact, Stated

FETAL_DEATH = "4.03:0582"
"""Fetal death: of CTCAE the one term whose grade 5 is not the participant's own death."""
FATAL = 5
REPORTED_WITHIN = timedelta(hours=24)
Serious = SeriousEventReported | SeriousEventUpdated | SeriousEventResolved


def grade_5_without_death(case: Case) -> Iterator[Question]:
    """An event of grade 5, or a serious event with a fatal outcome, and no death is stated."""
    if case.record.all(Died):
        return
    for stated in _graded_5(case):
        yield Question(f"{sentence(named(stated.fact))[:-1]} has grade 5, and no death is stated.", (stated,))
    for event in _serious(case).values():
        if event.outcome == "FATAL" and event.grade != FATAL and event.ended and event.term != FETAL_DEATH:
            text = f"{sentence(named(event.ended.fact))[:-1]} was fatal, and no death is stated."
            yield Question(text, (event.ended,))


def death_of_treatment_without_grade_5(case: Case) -> Iterator[Question]:
    """The death is put down to treatment, and no event of grade 5 is stated."""
    for death in case.all(Died):
        if death.fact.cause == "treatment" and not _graded_5(case):
            yield Question("The death is put down to treatment, and no event of grade 5 is stated.", (death,))


def ungraded_event(case: Case) -> Iterator[Question]:
    """A term was found and not graded."""
    for stated in case.all(Assessed):
        terms = sorted(finding.term for finding in stated.fact.findings if finding.grade is None)
        if terms:
            yield Question(f"{sentence(named(stated.fact))[:-1]} has no grade for {listed(terms)}.", (stated,))


def baseline_toxicity_after_course_start(case: Case) -> Iterator[Question]:
    """A baseline of toxicity is dated surely after its course began (the index course, where none is named)."""
    for stated in case.all(Assessed):
        name = stated.fact.course_id
        course = case.courses.get(name) if name else case.index_course
        is_baseline = stated.fact.timepoint == "baseline"
        if is_baseline and course and course.fact.started_on.surely_before(stated.fact.assessed_on):
            text = f"The baseline of toxicity of {stated.fact.assessed_on} lies after {named(course.fact)}."
            yield Question(text, (stated, course))


def assessed_before_course(case: Case) -> Iterator[Question]:
    """An assessment during or after a course is dated surely before that course began."""
    for stated in case.all(Assessed):
        course = case.courses.get(stated.fact.course_id or "")
        later = stated.fact.timepoint != "baseline"
        if later and course and stated.fact.assessed_on.surely_before(course.fact.started_on):
            yield Question(sentence(f"{named(stated.fact)} lies before {named(course.fact)}"), (stated, course))


def attributed_to_later_treatment(case: Case) -> Iterator[Question]:
    """An event is put down to a treatment that began surely after the assessment."""
    lines = {("line", line.fact.line_id): line for line in case.all(SystemicTherapyStarted)}
    courses = {("course", name): course for name, course in case.courses.items()}
    treatments: dict[tuple[str, str], Stated[Fact]] = {**lines, **courses}
    for stated in case.all(Assessed):
        for treatment in sorted(_causes(stated.fact) & treatments.keys()):
            start = treatments[treatment]
            if start.fact.happened_on and stated.fact.assessed_on.surely_before(start.fact.happened_on):
                text = f"{named(stated.fact)} puts an event down to {' '.join(treatment)}, which began later"
                yield Question(sentence(text), (stated, start))


def serious_event_reported_late(case: Case) -> Iterator[Question]:
    """A serious event was reported later than 24 hours after the site was aware of it."""
    for stated in case.all(SeriousEventReported):
        if case.recorded_at[stated.event_id] - stated.fact.aware_at > REPORTED_WITHIN:
            name = stated.fact.serious_event_id
            text = f"Serious event {name} was reported later than 24 hours after the site was aware of it."
            yield Question(text, (stated,))


def _causes(fact: Assessed) -> set[tuple[str, str]]:
    """The treatments to which any finding is related."""
    told = [each for finding in fact.findings for each in finding.attribution if each.level in RELATED]
    return {each.treatment for each in told if each.treatment}


def _graded_5(case: Case) -> list[Stated[Fact]]:
    """What states an event of grade 5."""
    assessed: list[Stated[Fact]] = [stated for stated in case.all(Assessed) if _has_grade_5(stated.fact)]
    serious = [event.graded for event in _serious(case).values() if event.grade == FATAL and event.term != FETAL_DEATH]
    return [*assessed, *serious]


def _has_grade_5(fact: Assessed) -> bool:
    return any(finding.grade == FATAL and finding.term != FETAL_DEATH for finding in fact.findings)


@dataclass(slots=True)
class _SeriousEvent:
    """What is known of a serious event by now; `graded` and `ended` state its grade and its outcome."""

    graded: Stated[Fact]
    ended: Stated[Fact] | None = None
    term: str | None = None
    grade: int | None = None
    outcome: str | None = None

    def take(self, stated: Stated[Fact], fact: Serious) -> None:
        self.term = fact.term or self.term
        if fact.grade is not None:
            self.graded, self.grade = stated, fact.grade
        if fact.outcome is not None:
            self.ended, self.outcome = stated, fact.outcome


def _serious(case: Case) -> dict[str, _SeriousEvent]:
    """Serious events by their id, as they read after everything that was stated of them.

    What a site was aware of last counts, whenever it was reported; of one moment, what was stated last.
    """
    told = [(stated, stated.fact) for stated in case.record.stated if isinstance(stated.fact, Serious)]
    known: dict[str, _SeriousEvent] = {}
    for stated, fact in sorted(told, key=lambda pair: pair[1].aware_at):
        known.setdefault(fact.serious_event_id, _SeriousEvent(stated)).take(stated, fact)
    return known
