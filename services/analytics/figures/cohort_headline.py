"""The numbers that the cohort page shows before all figures: participants, events, follow-up and its currency. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from services.analytics.figures.figure import Headline

_NUMBERS: tuple[tuple[str, str, str], ...] = (
    ("flow", "enrolled", "enrolled"),
    ("overall-survival", "deaths", ""),
    ("follow-up", "median", "months of follow-up (median)"),
    ("follow-up", "current", ""),
)
"""Figure, name of the number in its headline, and words in place of those of the figure."""
HEADLINE_FIGURES = frozenset(figure for figure, _, _ in _NUMBERS)


def cohort_headline(headlines: Mapping[str, Headline]) -> Headline:
    """Returns the numbers of the figures that are shown. `headlines`: those of figures by name."""
    return list(_numbers(headlines))


def _numbers(headlines: Mapping[str, Headline]) -> Iterator[tuple[str, str, str]]:
    for figure, name, own_words in _NUMBERS:
        for number, value, words in headlines.get(figure, []):
            if number == name:
                yield f"{figure}-{name}", value, own_words or words
