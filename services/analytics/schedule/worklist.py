"""The order of the worklist: groups of visits by what they await, and the key at which a page begins. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date
from typing import Literal, NamedTuple, TypeVar, get_args

from shared.protocol.visit_status import StateReason, VisitState

WorklistGroup = VisitState | Literal["no_schedule"]
GROUPS: tuple[WorklistGroup, ...] = (
    "overdue",
    "due",
    "planned",
    "missed",
    "done_late",
    "done",
    "not_applicable",
    "no_schedule",
)
"""The groups in the order of the list. `no_schedule` has the enrolled participants who have no visits yet."""
PAST_STATES: frozenset[WorklistGroup] = frozenset({"missed", "done_late", "done", "not_applicable"})
"""States that await nothing: the visits with the latest windows come first, those of other states last."""
VISIT_STATES: tuple[VisitState, ...] = get_args(VisitState)
DEFAULT_GROUPS: frozenset[WorklistGroup] = frozenset({"overdue", "due", "planned", "no_schedule"})
OPENING_DAYS = 14
"""Days ahead within which a planned visit opens that the list has unless states are requested."""
_KEY = re.compile(r"([a-z_]+)\.(\d{4}-\d{2}-\d{2})\.([0-9A-Z-]{1,11})\.(\d{1,9})")


class WorklistKey(NamedTuple):
    """The place of an entry in its group. `day`: the end of the window, or for `no_schedule` the enrollment."""

    group: WorklistGroup
    day: date
    participant_id: str
    sequence: int

    def __str__(self) -> str:
        return f"{self.group}.{self.day}.{self.participant_id}.{self.sequence}"

    @classmethod
    def parse(cls, text: str) -> WorklistKey:
        """Reads the text of a key. Raises ValueError."""
        match = _KEY.fullmatch(text)
        group = next((name for name in GROUPS if match and name == match[1]), None)
        if match is None or group is None:
            raise ValueError("This is no key of the worklist.")
        return cls(group, date.fromisoformat(match[2]), match[3], int(match[4]))


@dataclass(frozen=True, slots=True, kw_only=True)
class WorklistVisit:
    """A planned visit of a participant at the current site, as it is counted on the site's `today`.

    `sequence`: its number among the derived visits of the participant. `schedule`: the code of the schedule's word.
    `declared_on`: the day of a contact outside the slot that the site takes for this visit. `scheduled_on`: the day of
    the appointment.
    """

    participant_id: str
    site_id: str
    sequence: int
    schedule: int
    number: int
    opens: date
    target: date
    closes: date
    slot_ends: date
    declared_on: date | None
    scheduled_on: date | None
    today: date
    state: VisitState
    reason: StateReason | None

    @property
    def days(self) -> int:
        """Days from the site's today to the target; negative when it has passed."""
        return (self.target - self.today).days

    @property
    def key(self) -> WorklistKey:
        return WorklistKey(self.state, self.closes, self.participant_id, self.sequence)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnscheduledParticipant:
    """An enrolled participant in follow-up without visits: no end of radiotherapy is recorded."""

    participant_id: str
    site_id: str
    enrolled_on: date
    today: date

    @property
    def key(self) -> WorklistKey:
        return WorklistKey("no_schedule", self.enrolled_on, self.participant_id, 0)

    @property
    def days(self) -> int:
        """Days since the enrollment."""
        return (self.today - self.enrolled_on).days


WorklistEntry = WorklistVisit | UnscheduledParticipant
E = TypeVar("E", bound=WorklistEntry)


def in_order(entries: Iterable[E]) -> list[E]:
    """Returns entries in the order of the list: by group, then by day, participant and sequence.

    Groups of past visits are in reverse, the latest first.
    """
    by_group: dict[WorklistGroup, list[E]] = {group: [] for group in GROUPS}
    for entry in entries:
        by_group[entry.key.group].append(entry)
    return [
        entry
        for group, members in by_group.items()
        for entry in sorted(members, key=lambda member: member.key, reverse=group in PAST_STATES)
    ]


def is_beyond(key: WorklistKey, after: WorklistKey | None) -> bool:
    """Returns whether an entry comes after the key `after` in the order of the list; None comes before everything."""
    if after is None:
        return True
    if key.group != after.group:
        return GROUPS.index(key.group) > GROUPS.index(after.group)
    return key < after if key.group in PAST_STATES else key > after


def remaining_groups(groups: Collection[WorklistGroup], after: WorklistKey | None) -> list[WorklistGroup]:
    """Returns these groups in the order of the list, without those before that of the key."""
    first = GROUPS.index(after.group) if after else 0
    return [group for group in GROUPS[first:] if group in groups]
