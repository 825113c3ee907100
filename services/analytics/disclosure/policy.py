"""The smallest group that readers are shown, and the divisions of a figure that may be published. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date

from shared.contracts.study import SiteActivated
from shared.gate.study_timeline import protocol_on
from shared.kernel.record import Record

READER_EVENT = "cut"
"""The only live event of readers: there is a new data cut."""
LEAST_MINIMUM = 2
"""The smallest group of a protocol that sets none: a group of one is never shown."""


@dataclass(frozen=True, slots=True)
class GroupSize:
    """The participants of one group of a division, and its events; None for a figure without events."""

    participants: int
    events: int | None = None


def smallest_group(study: Record, cut_on: date) -> int:
    """Returns the participants that a group needs by the protocol in force on the day of the cut, at least 2.

    `study`: the study's own facts at the position of the cut.
    """
    return max(LEAST_MINIMUM, protocol_on(study, cut_on).small_cell)


def may_divide(groups: Iterable[GroupSize], minimum: int) -> bool:
    """Returns whether every group that is not empty has at least `minimum` participants, and as many events.

    A narrowing is a division into the part that is shown and the rest. A division of two participants is never
    published: with a minimum of 2 the refusal alone would say that there is one in each group.
    """
    occupied = [group for group in groups if group.participants]
    is_large_enough = all(
        group.participants >= minimum and (group.events is None or group.events >= minimum) for group in occupied
    )
    return is_large_enough and sum(group.participants for group in occupied) != LEAST_MINIMUM


def has_two_sites(study: Record, groups: Collection[GroupSize]) -> bool:
    """Returns whether two sites share the participants: each could subtract its own from a division by site.

    The study has two sites, or two of its sites have participants. `groups`: those of the division by site.
    """
    activated = {activation.site_id for activation in study.facts_of(SiteActivated)}
    occupied = [group for group in groups if group.participants]
    return 2 in (len(activated), len(occupied))
