"""Small random cohorts with ties, delayed entries and several causes, for slow and obvious estimators."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import strategies as st

from services.analytics.statistics.risk_sets import Observations, observe


class Person(NamedTuple):
    """Times at risk of a participant; an entry of 0 stands for at risk from day 0 on, that day included."""

    entry: int
    exit: int
    cause: int
    group: int

    def is_at_risk(self, day: int) -> bool:
        return (self.entry < day or self.entry == 0) and day <= self.exit


@st.composite
def _persons(draw: st.DrawFn, causes: int, entries: bool) -> Person:
    left = draw(st.integers(0, 12))
    entry = draw(st.integers(0, max(0, left - 1))) if entries else 0
    return Person(entry, left, draw(st.integers(0, causes)), draw(st.integers(0, 2)))


def people(causes: int = 2, entries: bool = True, at_least: int = 1) -> st.SearchStrategy[list[Person]]:
    return st.lists(_persons(causes, entries), min_size=at_least, max_size=20)


def observations(persons: list[Person]) -> Observations:
    return observe(
        [person.exit for person in persons],
        [person.cause for person in persons],
        [person.entry for person in persons],
    )
