"""Questions about adverse events: what they say of death, of treatment, and of time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.analytics.queries.case import Case, Question, query_rule
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
_TREATMENT = {"line": "systemic therapy", "course": "course"}
Serious = SeriousEventReported | SeriousEventUpdated | SeriousEventResolved


@query_rule("grade_5_without_death")
def grade_5_without_death(case: Case) -> Iterator[Question]:
    """An event of grade 5, or a serious event with a fatal outcome, and no death is stated."""
    if case.record.all(Died):
        return
    for stated in _graded_5(case):
        yield Question(sentence(f"{named(stated.fact)} reports grade 5, but no death is recorded"), (stated,))
    for event in _serious(case).values():
        if event.outcome == "FATAL" and event.grade != FATAL and event.ended and event.term != FETAL_DEATH:
            text = f"{named(event.ended.fact)} reports a fatal outcome, but no death is recorded"
            yield Question(sentence(text), (event.ended,))


@query_rule("death_of_treatment_without_grade_5")
def death_of_treatment_without_grade_5(case: Case) -> Iterator[Question]:
    """The death is put down to treatment, and no event of grade 5 is stated."""
    for death in case.all(Died):
        if death.fact.cause == "treatment" and not _graded_5(case):
            text = "The cause of death is treatment, but no adverse event of grade 5 is recorded."
            yield Question(text, (death,))


@query_rule("ungraded_event")
def ungraded_event(case: Case) -> Iterator[Question]:
    """A term was found and not graded."""
    for stated in case.all(Assessed):
        ungraded = sorted(finding.term for finding in stated.fact.findings if finding.grade is None)
        if ungraded:
            terms = listed(case.term(term) for term in ungraded)
            yield Question(sentence(f"{named(stated.fact)} has no grade for {terms}"), (stated,))


@query_rule("baseline_toxicity_after_course_start")
def baseline_toxicity_after_course_start(case: Case) -> Iterator[Question]:
    """A baseline of toxicity is dated surely after its course began (the index course, where none is named)."""
    for stated in case.all(Assessed):
        name = stated.fact.course_id
        course = case.courses.get(name) if name else case.index_course
        is_baseline = stated.fact.timepoint == "baseline"
        if is_baseline and course and course.fact.started_on.surely_before(stated.fact.assessed_on):
            text = f"The baseline toxicity assessment of {stated.fact.assessed_on} is dated after {named(course.fact)}."
            yield Question(text, (stated, course))


@query_rule("assessed_before_course")
def assessed_before_course(case: Case) -> Iterator[Question]:
    """An assessment during or after a course is dated surely before that course began."""
    for stated in case.all(Assessed):
        course = case.courses.get(stated.fact.course_id or "")
        later = stated.fact.timepoint != "baseline"
        if later and course and stated.fact.assessed_on.surely_before(course.fact.started_on):
            text = f"{named(stated.fact)} is dated before {named(course.fact)}"
            yield Question(sentence(text), (stated, course))


@query_rule("attributed_to_later_treatment")
def attributed_to_later_treatment(case: Case) -> Iterator[Question]:
    """An event is put down to a treatment that began surely after the assessment."""
    lines = {("line", line.fact.line_id): line for line in case.all(SystemicTherapyStarted)}
    courses = {("course", name): course for name, course in case.courses.items()}
    treatments: dict[tuple[str, str], Stated[Fact]] = {**lines, **courses}
    for stated in case.all(Assessed):
        for treatment in sorted(_causes(stated.fact) & treatments.keys()):
            start = treatments[treatment]
            if start.fact.happened_on and stated.fact.assessed_on.surely_before(start.fact.happened_on):
                cause = f"{_TREATMENT[treatment[0]]} {treatment[1]}"
                text = f"{named(stated.fact)} attributes an adverse event to {cause}, which started later"
                yield Question(sentence(text), (stated, start))


@query_rule("serious_event_reported_late")
def serious_event_reported_late(case: Case) -> Iterator[Question]:
    """A serious event was reported later than 24 hours after the site was aware of it."""
    for stated in case.all(SeriousEventReported):
        if case.recorded_at[stated.event_id] - stated.fact.aware_at > REPORTED_WITHIN:
            name = stated.fact.serious_event_id
            text = f"Serious adverse event {name} was reported more than 24 hours after the site became aware of it."
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


def _learnt_on(stated: Stated[Serious]) -> tuple[datetime, bool, str]:
    """Of what was learnt at one moment, the end of the event comes last."""
    fact = stated.fact
    return fact.aware_at, isinstance(fact, SeriousEventResolved), fact.model_dump_json()


def _serious(case: Case) -> dict[str, _SeriousEvent]:
    """Serious events by their id, as they read after everything that was learnt of them: after the report whatever
    the site became aware of, in that order, whenever it was stated."""
    sequels: list[Stated[Serious]] = [*case.all(SeriousEventUpdated), *case.all(SeriousEventResolved)]
    learnt = [*case.all(SeriousEventReported), *sorted(sequels, key=_learnt_on)]
    known: dict[str, _SeriousEvent] = {}
    for stated in learnt:
        known.setdefault(stated.fact.serious_event_id, _SeriousEvent(stated)).take(stated, stated.fact)
    return known
