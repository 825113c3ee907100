"""Puts the facts of participants together from their events. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from services.analytics.cohort.participant import Participant
from shared.contracts.event import Event


def participants_of_events(events: Iterable[Event]) -> Iterator[Participant]:
    """Yields the participants of events, in the order of their numbers. Raises ValueError for unreadable content."""
    ordered = sorted(events, key=lambda event: (event.stream_id, event.service, event.version))
    for participant_id, of_participant in groupby(ordered, key=lambda event: event.stream_id):
        yield Participant.from_events(participant_id, of_participant)
