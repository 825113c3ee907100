"""The caption of severe toxicity, as sentences. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from services.analytics.figures.filters import FigureFilters
from services.analytics.figures.incidence_reading import IncidenceReading
from services.analytics.figures.incidence_words import describe_incidences, describe_rate
from services.analytics.figures.survival_numbers import SensitivityLine
from services.analytics.figures.survival_words import READING_WORDS
from services.analytics.snapshot.selection import ALL_TOXICITY
from services.analytics.wording.phrasing import count_noun

EVENT_NOUN = "severe toxicity"
COMPETING_WORDS = "death without it"


def describe_definition(origin: str) -> str:
    """Returns what is counted from when to when."""
    return (
        f"First severe toxicity, an adverse event of grade 3 or more, from {origin}; death without it competes "
        "(Aalen-Johansen). Without an event by the data cut-off, time ends on the last adequate assessment, or at once "
        "if there was none. An event without attribution counts as related."
    )


def describe_window(filters: FigureFilters) -> Iterator[str]:
    """Yields the limits of what counts, if the request asked for some."""
    if filters.window in ("acute", "late"):
        days = ALL_TOXICITY.late_after if filters.late_after is None else filters.late_after
        limit = "up to" if filters.window == "acute" else "later than"
        day = f"the {filters.late_from or 'start'} of the course"
        yield f"Only {filters.window} events count: {limit} {count_noun(days, 'day')} from {day}."
    if filters.emergent:
        yield "Only grades above that of the same term at baseline count, of everybody."


def describe_related(related: IncidenceReading, attribution_missing: int) -> Iterator[str]:
    """Yields the incidences of what is related to radiotherapy, and the events that no attribution states."""
    yield from describe_incidences(related.groups, EVENT_NOUN, COMPETING_WORDS, "Related to radiotherapy: ")
    yield from describe_rate(related.rate, "Rate of what is related")
    if attribution_missing:
        yield f"Related for want of any attribution: {count_noun(attribution_missing, 'event')}."


def describe_deaths(deaths: int | None) -> Iterator[str]:
    """Yields the deaths long after the last adequate assessment."""
    if deaths:
        noun = count_noun(deaths, "death")
        yield f"{noun} without severe toxicity had no adequate assessment in the 183 days before."


def describe_versions(are_several: bool) -> Iterator[str]:
    """Yields what there is no curve of, if participants were graded in several versions of CTCAE."""
    if are_several:
        yield "No curve is of several versions of CTCAE; participants graded in several have none."


def describe_sensitivity(lines: Sequence[SensitivityLine]) -> Iterator[str]:
    """Yields what the figure would be by other readings of the vital status."""
    for line in lines:
        yield f"With {READING_WORDS[line.name]}: {line.events} of {count_noun(line.participants, 'participant')}."
