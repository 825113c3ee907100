"""The forms that a person is likely to need next, by the fact just recorded and by what stands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from shared.contracts.catalogue import STUDY, fact_class
from shared.contracts.enrollment import BaselineRecorded, ParticipantScreened
from shared.contracts.follow_up import FollowUpResumed, LostToFollowUp, ParticipantDied
from shared.contracts.participation import enrollment_status
from shared.contracts.study import AccrualClosed, StudyClosed
from shared.contracts.toxicity import SeriousEventReported, SeriousEventResolved
from shared.contracts.treatment import RadiotherapyStarted
from shared.gate.study_timeline import accrual_closed_before, closed_before, site_is_closed
from shared.kernel.fact import Fact
from shared.kernel.partial_date import PartialDate
from shared.kernel.record import Record
from shared.security.grants import Rights
from shared.ui.forms import addresses
from shared.ui.forms.context import FormContext
from shared.ui.forms.offers import offered
from shared.ui.forms.targets import ParticipantState, fact_heading
from shared.ui.navigation import Link

_AFTER_FACT: Mapping[str, Sequence[str]] = {
    "participant.screened": ("participant.consented", "participant.screen_failed"),
    "participant.consented": ("participant.enrolled", "participant.screen_failed"),
    "participant.enrolled": ("participant.baseline_recorded", "lesion.registered"),
    "participant.baseline_recorded": ("lesion.registered", "radiotherapy.started", "toxicity.assessed"),
    "lesion.registered": ("lesion.registered", "radiotherapy.started", "procedure.performed"),
    "radiotherapy.started": ("toxicity.assessed", "radiotherapy.completed", "radiotherapy.discontinued"),
    "radiotherapy.prescription_changed": ("toxicity.assessed", "radiotherapy.completed"),
    "radiotherapy.completed": ("toxicity.assessed", "followup.recorded"),
    "radiotherapy.discontinued": ("toxicity.assessed", "followup.recorded"),
    "systemic_therapy.started": ("toxicity.assessed", "systemic_therapy.stopped"),
    "toxicity.assessed": ("radiotherapy.completed", "followup.recorded", "toxicity.serious_event_reported"),
    "toxicity.serious_event_reported": ("toxicity.serious_event_updated", "toxicity.serious_event_resolved"),
    "toxicity.serious_event_updated": ("toxicity.serious_event_updated", "toxicity.serious_event_resolved"),
    "followup.recorded": ("toxicity.assessed", "disease.progressed"),
    "followup.visit_missed": ("vital_status.confirmed", "participant.lost"),
    "disease.progressed": ("systemic_therapy.started", "radiotherapy.started"),
    "participant.lost": ("participant.follow_up_resumed",),
    "participant.died": ("toxicity.serious_event_reported",),
}
"""Types of the facts that usually follow one, the likeliest first."""
_AT_STAGE: Mapping[str, Sequence[str]] = {
    "screening": ("participant.consented", "participant.screen_failed"),
    "consented": ("participant.enrolled", "participant.screen_failed"),
    "enrolled": ("participant.baseline_recorded", "lesion.registered", "radiotherapy.started"),
    "in treatment": ("participant.baseline_recorded", "radiotherapy.completed", "toxicity.assessed"),
    "in follow-up": ("participant.baseline_recorded", "followup.recorded", "toxicity.assessed"),
}
"""The same by how far the participant is, for facts that nothing particular follows, or nothing any more."""
_AFTER_STUDY_FACT: Mapping[str, Sequence[str]] = {
    "study.opened": ("study.site_activated", "study.member_granted"),
    "study.site_activated": ("study.member_granted", "study.site_activated"),
    "study.member_granted": ("study.member_granted", "study.site_activated"),
    "study.member_revoked": ("study.member_granted", "study.member_revoked"),
    "study.accrual_closed": ("study.cut_taken", "study.closed"),
    "study.closed": ("study.cut_taken",),
}
RECORDING_SERVICES = ("enrollment", "toxicity", "followup")
_BEFORE_ANOTHER_COURSE = frozenset({"disease.progressed", "lesion.registered"})
"""Facts that may lead to another course of radiotherapy once one has ended."""
_AFTER_DEATH = frozenset({"toxicity.serious_event_reported", "toxicity.serious_event_updated"})
"""Facts about the time before the death that are often learned of only after it."""


def _has_status(*statuses: str) -> Callable[[FormContext], bool]:
    return lambda context: enrollment_status(context.enrollment) in statuses


def _may_enroll(context: FormContext) -> bool:
    today = PartialDate.from_day(context.today)
    screenings = context.enrollment.facts_of(ParticipantScreened)
    answers = {answer for screening in screenings for answer in screening.criteria.values()}
    is_closed = any(accrual_closed_before(context.study, today, ""))
    return _has_status("consented")(context) and answers <= {"met", "waived"} and not is_closed


def _has_no_baseline(context: FormContext) -> bool:
    return _has_status("enrolled")(context) and not context.enrollment.facts_of(BaselineRecorded)


def _has_running_course(context: FormContext) -> bool:
    return bool(offered(context, "running_courses"))


def _may_start_course(context: FormContext) -> bool:
    return _has_status("enrolled")(context) and not _has_running_course(context)


def _has_ended_course(context: FormContext) -> bool:
    return bool(context.enrollment.facts_of(RadiotherapyStarted)) and not _has_running_course(context)


def _has_running_line(context: FormContext) -> bool:
    return bool(offered(context, "running_lines"))


def _has_unresolved_event(context: FormContext) -> bool:
    resolved = {event.serious_event_id for event in context.own.facts_of(SeriousEventResolved)}
    return any(event.serious_event_id not in resolved for event in context.own.facts_of(SeriousEventReported))


def _is_lost(context: FormContext) -> bool:
    return len(context.own.facts_of(LostToFollowUp)) > len(context.own.facts_of(FollowUpResumed))


_IS_POSSIBLE: Mapping[str, Callable[[FormContext], bool]] = {
    "participant.consented": _has_status("screening"),
    "participant.screen_failed": _has_status("screening", "consented"),
    "participant.enrolled": _may_enroll,
    "participant.baseline_recorded": _has_no_baseline,
    "radiotherapy.started": _may_start_course,
    "radiotherapy.completed": _has_running_course,
    "radiotherapy.discontinued": _has_running_course,
    "systemic_therapy.stopped": _has_running_line,
    "toxicity.serious_event_updated": _has_unresolved_event,
    "toxicity.serious_event_resolved": _has_unresolved_event,
    "followup.recorded": _has_ended_course,
    "participant.follow_up_resumed": _is_lost,
}
"""The condition on which a fact makes sense; for all others, that the participant is enrolled."""


def next_study_links(study: str, record: Record, rights: Rights, type_name: str) -> list[Link]:
    """Returns links to the forms of likely next facts of a study that the caller may state, and that it accepts."""
    refused = {kind.type_name for kind in (AccrualClosed, StudyClosed) if record.facts_of(kind)}
    if record.facts_of(StudyClosed):
        refused.add("study.site_activated")
    likely = [STUDY.declared_facts[name] for name in _AFTER_STUDY_FACT.get(type_name, ()) if name not in refused]
    return study_form_links(study, likely, rights)


def study_form_links(study: str, facts: Iterable[type[Fact]], rights: Rights) -> list[Link]:
    """Returns links to the forms of those facts of a study that members with these rights may state."""
    return [
        Link(addresses.form_url(STUDY.service, study, fact.type_name), fact_heading(fact))
        for fact in facts
        if rights.sites_with_role(fact.stated_by_roles)
    ]


def next_links(
    study: str, participant_id: str, state: ParticipantState, context: FormContext, service: str, type_name: str
) -> list[Link]:
    """Returns links to the forms of likely next facts that the caller may state. Other services wait for this one."""
    version = state.stream.head.version if service == "enrollment" else state.stream.head.enrollment_version
    after = f"enrollment={version}"
    return [
        Link(addresses.form_url(found_service, study, name, participant_id, after), fact_heading(fact))
        for name in likely_facts(context, type_name)
        for found_service, fact in _find_fact(name)
        if state.rights.has_role_at(state.site_id, fact.stated_by_roles)
    ]


def likely_facts(context: FormContext, type_name: str) -> list[str]:
    """Returns the types of the facts that are likely next after one of this type, as far as the service knows.

    Each of them may be dated today. None after the end of the site or the study, nor after a withdrawal.
    """
    today = PartialDate.from_day(context.today)
    if site_is_closed(context.study, context.site_id or "", today) or any(closed_before(context.study, today, "")):
        return []
    if _is_lost(context):
        return ["participant.follow_up_resumed"]
    after_fact = _possible(context, _AFTER_FACT.get(type_name, ()))
    if _has_ended_course(context) and type_name not in _BEFORE_ANOTHER_COURSE:
        after_fact = [name for name in after_fact if name != "radiotherapy.started"]
    return after_fact or _possible(context, _AT_STAGE.get(_stage(context), ()))


def _stage(context: FormContext) -> str:
    """Returns the status in enrollment; after the start of a course, "in treatment" or "in follow-up"."""
    status = enrollment_status(context.enrollment)
    if status != "enrolled" or not context.enrollment.facts_of(RadiotherapyStarted):
        return status
    return "in treatment" if _has_running_course(context) else "in follow-up"


def _possible(context: FormContext, type_names: Iterable[str]) -> list[str]:
    is_dead = bool(context.own.facts_of(ParticipantDied))
    return [
        name
        for name in type_names
        if _IS_POSSIBLE.get(name, _has_status("enrolled"))(context) and (name in _AFTER_DEATH or not is_dead)
    ]


def _find_fact(type_name: str) -> Iterator[tuple[str, type[Fact]]]:
    for service in RECORDING_SERVICES:
        try:
            yield service, fact_class(service, type_name)
        except KeyError:
            continue
