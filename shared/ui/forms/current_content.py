"""The content that a recorded fact has now, after its corrections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from shared.contracts.event import Event
from shared.kernel.errors import NotFound
from shared.kernel.fact import Correction
from shared.kernel.sealed_text import insert_texts
from shared.ui.forms.targets import ParticipantState


def find_event(events: Sequence[Event], event_id: UUID) -> Event:
    """Returns the event. Raises NotFound."""
    event = next((event for event in events if event.event_id == event_id), None)
    if event is None or not event.is_readable:
        raise NotFound
    return event


@dataclass(frozen=True, slots=True)
class CurrentContent:
    """The last content of a recorded fact, with the texts that the caller may read."""

    event: Event
    body: dict[str, Any]
    is_standing: bool
    corrections: Sequence[Event]


def current_content(state: ParticipantState, event: Event) -> CurrentContent:
    """Returns the last content of a fact. A void fact keeps the content that it had."""
    body = insert_texts(_content_today(event), state.texts.get(event.version, {}))
    corrections = [
        other
        for other in state.stream.events
        if other.type == Correction.type_name and other.content["event_id"] == str(event.event_id)
    ]
    for correction in corrections:
        texts = state.texts.get(correction.version, {})
        if replacement := insert_texts(_content_today(correction), texts)["replacement"]:
            body = replacement["data"]
    is_standing = any(stated.event_id == event.event_id for stated in state.own.stated_facts)
    return CurrentContent(event, body, is_standing, corrections)


def _content_today(event: Event) -> dict[str, Any]:
    """Returns the content in the present schema."""
    return event.stated_fact().fact.model_dump(mode="json")
