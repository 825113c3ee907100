"""Editions of a division: no two of them differ in a group by a few participants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from services.analytics.disclosure.editions import (
    DividedCut,
    Edition,
    Members,
    Membership,
    count_changes,
    find_edition,
)
from services.analytics.disclosure.policy import GroupSize, may_divide

DAY, LATER, CUT_ON = date(2024, 1, 1), date(2024, 2, 1), date(2024, 6, 20)
MINIMUM = 5
MEMBERSHIPS = st.builds(
    Membership,
    group=st.sampled_from(["a", "b", "c"]),
    entered_on=st.sampled_from([DAY, LATER]),
    status=st.sampled_from(["", "died"]),
)
HISTORIES = st.lists(st.dictionaries(st.integers(0, 40).map(str), MEMBERSHIPS, max_size=40), min_size=1, max_size=8)
"""The participants of a division at each cut, by their ids."""


def members(**counts: int) -> Members:
    return {f"{group}{index}": Membership(group, DAY) for group, count in counts.items() for index in range(count)}


def divided_cut(participants: Members, minimum: int = MINIMUM, *, is_complete: bool = True) -> DividedCut:
    groups = {membership.group for membership in participants.values()}
    sizes = [GroupSize(sum(participant.group == group for participant in participants.values())) for group in groups]
    return DividedCut(
        cut_on=CUT_ON,
        members=participants,
        minimum=minimum,
        may_divide=may_divide(sizes, minimum),
        is_complete=is_complete,
    )


def editions_of(history: list[Members]) -> list[int | None]:
    """Returns the edition that readers see at each cut."""
    cuts = [divided_cut(participants) for participants in history]
    editions = [find_edition(cuts[: index + 1], without_days) for index in range(len(cuts))]
    return [edition.index if edition else None for edition in editions]


def without_days(cut: DividedCut, editions: Sequence[Edition]) -> tuple[date, ...]:
    """The days of a figure that shows no counts over time."""
    return ()


def test_division_is_published_anew_once_enough_participants_entered() -> None:
    history = [members(a=5 + entered, b=7) for entered in (0, 1, 4, 5, 9, 10)]
    assert editions_of(history) == [0, 0, 0, 3, 3, 5]


def test_division_is_published_anew_if_nothing_changed() -> None:
    assert editions_of([members(a=5, b=7), members(a=5, b=7)]) == [0, 1]


def test_one_group_with_few_newcomers_holds_back_the_others() -> None:
    assert editions_of([members(a=5, b=7), members(a=50, b=8)]) == [0, 0]


def test_division_with_a_small_group_is_not_published() -> None:
    assert editions_of([members(a=4, b=7), members(a=5, b=7), members(a=4, b=20)]) == [None, 1, 1]


def test_participants_who_left_and_others_who_came_are_not_offset() -> None:
    before = members(a=10)
    after = {name: membership for name, membership in members(a=12).items() if name not in ("a0", "a1")}
    assert len(after) == 10
    assert count_changes(before, after) == {"a": 4}
    assert editions_of([before, after]) == [0, 0]


def test_return_to_nearly_an_earlier_edition_is_held_back() -> None:
    """Five changed with the second cut; four of them changed back, and another one changed. Nobody differs but two."""
    first = members(a=12)
    died = {name: replace(membership, status="died") for name, membership in first.items()}
    second = {**first, **{name: died[name] for name in ("a0", "a1", "a2", "a3", "a4")}}
    third = {**first, "a4": died["a4"], "a5": died["a5"]}
    assert [count_changes(earlier, third)["a"] for earlier in (first, second)] == [2, 5]
    assert editions_of([first, second, third]) == [0, 1, 1]


def test_participant_who_changes_the_group_counts_in_both() -> None:
    moved = {**members(a=10, b=10), "a0": Membership("b", DAY)}
    assert count_changes(members(a=10, b=10), moved) == {"a": 1, "b": 1}


def test_change_of_exit_or_status_counts() -> None:
    before = members(a=10)
    for changed in (replace(before["a0"], status="died"), replace(before["a0"], exit_on=LATER)):
        assert count_changes(before, {**before, "a0": changed}) == {"a": 1}


def test_edition_of_which_somebody_was_excluded_since_is_refused() -> None:
    complete, incomplete = divided_cut(members(a=5)), divided_cut(members(a=10), is_complete=False)
    assert find_edition([complete, incomplete], without_days) is None
    assert find_edition([complete], without_days) == Edition(0, complete, ())


@given(HISTORIES)
def test_two_editions_differ_in_a_group_by_nobody_or_by_enough(history: list[Members]) -> None:
    editions = {edition for edition in editions_of(history) if edition is not None}
    for earlier, later in combinations(sorted(editions), 2):
        assert all(changes >= MINIMUM for changes in count_changes(history[earlier], history[later]).values())


@given(HISTORIES)
def test_edition_does_not_depend_on_later_cuts(history: list[Members]) -> None:
    assert editions_of(history)[: len(history) - 1] == editions_of(history[:-1])
    assert all(edition is None or edition <= index for index, edition in enumerate(editions_of(history)))


@given(HISTORIES, st.integers(1, MINIMUM - 1), st.sampled_from(["a", "b", "c"]))
def test_few_newcomers_since_the_last_edition_do_not_show(history: list[Members], newcomers: int, group: str) -> None:
    history = [members(a=6, b=7, c=8), *history]
    edition = editions_of(history)[-1]
    assert edition is not None
    later = {**history[edition], **{f"new{index}": Membership(group, LATER) for index in range(newcomers)}}
    assert editions_of([*history, later])[-1] == edition
