"""Derives what happens to lesions: their treatment by each course, and their status at contacts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from services.analytics.cohort.date_imputation import AnalysisDay
from services.analytics.cohort.participant import Participant
from services.analytics.derivation.days import analysis_day, earliest
from services.analytics.derivation.rows import NEVER, LesionEpisodeRow, LesionStatusRow
from services.analytics.derivation.treatment import TargetVersion
from shared.contracts.enrollment import ProcedurePerformed
from shared.contracts.follow_up import DiseaseProgressed, FollowUpRecorded

EpisodeKey = tuple[str, str, str]
"""A lesion, a course and a delivery."""


def derive_lesion_statuses(participant: Participant) -> Iterator[LesionStatusRow]:
    """Yields the status of each lesion at each contact, and every local progression of a lesion, by lesion and day."""
    rows = [
        LesionStatusRow(
            participant.participant_id,
            lesion.lesion_id,
            *analysis_day(participant, contact),
            lesion.status,
            lesion.basis,
        )
        for contact in participant.counted(FollowUpRecorded)
        for lesion in (contact.disease.lesions if contact.disease else ())
        if lesion.status != "not_assessed"
    ]
    rows += [
        LesionStatusRow(
            participant.participant_id,
            progression.lesion_id,
            *analysis_day(participant, progression),
            "progressed",
            progression.basis,
        )
        for progression in participant.counted(DiseaseProgressed)
        if progression.kind == "local" and progression.lesion_id
    ]
    yield from sorted(rows)


def derive_lesion_episodes(
    participant: Participant, versions: Sequence[TargetVersion], statuses: Sequence[LesionStatusRow]
) -> Iterator[LesionEpisodeRow]:
    """Yields each lesion with each course and delivery that treats it, from the first day that a target names it."""
    episodes = _versions_by_episode(versions)
    named = {key: min(version.prescribed for version in of_episode) for key, of_episode in episodes.items()}
    procedures = [
        (name, analysis_day(participant, procedure))
        for procedure in participant.counted(ProcedurePerformed)
        for name in procedure.lesion_ids
    ]
    for key in sorted(episodes):
        name, course_id, delivery = key
        start = named[key]
        lesion = participant.lesions.get(name)
        failures = [AnalysisDay(row.assessed_on, row.assessed_precision) for row in statuses if _is_failure(row, name)]
        other_courses = [day for (other, course, _), day in named.items() if other == name and course != course_id]
        failed = _first_after(start, failures)
        retreated = _first_after(start, other_courses)
        procedure = _first_after(start, [day for other, day in procedures if other == name])
        yield LesionEpisodeRow(
            participant_id=participant.participant_id,
            lesion=name,
            course=course_id,
            kind=lesion.kind if lesion else "",
            body_site=lesion.body_site if lesion else "",
            delivery=delivery,
            named_on=start.on,
            named_precision=start.precision,
            retracted_on=_retracted_on(episodes[key]),
            failed_on=failed.on,
            failed_precision=failed.precision,
            retreated_on=retreated.on,
            retreated_precision=retreated.precision,
            procedure_on=procedure.on,
            procedure_precision=procedure.precision,
        )


def _versions_by_episode(versions: Sequence[TargetVersion]) -> dict[EpisodeKey, list[TargetVersion]]:
    episodes: dict[EpisodeKey, list[TargetVersion]] = {}
    for version in versions:
        for name in version.target.lesion_ids:
            key = (name, version.course.course_id, version.target.delivery)
            episodes.setdefault(key, []).append(version)
    return episodes


def _is_failure(row: LesionStatusRow, lesion_id: str) -> bool:
    return row.lesion == lesion_id and row.status == "progressed"


def _first_after(start: AnalysisDay, days: Sequence[AnalysisDay]) -> AnalysisDay:
    return earliest(day for day in days if day.on > start.on)


def _retracted_on(versions: Sequence[TargetVersion]) -> date:
    """The day after the last on which a target of the course names the lesion; `NEVER` if one still does."""
    last_day = max(version.valid_to for version in versions)
    return last_day if last_day == NEVER else last_day + timedelta(days=1)
