"""The table of an incidence figure: a row for every row of a curve. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from services.analytics.figures.incidence_numbers import IncidenceGroup, IncidenceRow

INCIDENCE_HEADER = [
    "Group",
    "Day",
    "At risk",
    "Events",
    "Competing events",
    "Censored",
    "Incidence",
    "Lower limit",
    "Upper limit",
    "Competing incidence",
    "Event-free",
]


def incidence_rows(groups: Sequence[IncidenceGroup]) -> Iterator[list[str]]:
    """Yields a row of cells for every row of every curve; a number that is not defined is an empty cell."""
    for group in groups:
        for row in group.curve:
            yield [group.name, *("" if value is None else str(value) for value in _values(row))]


def _values(row: IncidenceRow) -> tuple[float | None, ...]:
    competing = None if row.events_by_cause is None else sum(row.events_by_cause.values())
    counts = (row.time, row.at_risk, row.events, competing, row.censored)
    return (*counts, row.estimate, row.lower, row.upper, row.competing, row.event_free)
