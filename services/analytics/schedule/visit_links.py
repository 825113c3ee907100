"""Links from a visit of the worklist to the forms that record what it awaits, filled in with the visit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from services.analytics.schedule.service import WorklistRow
from services.analytics.schedule.worklist import UnscheduledParticipant
from shared.contracts.follow_up import (
    FollowUpRecorded,
    ReminderAcknowledged,
    ReminderSnoozed,
    VisitMissed,
    VisitScheduled,
)
from shared.contracts.toxicity import ToxicityAssessed
from shared.contracts.treatment import RadiotherapyCompleted
from shared.kernel.fact import Fact
from shared.protocol.visit_status import VisitState
from shared.security.grants import Rights
from shared.ui.forms import addresses
from shared.ui.navigation import Link


@dataclass(frozen=True, slots=True)
class _FormLink:
    """A form that a row leads to. `fields`: what the form has filled in beside the visit. `states`: those of a visit
    for which the form may be filled in."""

    label: str
    service: str
    fact: type[Fact]
    fields: Mapping[str, str]
    states: frozenset[VisitState]


_AWAITED_STATES: frozenset[VisitState] = frozenset({"planned", "due", "overdue"})
_OPEN_STATES: frozenset[VisitState] = frozenset({"due", "overdue"})
"""States of a visit that has opened: an earlier one cannot be declared missed."""
_LATE_STATES: frozenset[VisitState] = frozenset({*_AWAITED_STATES, "missed"})
"""States of a visit whose facts may still be recorded, also once it is missed."""
_FORMS: Sequence[_FormLink] = (
    _FormLink("Contact", "followup", FollowUpRecorded, {}, _LATE_STATES),
    _FormLink("Appointment", "followup", VisitScheduled, {}, _AWAITED_STATES),
    _FormLink("Toxicity", "toxicity", ToxicityAssessed, {"timepoint": "follow_up"}, _LATE_STATES),
    _FormLink("Missed", "followup", VisitMissed, {}, _OPEN_STATES),
    _FormLink("Put off", "followup", ReminderSnoozed, {}, _AWAITED_STATES),
    _FormLink("Acknowledge", "followup", ReminderAcknowledged, {}, _AWAITED_STATES),
)


def visit_links(study: str, rights: Rights, row: WorklistRow) -> Iterator[Link]:
    """Yields links to the forms of the visit that the member may use; none for a visit that awaits nothing."""
    visit = row.visit
    for form in _FORMS:
        if visit.state in form.states and rights.has_role_at(visit.site_id, form.fact.stated_by_roles):
            course = {"course_id": row.course_id} if row.course_id else {}
            query = urlencode({"visit": visit.number, **course, **form.fields})
            url = addresses.form_url(form.service, study, form.fact.type_name, visit.participant_id)
            yield Link(f"{url}?{query}", form.label)


def may_choose(rights: Rights, row: WorklistRow) -> bool:
    """Returns whether the member may put off or acknowledge the reminders of the visit together with others."""
    is_awaited = row.visit.state in _AWAITED_STATES
    return is_awaited and rights.has_role_at(row.visit.site_id, ReminderAcknowledged.stated_by_roles)


def chosen_visit(row: WorklistRow) -> str:
    """Returns the visit as the page of several visits reads it."""
    course = f".{row.course_id}" if row.course_id else ""
    return f"{row.visit.participant_id}.{row.visit.number}{course}"


def several_visits_links(study: str) -> list[Link]:
    """Returns the pages that state one fact about all chosen visits."""
    base = f"{addresses.study_base('followup', study)}/visits"
    return [
        Link(f"{base}/{ReminderAcknowledged.type_name}", "Acknowledge the chosen visits"),
        Link(f"{base}/{ReminderSnoozed.type_name}", "Put off reminders of the chosen visits"),
    ]


def end_of_treatment_url(study: str, rights: Rights, participant: UnscheduledParticipant) -> str:
    """Returns the form of the end of radiotherapy; an empty text for a member who may not record it."""
    if not rights.has_role_at(participant.site_id, RadiotherapyCompleted.stated_by_roles):
        return ""
    return addresses.form_url("enrollment", study, RadiotherapyCompleted.type_name, participant.participant_id)


def site_numbers_url(study: str, rights: Rights) -> str:
    """Returns enrollment's list with the site's own numbers, which analytics never has; "" for other members."""
    is_site_staff = any(grant.site_id and rights.is_site_staff(grant.site_id) for grant in rights.grants)
    return addresses.participants_url(study) if is_site_staff else ""
