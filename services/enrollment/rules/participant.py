"""The rules of a participant's facts in enrollment, each in the light of the others."""

from __future__ import annotations

from collections.abc import Iterator

from services.enrollment.rules import treatment
from shared.contracts.enrollment import (
    BaselineRecorded,
    ConsentSigned,
    ConsentWithdrawn,
    LesionRegistered,
    ParticipantEnrolled,
    ParticipantScreened,
    ParticipantTransferred,
    ParticipantVoided,
    ProcedurePerformed,
    ScreeningFailed,
)
from shared.contracts.treatment import (
    PrescriptionChanged,
    RadiotherapyCompleted,
    RadiotherapyDiscontinued,
    RadiotherapyStarted,
    SystemicTherapyStarted,
    SystemicTherapyStopped,
)
from shared.gate.participant_gate import dated_before_birth
from shared.kernel.fact import Fact, StatedFact
from shared.kernel.objection import Objection, ProblemType
from shared.kernel.record import Record

ENROLLED_ALREADY = ProblemType(
    "enrolled-already",
    "A participant cannot be enrolled and be a screening failure. Correct the fact that is wrong.",
)
WITHDRAWN_TWICE = ProblemType(
    "withdrawn-twice",
    "This consent is withdrawn already. To change the withdrawal, correct that fact.",
)
LESION_EXISTS = ProblemType(
    "lesion-exists",
    "The participant has a lesion with this lesion_id already. Give another one.",
)
NOT_SCREENED = ProblemType("not-screened", "The participant was not screened. State participant.screened first.")
NO_CONSENT_TO_WITHDRAW = ProblemType(
    "no-consent",
    "The participant gave no consent that could be withdrawn. State participant.consented first.",
)
NOT_ELIGIBLE = ProblemType(
    "not-eligible",
    "Criteria neither met nor waived: {count}. Enrollment needs all of them met or waived.",
)
NO_CONSENT_BEFORE_ENROLLMENT = ProblemType(
    "no-consent",
    "No written consent on or before this day is recorded. State participant.consented first.",
)
NOT_ENROLLED = ProblemType("not-enrolled", "The participant is not enrolled. State participant.enrolled first.")
ALREADY_STATED = ProblemType("stated-twice", "The participant has {event} already. To change it, correct that fact.")


def objections(record: Record, stated: StatedFact[Fact]) -> Iterator[Objection]:
    yield from dated_before_birth(record, stated.fact)
    match stated.fact:
        case ParticipantScreened():
            yield from _check_single(record, stated, "a screening")
        case ScreeningFailed():
            yield from _check_single(record, stated, "a screening failure")
            yield from ENROLLED_ALREADY.conflicts_with(record.stated_of(ParticipantEnrolled))
        case ConsentSigned() | ParticipantTransferred():
            if not record.stated_of(ParticipantScreened):
                yield NOT_SCREENED.objection()
        case ParticipantEnrolled() as enrollment:
            yield from _check_single(record, stated, "an enrollment")
            yield from _check_eligible(record)
            yield from _check_consent(record, enrollment)
        case BaselineRecorded():
            yield from _check_enrolled(record)
            yield from _check_single(record, stated, "a baseline assessment")
        case ConsentWithdrawn(scope=scope):
            if not record.stated_of(ConsentSigned):
                yield NO_CONSENT_TO_WITHDRAW.objection()
            same_scope = [
                other for other in record.stated_of(ConsentWithdrawn, except_for=stated) if other.fact.scope == scope
            ]
            yield from WITHDRAWN_TWICE.conflicts_with(same_scope)
        case ParticipantVoided():
            yield from _check_single(record, stated, "a voiding")
        case LesionRegistered(lesion_id=lesion_id):
            yield from _check_enrolled(record)
            same_lesion_id = [
                other
                for other in record.stated_of(LesionRegistered, except_for=stated)
                if other.fact.lesion_id == lesion_id
            ]
            yield from LESION_EXISTS.conflicts_with(same_lesion_id, "/lesion_id")
        case RadiotherapyStarted():
            yield from _check_enrolled(record)
            yield from treatment.check_course_start(record, stated, stated.fact)
        case PrescriptionChanged() as changed:
            yield from treatment.check_prescription_change(record, changed)
        case RadiotherapyCompleted() | RadiotherapyDiscontinued() as end:
            yield from treatment.check_course_end(record, stated, end)
        case SystemicTherapyStarted() as line:
            yield from treatment.check_line_start(record, stated, line)
        case SystemicTherapyStopped() as stop:
            yield from treatment.check_line_stop(record, stated, stop)
        case ProcedurePerformed() as procedure:
            yield from treatment.check_procedure(record, procedure)


def _check_eligible(record: Record) -> Iterator[Objection]:
    for screening in record.stated_of(ParticipantScreened):
        if unmet := sum(answer not in ("met", "waived") for answer in screening.fact.criteria.values()):
            # only the count: the names of criteria are the sender's words
            yield NOT_ELIGIBLE.objection(screening.event_id, count=unmet)


def _check_consent(record: Record, enrollment: ParticipantEnrolled) -> Iterator[Objection]:
    if not any(
        not enrollment.enrolled_on.definitely_before(consent.signed_on) for consent in record.facts_of(ConsentSigned)
    ):
        yield NO_CONSENT_BEFORE_ENROLLMENT.objection(pointer="/enrolled_on")


def _check_enrolled(record: Record) -> Iterator[Objection]:
    if not record.stated_of(ParticipantEnrolled):
        yield NOT_ENROLLED.objection()


def _check_single(record: Record, stated: StatedFact[Fact], description: str) -> Iterator[Objection]:
    for other in record.stated_of(type(stated.fact), except_for=stated):
        yield ALREADY_STATED.objection(other.event_id, event=description)
