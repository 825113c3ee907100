"""Toxicity's gate: checks a fact against the dictionary of its day and against the participant's treatments.

Values that a correction leaves unchanged are not checked again: a course that was voided later, or a later amendment,
does not block the correction of other values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from shared.contracts.toxicity import (
    SeriousEventReported,
    SeriousEventResolved,
    SeriousEventUpdated,
    ToxicityAssessed,
)
from shared.contracts.treatment import RadiotherapyStarted, SystemicTherapyStarted
from shared.gate import study_timeline
from shared.gate.participant_gate import ParticipantGate
from shared.gate.planned_visits import check_planned
from shared.kernel.fact import Fact
from shared.kernel.objection import Objection, ProblemType
from shared.kernel.partial_date import PartialDate
from shared.kernel.record import Record
from shared.kernel.zones import zone_rules
from shared.terminology import ctcae

NO_SUCH_TERM = ProblemType(
    "no-such-term",
    "Toxicity is graded by {dictionary}, which does not have this term. Give one of its terms.",
)
NO_SUCH_GRADE = ProblemType("no-such-grade", "This term does not have that grade. Its grades are {grades}.")
NO_SUCH_COURSE = ProblemType(
    "no-such-course",
    "No course with this id has started. Check the id, or state radiotherapy.started first.",
)
NO_SUCH_LINE = ProblemType(
    "no-such-line",
    "No line with this id has started. Check the id, or state systemic_therapy.started first.",
)
IN_THE_FUTURE = ProblemType("in-the-future", "This time is in the future at the site. Check the time and its offset.")

SeriousEventFollowUp = SeriousEventUpdated | SeriousEventResolved
GradedItem = tuple[str, str, int | None]
"""JSON pointer to a finding ('' for the whole fact), id of the term, and grade; None: not graded."""


@dataclass(frozen=True)
class ToxicityGate(ParticipantGate):
    """The gate of adverse events. `enrollment_record` has the courses and the lines of systemic therapy."""

    enrollment_record: Record = field(kw_only=True)

    def service_checks(self, record: Record, fact: Fact, content: Fact) -> Iterator[Objection]:
        content_before = self.fact_before_correction(fact)
        match content:
            case ToxicityAssessed():
                graded_items = [
                    (f"/findings/{index}", finding.term, finding.grade)
                    for index, finding in enumerate(content.findings)
                ]
                yield from _no_dictionary_has_all(self._accepted_dictionaries(content, content_before), graded_items)
                yield from check_planned(self.study, content, content_before)
                yield from self._check_treatments(content, content_before)
            case SeriousEventReported():
                yield from _no_dictionary_has_all(
                    self._accepted_dictionaries(content, content_before), [("", content.term, content.grade)]
                )
                yield from self._check_aware_at(content.aware_at)
            case SeriousEventUpdated() | SeriousEventResolved():
                yield from self._check_follow_up(record, content, content_before)
                yield from self._check_aware_at(content.aware_at)

    def _accepted_dictionaries(self, content: Fact, content_before: Fact | None) -> list[ctcae.CtcaeDictionary]:
        """Returns the dictionaries of every protocol that may be in force on the fact's day, or today if it has none.

        A correction that leaves the day unchanged may keep the dictionary that was used.
        """
        when = content.happened_on or PartialDate.from_day(self.today)
        planned = [
            ctcae.load_dictionary(plan.toxicity.dictionary)
            for plan, _ in study_timeline.protocols_in_force(self.study, when)
        ]
        keeps_day = content_before is not None and content_before.happened_on == content.happened_on
        return [*_dictionaries_used(content_before if keeps_day else None), *planned]

    def _check_follow_up(
        self, record: Record, follow_up: SeriousEventFollowUp, content_before: Fact | None
    ) -> Iterator[Objection]:
        """Accepts the dictionary in which the event was reported, even if the protocol has another one by then."""
        event_id = follow_up.serious_event_id
        reports = [
            report for report in record.stated_of(SeriousEventReported) if report.fact.serious_event_id == event_id
        ]
        reported_terms = [report.fact.term for report in reports]
        if follow_up.term:
            reported_dictionaries = [ctcae.dictionary_for_term(term) for term in reported_terms]
            yield from _no_dictionary_has_all(
                [*self._accepted_dictionaries(follow_up, content_before), *reported_dictionaries],
                [("", follow_up.term, follow_up.grade)],
            )
            return
        earlier_follow_ups = [*record.facts_of(SeriousEventUpdated), *record.facts_of(SeriousEventResolved)]
        restated_terms = [
            earlier.term for earlier in earlier_follow_ups if earlier.serious_event_id == event_id and earlier.term
        ]
        for objection in _objections_unless_any_accepts(
            _check_grade("", term, follow_up.grade) for term in (*reported_terms, *restated_terms)
        ):
            yield replace(objection, because_of=next((report.event_id for report in reports), None))

    def _check_treatments(self, assessment: ToxicityAssessed, content_before: Fact | None) -> Iterator[Objection]:
        known_treatments = {
            ("course", course.course_id) for course in self.enrollment_record.facts_of(RadiotherapyStarted)
        }
        known_treatments |= {("line", line.line_id) for line in self.enrollment_record.facts_of(SystemicTherapyStarted)}
        if isinstance(content_before, ToxicityAssessed):
            known_treatments |= {(kind, name) for _, kind, name in _named_treatments(content_before)}
        for pointer, kind, name in _named_treatments(assessment):
            if kind == "course" and (kind, name) not in known_treatments:
                yield NO_SUCH_COURSE.objection(pointer=pointer, may_arrive_later=True)
            if kind == "line" and (kind, name) not in known_treatments:
                yield NO_SUCH_LINE.objection(pointer=pointer, may_arrive_later=True)

    def _check_aware_at(self, aware_at: datetime) -> Iterator[Objection]:
        """Compares with the site's calendar day, whichever offset the time was given in."""
        activation = study_timeline.find_site(self.study, self.site_id)
        zone = zone_rules(activation.time_zone if activation else "UTC")
        if aware_at.astimezone(zone).date() > self.today:
            yield IN_THE_FUTURE.objection(pointer="/aware_at")


def _dictionaries_used(fact: Fact | None) -> Iterator[ctcae.CtcaeDictionary]:
    """Yields the dictionary of the terms that a fact names, if it names any."""
    match fact:
        case ToxicityAssessed(findings=(first, *_)):
            yield ctcae.dictionary_for_term(first.term)
        case SeriousEventReported() | SeriousEventUpdated() | SeriousEventResolved() if fact.term:
            yield ctcae.dictionary_for_term(fact.term)


def _named_treatments(assessment: ToxicityAssessed) -> Iterator[tuple[str, str, str]]:
    """Yields (JSON pointer, "course" or "line", id) of every treatment that the assessment names."""
    if assessment.course_id:
        yield "/course_id", "course", assessment.course_id
    for finding_index, finding in enumerate(assessment.findings):
        for attribution_index, attribution in enumerate(finding.attribution):
            if attribution.treatment:
                yield f"/findings/{finding_index}/attribution/{attribution_index}/to", *attribution.treatment


def _no_dictionary_has_all(
    dictionaries: Iterable[ctcae.CtcaeDictionary], graded_items: Sequence[GradedItem]
) -> Iterator[Objection]:
    """Requires one dictionary that has every graded term: versions are not mixed in an assessment."""
    yield from _objections_unless_any_accepts(
        _terms_missing_from(dictionary, graded_items) for dictionary in dictionaries
    )


def _objections_unless_any_accepts(alternatives: Iterable[Iterable[Objection]]) -> Iterator[Objection]:
    """Yields the objections of the last alternative if every alternative has some."""
    objections_by_alternative = [list(objections) for objections in alternatives]
    if all(objections_by_alternative):
        yield from objections_by_alternative[-1] if objections_by_alternative else ()


def _terms_missing_from(dictionary: ctcae.CtcaeDictionary, graded_items: Iterable[GradedItem]) -> Iterator[Objection]:
    for pointer, term, grade in graded_items:
        if term in dictionary.terms:
            yield from _check_grade(pointer, term, grade)
        else:
            yield NO_SUCH_TERM.objection(pointer=f"{pointer}/term", dictionary=dictionary.name)


def _check_grade(pointer: str, term_id: str, grade: int | None) -> Iterator[Objection]:
    term = ctcae.dictionary_for_term(term_id).terms.get(term_id)
    if term and grade is not None and grade not in term.grades:
        yield NO_SUCH_GRADE.objection(pointer=f"{pointer}/grade", grades=", ".join(map(str, term.grades)))
