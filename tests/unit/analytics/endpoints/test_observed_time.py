"""The times of a survival curve in which more than half of the living have no recent proof of life."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.endpoints.observed_time import LivingByDay

RECENT = 100


def count(*times: tuple[int, int], recent: int = RECENT) -> LivingByDay:
    """Counts of participants with these days to the cut-off and to the last proof of life."""
    possible, alive = np.array(times, dtype=np.int64).reshape(-1, 2).T
    return LivingByDay.count(possible, alive, recent)


@pytest.mark.parametrize(
    ("times", "spans"),
    [
        ([], []),
        ([(300, 300), (300, 200)], []),
        ([(300, 199)], [(300, 300)]),
        ([(300, 150), (300, 0)], [(251, 300)]),  # one of two from day 101 on is no more than half
        ([(300, 300), (300, 150), (300, 0)], [(251, 300)]),
        ([(300, 300), (200, 50), (200, 0)], [(151, 200)]),  # two of three until day 200, nobody after it
    ],
)
def test_curve_is_marked_where_more_than_half_of_the_living_have_no_recent_proof_of_life(
    times: list[tuple[int, int]], spans: list[tuple[int, int]]
) -> None:
    assert list(count(*times).spans(last=300)) == spans


def test_marks_end_with_the_curve() -> None:
    assert list(count((300, 0)).spans(last=120)) == [(101, 120)]
    assert list(count((300, 0)).spans(last=90)) == []


def test_counts_of_a_publication_are_rounded_down() -> None:
    living = count(*[(300, 0)] * 4, (300, 300))
    assert living.at(300)
    assert not living.at(300, multiple=5)
    assert not living.at(301)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60))), st.integers(1, 40))
def test_counts_are_those_of_the_definition(pairs: list[tuple[int, int]], recent: int) -> None:
    times = [(possible, min(possible, alive)) for possible, alive in pairs]
    counts = count(*times, recent=recent)
    for day in range(max((possible for possible, _ in times), default=0) + 1):
        living = [alive for possible, alive in times if possible >= day]
        outdated = [alive for alive in living if alive < day - recent]
        assert (counts.living[day], counts.not_current[day]) == (len(living), len(outdated))
        assert counts.at(day) is (2 * len(outdated) > len(living))
