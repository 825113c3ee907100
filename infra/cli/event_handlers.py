"""The event handler of each consumer, for commands that apply parked events as its worker would."""

from __future__ import annotations

from collections.abc import Mapping

from services.analytics.projection.projector import apply_events
from shared.inbox.batch import EventHandler
from shared.inbox.participant_registry.projector import apply_enrollment_events

EVENT_HANDLERS: Mapping[str, EventHandler] = {
    "toxicity": apply_enrollment_events,
    "followup": apply_enrollment_events,
    "analytics": apply_events,
}
