"""Derives planned visits with their contacts, and symptoms at baseline and at contacts."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from operator import itemgetter

from services.analytics.cohort.date_imputation import AnalysisDay
from services.analytics.cohort.participant import Participant
from services.analytics.derivation.days import NO_DAY, analysis_day
from services.analytics.derivation.rows import NEVER, SymptomRow, VisitRow
from shared.contracts.enrollment import BaselineRecorded
from shared.contracts.follow_up import FollowUpRecorded, VisitMissed
from shared.protocol.schedule import INDEX_SCHEDULE, PlanPeriod, Schedule, Visit, schedules


def derive_visits(participant: Participant, plans: Sequence[PlanPeriod]) -> Iterator[VisitRow]:
    """Yields the visits of every schedule and anchor, by schedule, day of validity and number."""
    precisions = _precisions_of_course_ends(participant)
    contacts, declarations = _contacts(participant), participant.counted(VisitMissed)  # the earliest first
    for schedule in schedules(plans, participant.course_dates):
        days = [day for day, course_id in contacts if _is_of_schedule(schedule, course_id)]
        missed_days = {
            missed.visit: participant.day(missed)
            for missed in reversed(declarations)
            if _is_of_schedule(schedule, missed.course_id)
        }
        for visit in schedule.visits:
            contact = _first_in_slot(days, visit)
            yield VisitRow(
                participant.participant_id,
                schedule=schedule.name,
                anchor_on=schedule.anchor,
                anchor_precision=precisions[schedule.course_id],
                valid_from=schedule.valid_from,
                valid_to=schedule.valid_to,
                number=visit.number,
                opens=visit.opens,
                target=visit.target,
                closes=visit.closes,
                slot_ends=visit.slot_ends,
                contact_on=contact.on,
                contact_precision=contact.precision,
                missed_on=missed_days.get(visit.number, NEVER),
            )


def _contacts(participant: Participant) -> list[tuple[AnalysisDay, str | None]]:
    """Returns the day and the course of each contact, of one day the most precise first.

    News from a registry is no contact with the participant.
    """
    contacts = [contact for contact in participant.counted(FollowUpRecorded) if contact.mode != "registry"]
    return sorted(((analysis_day(participant, contact), contact.course_id) for contact in contacts), key=itemgetter(0))


def _first_in_slot(days: Sequence[AnalysisDay], visit: Visit) -> AnalysisDay:
    """Returns the earliest of the days, which are in order, in the slot of a visit; `NO_DAY` if there is none."""
    position = bisect_left(days, (visit.opens,))
    first = days[position] if position < len(days) else NO_DAY
    return first if first.on <= visit.slot_ends else NO_DAY


def _is_of_schedule(schedule: Schedule, course_id: str | None) -> bool:
    """Returns whether a contact or declaration that names this course, or none, counts in the schedule."""
    return schedule.name == INDEX_SCHEDULE or course_id in (None, schedule.name)


def _precisions_of_course_ends(participant: Participant) -> dict[str, int]:
    """Returns the precision of the end of each course, by its id."""
    return {course_id: analysis_day(participant, end).precision for course_id, end in participant.course_ends.items()}


def derive_symptoms(participant: Participant) -> Iterator[SymptomRow]:
    """Yields the severity of each symptom at baseline, and the changes of symptoms at contacts, by symptom and day."""
    name = participant.participant_id
    rows = [
        SymptomRow(name, symptom.symptom, *analysis_day(participant, baseline), str(symptom.severity), "")
        for baseline in participant.counted(BaselineRecorded)[:1]
        for symptom in baseline.symptoms
    ]
    rows += [
        SymptomRow(name, symptom.symptom, *analysis_day(participant, contact), "", symptom.change)
        for contact in participant.counted(FollowUpRecorded)
        for symptom in contact.symptoms
    ]
    yield from sorted(rows)
