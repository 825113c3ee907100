"""Divisions of a figure that readers may see: small groups cannot be told from the answer, nor from its refusal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta
from itertools import product
from uuid import uuid4

import pytest

from services.analytics.disclosure.policy import GroupSize, has_two_sites, may_divide, smallest_group
from shared.kernel.fact import Fact, StatedFact
from shared.kernel.record import Record
from shared.testing.builders import facts


def study(*later_facts: Fact, small_cell: int = 5) -> Record:
    opened = facts.study_opened(facts.protocol(small_cell=small_cell))
    return Record(tuple(StatedFact(uuid4(), fact) for fact in (opened, *later_facts)))


def sizes(*participants: int) -> list[GroupSize]:
    return [GroupSize(count) for count in participants]


def publication(table: tuple[int, ...], minimum: int) -> tuple[int, tuple[int, ...] | None]:
    """Returns what readers see: the total, which is always shown, and the table; None where it is refused."""
    return sum(table), table if may_divide(sizes(*table), minimum) else None


@pytest.mark.parametrize("minimum", [2, 3, 5, 7, 10])
@pytest.mark.parametrize("groups", [2, 3, 4])
def test_every_small_count_has_another_value_with_the_same_publication(groups: int, minimum: int) -> None:
    counts_by_publication: dict[object, list[set[int]]] = defaultdict(lambda: [set() for _ in range(groups)])
    for table in product(range(11), repeat=groups):
        for values, count in zip(counts_by_publication[publication(table, minimum)], table, strict=True):
            values.add(count)
    determined = [
        (published_counts, values)
        for published_counts, counts in counts_by_publication.items()
        for values in counts
        if len(values) == 1 and 0 < min(values) < minimum
    ]
    assert determined == []


def test_rule_that_blanks_small_counts_would_be_found() -> None:
    """Blanking the small counts of (1, 1, 20), and showing their total, says that both are 1."""

    def blanked(table: Iterable[int]) -> tuple[int, tuple[int | None, ...]]:
        counts = list(table)
        return sum(counts), tuple(None if 0 < count < 5 else count for count in counts)

    tables = [table for table in product(range(21), repeat=3) if blanked(table) == blanked((1, 1, 20))]
    assert tables == [(1, 1, 20)]


@pytest.mark.parametrize(
    ("table", "is_shown"),
    [
        ((5, 5), True),
        ((4, 20), False),
        ((3, 177), False),
        ((0, 5), True),
        ((0, 4), False),
        ((5, 5, 4), False),
        ((0, 0), True),
        ((), True),
    ],
)
def test_division_is_shown_only_if_every_occupied_group_is_large_enough(table: tuple[int, ...], is_shown: bool) -> None:
    assert may_divide(sizes(*table), 5) is is_shown


def test_group_with_few_events_is_refused_however_many_participants_it_has() -> None:
    assert may_divide([GroupSize(20, 5), GroupSize(30, 9), GroupSize(0, 0)], 5)
    assert not may_divide([GroupSize(20, 4), GroupSize(30, 9)], 5)
    assert not may_divide([GroupSize(20, 0)], 5)


@pytest.mark.parametrize(("small_cell", "minimum"), [(0, 2), (1, 2), (2, 2), (3, 3), (5, 5), (100, 100)])
def test_smallest_group_is_at_least_two(small_cell: int, minimum: int) -> None:
    assert smallest_group(study(small_cell=small_cell), facts.START_DATE) == minimum


def test_smallest_group_is_that_of_the_protocol_in_force_on_the_day_of_the_cut() -> None:
    amended = study(facts.protocol_amended(9, facts.protocol(small_cell=12)))
    days = [facts.START_DATE + timedelta(days=day) for day in (8, 9)]
    assert [smallest_group(amended, day) for day in days] == [5, 12]


@pytest.mark.parametrize(
    ("sites", "table", "are_two"),
    [
        ("a", (9,), False),
        ("ab", (9, 8), True),
        ("ab", (9,), True),
        ("abc", (9, 8, 7), False),
        ("abc", (9, 8), True),
        ("abc", (9, 8, 0), True),
        ("abc", (9,), False),
    ],
)
def test_only_two_sites_can_subtract_themselves_from_each_other(
    sites: str, table: tuple[int, ...], are_two: bool
) -> None:
    assert has_two_sites(study(*map(facts.site_activated, sites)), sizes(*table)) is are_two
