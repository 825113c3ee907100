"""Facts as the sentences of data queries name them: by their kind and date, never by what else they say. Pure."""

from __future__ import annotations

from datetime import date

from services.analytics.wording.phrasing import capitalize
from shared.contracts.enrollment import (
    BaselineRecorded,
    ConsentSigned,
    ConsentWithdrawn,
    LesionRegistered,
    ParticipantEnrolled,
    ParticipantScreened,
    ParticipantTransferred,
    ProcedurePerformed,
)
from shared.contracts.follow_up import (
    DiseaseProgressed,
    FollowUpRecorded,
    FollowUpResumed,
    LostToFollowUp,
    ParticipantDied,
    VisitMissed,
    VitalStatusConfirmed,
)
from shared.contracts.toxicity import SeriousEventReported, SeriousEventResolved, SeriousEventUpdated, ToxicityAssessed
from shared.contracts.treatment import (
    PrescriptionChanged,
    RadiotherapyCompleted,
    RadiotherapyDiscontinued,
    RadiotherapyStarted,
    SystemicTherapyStarted,
    SystemicTherapyStopped,
)
from shared.kernel.fact import Fact

_NAMES: dict[type[Fact], str] = {
    ParticipantScreened: "screening",
    ConsentSigned: "consent",
    ParticipantEnrolled: "enrollment",
    BaselineRecorded: "baseline assessment",
    ParticipantTransferred: "transfer",
    ConsentWithdrawn: "withdrawal of consent",
    LesionRegistered: "lesion",
    ProcedurePerformed: "procedure",
    RadiotherapyStarted: "start of the course",
    PrescriptionChanged: "change of the prescription",
    RadiotherapyCompleted: "end of the course",
    RadiotherapyDiscontinued: "end of the course",
    SystemicTherapyStarted: "start of systemic therapy",
    SystemicTherapyStopped: "end of systemic therapy",
    ToxicityAssessed: "toxicity assessment",
    SeriousEventReported: "serious adverse event",
    SeriousEventUpdated: "serious adverse event",
    SeriousEventResolved: "end of the serious adverse event",
    FollowUpRecorded: "follow-up contact",
    VisitMissed: "missed visit",
    DiseaseProgressed: "progression",
    VitalStatusConfirmed: "vital status",
    ParticipantDied: "death",
    LostToFollowUp: "loss to follow-up",
    FollowUpResumed: "return to follow-up",
}


def describe_fact(fact: Fact) -> str:
    """`the contact of 2025-04-05`."""
    name = _NAMES.get(type(fact), f"fact {fact.type_name}")
    return f"the {name} of {fact.happened_on}" if fact.happened_on else f"the {name}"


def ask_exact_date(fact: Fact, day: date) -> str:
    """The question for the exact date of a fact with a partial date; `day` is the imputed day."""
    return f"{capitalize(describe_fact(fact))} has a partial date. Analyses use {day}. What is the exact date?"
