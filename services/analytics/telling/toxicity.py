"""Adverse events with their grades and what they go back to. Missing is never zero."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.analytics.figures import counted, spoken
from services.analytics.telling.words import Known, Tell, Told, listed, some
from shared.contracts.toxicity import (
    Assessed,
    Attribution,
    Finding,
    SeriousEventReported,
    SeriousEventResolved,
    SeriousEventUpdated,
)
from shared.kernel.fact import Fact

_NAMED = 2  # findings that a title has room for


def _assessed(fact: Assessed, known: Known) -> Told:
    found = [each for each in fact.findings if each.grade != 0]
    worst = max((each.grade for each in fact.findings if each.grade is not None), default=None)
    worst = 0 if worst is None and not found and fact.checklist_complete else worst
    when = some(
        spoken(fact.timepoint.replace("rt", "radiotherapy")),
        f"visit {fact.visit}" if fact.visit else "",
        f"course {fact.course_id}" if fact.course_id else "",
        "" if fact.checklist_complete else "checklist incomplete",
    )
    detail = (", ".join(when), *(_finding(each, known) for each in fact.findings))
    more = {"grade": worst, "findings": [_numbers(each, known) for each in fact.findings]}
    return Told("toxicity", _title(fact, found, worst, known), _label(found, worst, fact), detail, more)


def _title(fact: Assessed, found: list[Finding], worst: int | None, known: Known) -> str:
    if not found:
        return "No toxicity found" if fact.checklist_complete else "No toxicity found; checklist incomplete"
    if len(found) <= _NAMED:
        return f"Toxicity: {listed(f'{known.term(each.term)} {graded(each.grade)}' for each in found)}"
    return f"Toxicity: {counted(len(found), 'finding')}, worst {graded(worst)}"


def _label(found: list[Finding], worst: int | None, fact: Assessed) -> str:
    if not found:
        return "0" if fact.checklist_complete else "?"
    return "?" if worst is None else str(worst)


def graded(grade: int | None) -> str:
    return "not graded" if grade is None else f"grade {grade}"


def _finding(finding: Finding, known: Known) -> str:
    causes = [f"{_cause(each)} {each.level}" for each in finding.attribution]
    attribution = f"attribution: {', '.join(causes)}" if causes else ""
    onset = f"onset {finding.onset_on}" if finding.onset_on else ""
    return "; ".join(some(f"{known.term(finding.term)}: {graded(finding.grade)}", attribution, onset))


def _cause(attribution: Attribution) -> str:
    """`SRS`, `line-1`, `disease` or `other causes`."""
    treatment = attribution.treatment
    return treatment[1] if treatment else {"other": "other causes"}.get(attribution.to, attribution.to)


def _numbers(finding: Finding, known: Known) -> dict[str, Any]:
    return {
        "term": finding.term,
        "name": known.names.get(finding.term),
        "grade": finding.grade,
        "attribution": [{"to": each.to, "level": each.level} for each in finding.attribution],
        "onset_on": str(finding.onset_on) if finding.onset_on else None,
    }


Sequel = SeriousEventUpdated | SeriousEventResolved


def _reported(fact: SeriousEventReported, known: Known) -> Told:
    what = f"{known.term(fact.term)} {graded(fact.grade)}"
    detail = (_reasons(fact), f"site aware since {fact.aware_at.date()}", f"outcome: {fact.outcome.lower()}")
    more = {"serious_event_id": fact.serious_event_id, "term": fact.term, "grade": fact.grade}
    return Told("toxicity", f"Serious adverse event {fact.serious_event_id}: {what}", f"SAE {fact.grade}", detail, more)


def _sequel(fact: Sequel, known: Known) -> Told:
    verb = "resolved" if isinstance(fact, SeriousEventResolved) else "updated"
    detail = some(
        known.term(fact.term) if fact.term else "",
        graded(fact.grade) if fact.grade is not None else "",
        f"onset {fact.onset_on}" if fact.onset_on else "",
        _reasons(fact),
        f"outcome: {fact.outcome.lower()}" if fact.outcome else "",
    )
    more = {"serious_event_id": fact.serious_event_id}
    return Told("toxicity", f"Serious adverse event {fact.serious_event_id} {verb}", detail=detail, more=more)


def _reasons(fact: SeriousEventReported | Sequel) -> str:
    return f"seriousness: {listed(spoken(each) for each in fact.seriousness)}" if fact.seriousness else ""


TELLS: Mapping[type[Fact], Tell] = {
    Assessed: _assessed,
    SeriousEventReported: _reported,
    SeriousEventUpdated: _sequel,
    SeriousEventResolved: _sequel,
}
