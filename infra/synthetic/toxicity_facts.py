"""Draws toxicity of a synthetic participant before, during and after radiotherapy, and serious events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from random import Random
from typing import Any

from infra.synthetic import probabilities
from infra.synthetic.disease_course import DiseaseCourse
from infra.synthetic.follow_up_facts import Contact
from infra.synthetic.terms import PNEUMONIA, SERIOUS_EVENTS, TERMS, Dictionary, GradedTerm, Phase
from infra.synthetic.treatment_summary import SimulatedFact, TreatedParticipant
from shared.kernel.zones import zone_rules

ON_TREATMENT_DAYS = ((10, 18), (24, 30))
"""Spans of days after the start in which toxicity is graded during treatment."""
SERIOUS_EVENT_WITHIN_DAYS = 240  # after the start of radiotherapy


@dataclass(frozen=True)
class Grader:
    """The dictionary by which a site grades, and its time zone."""

    dictionary: Dictionary
    time_zone: str


@dataclass(frozen=True)
class _Timepoint:
    day: date
    phase: Phase
    visit: int | None = None
    course_id: str | None = None


def draw_toxicity_facts(
    rng: Random,
    participant: TreatedParticipant,
    disease_course: DiseaseCourse | None,
    contacts: list[Contact],
    grader: Grader,
) -> list[SimulatedFact]:
    """Returns all toxicity facts of a participant, by day; toxicity is graded at clinic contacts.

    `disease_course` is None before radiotherapy.
    """
    observed_until = disease_course.observed_until if disease_course else date.max
    timepoints = [
        timepoint for timepoint in _draw_timepoints(rng, participant, contacts) if timepoint.day < observed_until
    ]
    facts = [
        _assessment_fact(rng, participant, point, grader)
        for point in timepoints
        if probabilities.draw_bool(rng, probabilities.TOXICITY_ASSESSED_PROBABILITIES[point.phase])
    ]
    if disease_course:
        facts += _serious_event_facts(rng, participant, disease_course, grader)
        facts += _fatal_event_facts(rng, participant, disease_course, grader)
    return sorted(facts, key=lambda fact: fact.day)


def _draw_timepoints(rng: Random, participant: TreatedParticipant, contacts: list[Contact]) -> Iterator[_Timepoint]:
    index = participant.index_course
    if index is None:
        yield _Timepoint(participant.enrolled_on, "baseline")
        return
    treatment_end = index.ended_on or participant.last_fact_on
    yield _Timepoint(probabilities.draw_day_between(rng, participant.enrolled_on, index.started_on), "baseline")
    for first, latest in ON_TREATMENT_DAYS:
        day = index.started_on + timedelta(days=rng.randint(first, latest))
        if day < treatment_end:
            yield _Timepoint(day, "during_rt", None, index.course_id)
    for course in participant.courses:
        if course.ended_on:
            yield _Timepoint(course.ended_on + timedelta(days=rng.randint(0, 3)), "end_of_rt", None, course.course_id)
    for contact in contacts:
        if contact.in_clinic:
            yield _Timepoint(contact.day, "follow_up", contact.visit)


def _assessment_fact(
    rng: Random, participant: TreatedParticipant, timepoint: _Timepoint, grader: Grader
) -> SimulatedFact:
    data: dict[str, Any] = {"assessed_on": timepoint.day.isoformat(), "timepoint": timepoint.phase}
    if timepoint.visit:
        data["visit"] = timepoint.visit
    if timepoint.course_id:
        data["course_id"] = timepoint.course_id
    data["findings"] = [
        finding
        for term in _applicable_terms(participant)
        if (finding := _finding(rng, participant, timepoint, term, grader))
    ]
    data["checklist_complete"] = probabilities.draw_bool(rng, probabilities.CHECKLIST_COMPLETE_PROBABILITY)
    return SimulatedFact("toxicity", "toxicity.assessed", data, timepoint.day)


def _applicable_terms(participant: TreatedParticipant) -> list[GradedTerm]:
    """Returns the terms to grade; terms of the brain only if a lesion of the brain was treated."""
    treated_sites = {participant.lesions[lesion][1] for course in participant.courses for lesion in course.lesion_ids}
    return [term for term in TERMS if term.treated_region == "neck" or "brain" in treated_sites]


def _finding(
    rng: Random, participant: TreatedParticipant, timepoint: _Timepoint, term: GradedTerm, grader: Grader
) -> dict[str, Any] | None:
    grade, is_absence_listed = (
        probabilities.draw(rng, term.grade_weights(grader.dictionary, timepoint.phase)),
        probabilities.draw_bool(rng, probabilities.ABSENT_TERM_LISTED_PROBABILITY),
    )
    if not grade:
        return {"term": term.term_version(grader.dictionary)[0], "grade": 0} if is_absence_listed else None
    finding: dict[str, Any] = {"term": term.term_version(grader.dictionary)[0], "grade": grade}
    finding["attribution"] = _attribution(rng, participant, timepoint, term)
    if timepoint.phase != "baseline" and probabilities.draw_bool(rng, probabilities.ONSET_STATED_PROBABILITY):
        earliest = participant.index_course.started_on if participant.index_course else timepoint.day
        finding["onset_on"] = max(earliest, timepoint.day - timedelta(days=rng.randint(1, 21))).isoformat()
    return finding


def _attribution(
    rng: Random, participant: TreatedParticipant, timepoint: _Timepoint, term: GradedTerm
) -> list[dict[str, str]]:
    """Draws attributions to the index course, the last line begun and the disease, as far as they cause the term."""
    levels = []
    lines = [line for line, began in participant.line_starts.items() if began <= timepoint.day]
    if timepoint.phase != "baseline" and participant.index_course:
        if "radiotherapy" in term.causes:
            course = timepoint.course_id or participant.index_course.course_id
            levels.append(
                {
                    "to": f"course:{course}",
                    "level": probabilities.draw(rng, probabilities.RADIOTHERAPY_ATTRIBUTION_WEIGHTS),
                }
            )
        if "line" in term.causes and lines:
            levels.append(
                {"to": f"line:{lines[-1]}", "level": probabilities.draw(rng, probabilities.LINE_ATTRIBUTION_WEIGHTS)}
            )
    if "disease" in term.causes:
        levels.append({"to": "disease", "level": probabilities.draw(rng, probabilities.DISEASE_ATTRIBUTION_WEIGHTS)})
    return levels


def _serious_event_facts(
    rng: Random, participant: TreatedParticipant, disease_course: DiseaseCourse, grader: Grader
) -> Iterator[SimulatedFact]:
    """Yields at most one serious event, with an update and a resolution at random."""
    terms, (grades, reasons) = rng.choice(list(SERIOUS_EVENTS.items()))
    started_on = participant.index_course.started_on if participant.index_course else participant.enrolled_on
    onset = started_on + timedelta(days=rng.randint(10, SERIOUS_EVENT_WITHIN_DAYS))
    grade, seriousness = probabilities.draw(rng, grades), probabilities.draw(rng, reasons)
    if (
        not probabilities.draw_bool(rng, probabilities.SERIOUS_EVENT_PROBABILITY)
        or onset + timedelta(days=2) >= disease_course.observed_until
    ):
        return
    aware_on, term = onset + timedelta(days=rng.randint(0, 2)), terms[grader.dictionary == "ctcae-5.0"][0]
    data = {"serious_event_id": "SAE-1", "aware_at": _draw_time_on(rng, aware_on, grader), "term": term, "grade": grade}
    data |= {"onset_on": onset.isoformat(), "seriousness": [seriousness], "narrative": "made up", "outcome": "UNKNOWN"}
    first = SimulatedFact("toxicity", "toxicity.serious_event_reported", data, aware_on)
    yield first
    yield from _serious_event_follow_ups(rng, first, disease_course, grader)


def _serious_event_follow_ups(
    rng: Random, first: SimulatedFact, disease_course: DiseaseCourse, grader: Grader
) -> Iterator[SimulatedFact]:
    updated_on, resolved_on = (
        first.day + timedelta(days=rng.randint(3, 8)),
        first.day + timedelta(days=rng.randint(9, 60)),
    )
    event_id_data = {"serious_event_id": first.data["serious_event_id"]}
    if (
        probabilities.draw_bool(rng, probabilities.SERIOUS_EVENT_UPDATED_PROBABILITY)
        and updated_on < disease_course.observed_until
    ):
        data = {
            **event_id_data,
            "aware_at": _draw_time_on(rng, updated_on, grader),
            "outcome": "RECOVERING/RESOLVING",
            "narrative": "made up",
        }
        yield SimulatedFact("toxicity", "toxicity.serious_event_updated", data, updated_on, after=first)
    if (
        probabilities.draw_bool(rng, probabilities.SERIOUS_EVENT_RESOLVED_PROBABILITY)
        and resolved_on < disease_course.observed_until
    ):
        data = {
            **event_id_data,
            "aware_at": _draw_time_on(rng, resolved_on, grader),
            "outcome": probabilities.draw(rng, probabilities.SERIOUS_EVENT_OUTCOME_WEIGHTS),
        }
        data["resolved_on"] = resolved_on.isoformat()
        yield SimulatedFact("toxicity", "toxicity.serious_event_resolved", data, resolved_on, after=first)


def _draw_time_on(rng: Random, day: date, grader: Grader) -> str:
    """Draws a time on that day in the zone of the site (RFC 3339)."""
    return datetime.combine(day, time(rng.randint(7, 17), rng.randint(0, 59)), zone_rules(grader.time_zone)).isoformat()


def _fatal_event_facts(
    rng: Random, participant: TreatedParticipant, disease_course: DiseaseCourse, grader: Grader
) -> Iterator[SimulatedFact]:
    """Yields an assessment of grade 5 on the day of a death by another cause than the tumor."""
    day, is_graded = (
        disease_course.dies_on,
        probabilities.draw_bool(rng, probabilities.FATAL_EVENT_GRADED_PROBABILITIES.get(disease_course.cause, 0)),
    )
    if not is_graded or day > disease_course.observed_until or participant.index_course is None:
        return
    level = "possible" if disease_course.cause == "treatment" else "unrelated"
    attribution = [
        {"to": f"course:{participant.index_course.course_id}", "level": level},
        {"to": "other", "level": "probable"},
    ]
    finding = {"term": PNEUMONIA.term_version(grader.dictionary)[0], "grade": 5, "attribution": attribution}
    data = {"assessed_on": day.isoformat(), "timepoint": "follow_up", "findings": [finding]}
    yield SimulatedFact("toxicity", "toxicity.assessed", {**data, "checklist_complete": False}, day)
