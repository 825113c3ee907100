"""Facts as the sentences of data queries name them: by their kind and date, never by what else they say. Pure."""

from __future__ import annotations

from datetime import date

from services.analytics.wording.phrasing import capitalize
from shared.contracts import enrollment, follow_up, toxicity, treatment
from shared.kernel.fact import Fact

_NAMES: dict[type[Fact], str] = {
    enrollment.ParticipantScreened: "screening",
    enrollment.ConsentSigned: "consent",
    enrollment.ParticipantEnrolled: "enrollment",
    enrollment.BaselineRecorded: "baseline assessment",
    enrollment.ParticipantTransferred: "transfer",
    enrollment.ConsentWithdrawn: "withdrawal of consent",
    enrollment.LesionRegistered: "lesion",
    enrollment.ProcedurePerformed: "procedure",
    treatment.RadiotherapyStarted: "start of the course",
    treatment.PrescriptionChanged: "change of the prescription",
    treatment.RadiotherapyCompleted: "end of the course",
    treatment.RadiotherapyDiscontinued: "end of the course",
    treatment.SystemicTherapyStarted: "start of systemic therapy",
    treatment.SystemicTherapyStopped: "end of systemic therapy",
    toxicity.ToxicityAssessed: "toxicity assessment",
    toxicity.SeriousEventReported: "serious adverse event",
    toxicity.SeriousEventUpdated: "serious adverse event",
    toxicity.SeriousEventResolved: "end of the serious adverse event",
    follow_up.FollowUpRecorded: "follow-up contact",
    follow_up.VisitMissed: "missed visit",
    follow_up.DiseaseProgressed: "progression",
    follow_up.VitalStatusConfirmed: "vital status",
    follow_up.ParticipantDied: "death",
    follow_up.LostToFollowUp: "loss to follow-up",
    follow_up.FollowUpResumed: "return to follow-up",
}


def describe_fact(fact: Fact) -> str:
    """`the contact of 2025-04-05`."""
    name = _NAMES.get(type(fact), f"fact {fact.type_name}")
    return f"the {name} of {fact.happened_on}" if fact.happened_on else f"the {name}"


def ask_exact_date(fact: Fact, day: date) -> str:
    """The question for the exact date of a fact with a partial date; `day` is the imputed day."""
    return f"{capitalize(describe_fact(fact))} has a partial date. Analyses use {day}. What is the exact date?"
