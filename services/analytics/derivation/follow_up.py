"""Derives planned visits with their contacts, and symptoms at baseline and at contacts."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import NamedTuple

from services.analytics.cohort.date_imputation import AnalysisDay
from services.analytics.cohort.follow_up_ends import follow_up_ends
from services.analytics.cohort.participant import Participant
from services.analytics.cohort.study_plans import StudyPlans
from services.analytics.derivation.days import NO_DAY, analysis_day
from services.analytics.derivation.follow_up_rows import VisitRow
from services.analytics.derivation.rows import NEVER, SymptomRow
from shared.contracts.enrollment import BaselineRecorded
from shared.contracts.follow_up import (
    FollowUpRecorded,
    ReminderAcknowledged,
    ReminderSnoozed,
    VisitMissed,
    VisitScheduled,
)
from shared.protocol.schedule import INDEX_SCHEDULE, Schedule, Visit, schedules
from shared.protocol.visit_status import END_REASONS, Absence, FollowUpEnd

_SNOOZE = timedelta(days=14)  # without a day that the site names


class _Contact(NamedTuple):
    """A contact by its day, with the course and the visit for which the site takes it."""

    day: AnalysisDay
    course_id: str | None
    visit: int | None


class _Snooze(NamedTuple):
    """A request for no reminders of a visit before the day `until`."""

    until: date
    visit: int
    course_id: str | None


def derive_visits(participant: Participant, plans: StudyPlans) -> Iterator[VisitRow]:
    """Yields the visits of every schedule and anchor, by schedule, day of validity and number."""
    precisions = _precisions_of_course_ends(participant)
    contacts, declarations = _contacts(participant), participant.counted(VisitMissed)  # the earliest first
    bookings = participant.record.facts_of(VisitScheduled)  # in the order in which they were stated
    snoozes, acknowledged = _snoozes(participant), participant.record.facts_of(ReminderAcknowledged)
    ends = follow_up_ends(participant, plans)
    (ended_on, ended_as), (closing_on, closing_as) = _day_and_reason(ends.ended), _day_and_reason(ends.closing)
    for schedule in schedules(plans.follow_up, participant.course_dates):
        own_contacts = [contact for contact in contacts if _is_of_schedule(schedule, contact.course_id)]
        days, declared = [contact.day for contact in own_contacts], _days_by_declared_visit(own_contacts)
        missed_days = {
            missed.visit: participant.day(missed)
            for missed in reversed(declarations)
            if _is_of_schedule(schedule, missed.course_id)
        }
        appointments = {
            booking.visit: booking.on for booking in bookings if _is_of_schedule(schedule, booking.course_id)
        }
        snoozed = {snooze.visit: snooze.until for snooze in snoozes if _is_of_schedule(schedule, snooze.course_id)}
        acknowledged_visits = {
            reminder.visit for reminder in acknowledged if _is_of_schedule(schedule, reminder.course_id)
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
                declared_on=_outside_slot(declared[visit.number], visit) if visit.number in declared else NEVER,
                scheduled_on=appointments.get(visit.number, NEVER),
                snoozed_until=snoozed.get(visit.number, NEVER),
                is_acknowledged=visit.number in acknowledged_visits,
                ends_on=ended_on,
                ends_as=ended_as,
                closing_on=closing_on,
                closing_as=closing_as,
                absent_until=_absent_until(ends.absences, visit) if ends.absences else NEVER,
            )


def _snoozes(participant: Participant) -> list[_Snooze]:
    """Returns the snoozes, the one that ends last at the end. An acknowledgment that names a day is one as well."""
    snoozes = list[_Snooze]()
    for stated in participant.record.stated_of(ReminderSnoozed):
        until = stated.fact.until or participant.known_on[stated.event_id] + _SNOOZE
        snoozes.append(_Snooze(until, stated.fact.visit, stated.fact.course_id))
    for reminder in participant.record.facts_of(ReminderAcknowledged):
        if reminder.until:
            snoozes.append(_Snooze(reminder.until, reminder.visit, reminder.course_id))
    return sorted(snoozes, key=lambda snooze: snooze.until)


def _day_and_reason(end: FollowUpEnd | None) -> tuple[date, int]:
    """Returns the day of an end with the place of its reason in `END_REASONS`, from 1; `NEVER` and 0 for no end."""
    return (end.day, END_REASONS.index(end.reason) + 1) if end else (NEVER, 0)


def _absent_until(absences: Sequence[Absence], visit: Visit) -> date:
    """Returns the resumption after the absence in which the window closed; `NEVER` if it closed in none."""
    resumptions = [absence.resumed_on for absence in absences if absence.resumed_on and absence.covers(visit.closes)]
    return min(resumptions, default=NEVER)


def _days_by_declared_visit(contacts: Sequence[_Contact]) -> dict[int, list[date]]:
    """Returns the days of the contacts that name a visit, by its number, the earliest first."""
    days = defaultdict[int, list[date]](list)
    for contact in contacts:
        if contact.visit is not None:
            days[contact.visit].append(contact.day.on)
    return days


def _outside_slot(days: Sequence[date], visit: Visit) -> date:
    """Returns the last of the days before the slot of a visit, or else the first one after it; `NEVER` without any."""
    before = [day for day in days if day < visit.opens]
    after = [day for day in days if day > visit.slot_ends]
    return next(iter([*before[-1:], *after[:1]]), NEVER)


def _contacts(participant: Participant) -> list[_Contact]:
    """Returns the contacts by day, of one day the most precise first. News from a registry is no contact."""
    contacts = [contact for contact in participant.counted(FollowUpRecorded) if contact.mode != "registry"]
    dated = [_Contact(analysis_day(participant, contact), contact.course_id, contact.visit) for contact in contacts]
    return sorted(dated, key=lambda contact: contact.day)


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
    participant_id = participant.participant_id
    rows = [
        SymptomRow(participant_id, symptom.symptom, *analysis_day(participant, baseline), str(symptom.severity), "")
        for baseline in participant.counted(BaselineRecorded)[:1]
        for symptom in baseline.symptoms
    ]
    rows += [
        SymptomRow(participant_id, symptom.symptom, *analysis_day(participant, contact), "", symptom.change)
        for contact in participant.counted(FollowUpRecorded)
        for symptom in contact.symptoms
    ]
    yield from sorted(rows)
