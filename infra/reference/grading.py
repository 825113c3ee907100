"""Toxicity of somebody made up, graded before, during, at the end of and after radiotherapy, and serious events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from random import Random
from typing import Any

from infra.reference import odds
from infra.reference.contacts import Contact
from infra.reference.outlook import Outlook
from infra.reference.terms import PNEUMONIA, SERIOUS, TERMS, Dictionary, Phase, Term
from infra.reference.treated import Happening, Treated
from shared.kernel.zones import zone

DURING = ((10, 18), (24, 30))
"""Days after the start on which toxicity is graded under treatment, if that goes on."""
EVENTS_WITHIN = 240  # days after the start: when serious events happen


@dataclass(frozen=True)
class Grader:
    """By which dictionary a site grades, and the time zone in which it becomes aware of things."""

    dictionary: Dictionary
    time_zone: str


@dataclass(frozen=True)
class _Point:
    day: date
    phase: Phase
    visit: int | None = None
    course_id: str | None = None


def grade(rng: Random, treated: Treated, outlook: Outlook | None, met: list[Contact], by: Grader) -> list[Happening]:
    """Everything that is stated of somebody to the toxicity service, in the order of its days.

    `met` are the contacts at which there is something to grade; no outlook: radiotherapy has not begun.
    """
    until = outlook.until if outlook else date.max
    points = [each for each in _points(rng, treated, met) if each.day < until]
    said = [_assessed(rng, treated, point, by) for point in points if odds.happens(rng, odds.ASSESSED[point.phase])]
    if outlook:
        said += _serious(rng, treated, outlook, by)
        said += _fatal(rng, treated, outlook, by)
    return sorted(said, key=lambda happening: happening.day)


def _points(rng: Random, treated: Treated, met: list[Contact]) -> Iterator[_Point]:
    index = treated.index
    if index is None:
        yield _Point(treated.enrolled_on, "baseline")
        return
    last = index.ended or treated.last_on
    yield _Point(odds.day_between(rng, treated.enrolled_on, index.began), "baseline")
    for first, latest in DURING:
        day = index.began + timedelta(days=rng.randint(first, latest))
        if day < last:
            yield _Point(day, "during_rt", None, index.course_id)
    for course in treated.courses:
        if course.ended:
            yield _Point(course.ended + timedelta(days=rng.randint(0, 3)), "end_of_rt", None, course.course_id)
    for contact in met:
        if contact.in_clinic:
            yield _Point(contact.day, "follow_up", contact.visit)


def _assessed(rng: Random, treated: Treated, point: _Point, by: Grader) -> Happening:
    data: dict[str, Any] = {"assessed_on": point.day.isoformat(), "timepoint": point.phase}
    if point.visit:
        data["visit"] = point.visit
    if point.course_id:
        data["course_id"] = point.course_id
    data["findings"] = [found for term in _looked_for(treated) if (found := _finding(rng, treated, point, term, by))]
    data["checklist_complete"] = odds.happens(rng, odds.CHECKLIST_COMPLETE)
    return Happening("toxicity", "toxicity.assessed", data, point.day)


def _looked_for(treated: Treated) -> list[Term]:
    """Terms of the brain where a lesion of the brain was treated."""
    ablated = {treated.lesions[lesion][1] for course in treated.courses for lesion in course.lesion_ids}
    return [term for term in TERMS if term.where == "neck" or "brain" in ablated]


def _finding(rng: Random, treated: Treated, point: _Point, term: Term, by: Grader) -> dict[str, Any] | None:
    given, listed = odds.draw(rng, term.odds(by.dictionary, point.phase)), odds.happens(rng, odds.ABSENCE_SAID)
    if not given:
        return {"term": term.named(by.dictionary)[0], "grade": 0} if listed else None
    finding: dict[str, Any] = {"term": term.named(by.dictionary)[0], "grade": given}
    finding["attribution"] = _attribution(rng, treated, point, term)
    if point.phase != "baseline" and odds.happens(rng, odds.ONSET_SAID):
        earliest = treated.index.began if treated.index else point.day
        finding["onset_on"] = max(earliest, point.day - timedelta(days=rng.randint(1, 21))).isoformat()
    return finding


def _attribution(rng: Random, treated: Treated, point: _Point, term: Term) -> list[dict[str, str]]:
    """To the index course, to the last line that has begun, to the disease: as far as the term goes back to them."""
    levels = []
    lines = [line for line, began in treated.lines.items() if began <= point.day]
    if point.phase != "baseline" and treated.index:
        if "radiotherapy" in term.causes:
            course = point.course_id or treated.index.course_id
            levels.append({"to": f"course:{course}", "level": odds.draw(rng, odds.BY_RADIOTHERAPY)})
        if "line" in term.causes and lines:
            levels.append({"to": f"line:{lines[-1]}", "level": odds.draw(rng, odds.BY_A_LINE)})
    if "disease" in term.causes:
        levels.append({"to": "disease", "level": odds.draw(rng, odds.BY_DISEASE)})
    return levels


def _serious(rng: Random, treated: Treated, outlook: Outlook, by: Grader) -> Iterator[Happening]:
    """One event, perhaps with more known later, perhaps over."""
    terms, (grades, reasons) = rng.choice(list(SERIOUS.items()))
    began = treated.index.began if treated.index else treated.enrolled_on
    onset = began + timedelta(days=rng.randint(10, EVENTS_WITHIN))
    given, why = odds.draw(rng, grades), odds.draw(rng, reasons)
    if not odds.happens(rng, odds.SERIOUS) or onset + timedelta(days=2) >= outlook.until:
        return
    aware, term = onset + timedelta(days=rng.randint(0, 2)), terms[by.dictionary == "ctcae-5.0"][0]
    said = {"serious_event_id": "SAE-1", "aware_at": _at(rng, aware, by), "term": term, "grade": given}
    said |= {"onset_on": onset.isoformat(), "seriousness": [why], "narrative": "made up", "outcome": "UNKNOWN"}
    first = Happening("toxicity", "toxicity.serious_event_reported", said, aware)
    yield first
    yield from _sequels(rng, first, outlook, by)


def _sequels(rng: Random, first: Happening, outlook: Outlook, by: Grader) -> Iterator[Happening]:
    updated, resolved = first.day + timedelta(days=rng.randint(3, 8)), first.day + timedelta(days=rng.randint(9, 60))
    known = {"serious_event_id": first.data["serious_event_id"]}
    if odds.happens(rng, odds.SERIOUS_UPDATED) and updated < outlook.until:
        data = {**known, "aware_at": _at(rng, updated, by), "outcome": "RECOVERING/RESOLVING", "narrative": "made up"}
        yield Happening("toxicity", "toxicity.serious_event_updated", data, updated, after=first)
    if odds.happens(rng, odds.SERIOUS_RESOLVED) and resolved < outlook.until:
        data = {**known, "aware_at": _at(rng, resolved, by), "outcome": odds.draw(rng, odds.OUTCOMES)}
        data["resolved_on"] = resolved.isoformat()
        yield Happening("toxicity", "toxicity.serious_event_resolved", data, resolved, after=first)


def _at(rng: Random, day: date, by: Grader) -> str:
    """A time on that day with the zone of the site, RFC 3339."""
    return datetime.combine(day, time(rng.randint(7, 17), rng.randint(0, 59)), zone(by.time_zone)).isoformat()


def _fatal(rng: Random, treated: Treated, outlook: Outlook, by: Grader) -> Iterator[Happening]:
    """The event of grade 5 that somebody died of, where it was no tumour: graded on the day of death."""
    day, graded = outlook.dies_on, odds.happens(rng, odds.FATAL_EVENT_GRADED.get(outlook.cause, 0))
    if not graded or day > outlook.until or treated.index is None:
        return
    level = "possible" if outlook.cause == "treatment" else "unrelated"
    attribution = [{"to": f"course:{treated.index.course_id}", "level": level}, {"to": "other", "level": "probable"}]
    finding = {"term": PNEUMONIA.named(by.dictionary)[0], "grade": 5, "attribution": attribution}
    data = {"assessed_on": day.isoformat(), "timepoint": "follow_up", "findings": [finding]}
    yield Happening("toxicity", "toxicity.assessed", {**data, "checklist_complete": False}, day)
