"""Sentences of captions of survival and of incidence: the test of groups, and risk sets that are emptied. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from services.analytics.wording.phrasing import count_noun

_TEST_NAMES = {"Gray": "Gray's"}


class Comparison(Protocol):
    """A test of the groups of a figure, with null where it is not defined."""

    @property
    def name(self) -> str: ...
    @property
    def statistic(self) -> float | None: ...
    @property
    def df(self) -> int: ...
    @property
    def p(self) -> float | None: ...


def describe_comparison(test: Comparison | None) -> Iterator[str]:
    """Yields the test of the groups, if there is one and it is defined."""
    if test and test.statistic is not None and test.p is not None:
        p = "p < 0.001" if test.p < 0.001 else f"p = {test.p:.3f}"
        freedom = f"{count_noun(test.df, 'degree')} of freedom"
        yield f"{_TEST_NAMES.get(test.name, test.name)} test: chi-square {test.statistic:.2f}, {freedom}, {p}."


def describe_emptied_groups(emptied: Mapping[str, tuple[int, int] | None], event: str, result: str) -> Iterator[str]:
    """Yields a sentence for each group in which everybody at risk had an event before others entered.

    `emptied`: the day on which it happened, and how many entered later, by group. `result`: what the curve does then.
    """
    for name, day_and_later in emptied.items():
        if day_and_later:
            day, later = day_and_later
            beginning = f"{name}: " if len(emptied) > 1 else ""
            yield (
                f"{beginning}Everybody at risk on day {day} had {event}, so {result}; "
                f"{count_noun(later, 'participant')} entered later."
            )
