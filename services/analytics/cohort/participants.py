"""Puts the facts of participants together from their events. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from services.analytics.cohort.participant import Participant, is_excluded, known_on
from shared.contracts.event import Event
from shared.kernel.fact import Fact, StatedFact
from shared.kernel.record import Record


class UnreadableFact(ValueError):
    """This version has no class for a fact of a participant, or the class does not accept its content."""


def participants_of_events(events: Iterable[Event]) -> Iterator[Participant]:
    """Yields the participants of events, in the order of their numbers. Raises UnreadableFact."""
    ordered = sorted(events, key=lambda event: (event.stream_id, event.service, event.version))
    for participant_id, of_participant in groupby(ordered, key=lambda event: event.stream_id):
        yield participant_of_events(participant_id, list(of_participant))


def participant_of_events(participant_id: str, events: Sequence[Event]) -> Participant:
    """Returns a participant with the facts of events, in their order.

    Raises UnreadableFact, unless the facts that can be read exclude the participant: then no analysis needs the others.
    """
    stated, fault = list[StatedFact[Fact]](), None
    for event in events:
        try:
            stated.append(event.stated_fact())
        except (KeyError, ValueError) as error:
            fault = error
    participant = Participant(
        participant_id=participant_id,
        record=Record(tuple(stated)),
        known_on={event.event_id: known_on(event) for event in events},
    )
    if fault and not is_excluded(participant):
        raise UnreadableFact(type(fault).__name__) from fault
    return participant
