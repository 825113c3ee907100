"""Participants with lesions, courses that name them, and contacts that image them, as facts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, NamedTuple

from services.analytics.endpoints.local_control import LesionTimes, local_control
from services.analytics.snapshot.snapshot import StudySnapshot
from shared.kernel.fact import Fact
from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as follow_up
from shared.testing.builders.facts import DateSpec
from tests.unit.analytics.endpoints.cohorts import cohort_of, dead, selection


def with_lesions(*more: Fact, enrolled: int = 0, lesions: Sequence[str] = ("L1", "L2"), start: int = 0) -> list[Fact]:
    """Returns the facts of a participant with these metastases; no course treats any of them yet."""
    first = min(enrolled, start)
    return [
        facts.participant_screened(first),
        facts.consent_signed(first),
        facts.participant_enrolled(enrolled),
        *(facts.lesion_registered(name, first) for name in lesions),
        *more,
    ]


def course(day: DateSpec, *lesions: str, name: str = "A", delivery: str = "hypofractionated") -> Fact:
    target = facts.target("T1", *lesions, delivery=delivery)
    if delivery == "SRS":
        target = facts.target("T1", *lesions, fractions=1, cgy_per_fraction=2000, delivery=delivery)
    return facts.radiotherapy_started(day, name, target, index=False)


def imaged(day: DateSpec, *lesions: str, status: str = "controlled", basis: str = "imaging") -> Fact:
    return follow_up.follow_up_recorded(
        day, disease=follow_up.disease_status(*lesions, status=status, basis=basis, distant="stable")
    )


def nine_lesions() -> StudySnapshot:
    """Returns the cohort of W10: the second lesion of P1 is imaged last on day 150, those of P2 and P5 never."""
    first = with_lesions(course(0, "L1", "L2"), imaged(100, "L1", status="progressed"), imaged(150, "L2"), dead(200))
    second = with_lesions(course(0, "L1"), dead(25))
    third = with_lesions(course(0, "L1", "L2"), imaged(120, "L1", "L2", status="progressed"))
    retreated = course(200, "L2", name="B")
    fourth = with_lesions(course(0, "L1", "L2"), imaged(150, "L2"), retreated, imaged(300, "L1"))
    fifth = with_lesions(course(0, "L1", "L2"), dead(60))
    return cohort_of([first, second, third, fourth, fifth])


class LesionTime(NamedTuple):
    """A time of a lesion in days. `entry`: 0 for at risk from day 0 on."""

    lesion: str
    entry: int
    exit: int
    cause: int


def times_of(snapshot: StudySnapshot, times: LesionTimes, group: str | None = None) -> list[LesionTime]:
    """Returns the times of a group, or of all, by participant and lesion."""
    observations = times.observations
    entries = [0] * len(observations) if observations.entries is None else observations.entries.tolist()
    columns = (times.subjects, times.lesions, times.groups, entries, observations.exits, observations.causes)
    rows = sorted(
        (int(subject), snapshot.words.word(lesion), max(0, int(entry)), int(exit_), int(cause))
        for subject, lesion, name, entry, exit_, cause in zip(*columns, strict=True)
        if group in (None, name)
    )
    return [LesionTime(*row[1:]) for row in rows]


def lesion_times(cut: int | date, *participants: Sequence[Fact], **changes: Any) -> list[LesionTime]:
    snapshot = cohort_of(participants)
    return times_of(snapshot, local_control(snapshot, selection(cut, **changes)))
