"""The checks of a protocol's follow-up plan when a study is opened or amended: windows of visits, and what is fixed.

They are made by the gate, of what is stated from now on: a protocol that was recorded before stays readable.
"""

from __future__ import annotations

from collections.abc import Iterator

from shared.contracts.study import ProtocolAmended, StudyOpened
from shared.gate.study_timeline import protocol_periods
from shared.kernel.fact import Fact
from shared.kernel.objection import Objection, ProblemType
from shared.kernel.record import Record
from shared.protocol.protocol import FollowUpPlan, Protocol
from shared.protocol.schedule import PlanPeriod
from shared.protocol.window_overlap import windows_overlap, windows_overlap_at_change

WINDOWS_OVERLAP = ProblemType(
    "windows-overlap",
    "The windows of two visits overlap. Make the windows shorter, or the time between visits longer.",
)
WINDOWS_OVERLAP_AFTER_COURSE = ProblemType(
    "windows-overlap",
    "The windows of two visits overlap if a later course ends on the day on which a visit opens, from which the next "
    "one is counted. Make the windows shorter, or the time between visits longer.",
)
WINDOWS_OVERLAP_AT_CHANGE = ProblemType(
    "windows-overlap",
    "The window of the last visit by one protocol overlaps that of the first visit by the protocol that follows it. "
    "Make the windows of the amendment shorter.",
)
SCHEDULE_FIXED = ProblemType(
    "schedule-fixed",
    "The schedule of a study keeps this value: visits that are counted would change their numbers. Give the value of "
    "the protocol with which the study was opened.",
)

FIXED_MEMBERS = ("every_months", "anchor", "anchor_policy")
_PLAN = "/protocol/follow_up"
_WINDOWS = f"{_PLAN}/window_days"


def plan_objections(study: Record, fact: Fact) -> Iterator[Objection]:
    """Yields the objections to the follow-up plan of an opening or an amendment; none for other facts.

    `study`: the study's own facts, with this one.
    """
    match fact:
        case StudyOpened(protocol=protocol):
            yield from _check_windows(protocol.follow_up)
        case ProtocolAmended(protocol=protocol):
            fixed = list(_check_fixed_members(study, protocol.follow_up))
            yield from fixed or _check_changes(study, protocol)
            yield from _check_windows(protocol.follow_up)


def _check_windows(plan: FollowUpPlan) -> Iterator[Objection]:
    if windows_overlap(plan):
        overlap = WINDOWS_OVERLAP_AFTER_COURSE if plan.anchor_policy == "latest" else WINDOWS_OVERLAP
        yield overlap.objection(pointer=_WINDOWS)


def _check_fixed_members(study: Record, plan: FollowUpPlan) -> Iterator[Objection]:
    for opened in study.facts_of(StudyOpened)[:1]:
        for name in FIXED_MEMBERS:
            if getattr(plan, name) != getattr(opened.protocol.follow_up, name):
                yield SCHEDULE_FIXED.objection(pointer=f"{_PLAN}/{name}")


def _check_changes(study: Record, protocol: Protocol) -> Iterator[Objection]:
    """Compares the windows of an amendment with those of the protocols in force before and after it."""
    periods = protocol_periods(study)
    plans = [PlanPeriod(period.protocol.follow_up, period.first_day, period.last_day) for period in periods]
    for index, period in enumerate(periods):
        if period.protocol is protocol:
            before = any(windows_overlap_at_change(earlier, plans[index]) for earlier in plans[:index])
            after = any(windows_overlap_at_change(plans[index], later) for later in plans[index + 1 :])
            if before or after:
                yield WINDOWS_OVERLAP_AT_CHANGE.objection(pointer=_WINDOWS)
