"""How a question names a fact: by what it is and its date, never by what else it says."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from shared.contracts.enrollment import (
    BaselineRecorded,
    Consented,
    Enrolled,
    LesionRegistered,
    ProcedurePerformed,
    Screened,
    Transferred,
    Withdrawn,
)
from shared.contracts.followup import (
    Died,
    FollowUpRecorded,
    FollowUpResumed,
    Lost,
    Progressed,
    VisitMissed,
    VitalStatusConfirmed,
)
from shared.contracts.toxicity import Assessed, SeriousEventReported, SeriousEventResolved, SeriousEventUpdated
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
    Screened: "screening", Consented: "consent", Enrolled: "enrollment", BaselineRecorded: "baseline assessment",
    Transferred: "transfer", Withdrawn: "withdrawal of consent", LesionRegistered: "lesion",
    ProcedurePerformed: "procedure",
    RadiotherapyStarted: "start of the course", PrescriptionChanged: "change of the prescription",
    RadiotherapyCompleted: "end of the course", RadiotherapyDiscontinued: "end of the course",
    SystemicTherapyStarted: "start of systemic therapy", SystemicTherapyStopped: "end of systemic therapy",
    Assessed: "toxicity assessment", SeriousEventReported: "serious adverse event",
    SeriousEventUpdated: "serious adverse event", SeriousEventResolved: "end of the serious adverse event",
    FollowUpRecorded: "follow-up contact", VisitMissed: "missed visit", Progressed: "progression",
    VitalStatusConfirmed: "vital status", Died: "death", Lost: "loss to follow-up",
    FollowUpResumed: "return to follow-up",
}  # fmt: skip


def named(fact: Fact) -> str:
    """`the contact of 2025-04-05`."""
    name = _NAMES.get(type(fact), f"fact {fact.type_name}")
    return f"the {name} of {fact.happened_on}" if fact.happened_on else f"the {name}"


def partial_date(fact: Fact, day: date) -> str:
    """Asks for the exact day of a fact whose date is known by month or year only."""
    return f"{sentence(named(fact))[:-1]} has a partial date. Analyses use {day}. What is the exact date?"


def sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def listed(names: Iterable[str]) -> str:
    """`L1, L2 and L3`."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
