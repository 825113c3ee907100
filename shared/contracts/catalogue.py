"""Every fact there is, by stream. Whoever needs to know what may be stated asks here."""

from __future__ import annotations

from collections.abc import Iterator

from shared.contracts import enrollment, followup, study, toxicity, treatment
from shared.contracts.streams import FOLLOWUP, PARTICIPANT, STUDY, TOXICITY
from shared.kernel.fact import Fact, Stream

__all__ = ["FOLLOWUP", "LANGUAGE", "PARTICIPANT", "STREAMS", "STUDY", "TOXICITY", "fact_class", "facts", "stream"]

STREAMS = (STUDY, PARTICIPANT, TOXICITY, FOLLOWUP)
LANGUAGE = (study, enrollment, treatment, toxicity, followup)
"""The modules in which facts are declared; importing them is what fills the streams."""


def stream(service: str, *, of_study: bool) -> Stream:
    """The stream of a service about its study or its participants; KeyError if it has none."""
    for candidate in STREAMS:
        if candidate.service == service and (candidate.subject == "study") == of_study:
            return candidate
    raise KeyError(service)


def facts() -> Iterator[tuple[Stream, type[Fact]]]:
    for each in STREAMS:
        for fact in each.facts.values():
            yield each, fact


def fact_class(service: str, type_name: str) -> type[Fact]:
    """The class of a fact by its name on the wire; KeyError if the service does not know it."""
    for each in STREAMS:
        if each.service == service and type_name in each.facts:
            return each.facts[type_name]
    raise KeyError(type_name)
