"""Cohorts for endpoints: participants as facts, with days counted from a common day 0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

from services.analytics.endpoints.overall_survival import overall_survival
from services.analytics.endpoints.time_to_event import EndpointTimes
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import StudySnapshot
from shared.kernel.fact import Fact
from shared.kernel.record import Record
from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as follow_up
from shared.testing.builders.participant_history import participant_events
from tests.unit.analytics.published_cases import CASE_NUMBERS, published_case_events
from tests.unit.analytics.support import STUDY, day_after_start, single_fraction, snapshot_of_events

KNOWN_ON = date(2030, 1, 1)
FOUR_CASES_CUT = date(2025, 1, 31)


def treated(*more: Fact, start: int = 0, enrolled: int = 0, site: str = "rome", sex: str = "female") -> list[Fact]:
    """Returns the facts of a participant whose index course starts on a day, and more of them."""
    consented = min(start, enrolled)
    return [
        facts.participant_screened(consented, site_id=site, sex=sex),
        facts.consent_signed(consented),
        facts.participant_enrolled(enrolled),
        facts.radiotherapy_started(start),
        *more,
    ]


def alive(*days: int) -> list[Fact]:
    """Returns contacts on these days."""
    return [follow_up.follow_up_recorded(day) for day in days]


def dead(day: int | None, **changes: Any) -> Fact:
    return follow_up.participant_died(day, **changes)


def stereotactic_course(day: int, name: str = "SRT") -> Fact:
    """Returns a course, not the index course, with a stereotactic target that names no lesion."""
    return facts.radiotherapy_started(day, name, single_fraction("SRS"), index=False)


def cohort_of(
    participants: Mapping[str, Sequence[Fact]] | Sequence[Sequence[Fact]],
    excluded: Sequence[str] = (),
    study: Record = STUDY,
) -> StudySnapshot:
    """Returns the snapshot of participants, who are named P00, P01, … if they have no names."""
    if not isinstance(participants, Mapping):
        participants = {f"P{number:02}": stated for number, stated in enumerate(participants)}
    events = [
        event for name, stated in participants.items() for event in participant_events(stated, name, known_on=KNOWN_ON)
    ]
    return snapshot_of_events(events, study, excluded=excluded)


def four_cases() -> StudySnapshot:
    """Returns the four published cases."""
    return snapshot_of_events([event for number in CASE_NUMBERS for event in published_case_events(number)])


class Time(NamedTuple):
    """A time at risk in days from the origin. `entry`: 0 for at risk from day 0 on. `is_event`: not censored."""

    entry: int
    exit: int
    is_event: bool


def selection(cut: int | date, **changes: Any) -> Selection:
    """Returns a selection at a cut-off, which is given as a day or as days from the common day 0."""
    return Selection(cut if isinstance(cut, date) else day_after_start(cut), **changes)


def times_of(times: EndpointTimes, group: str | None = None) -> list[Time]:
    """Returns the times of a group, or of all, in the order of the participants."""
    observations = times.observations
    entries = [0] * len(observations) if observations.entries is None else observations.entries.tolist()
    rows = zip(
        times.subjects.tolist(),
        times.groups.tolist(),
        entries,
        observations.exits.tolist(),
        observations.causes.tolist(),
        strict=True,
    )
    chosen = sorted(
        (subject, max(0, entry), exit_, cause) for subject, name, entry, exit_, cause in rows if group in (None, name)
    )
    return [Time(entry, exit_, bool(cause)) for _, entry, exit_, cause in chosen]


def survival_times(cut: int | date, *participants: Sequence[Fact], **changes: Any) -> list[Time]:
    """Returns the times of overall survival of participants at a cut-off."""
    return times_of(overall_survival(cohort_of(participants), selection(cut, **changes)))
