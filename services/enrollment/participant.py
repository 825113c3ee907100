"""What may be stated of a participant, each fact in the light of the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from services.enrollment import treatment
from shared.contracts.enrollment import (
    BaselineRecorded,
    Consented,
    Enrolled,
    LesionRegistered,
    Screened,
    ScreenFailed,
    Transferred,
    Voided,
    Withdrawn,
)
from shared.contracts.treatment import (
    PrescriptionChanged,
    RadiotherapyCompleted,
    RadiotherapyDiscontinued,
    RadiotherapyStarted,
    SystemicTherapyStarted,
    SystemicTherapyStopped,
)
from shared.gate.doors import before_birth
from shared.kernel.fact import Fact, Stated
from shared.kernel.record import Objection, Record


def objections(record: Record, stated: Stated[Fact]) -> Iterator[Objection]:
    yield from before_birth(record, stated.fact)
    match stated.fact:
        case Screened():
            yield from _twice(record, stated, "a screening")
        case ScreenFailed():
            yield from _twice(record, stated, "a screening failure")
            message = "A participant cannot be enrolled and be a screening failure. Correct the fact that is wrong."
            yield from _in_the_way("enrolled-already", message, record.all(Enrolled))
        case Consented() | Transferred():
            if not record.all(Screened):
                yield Objection("not-screened", "The participant was not screened. State participant.screened first.")
        case Enrolled() as enrolment:
            yield from _twice(record, stated, "an enrollment")
            yield from _not_eligible(record)
            yield from _without_consent(record, enrolment)
        case BaselineRecorded():
            yield from _not_enrolled(record)
            yield from _twice(record, stated, "a baseline assessment")
        case Withdrawn(scope=scope):
            if not record.all(Consented):
                yield Objection(
                    "no-consent",
                    "The participant gave no consent that could be withdrawn. State participant.consented first.",
                )
            same = [other for other in record.all(Withdrawn, but=stated) if other.fact.scope == scope]
            yield from _in_the_way(
                "withdrawn-twice",
                "This consent is withdrawn already. To change the withdrawal, correct that fact.",
                same,
            )
        case Voided():
            yield from _twice(record, stated, "a voiding")
        case LesionRegistered(lesion_id=lesion):
            yield from _not_enrolled(record)
            named = [other for other in record.all(LesionRegistered, but=stated) if other.fact.lesion_id == lesion]
            message = "The participant has a lesion with this lesion_id already. Give another one."
            yield from _in_the_way("lesion-exists", message, named, "/lesion_id")
        case RadiotherapyStarted():
            yield from _not_enrolled(record)
            yield from treatment.started(record, stated, stated.fact)
        case PrescriptionChanged() as changed:
            yield from treatment.prescription_changed(record, changed)
        case RadiotherapyCompleted() | RadiotherapyDiscontinued() as end:
            yield from treatment.ended(record, stated, end)
        case SystemicTherapyStarted() as line:
            yield from treatment.line_started(record, stated, line)
        case SystemicTherapyStopped() as stop:
            yield from treatment.line_stopped(record, stated, stop)


def _not_eligible(record: Record) -> Iterator[Objection]:
    for screening in record.all(Screened):
        if unmet := sum(answer not in ("met", "waived") for answer in screening.fact.criteria.values()):
            # only their number: the names are the sender's words
            message = f"Criteria neither met nor waived: {unmet}. Enrollment needs all of them met or waived."
            yield Objection("not-eligible", message, screening.event_id)


def _without_consent(record: Record, enrolment: Enrolled) -> Iterator[Objection]:
    if not any(not enrolment.enrolled_on.surely_before(consent.signed_on) for consent in record.facts(Consented)):
        message = "No written consent on or before this day is recorded. State participant.consented first."
        yield Objection("no-consent", message, member="/enrolled_on")


def _not_enrolled(record: Record) -> Iterator[Objection]:
    if not record.all(Enrolled):
        yield Objection("not-enrolled", "The participant is not enrolled. State participant.enrolled first.")


def _twice(record: Record, stated: Stated[Fact], what: str) -> Iterator[Objection]:
    others = record.all(type(stated.fact), but=stated)
    yield from _in_the_way(
        "stated-twice", f"The participant has {what} already. To change it, correct that fact.", others
    )


def _in_the_way(code: str, message: str, others: Sequence[Stated[Fact]], member: str = "") -> Iterator[Objection]:
    for other in others:
        yield Objection(code, message, other.event_id, member)
