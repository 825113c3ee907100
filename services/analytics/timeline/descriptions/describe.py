"""How each fact of a participant reads to people: a lane, a title, a word for the drawing, and what else it says. Pure.

Sealed texts are never here: analytics does not have them.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.analytics.timeline.descriptions import enrollment, follow_up, toxicity, treatment
from services.analytics.timeline.descriptions.context import Describe, Description, DescriptionContext
from services.analytics.wording.phrasing import capitalize, humanize
from shared.contracts.enrollment import ParticipantVoided
from shared.contracts.follow_up import QueryExplained, ReminderAcknowledged, ReminderSnoozed
from shared.kernel.fact import Correction, Fact

LANES: Mapping[str, str] = {
    "status": "Disease and status",
    "procedures": "Procedures",
    "radiotherapy": "Radiotherapy",
    "systemic": "Systemic therapy",
    "toxicity": "Toxicity",
    "contacts": "Contacts",
}
"""From top to bottom."""

NOT_ON_TIMELINE: tuple[type[Fact], ...] = (
    Correction,
    ParticipantVoided,
    QueryExplained,
    ReminderAcknowledged,
    ReminderSnoozed,
)
"""What is about the record, not about the participant."""

DESCRIPTIONS: Mapping[type[Fact], Describe] = {
    **enrollment.DESCRIPTIONS,
    **treatment.DESCRIPTIONS,
    **toxicity.DESCRIPTIONS,
    **follow_up.DESCRIPTIONS,
}


def describe(fact: Fact, context: DescriptionContext) -> Description:
    """A fact that nobody has words for yet is told by its name."""
    describer = DESCRIPTIONS.get(type(fact))
    return (
        describer(fact, context)
        if describer
        else Description("status", capitalize(humanize(fact.type_name.replace(".", " "))))
    )
