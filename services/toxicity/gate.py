"""What toxicity asks once, when a fact is stated: the dictionary of the day, and the treatments that are known.

What a correction leaves as it was is not asked again: a course that was voided since, or a protocol that was amended
for that day since, does not stand in the way of mending the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from shared.contracts.toxicity import (
    Assessed,
    SeriousEventReported,
    SeriousEventResolved,
    SeriousEventUpdated,
)
from shared.contracts.treatment import RadiotherapyStarted, SystemicTherapyStarted
from shared.gate import study as studies
from shared.gate.doors import Surroundings
from shared.kernel.dates import PartialDate
from shared.kernel.fact import Fact
from shared.kernel.record import Objection, Record
from shared.kernel.zones import zone as rules_of
from shared.terminology import ctcae

Sequel = SeriousEventUpdated | SeriousEventResolved
Graded = tuple[str, str, int | None]
"""Where in the fact ("" or a finding's pointer), the term, its grade where there is one."""


@dataclass(frozen=True)
class World(Surroundings):
    """`participant` are the facts that enrollment stated of the participant: among them courses and lines."""

    participant: Record = field(kw_only=True)

    def own(self, record: Record, fact: Fact, said: Fact) -> Iterator[Objection]:
        before = self.stood(fact)
        match said:
            case Assessed():
                graded = [(f"/findings/{place}", each.term, each.grade) for place, each in enumerate(said.findings)]
                yield from _not_graded_by(self._dictionaries(said, before), graded)
                yield from self._unknown_treatments(said, before)
            case SeriousEventReported():
                yield from _not_graded_by(self._dictionaries(said, before), [("", said.term, said.grade)])
                yield from self._not_aware_yet(said.aware_at)
            case SeriousEventUpdated() | SeriousEventResolved():
                yield from self._sequel(record, said, before)
                yield from self._not_aware_yet(said.aware_at)

    def _dictionaries(self, said: Fact, before: Fact | None) -> list[ctcae.Dictionary]:
        """Those of every protocol that may have been in force on the fact's day; of today's, for a fact without one.

        A correction that leaves the day may stay with what was graded by.
        """
        when = said.happened_on or PartialDate.of(self.today)
        planned = [ctcae.dictionary(plan.toxicity.dictionary) for plan, _ in studies.in_force(self.study, when)]
        stays = before is not None and before.happened_on == said.happened_on
        return [*_graded_by(before if stays else None), *planned]

    def _sequel(self, record: Record, said: Sequel, before: Fact | None) -> Iterator[Objection]:
        """An event may go on in the dictionary that it was reported in, whatever the protocol by then."""
        event = said.serious_event_id
        reports = [each for each in record.all(SeriousEventReported) if each.fact.serious_event_id == event]
        reported = [each.fact.term for each in reports]
        if said.term:
            own = [ctcae.dictionary_of(term) for term in reported]
            yield from _not_graded_by([*self._dictionaries(said, before), *own], [("", said.term, said.grade)])
            return
        told = [*record.facts(SeriousEventUpdated), *record.facts(SeriousEventResolved)]
        restated = [sequel.term for sequel in told if sequel.serious_event_id == event and sequel.term]
        for objection in _unless_one_admits(_no_such_grade("", term, said.grade) for term in (*reported, *restated)):
            yield replace(objection, because_of=next((each.event_id for each in reports), None))

    def _unknown_treatments(self, said: Assessed, before: Fact | None) -> Iterator[Objection]:
        known = {("course", course.course_id) for course in self.participant.facts(RadiotherapyStarted)}
        known |= {("line", line.line_id) for line in self.participant.facts(SystemicTherapyStarted)}
        if isinstance(before, Assessed):
            known |= {(kind, name) for _, kind, name in _treatments(before)}
        for pointer, kind, name in _treatments(said):
            if kind == "course" and (kind, name) not in known:
                message = "No course with this id has started. Check the id, or state radiotherapy.started first."
                yield Objection("no-such-course", message, member=pointer, not_known=True)
            if kind == "line" and (kind, name) not in known:
                message = "No line with this id has started. Check the id, or state systemic_therapy.started first."
                yield Objection("no-such-line", message, member=pointer, not_known=True)

    def _not_aware_yet(self, aware_at: datetime) -> Iterator[Objection]:
        """By the calendar of the site, whichever zone the moment was said in."""
        active = studies.site(self.study, self.site_id)
        zone = rules_of(active.time_zone if active else "UTC")
        if aware_at.astimezone(zone).date() > self.today:
            message = "This time is in the future at the site. Check the time and its offset."
            yield Objection("in-the-future", message, member="/aware_at")


def _graded_by(fact: Fact | None) -> Iterator[ctcae.Dictionary]:
    """The one dictionary of the terms that a fact names, if it names any."""
    match fact:
        case Assessed(findings=(first, *_)):
            yield ctcae.dictionary_of(first.term)
        case SeriousEventReported() | SeriousEventUpdated() | SeriousEventResolved() if fact.term:
            yield ctcae.dictionary_of(fact.term)


def _treatments(said: Assessed) -> Iterator[tuple[str, str, str]]:
    """(JSON pointer, "course" or "line", id) of every treatment that the assessment names."""
    if said.course_id:
        yield "/course_id", "course", said.course_id
    for place, finding in enumerate(said.findings):
        for nth, attribution in enumerate(finding.attribution):
            if attribution.treatment:
                yield f"/findings/{place}/attribution/{nth}/to", *attribution.treatment


def _not_graded_by(dictionaries: Iterable[ctcae.Dictionary], graded: Sequence[Graded]) -> Iterator[Objection]:
    """One dictionary has to have all that is graded: versions are not mixed in an assessment."""
    yield from _unless_one_admits(_not_of(dictionary, graded) for dictionary in dictionaries)


def _unless_one_admits(judged: Iterable[Iterable[Objection]]) -> Iterator[Objection]:
    """The last of several judgements, where each of them objects."""
    each = [list(objections) for objections in judged]
    if all(each):
        yield from each[-1] if each else ()


def _not_of(dictionary: ctcae.Dictionary, graded: Iterable[Graded]) -> Iterator[Objection]:
    for pointer, term, grade in graded:
        if term in dictionary.terms:
            yield from _no_such_grade(pointer, term, grade)
        else:
            message = f"Toxicity is graded by {dictionary.name}, which does not have this term. Give one of its terms."
            yield Objection("no-such-term", message, member=f"{pointer}/term")


def _no_such_grade(pointer: str, term_id: str, grade: int | None) -> Iterator[Objection]:
    term = ctcae.dictionary_of(term_id).terms.get(term_id)
    if term and grade is not None and grade not in term.grades:
        message = f"This term does not have that grade. Its grades are {', '.join(map(str, term.grades))}."
        yield Objection("no-such-grade", message, member=f"{pointer}/grade")
