"""The catalogue of all streams and facts: those that sites state, and those that are published besides."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from shared.contracts import enrollment, follow_up, literature, reminders, study, toxicity, treatment
from shared.contracts.streams import FOLLOWUP, PARTICIPANT, REMINDERS, STUDY, TOXICITY
from shared.kernel.fact import Fact, Stream

__all__ = [
    "FACT_MODULES",
    "FOLLOWUP",
    "PARTICIPANT",
    "PUBLISHED_STREAMS",
    "REMINDERS",
    "STREAMS",
    "STUDY",
    "TOXICITY",
    "all_facts",
    "fact_class",
    "find_stream",
    "published_facts",
]

STREAMS = (STUDY, PARTICIPANT, TOXICITY, FOLLOWUP)
"""The streams of facts that sites state."""
PUBLISHED_STREAMS = (*STREAMS, REMINDERS)
FACT_MODULES = (study, literature, enrollment, treatment, toxicity, follow_up, reminders)
"""The modules that declare facts. Importing them fills the streams."""


def find_stream(service: str, *, is_study: bool) -> Stream:
    """Returns the stream of a service about studies or participants. Raises KeyError if it has none."""
    for candidate in PUBLISHED_STREAMS:
        if candidate.service == service and (candidate.subject == "study") == is_study:
            return candidate
    raise KeyError(service)


def all_facts() -> Iterator[tuple[Stream, type[Fact]]]:
    """Yields every fact that a site can state, with its stream."""
    yield from _facts_of(STREAMS)


def published_facts() -> Iterator[tuple[Stream, type[Fact]]]:
    """Yields every fact that is published, with its stream."""
    yield from _facts_of(PUBLISHED_STREAMS)


def _facts_of(streams: Iterable[Stream]) -> Iterator[tuple[Stream, type[Fact]]]:
    for stream in streams:
        for fact in stream.facts.values():
            yield stream, fact


def fact_class(service: str, type_name: str) -> type[Fact]:
    """Returns the class of a fact by its type name. Raises KeyError if the service does not have it."""
    for stream in STREAMS:
        if stream.service == service and type_name in stream.facts:
            return stream.facts[type_name]
    raise KeyError(type_name)
