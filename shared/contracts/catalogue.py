"""Every fact there is, by stream. Whoever needs to know what may be stated asks here."""

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
"""The modules in which facts are declared; importing them is what fills the streams."""


def find_stream(service: str, *, is_study: bool) -> Stream:
    """The stream of a service about its study or its participants; KeyError if it has none."""
    for candidate in STREAMS:
        if candidate.service == service and (candidate.subject == "study") == is_study:
            return candidate
    raise KeyError(service)


def all_facts() -> Iterator[tuple[Stream, type[Fact]]]:
    for stream in STREAMS:
        for fact in stream.facts.values():
            yield stream, fact


def fact_class(service: str, type_name: str) -> type[Fact]:
    """The class of a fact by its name on the wire; KeyError if the service does not know it."""
    for stream in STREAMS:
        if stream.service == service and type_name in stream.facts:
            return stream.facts[type_name]
    raise KeyError(type_name)
