"""Descriptions of facts for people: a lane, a title, a label for the drawing, and details. Pure.

Sealed texts never occur: analytics does not have them.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.analytics.timeline.descriptions import enrollment, follow_up, toxicity, treatment
from services.analytics.timeline.descriptions.context import Describe, Description, DescriptionContext
from services.analytics.wording.phrasing import capitalize, humanize
from shared.contracts.enrollment import ParticipantVoided
from shared.contracts.follow_up import QueryExplained, ReminderAcknowledged, ReminderSnoozed, VisitScheduled
from shared.kernel.fact import Correction, Fact

LANES: Mapping[str, str] = {
    "status": "Disease and status",
    "procedures": "Procedures",
    "radiotherapy": "Radiotherapy",
    "systemic": "Systemic therapy",
    "toxicity": "Toxicity",
    "contacts": "Contacts",
}
"""Titles of the lanes by name, from top to bottom."""

NOT_ON_TIMELINE: tuple[type[Fact], ...] = (
    Correction,
    ParticipantVoided,
    QueryExplained,
    ReminderAcknowledged,
    ReminderSnoozed,
    VisitScheduled,
)
"""Facts about the record or the site's plans, not about the participant."""

DESCRIPTIONS: Mapping[type[Fact], Describe] = {
    **enrollment.DESCRIPTIONS,
    **treatment.DESCRIPTIONS,
    **toxicity.DESCRIPTIONS,
    **follow_up.DESCRIPTIONS,
}


def describe(fact: Fact, context: DescriptionContext) -> Description:
    """Returns the description of a fact; a type without a description of its own is described by its name."""
    describer = DESCRIPTIONS.get(type(fact))
    return (
        describer(fact, context)
        if describer
        else Description("status", capitalize(humanize(fact.type_name.replace(".", " "))))
    )
