"""Derives courses of radiotherapy, their targets by version of the prescription, and lines of systemic therapy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

from services.analytics.cohort.date_imputation import AnalysisDay
from services.analytics.cohort.participant import Participant
from services.analytics.cohort.treatment import current_targets, delivered_dose
from services.analytics.derivation.days import analysis_day
from services.analytics.derivation.rows import NEVER, UNKNOWN_NUMBER, CourseRow, LineRow, PrescribedTargetRow
from shared.contracts.treatment import (
    CourseEnd,
    PrescriptionChanged,
    RadiotherapyCompleted,
    RadiotherapyStarted,
    SystemicTherapyStarted,
    SystemicTherapyStopped,
    Target,
)
from shared.kernel.fact import Fact

_CNS_LABELS = ("brain", "spinalcord")


@dataclass(frozen=True, slots=True)
class TargetVersion:
    """A target of a course as it is on the days from `valid_from` to `valid_to`, both inclusive.

    `end`: the end of the course, if it has ended by then. `prescribed`: the day of the fact that begins the version.
    """

    course: RadiotherapyStarted
    target: Target
    rank: int
    end: CourseEnd | None
    prescribed: AnalysisDay
    valid_to: date

    @property
    def valid_from(self) -> date:
        return self.prescribed.on


def derive_courses(participant: Participant) -> Iterator[CourseRow]:
    for course in participant.counted(RadiotherapyStarted):
        end = participant.course_ends.get(course.course_id)
        started, ended = analysis_day(participant, course), analysis_day(participant, end)
        yield CourseRow(
            participant_id=participant.participant_id,
            course=course.course_id,
            is_index=course.index,
            intent=course.intent,
            started_on=started.on,
            started_precision=started.precision,
            ended_on=ended.on,
            ended_precision=ended.precision,
            ended_as=_kind_of_end(end),
            reason=getattr(end, "reason_code", ""),
        )


def _kind_of_end(end: CourseEnd | None) -> str:
    if end is None:
        return ""
    return "completed" if isinstance(end, RadiotherapyCompleted) else "discontinued"


def target_versions(participant: Participant) -> list[TargetVersion]:
    """Returns the targets of every course, with a version for each day on which anything about the course changes."""
    return [
        version
        for course in participant.counted(RadiotherapyStarted)
        for version in _versions_of_course(participant, course)
    ]


def _versions_of_course(participant: Participant, course: RadiotherapyStarted) -> Iterator[TargetVersion]:
    changes = [change for change in participant.counted(PrescriptionChanged) if change.course_id == course.course_id]
    end = participant.course_ends.get(course.course_id)
    facts: list[Fact] = [course, *changes, *([end] if end else [])]
    started_on = participant.day(course)
    days = sorted(analysis_day(participant, fact) for fact in facts if participant.day(fact) >= started_on)
    for prescribed, following in pairwise([*days, AnalysisDay(NEVER)]):
        if prescribed.on < following.on:
            yield from _versions_from(participant, course, changes, end, prescribed, _day_before(following.on))


def _versions_from(
    participant: Participant,
    course: RadiotherapyStarted,
    changes: Sequence[PrescriptionChanged],
    end: CourseEnd | None,
    prescribed: AnalysisDay,
    valid_to: date,
) -> Iterator[TargetVersion]:
    """Yields the targets as they are from a day on."""
    known_end = end if end and participant.day(end) <= prescribed.on else None
    known_changes = [change for change in changes if participant.day(change) <= prescribed.on]
    for rank, target in enumerate(current_targets(course, known_changes, known_end, participant.day)):
        yield TargetVersion(course, target, rank, known_end, prescribed, valid_to)


def _day_before(day: date) -> date:
    return day if day == NEVER else day - timedelta(days=1)


def derive_targets(participant: Participant, versions: Sequence[TargetVersion]) -> Iterator[PrescribedTargetRow]:
    for version in versions:
        target = version.target
        fractions_delivered, delivered_cgy = delivered_dose(version.end, target) or (UNKNOWN_NUMBER, UNKNOWN_NUMBER)
        yield PrescribedTargetRow(
            participant_id=participant.participant_id,
            course=version.course.course_id,
            target=target.target_id,
            rank=version.rank,
            valid_from=version.valid_from,
            valid_to=version.valid_to,
            prescribed_precision=version.prescribed.precision,
            label=target.label,
            modality=target.modality,
            technique=target.technique,
            delivery=target.delivery,
            fractions=target.fractions,
            fraction_cgy=target.dose_per_fraction_cgy,
            total_cgy=target.total_dose_cgy,
            isodose_percent=target.prescription_isodose_percent or UNKNOWN_NUMBER,
            boost_of=target.boost_of or "",
            treats_metastasis=participant.treats_metastasis(target),
            treats_cns=_treats_cns(participant, target),
            fractions_delivered=fractions_delivered,
            delivered_cgy=delivered_cgy,
        )


def _treats_cns(participant: Participant, target: Target) -> bool:
    """Tells whether a target treats the central nervous system: by its lesions, or by its label if it names none.

    A vertebra is bone.
    """
    if not target.lesion_ids:
        return any(part in target.label.casefold() for part in _CNS_LABELS)
    return "brain" in {participant.lesions[name].body_site for name in target.lesion_ids if name in participant.lesions}


def derive_lines(participant: Participant) -> Iterator[LineRow]:
    stops = {stop.line_id: stop for stop in participant.counted(SystemicTherapyStopped)}
    for line in participant.counted(SystemicTherapyStarted):
        stop = stops.get(line.line_id)
        started, stopped = analysis_day(participant, line), analysis_day(participant, stop)
        cycles_given = stop.cycles_given if stop else None
        yield LineRow(
            participant_id=participant.participant_id,
            line=line.line_id,
            setting=line.setting,
            agents=" + ".join(agent.name for agent in line.agents),
            planned_cycles=line.planned_cycles or UNKNOWN_NUMBER,
            started_on=started.on,
            started_precision=started.precision,
            stopped_on=stopped.on,
            stopped_precision=stopped.precision,
            reason=stop.reason_code if stop else "",
            cycles_given=UNKNOWN_NUMBER if cycles_given is None else cycles_given,
        )
