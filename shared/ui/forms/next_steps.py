"""The forms that a person is likely to need next, by the fact just recorded and by what stands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from shared.contracts.catalogue import STUDY, fact_class
from shared.contracts.participation import enrollment_status
from shared.kernel.fact import Fact
from shared.security.grants import Rights
from shared.ui.forms import addresses
from shared.ui.forms.targets import ParticipantState, fact_heading
from shared.ui.navigation import Link

Step = tuple[str, str]
"""A service and the type of one of its facts."""
_AFTER_FACT: Mapping[str, Sequence[str]] = {
    "participant.screened": ("participant.consented", "participant.screen_failed"),
    "participant.consented": ("participant.enrolled",),
    "participant.enrolled": ("participant.baseline_recorded", "lesion.registered"),
    "participant.baseline_recorded": ("lesion.registered", "radiotherapy.started", "toxicity.assessed"),
    "lesion.registered": ("lesion.registered", "radiotherapy.started", "procedure.performed"),
    "radiotherapy.started": ("toxicity.assessed", "radiotherapy.completed", "radiotherapy.discontinued"),
    "radiotherapy.completed": ("toxicity.assessed", "followup.recorded"),
    "radiotherapy.discontinued": ("toxicity.assessed", "followup.recorded"),
    "systemic_therapy.started": ("systemic_therapy.stopped",),
    "toxicity.assessed": ("followup.recorded", "toxicity.serious_event_reported"),
    "toxicity.serious_event_reported": ("toxicity.serious_event_updated", "toxicity.serious_event_resolved"),
    "followup.recorded": ("toxicity.assessed", "disease.progressed"),
    "disease.progressed": ("systemic_therapy.started", "radiotherapy.started"),
    "participant.lost": ("participant.follow_up_resumed",),
}
"""Types of the facts that usually follow one, the likeliest first."""
_AFTER_STATUS: Mapping[str, Sequence[str]] = {
    "screening": ("participant.consented", "participant.screen_failed"),
    "consented": ("participant.enrolled", "participant.screen_failed"),
    "enrolled": ("followup.recorded", "toxicity.assessed", "lesion.registered", "radiotherapy.started"),
}
"""The same by the participant's status, for facts that nothing particular follows."""
_AFTER_STUDY_FACT: Mapping[str, Sequence[str]] = {
    "study.opened": ("study.site_activated", "study.member_granted"),
    "study.site_activated": ("study.member_granted", "study.site_activated"),
    "study.member_granted": ("study.member_granted", "study.site_activated"),
    "study.member_revoked": ("study.member_granted", "study.member_revoked"),
    "study.accrual_closed": ("study.cut_taken", "study.closed"),
}
RECORDING_SERVICES = ("enrollment", "toxicity", "followup")


def next_study_links(study: str, rights: Rights, type_name: str) -> list[Link]:
    """Returns links to the forms of likely next facts of a study that the caller may state."""
    likely = [STUDY.declared_facts[name] for name in _AFTER_STUDY_FACT.get(type_name, ())]
    return study_form_links(study, likely, rights)


def study_form_links(study: str, facts: Iterable[type[Fact]], rights: Rights) -> list[Link]:
    """Returns links to the forms of those facts of a study that members with these rights may state."""
    return [
        Link(addresses.form_url(STUDY.service, study, fact.type_name), fact_heading(fact))
        for fact in facts
        if rights.sites_with_role(fact.stated_by_roles)
    ]


def next_links(study: str, participant_id: str, state: ParticipantState, service: str, type_name: str) -> list[Link]:
    """Returns links to the forms of likely next facts that the caller may state. Other services wait for this one."""
    likely = _AFTER_FACT.get(type_name) or _AFTER_STATUS.get(enrollment_status(state.enrollment), ())
    version = state.stream.head.version if service == "enrollment" else state.stream.head.enrollment_version
    after = f"enrollment={version}"
    return [
        Link(addresses.form_url(found_service, study, name, participant_id, after), fact_heading(fact))
        for name in likely
        for found_service, fact in _find_fact(name)
        if state.rights.has_role_at(state.site_id, fact.stated_by_roles)
    ]


def _find_fact(type_name: str) -> Iterator[tuple[str, type[Fact]]]:
    for service in RECORDING_SERVICES:
        try:
            yield service, fact_class(service, type_name)
        except KeyError:
            continue
