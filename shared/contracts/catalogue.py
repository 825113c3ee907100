"""The catalogue of all streams and facts."""

from __future__ import annotations

from collections.abc import Iterator

from shared.contracts import enrollment, follow_up, study, toxicity, treatment
from shared.contracts.streams import FOLLOWUP, PARTICIPANT, STUDY, TOXICITY
from shared.kernel.fact import Fact, Stream

__all__ = [
    "FACT_MODULES",
    "FOLLOWUP",
    "PARTICIPANT",
    "STREAMS",
    "STUDY",
    "TOXICITY",
    "all_facts",
    "fact_class",
    "find_stream",
]

STREAMS = (STUDY, PARTICIPANT, TOXICITY, FOLLOWUP)
FACT_MODULES = (study, enrollment, treatment, toxicity, follow_up)
"""The modules that declare facts. Importing them fills the streams."""


def find_stream(service: str, *, is_study: bool) -> Stream:
    """Returns the stream of a service about studies or participants. Raises KeyError if it has none."""
    for candidate in STREAMS:
        if candidate.service == service and (candidate.subject == "study") == is_study:
            return candidate
    raise KeyError(service)


def all_facts() -> Iterator[tuple[Stream, type[Fact]]]:
    """Yields every fact with its stream."""
    for stream in STREAMS:
        for fact in stream.facts.values():
            yield stream, fact


def fact_class(service: str, type_name: str) -> type[Fact]:
    """Returns the class of a fact by its type name. Raises KeyError if the service does not have it."""
    for stream in STREAMS:
        if stream.service == service and type_name in stream.facts:
            return stream.facts[type_name]
    raise KeyError(type_name)
