"""The checks of every participant's fact against the world outside its record, made once, when it is stated. Pure.

They refuse facts after the study, the site or the participant's consent has ended, and dates in the future. A void is
never refused. A correction is checked for what it changes: the end of accrual or an amendment since then does not
prevent the correction of something else. Impossible dates are refused in any case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

from shared.contracts.enrollment import (
    ConsentWithdrawn,
    ParticipantScreened,
    ParticipantTransferred,
    ParticipantVoided,
)
from shared.contracts.follow_up import ParticipantDied, VitalStatusConfirmed
from shared.contracts.participation import last_consent
from shared.gate import value_checks
from shared.gate.study_timeline import closed_before, site_is_closed
from shared.kernel.fact import Correction, Fact, StatedFact, effective_fact
from shared.kernel.objection import Objection, ProblemType
from shared.kernel.partial_date import PartialDate
from shared.kernel.record import Record

AFTER_WITHDRAWAL = ProblemType(
    "after-withdrawal",
    "The participant withdrew consent before this day. Later facts are not accepted. Check the day.",
)
BEFORE_BIRTH = ProblemType("before-birth", "This date is before the participant's year of birth. Check both.")
NO_SUCH_PARTICIPANT = ProblemType(
    "no-such-participant",
    "No participant with this number was screened. Check the number.",
)
PARTICIPANT_VOIDED = ProblemType(
    "participant-voided",
    "The participant's record is void. It takes no new facts; its facts can be corrected.",
)
IN_THE_FUTURE = ProblemType("in-the-future", "This date is in the future at the site. Check the date.")
SITE_CLOSED = ProblemType("site-closed", "The site was closed before this day. Check the day.")


@dataclass(frozen=True)
class ParticipantGate:
    """The context that a participant's facts are checked against: the study, the current site, and today at that site.

    `enrollment_record` is the participant's record in enrollment; None in enrollment itself, where it is the record.
    `record_before` returns the record before the proposed facts. A service adds its checks in `service_checks`.
    """

    study: Record
    today: date
    site_id: str
    enrollment_record: Record | None = field(default=None, kw_only=True)
    record_before: Callable[[], Record] = field(default=Record, kw_only=True)

    def objections(self, record: Record, stated: StatedFact[Fact]) -> Iterator[Objection]:
        fact, content = stated.fact, effective_fact(stated.fact)
        enrollment_record = record if self.enrollment_record is None else self.enrollment_record
        if not isinstance(fact, Correction):
            yield from _check_not_voided(enrollment_record, fact)
        if isinstance(content, Correction):
            return
        prefix = "/replacement/data" if isinstance(fact, Correction) else ""
        for objection in self._content_objections(record, enrollment_record, fact, content):
            yield objection.with_pointer_prefix(prefix)

    def _content_objections(
        self, record: Record, enrollment_record: Record, fact: Fact, content: Fact
    ) -> Iterator[Objection]:
        yield from value_checks.objections(content, lambda: self._record_before.stated_facts)
        yield from _dated_in_future(content, self.today)
        if self.enrollment_record is not None:
            yield from _check_screened(self.enrollment_record)
            yield from dated_before_birth(self.enrollment_record, content)
        if content.happened_on and not isinstance(fact, Correction):
            yield from self._study_closures(content, content.happened_on)
        content_before = self.fact_before_correction(fact)
        already_raised = (
            {(earlier.code, earlier.because_of) for earlier in self.closures(enrollment_record, content_before)}
            if content_before
            else set()
        )
        yield from (
            objection
            for objection in self.closures(enrollment_record, content)
            if (objection.code, objection.because_of) not in already_raised
        )
        raised_before = (
            list(self.service_checks(record, fact, content_before))
            if content_before and content_before.happened_on == content.happened_on
            else []
        )
        for objection in self.service_checks(record, fact, content):
            if not any(
                _same_including_message(objection, earlier) and _is_unchanged(earlier.pointer, content_before, content)
                for earlier in raised_before
            ):
                yield objection

    def closures(self, enrollment_record: Record, content: Fact) -> Iterator[Objection]:
        """Yields objections to facts dated after a closure, such as a withdrawal of consent or the end of accrual.

        A correction may not move a fact past a closure. A fact that is past it already may stay there.
        """
        yield from _dated_after_withdrawal(enrollment_record, content)

    def service_checks(self, record: Record, fact: Fact, content: Fact) -> Iterator[Objection]:
        """Yields the service's objections to `content`: the stated or restated fact, or the fact before the correction.

        Pointers are within `content`. An objection to a correction is dropped if the fact raised the same one before,
        on the same day and about the same value.
        """
        yield from ()

    @cached_property
    def _record_before(self) -> Record:
        return self.record_before()

    def fact_before_correction(self, fact: Fact) -> Fact | None:
        """Returns the fact that a correction restates; None for a new fact and for a void one."""
        if not isinstance(fact, Correction):
            return None
        return next(
            (stated.fact for stated in self._record_before.stated_facts if stated.event_id == fact.event_id), None
        )

    def _study_closures(self, content: Fact, when: PartialDate) -> Iterator[Objection]:
        yield from closed_before(self.study, when, content.date_member)
        if site_is_closed(self.study, self.site_id, when) and not isinstance(
            content, ParticipantScreened | ParticipantTransferred
        ):
            yield SITE_CLOSED.objection(pointer=f"/{content.date_member}")


def _dated_after_withdrawal(enrollment_record: Record, content: Fact) -> Iterator[Objection]:
    """Refuses facts dated after a withdrawal of consent. Recorded facts stay, and can be corrected."""
    happened_on = content.happened_on
    if not happened_on or allowed_after_withdrawal(enrollment_record, content):
        return
    for withdrawal in enrollment_record.stated_of(ConsentWithdrawn):
        if withdrawal.fact.withdrawn_on.definitely_before(happened_on):
            yield AFTER_WITHDRAWAL.objection(withdrawal.event_id, f"/{content.date_member}")


def _same_including_message(first: Objection, second: Objection) -> bool:
    """Compares with the messages, which contain values of the protocol."""
    return first == second and first.message == second.message


def _is_unchanged(member: str, content_before: Fact | None, content: Fact) -> bool:
    name = member[1:].partition("/")[0]
    return bool(getattr(content_before, name, content_before) == getattr(content, name, content))


def allowed_after_withdrawal(enrollment_record: Record, content: Fact) -> bool:
    """Returns whether the fact is accepted after a withdrawal. A registry may be asked only with consent to that."""
    match content:
        case ConsentWithdrawn() | ParticipantDied():
            return True
        case VitalStatusConfirmed(source="registry"):
            consent = last_consent(enrollment_record)
            return consent is not None and consent.options.registry
    return False


def dated_before_birth(enrollment_record: Record, fact: Fact) -> Iterator[Objection]:
    for screening in enrollment_record.stated_of(ParticipantScreened):
        if fact.first_year >= screening.fact.birth_year:
            continue
        for pointer, clinical_date in fact.clinical_dates_by_pointer:
            if clinical_date.latest.year < screening.fact.birth_year:
                yield BEFORE_BIRTH.objection(screening.event_id, pointer)


def _check_screened(enrollment_record: Record) -> Iterator[Objection]:
    if not enrollment_record.stated_of(ParticipantScreened):
        yield NO_SUCH_PARTICIPANT.objection(may_arrive_later=True)


def _check_not_voided(enrollment_record: Record, fact: Fact) -> Iterator[Objection]:
    for voiding in enrollment_record.stated_of(ParticipantVoided):
        if voiding.fact is not fact:
            yield PARTICIPANT_VOIDED.objection(voiding.event_id)


def _dated_in_future(content: Fact, today: date) -> Iterator[Objection]:
    for pointer, clinical_date in content.clinical_dates_by_pointer:
        if clinical_date.earliest > today:
            yield IN_THE_FUTURE.objection(pointer=pointer)
