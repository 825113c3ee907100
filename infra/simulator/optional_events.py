"""Optional events of a participation besides the disease; rates.py has their rates."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from datetime import date, timedelta
from itertools import pairwise

from infra.reference.simulated_study import CONSENT_VERSIONS
from infra.simulator.participant_story import OptionalEvent, ParticipantStory, iso_day
from infra.synthetic.treatment_summary import SimulatedFact


def _screenings(story: ParticipantStory) -> Sequence[SimulatedFact]:
    return story.facts_of("participant.screened")


def _screenings_of_enrolled(story: ParticipantStory) -> Sequence[SimulatedFact]:
    return _screenings(story) if story.participant else []


def _clinic_contacts(story: ParticipantStory) -> list[SimulatedFact]:
    return [contact for contact in story.facts_of("followup.recorded") if contact.data["mode"] == "clinic"]


def _contacts_before_withdrawal(story: ParticipantStory) -> list[SimulatedFact]:
    """Returns clinic contacts of a participant who has not withdrawn, at which something can be arranged."""
    return [] if story.facts_of("participant.withdrawn") else _clinic_contacts(story)


def _waive_criterion(story: ParticipantStory, screening: SimulatedFact) -> None:
    screening.data["criteria"] = {**screening.data["criteria"], "other-malignancy": "waived"}
    screening.data["waivers"] = {"other-malignancy": "made up"}


def _long_courses(story: ParticipantStory) -> list[SimulatedFact]:
    if (story.index_course_days() or 0) < 14:
        return []
    return [course for course in story.facts_of("radiotherapy.started") if course.data["index"]]


def _change_prescription(story: ParticipantStory, course_start: SimulatedFact) -> None:
    """Replans on the changed anatomy: the same doses to new volumes."""
    on = course_start.day + timedelta(days=story.rng.randint(7, 12))
    targets = [{**target, "label": f"{target['label']}_R1"} for target in course_start.data["targets"]]
    data = {
        "course_id": course_start.data["course_id"],
        "on": iso_day(on),
        "targets": targets,
        "reason_code": "anatomy",
    }
    story.add("enrollment", "radiotherapy.prescription_changed", data, on)


def _contacts_under_new_form(story: ParticipantStory) -> list[SimulatedFact]:
    new_form_from = date.fromisoformat(CONSENT_VERSIONS[-1]["valid_from"])
    consents = story.facts_of("participant.consented")
    if not consents or consents[0].day >= new_form_from:
        return []
    return [contact for contact in _contacts_before_withdrawal(story) if contact.day >= new_form_from]


def _renew_consent(story: ParticipantStory, contact: SimulatedFact) -> None:
    options = deepcopy(story.facts_of("participant.consented")[0].data["options"])
    data = {"signed_on": iso_day(contact.day), "form_version": CONSENT_VERSIONS[-1]["version"], "options": options}
    story.add("enrollment", "participant.consented", data, contact.day)


def _transfer_contacts(story: ParticipantStory) -> list[SimulatedFact]:
    return _contacts_before_withdrawal(story) if len(story.sites) > 1 else []


def _transfer(story: ParticipantStory, contact: SimulatedFact) -> None:
    """Transfers the participant; the new site corrects the local reference of the screening to its own."""
    to = story.rng.choice([site for site in story.sites if site is not story.site])
    on = contact.day + timedelta(days=1)
    transfer = story.add("enrollment", "participant.transferred", {"to_site": to.site_id, "on": iso_day(on)}, on)
    screening = story.facts_of("participant.screened")[0]
    new_data = {**deepcopy(screening.data), "local_reference": f"{screening.data['local_reference']}-T"}
    story.correct(screening, "source_corrected", new_data, after=transfer)


def _withdraw_data_use(story: ParticipantStory, contact: SimulatedFact) -> None:
    """Withdraws consent to any use of data; of later facts only a death is reported."""
    on = contact.day
    story.drop_facts(lambda fact: fact.day > on and fact.type != "participant.died")
    data = {"withdrawn_on": iso_day(on), "scope": "data_use", "reason": "made up"}
    story.add("enrollment", "participant.withdrawn", data, on)


def _registry_withdrawals(story: ParticipantStory) -> list[SimulatedFact]:
    """Returns withdrawals of living participants whose consent still allows to ask a registry."""
    may_ask = story.participant and story.participant.registry
    return story.withdrawals_before_death(91) if may_ask else []


def _ask_registry(story: ParticipantStory, withdrawal: SimulatedFact) -> None:
    on = withdrawal.day + timedelta(days=story.rng.randint(30, 90))
    story.add("followup", "vital_status.confirmed", {"alive_on": iso_day(on), "source": "registry"}, on)


def _distant_progressions(story: ParticipantStory) -> list[SimulatedFact]:
    return [
        progression for progression in story.facts_of("disease.progressed") if progression.data["kind"] == "distant"
    ]


def _register_lesion(story: ParticipantStory, progression: SimulatedFact) -> None:
    """Registers the new lesion with an id, which the progression names."""
    site = progression.data["body_site"]
    data = {"lesion_id": "P1", "kind": "metastasis", "body_site": site, "found_on": iso_day(progression.day)}
    story.add("enrollment", "lesion.registered", data, progression.day)
    progression.data["lesion_id"] = "P1"


def _late_contacts(story: ParticipantStory) -> list[SimulatedFact]:
    """Returns contacts that needed a reminder: visits four months or more after the contact before."""
    contacts, quarter = story.facts_of("followup.recorded"), timedelta(days=110)
    return [late for before, late in pairwise(contacts) if "visit" in late.data and late.day - before.day > quarter]


def _snooze_reminder(story: ParticipantStory, contact: SimulatedFact) -> None:
    """Snoozes a reminder without an end, which would have to be later than the report day, still unknown here."""
    story.add("followup", "reminder.snoozed", {"visit": contact.data["visit"]}, contact.day - timedelta(days=10))


def _acknowledge_reminder(story: ParticipantStory, contact: SimulatedFact) -> None:
    story.add("followup", "reminder.acknowledged", {"visit": contact.data["visit"]}, contact.day - timedelta(days=3))


def _void_as_error(story: ParticipantStory, _: SimulatedFact) -> None:
    story.void_after = story.rng.randint(2, 60), {"reason": "entered_in_error"}


def _void_as_duplicate(story: ParticipantStory, screening: SimulatedFact) -> None:
    """Voids a participant who was registered before, without the local reference, which can be used only once."""
    screening.data.pop("local_reference", None)
    story.void_after = story.rng.randint(2, 60), {"reason": "duplicate"}


def _untransferred_screenings(story: ParticipantStory) -> Sequence[SimulatedFact]:
    return [] if story.facts_of("participant.transferred") or story.void_after else _screenings(story)


OPTIONAL_EVENTS = (
    OptionalEvent("a criterion is waived", _screenings_of_enrolled, _waive_criterion),
    OptionalEvent("the prescription is changed", _long_courses, _change_prescription),
    OptionalEvent("consent is renewed", _contacts_under_new_form, _renew_consent),
    OptionalEvent("transferred to another site", _transfer_contacts, _transfer),
    OptionalEvent("all use of the data is withdrawn", _contacts_before_withdrawal, _withdraw_data_use),
    OptionalEvent("a registry is asked after the withdrawal", _registry_withdrawals, _ask_registry),
    OptionalEvent("a new lesion is registered", _distant_progressions, _register_lesion),
    OptionalEvent("a reminder is snoozed", _late_contacts, _snooze_reminder),
    OptionalEvent("a reminder is acknowledged", _late_contacts, _acknowledge_reminder),
    OptionalEvent("entered in error", _untransferred_screenings, _void_as_error),
    OptionalEvent("a duplicate", _untransferred_screenings, _void_as_duplicate),
)
