"""How each fact of a participant reads to people: a lane, a title, a word for the drawing, and what else it says. Pure.

Sealed texts are never here: analytics does not have them.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.analytics.figures import spoken
from services.analytics.telling import contacts, participation, toxicity, treatment
from services.analytics.telling.words import Known, Tell, Told, capital
from shared.contracts.enrollment import Voided
from shared.contracts.followup import QueryExplained, ReminderAcknowledged, ReminderSnoozed
from shared.kernel.fact import Corrected, Fact

__all__ = ["LANES", "UNTOLD", "Known", "Told", "told"]

LANES: Mapping[str, str] = {
    "status": "Disease and status",
    "procedures": "Procedures",
    "radiotherapy": "Radiotherapy",
    "systemic": "Systemic therapy",
    "toxicity": "Toxicity",
    "contacts": "Contacts",
}
"""From top to bottom."""

UNTOLD: tuple[type[Fact], ...] = (Corrected, Voided, QueryExplained, ReminderAcknowledged, ReminderSnoozed)
"""What is about the record, not about the participant."""

TELLS: Mapping[type[Fact], Tell] = {
    **participation.TELLS, **treatment.TELLS, **toxicity.TELLS, **contacts.TELLS,
}  # fmt: skip


def told(fact: Fact, known: Known) -> Told:
    """A fact that nobody has words for yet is told by its name."""
    tell = TELLS.get(type(fact))
    return tell(fact, known) if tell else Told("status", capital(spoken(fact.type_name.replace(".", " "))))
