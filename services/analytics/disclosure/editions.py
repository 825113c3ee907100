"""Editions: which of a study's data cuts a divided figure was last published with. Pure.

Two publications of a division are compared by their readers. A division is therefore published anew only if in every
group nobody changed, or enough participants that no change can be traced to one of them. Otherwise readers get the
last edition again. The same holds for every day at whose end a figure shows how many there are: between any two counts
of two editions, nobody or enough participants came, left or changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from services.analytics.disclosure.policy import GroupSize


@dataclass(frozen=True, slots=True)
class Membership:
    """The group of one participant in a division, and what the figure shows of them there.

    `entered_on` is the first day that counts. `exit_on` and `status` say how long, and what happened then; a figure
    that shows neither leaves them out. `at_risk_from` is the day of a delayed entry. `earlier_group` is the group that
    the participant was in before reaching `group`, in which the figure shows them too.
    """

    group: str
    entered_on: date
    exit_on: date | None = None
    status: str = ""
    at_risk_from: date | None = None
    earlier_group: str = ""

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups in which the participant is shown."""
        return (self.group, self.earlier_group) if self.earlier_group else (self.group,)


Members = Mapping[str, Membership]
"""The participants of a division by their ids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DividedCut:
    """A division at a data cut.

    `cut_on`: its last day. `members`: its participants, without those who were excluded from every analysis when the
    cut was taken. `minimum`: the smallest group then. `may_divide`: whether its groups were large enough.
    `is_complete`: whether all of its participants may still be analyzed today.
    """

    cut_on: date
    members: Members
    minimum: int
    may_divide: bool
    is_complete: bool = True


@dataclass(frozen=True, slots=True)
class Edition:
    """A division as it was published: the index of its cut, and the days at whose end it shows counts, if any."""

    index: int
    cut: DividedCut
    days: tuple[date, ...]


ShownDays = Callable[[DividedCut, Sequence[Edition]], tuple[date, ...] | None]
"""Chooses the days at whose end a division shows counts, after the earlier editions; None: it shows none safely."""


def find_edition(cuts: Sequence[DividedCut], shown_days: ShownDays) -> Edition | None:
    """Returns the edition that readers see once the last of these cuts, by position, is taken.

    None: the division was never published, or its last edition is not complete. That edition cannot be computed again,
    and without the participants excluded since it would differ by them from what its readers have.
    """
    editions = list[Edition]()
    for index, cut in enumerate(cuts):
        if cut.may_divide and all(_may_follow(earlier.cut, cut) for earlier in editions):
            days = shown_days(cut, editions)
            if days is not None:
                editions.append(Edition(index, cut, days))
    return editions[-1] if editions and editions[-1].cut.is_complete else None


class DayComparison:
    """Compares how many participants of a division are shown on a day with what an earlier edition shows."""

    def __init__(self, edition: Edition, cut: DividedCut) -> None:
        earlier, later = edition.cut.members, cut.members
        names = sorted(earlier.keys() | later.keys())
        groups = sorted({membership.group for members in (earlier, later) for membership in members.values()})
        codes = {group: code for code, group in enumerate(groups)}
        self._minimum, self._group_count = cut.minimum, len(groups)
        self._days = [day.toordinal() for day in edition.days]
        self._earlier, self._later = (_columns(members, names, codes) for members in (earlier, later))

    def allows(self, day: date) -> bool:
        """Returns whether from each count of the edition to that of the day nobody changed in a group, or enough."""
        (earlier_groups, earlier_days), (later_groups, later_days) = self._earlier, self._later
        is_in_later = later_days <= day.toordinal()
        for earlier_day in self._days:
            is_in_earlier = earlier_days <= earlier_day
            stays = is_in_earlier & is_in_later & (earlier_groups == later_groups)
            left, came = earlier_groups[is_in_earlier & ~stays], later_groups[is_in_later & ~stays]
            changes = np.bincount(np.concatenate([left, came]), minlength=self._group_count)
            if np.any((changes > 0) & (changes < self._minimum)):
                return False
        return True


def _columns(
    members: Members, names: Sequence[str], codes: Mapping[str, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns the group and the first day of each participant; those who are no members never begin."""
    memberships = [members.get(name) for name in names]
    never = date.max.toordinal() + 1
    return (
        np.array([codes[membership.group] if membership else -1 for membership in memberships], dtype=np.int64),
        np.array(
            [membership.entered_on.toordinal() if membership else never for membership in memberships], dtype=np.int64
        ),
    )


def group_sizes(members: Members) -> list[GroupSize]:
    """Returns the size of every group. A figure has events if its members have exits; an exit with a status is one."""
    participants = Counter(membership.group for membership in members.values())
    events = Counter(membership.group for membership in members.values() if membership.exit_on and membership.status)
    has_events = any(membership.exit_on for membership in members.values())
    return [GroupSize(count, events[group] if has_events else None) for group, count in participants.items()]


def part_sizes(members: Members) -> list[int]:
    """Returns how many participants are shown in the same groups, for each combination of groups.

    Groups that share participants tell of these parts: their sum, less all participants, is how many they share.
    """
    return [*Counter(membership.groups for membership in members.values()).values()]


def count_changes(earlier: Members, later: Members) -> Counter[str]:
    """Returns for each group how many participants entered it, left it or changed in it."""
    changes = Counter[str]()
    for participant_id in earlier.keys() | later.keys():
        before, after = earlier.get(participant_id), later.get(participant_id)
        if before != after:
            changes.update({group for membership in (before, after) if membership for group in membership.groups})
    return changes


def _may_follow(edition: DividedCut, cut: DividedCut) -> bool:
    """Returns whether every group differs from the edition by nobody, or by as many as the smallest group has."""
    return all(changes >= cut.minimum for changes in count_changes(edition.members, cut.members).values())
