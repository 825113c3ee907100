"""Puts the facts of participants together from their events. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from itertools import groupby

from services.analytics.cohort.participant import Participant
from shared.contracts.event import Event, stated_facts
from shared.kernel.record import Record


def participants_of_events(events: Iterable[Event], known_until: date) -> Iterator[Participant]:
    """Yields the participants of events, in the order of their numbers. Raises KeyError or ValueError for a fact that
    this release cannot read."""
    ordered = sorted(events, key=lambda event: (event.stream_id, event.service, event.version))
    for participant_id, of_participant in groupby(ordered, key=lambda event: event.stream_id):
        record = Record(tuple(stated_facts(of_participant)))
        yield Participant(participant_id=participant_id, record=record, known_until=known_until)
