"""Enrollment's gate: checks a participant's fact against the protocol of its day and against the sites."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from shared.contracts.enrollment import (
    ConsentSigned,
    ParticipantEnrolled,
    ParticipantScreened,
    ParticipantTransferred,
    ParticipantVoided,
    ScreeningFailed,
)
from shared.gate import study_timeline
from shared.gate.participant_gate import ParticipantGate
from shared.kernel.fact import Fact
from shared.kernel.objection import Objection, ProblemType
from shared.kernel.partial_date import PartialDate
from shared.kernel.record import Record
from shared.protocol.protocol import Protocol

TOO_YOUNG = ProblemType(
    "too-young",
    "The participant was younger than the protocol's minimum age on this day. Check the year and the day.",
)
CRITERION_UNANSWERED = ProblemType(
    "criterion-unanswered",
    "The criterion {criterion} has no answer. Answer every criterion of the protocol.",
)
NO_SUCH_CRITERION = ProblemType(
    "no-such-criterion",
    "The protocol of that day has no such criterion. Its criteria: {criteria}.",
)
NOT_WAIVED = ProblemType(
    "not-waived",
    "A waiver belongs to a criterion that is not waived. Leave the waiver out, or answer with waived.",
)
NO_SUCH_REASON = ProblemType(
    "no-such-reason",
    "A reason is not known. Give the id of a criterion, or refused, died or other.",
)
CONSENT_VERSION = ProblemType(
    "consent-version",
    "The consent was signed on a day on which this version of the form was not valid. Give the version that was "
    "valid on that day.",
)
ALREADY_THERE = ProblemType(
    "already-there",
    "The participant is at this site already. Give the site to which they move.",
)
SITE_NOT_ACTIVE = ProblemType("site-not-active", "The site was not active on this day. Check the site and the day.")
DUPLICATE_OF_ITSELF = ProblemType(
    "duplicate-of-itself",
    "A participant is not a duplicate of itself. Give the number of the record that stays.",
)
NO_SUCH_PARTICIPANT = ProblemType(
    "no-such-participant",
    "There is no participant with this number that you may read. Give another number, or leave duplicate_of out.",
)
DUPLICATE_CIRCLE = ProblemType(
    "duplicate-circle",
    "The other record is void as a duplicate of this one. Only one of the two can be void.",
)
SITE_FIXED = ProblemType(
    "site-fixed",
    "The site of a screening cannot be corrected. Void the record, or transfer the participant.",
)

GENERAL_FAILURE_REASONS = {"refused", "died", "other"}
Answers = Mapping[str, str]


@dataclass(frozen=True)
class EnrollmentGate(ParticipantGate):
    """The gate of a participant's facts.

    `participant_id` is '' for a new participant. `named_participants` are the records of the participants that a fact
    names, and of those that these name in turn: empty if the caller may not see them or they do not exist.
    """

    enrolling_site: str
    participant_id: str = field(default="", kw_only=True)
    named_participants: Mapping[str, Record] = field(default_factory=dict, kw_only=True)

    def closures(self, enrollment_record: Record, content: Fact) -> Iterator[Objection]:
        yield from super().closures(enrollment_record, content)
        match content:
            case ParticipantScreened(screened_on=day):
                yield from study_timeline.accrual_closed_before(self.study, day, "screened_on")
            case ParticipantEnrolled(enrolled_on=day):
                yield from study_timeline.accrual_closed_before(self.study, day, "enrolled_on")

    def service_checks(self, record: Record, fact: Fact, content: Fact) -> Iterator[Objection]:
        content_before = self.fact_before_correction(fact)
        match content:
            case ParticipantScreened():
                yield from self._check_screening(content, content_before)
            case ScreeningFailed(failed_on=day, reason_codes=reason_codes):
                if set(reason_codes) - self._criterion_ids(day) - GENERAL_FAILURE_REASONS:
                    yield NO_SUCH_REASON.objection(pointer="/reason_codes")
            case ConsentSigned(signed_on=day, form_version=version):
                plans = study_timeline.protocols_in_force(self.study, day)
                if not any(version in study_timeline.consent_versions_on(plan, days) for plan, days in plans):
                    yield CONSENT_VERSION.objection(pointer="/form_version")
            case ParticipantVoided(duplicate_of=str() as duplicate_of):
                if not (isinstance(content_before, ParticipantVoided) and content_before.duplicate_of == duplicate_of):
                    yield from self._check_duplicate(duplicate_of)
            case ParticipantTransferred(to_site=to_site, on=day):
                if to_site == self.site_id and not (
                    isinstance(content_before, ParticipantTransferred) and content_before.to_site == to_site
                ):
                    yield ALREADY_THERE.objection(pointer="/to_site")
                if not study_timeline.site_was_active(self.study, to_site, day):
                    yield SITE_NOT_ACTIVE.objection(pointer="/to_site")

    def _check_duplicate(self, original: str) -> Iterator[Objection]:
        """Requires that a duplicate names another visible record that is not itself a duplicate of this one.

        That record may be void for another reason. A record of another site and one that does not exist get the same
        response, so the caller learns nothing of either. Two records that name each other at the same moment are not
        detected: each is decided by the other's earlier state.
        """
        if original == self.participant_id:
            yield DUPLICATE_OF_ITSELF.objection(pointer="/duplicate_of")
        elif not self.named_participants.get(original, Record()).stated_facts:
            yield NO_SUCH_PARTICIPANT.objection(pointer="/duplicate_of")
        elif self.participant_id in self._originals(original):
            yield DUPLICATE_CIRCLE.objection(pointer="/duplicate_of")

    def _originals(self, participant_id: str) -> set[str]:
        """Returns the participants that one is a duplicate of, directly or through others."""
        reached: set[str] = set()
        next_ids = {participant_id}
        while next_ids:
            named_ids = {
                void.duplicate_of
                for next_id in next_ids
                for void in self.named_participants.get(next_id, Record()).facts_of(ParticipantVoided)
            }
            next_ids = {named_id for named_id in named_ids if named_id} - reached
            reached |= next_ids
        return reached

    def _criterion_ids(self, when: PartialDate) -> set[str]:
        return {
            criterion.id
            for plan, _ in study_timeline.protocols_in_force(self.study, when)
            for criterion in plan.criteria
        }

    def _check_screening(self, screening: ParticipantScreened, content_before: Fact | None) -> Iterator[Objection]:
        screened_on = screening.screened_on
        if screening.site_id != self.enrolling_site:
            yield SITE_FIXED.objection(pointer="/site_id")
        elif not study_timeline.site_was_active(self.study, screening.site_id, screened_on):
            yield SITE_NOT_ACTIVE.objection(pointer="/site_id")
        answers_before = (
            content_before.criteria
            if isinstance(content_before, ParticipantScreened) and content_before.screened_on == screened_on
            else None
        )
        objections_by_protocol = [
            list(_check_against_protocol(screening, plan, days, answers_before))
            for plan, days in study_timeline.protocols_in_force(self.study, screened_on)
        ]
        if all(objections_by_protocol):  # if the date leaves the protocol open, one that admits is enough
            yield from objections_by_protocol[-1] if objections_by_protocol else ()


def _check_against_protocol(
    screening: ParticipantScreened, plan: Protocol, days: PartialDate, answers_before: Answers | None
) -> Iterator[Objection]:
    if days.latest.year - screening.birth_year < plan.minimum_age:
        yield TOO_YOUNG.objection(pointer="/birth_year")
    yield from _check_answers(screening, {criterion.id for criterion in plan.criteria}, answers_before)


def _check_answers(
    screening: ParticipantScreened, criterion_ids: set[str], answers_before: Answers | None
) -> Iterator[Objection]:
    """Checks the answers. `answers_before`: the corrected ones, of the same day, whose gaps and extras may stay."""
    unanswered_before, superfluous = (
        (criterion_ids - set(answers_before), set(answers_before) - criterion_ids)
        if answers_before is not None
        else (set[str](), set[str]())
    )
    for criterion in sorted(criterion_ids - set(screening.criteria) - unanswered_before):
        # the ids are the protocol's, so that they may be repeated
        yield CRITERION_UNANSWERED.objection(pointer=f"/criteria/{criterion}", criterion=criterion)
    if set(screening.criteria) - criterion_ids - superfluous:
        yield NO_SUCH_CRITERION.objection(pointer="/criteria", criteria=", ".join(sorted(criterion_ids)) or "none")
    waived = {criterion_id for criterion_id, answer in screening.criteria.items() if answer == "waived"}
    if set(screening.waivers) - waived:
        yield NOT_WAIVED.objection(pointer="/waivers")
