"""Editions: which of a study's data cuts a divided figure was last published with. Pure.

Two publications of a division are compared by their readers. A division is therefore published anew only if in every
group nobody changed, or enough participants that no change can be traced to one of them. Otherwise readers get the
last edition again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from services.analytics.disclosure.policy import GroupSize


@dataclass(frozen=True, slots=True)
class Membership:
    """The group of one participant in a division, and what the figure shows of them there.

    `entered_on` is the first day that counts. `exit_on` and `status` say how long, and what happened then; a figure
    that shows neither leaves them out.
    """

    group: str
    entered_on: date
    exit_on: date | None = None
    status: str = ""


Members = Mapping[str, Membership]
"""The participants of a division by their ids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DividedCut:
    """A division at a data cut.

    `members`: its participants, without those who were excluded from every analysis when the cut was taken. `minimum`:
    the smallest group then. `may_divide`: whether its groups were large enough. `is_complete`: whether all of its
    participants may still be analyzed today.
    """

    members: Members
    minimum: int
    may_divide: bool
    is_complete: bool = True


def find_edition(cuts: Sequence[DividedCut]) -> int | None:
    """Returns the index of the cut whose division readers see once the last of these cuts, by position, is taken.

    None: the division was never published, or its last edition is not complete. That edition cannot be computed again,
    and without the participants excluded since it would differ by them from what its readers have.
    """
    editions: list[int] = []
    for index, cut in enumerate(cuts):
        if cut.may_divide and all(_may_follow(cuts[earlier], cut) for earlier in editions):
            editions.append(index)
    return editions[-1] if editions and cuts[editions[-1]].is_complete else None


def group_sizes(members: Members) -> list[GroupSize]:
    """Returns the size of every group. A figure has events if its members have exits; an exit with a status is one."""
    participants = Counter(membership.group for membership in members.values())
    events = Counter(membership.group for membership in members.values() if membership.exit_on and membership.status)
    has_events = any(membership.exit_on for membership in members.values())
    return [GroupSize(count, events[group] if has_events else None) for group, count in participants.items()]


def count_changes(earlier: Members, later: Members) -> Counter[str]:
    """Returns for each group how many participants entered it, left it or changed in it."""
    changes = Counter[str]()
    for participant_id in earlier.keys() | later.keys():
        before, after = earlier.get(participant_id), later.get(participant_id)
        if before != after:
            changes.update({membership.group for membership in (before, after) if membership})
    return changes


def _may_follow(edition: DividedCut, cut: DividedCut) -> bool:
    """Returns whether every group differs from the edition by nobody, or by as many as the smallest group has."""
    return all(changes >= cut.minimum for changes in count_changes(edition.members, cut.members).values())
