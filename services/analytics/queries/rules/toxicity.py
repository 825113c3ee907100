"""Data queries about adverse events: grades, deaths, attribution to treatment, and reporting in time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from services.analytics.cohort.serious_events import serious_events
from services.analytics.queries.case import Case, QueryFinding, query_rule
from services.analytics.queries.phrasing import describe_fact
from services.analytics.wording.phrasing import as_sentence, join_words
from shared.contracts.follow_up import ParticipantDied
from shared.contracts.toxicity import (
    RELATED_LEVELS,
    SeriousEventReported,
    ToxicityAssessed,
)
from shared.contracts.treatment import SystemicTherapyStarted
from shared.kernel.fact import Fact, StatedFact

FETAL_DEATH = "4.03:0582"
"""Fetal death: the one CTCAE term whose grade 5 is not the death of the participant."""
FATAL_GRADE = 5
REPORTING_DEADLINE = timedelta(hours=24)
_TREATMENT_NAMES = {"line": "systemic therapy", "course": "course"}


@query_rule("grade_5_without_death")
def grade_5_without_death(case: Case) -> Iterator[QueryFinding]:
    """Asks about an adverse event of grade 5, or a serious one with a fatal outcome, without a recorded death."""
    if case.record.stated_of(ParticipantDied):
        return
    for stated in _grade_5_facts(case):
        yield QueryFinding(
            as_sentence(f"{describe_fact(stated.fact)} reports grade 5, but no death is recorded"), (stated,)
        )
    for event in serious_events(case.record).values():
        if (
            event.outcome == "FATAL"
            and event.grade != FATAL_GRADE
            and event.outcome_source
            and event.term != FETAL_DEATH
        ):
            text = f"{describe_fact(event.outcome_source.fact)} reports a fatal outcome, but no death is recorded"
            yield QueryFinding(as_sentence(text), (event.outcome_source,))


@query_rule("death_of_treatment_without_grade_5")
def death_of_treatment_without_grade_5(case: Case) -> Iterator[QueryFinding]:
    """Asks about a death caused by treatment without an adverse event of grade 5."""
    for death in case.stated(ParticipantDied):
        if death.fact.cause == "treatment" and not _grade_5_facts(case):
            text = "The cause of death is treatment, but no adverse event of grade 5 is recorded."
            yield QueryFinding(text, (death,))


@query_rule("ungraded_event")
def ungraded_event(case: Case) -> Iterator[QueryFinding]:
    """Asks for the grade of an adverse event that is recorded without one."""
    for stated in case.stated(ToxicityAssessed):
        ungraded = sorted(finding.term for finding in stated.fact.findings if finding.grade is None)
        if ungraded:
            terms = join_words(case.term_label(term) for term in ungraded)
            yield QueryFinding(as_sentence(f"{describe_fact(stated.fact)} has no grade for {terms}"), (stated,))


@query_rule("baseline_toxicity_after_course_start")
def baseline_toxicity_after_course_start(case: Case) -> Iterator[QueryFinding]:
    """Asks about a baseline toxicity assessment that must be dated after its course started.

    An assessment that names no course belongs to the index course.
    """
    for stated in case.stated(ToxicityAssessed):
        if stated.fact.timepoint != "baseline":
            continue
        name = stated.fact.course_id
        course = case.courses.get(name) if name else case.index_course
        if course and course.fact.started_on.definitely_before(stated.fact.assessed_on):
            text = (
                f"The baseline toxicity assessment of {stated.fact.assessed_on} is dated after "
                f"{describe_fact(course.fact)}."
            )
            yield QueryFinding(text, (stated, course))


@query_rule("assessed_before_course")
def assessed_before_course(case: Case) -> Iterator[QueryFinding]:
    """Asks about an assessment during or after a course that must be dated before the course started."""
    for stated in case.stated(ToxicityAssessed):
        course = case.courses.get(stated.fact.course_id or "")
        later = stated.fact.timepoint != "baseline"
        if later and course and stated.fact.assessed_on.definitely_before(course.fact.started_on):
            text = f"{describe_fact(stated.fact)} is dated before {describe_fact(course.fact)}"
            yield QueryFinding(as_sentence(text), (stated, course))


@query_rule("attributed_to_later_treatment")
def attributed_to_later_treatment(case: Case) -> Iterator[QueryFinding]:
    """Asks about an adverse event attributed to a treatment that must have started after the assessment."""
    lines = {("line", line.fact.line_id): line for line in case.stated(SystemicTherapyStarted)}
    courses = {("course", name): course for name, course in case.courses.items()}
    starts: dict[tuple[str, str], StatedFact[Fact]] = {**lines, **courses}
    dates = {name: start.fact.happened_on for name, start in starts.items()}
    last_start = max((started_on.earliest for started_on in dates.values() if started_on), default=date.min)
    for stated in case.stated(ToxicityAssessed):
        assessed_on = stated.fact.assessed_on
        if assessed_on.latest >= last_start:
            continue
        later = {name for name, started_on in dates.items() if started_on and assessed_on.definitely_before(started_on)}
        for treatment in sorted(later & _related_treatments(stated.fact)):
            cause = f"{_TREATMENT_NAMES[treatment[0]]} {treatment[1]}"
            text = f"{describe_fact(stated.fact)} attributes an adverse event to {cause}, which started later"
            yield QueryFinding(as_sentence(text), (stated, starts[treatment]))


@query_rule("serious_event_reported_late")
def serious_event_reported_late(case: Case) -> Iterator[QueryFinding]:
    """Asks about a serious adverse event recorded more than 24 hours after the site became aware of it.

    A correction keeps the time of the first recording.
    """
    for stated in case.stated(SeriousEventReported):
        if case.recorded_at[stated.event_id] - stated.fact.aware_at > REPORTING_DEADLINE:
            name = stated.fact.serious_event_id
            text = f"Serious adverse event {name} was reported more than 24 hours after the site became aware of it."
            yield QueryFinding(text, (stated,))


def _related_treatments(fact: ToxicityAssessed) -> set[tuple[str, str]]:
    """Returns the treatments to which a finding of the assessment is related, by kind and id."""
    attributions = [
        attribution
        for finding in fact.findings
        for attribution in finding.attribution
        if attribution.level in RELATED_LEVELS
    ]
    return {attribution.treatment for attribution in attributions if attribution.treatment}


def _grade_5_facts(case: Case) -> list[StatedFact[Fact]]:
    """Returns the facts that give an adverse event the grade 5."""
    assessed: list[StatedFact[Fact]] = [stated for stated in case.stated(ToxicityAssessed) if _has_grade_5(stated.fact)]
    serious = [
        event.grade_source
        for event in serious_events(case.record).values()
        if event.grade == FATAL_GRADE and event.term != FETAL_DEATH
    ]
    return [*assessed, *serious]


def _has_grade_5(fact: ToxicityAssessed) -> bool:
    return any(finding.grade == FATAL_GRADE and finding.term != FETAL_DEATH for finding in fact.findings)
