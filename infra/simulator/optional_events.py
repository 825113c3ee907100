"""Turns that a participation takes besides the course of the disease: how often is in rates.py."""

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
    return [each for each in story.facts_of("followup.recorded") if each.data["mode"] == "clinic"]


def _contacts_before_withdrawal(story: ParticipantStory) -> list[SimulatedFact]:
    """Contacts of whoever has not withdrawn; it is then that something can be arranged."""
    return [] if story.facts_of("participant.withdrawn") else _clinic_contacts(story)


def _waive_criterion(story: ParticipantStory, screening: SimulatedFact) -> None:
    screening.data["criteria"] = {**screening.data["criteria"], "other-malignancy": "waived"}
    screening.data["waivers"] = {"other-malignancy": "made up"}


def _long_courses(story: ParticipantStory) -> list[SimulatedFact]:
    index = story.participant.index_course if story.participant else None
    if not index or not index.ended_on or (index.ended_on - index.started_on).days < 14:
        return []
    return [each for each in story.facts_of("radiotherapy.started") if each.data["index"]]


def _change_prescription(story: ParticipantStory, course_start: SimulatedFact) -> None:
    """Planned anew on the changed anatomy: the same doses to new volumes."""
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
    return [each for each in _contacts_before_withdrawal(story) if each.day >= new_form_from]


def _renew_consent(story: ParticipantStory, contact: SimulatedFact) -> None:
    options = deepcopy(story.facts_of("participant.consented")[0].data["options"])
    data = {"signed_on": iso_day(contact.day), "form_version": CONSENT_VERSIONS[-1]["version"], "options": options}
    story.add("enrollment", "participant.consented", data, contact.day)


def _transfer_contacts(story: ParticipantStory) -> list[SimulatedFact]:
    return _contacts_before_withdrawal(story) if len(story.sites) > 1 else []


def _transfer(story: ParticipantStory, contact: SimulatedFact) -> None:
    """The new site gives the participant a number of its own, by restating the screening."""
    to = story.rng.choice([site for site in story.sites if site is not story.site])
    on = contact.day + timedelta(days=1)
    transfer = story.add("enrollment", "participant.transferred", {"to_site": to.site_id, "on": iso_day(on)}, on)
    screening = story.facts_of("participant.screened")[0]
    new_data = {**deepcopy(screening.data), "local_reference": f"{screening.data['local_reference']}-T"}
    story.correct(screening, "source_corrected", new_data, after=transfer)


def _withdraw_data_use(story: ParticipantStory, contact: SimulatedFact) -> None:
    """Nothing that happened later is told any more, except death."""
    on = contact.day
    story.drop_facts(lambda each: each.day > on and each.type != "participant.died")
    data = {"withdrawn_on": iso_day(on), "scope": "data_use", "reason": "made up"}
    story.add("enrollment", "participant.withdrawn", data, on)


def _registry_withdrawals(story: ParticipantStory) -> list[SimulatedFact]:
    """Withdrawals after which a registry may still be asked, since consent says so and the participant lives."""
    if not story.participant or not story.participant.registry or not story.disease_course:
        return []
    dies_on = story.disease_course.dies_on
    return [each for each in story.facts_of("participant.withdrawn") if each.day + timedelta(days=91) < dies_on]


def _ask_registry(story: ParticipantStory, withdrawal: SimulatedFact) -> None:
    on = withdrawal.day + timedelta(days=story.rng.randint(30, 90))
    story.add("followup", "vital_status.confirmed", {"alive_on": iso_day(on), "source": "registry"}, on)


def _distant_progressions(story: ParticipantStory) -> list[SimulatedFact]:
    return [each for each in story.facts_of("disease.progressed") if each.data["kind"] == "distant"]


def _register_lesion(story: ParticipantStory, progression: SimulatedFact) -> None:
    """The new lesion gets an id, which the progression names."""
    site = progression.data["body_site"]
    data = {"lesion_id": "P1", "kind": "metastasis", "body_site": site, "found_on": iso_day(progression.day)}
    story.add("enrollment", "lesion.registered", data, progression.day)
    progression.data["lesion_id"] = "P1"


def _late_contacts(story: ParticipantStory) -> list[SimulatedFact]:
    """Contacts of a visit that somebody had to be reminded of: four months or more after what was before."""
    contacts, quarter = story.facts_of("followup.recorded"), timedelta(days=110)
    return [late for before, late in pairwise(contacts) if "visit" in late.data and late.day - before.day > quarter]


def _snooze_reminder(story: ParticipantStory, contact: SimulatedFact) -> None:
    """Without a day until when: that would have to lie ahead of the day on which it is told, whenever that is."""
    story.add("followup", "reminder.snoozed", {"visit": contact.data["visit"]}, contact.day - timedelta(days=10))


def _acknowledge_reminder(story: ParticipantStory, contact: SimulatedFact) -> None:
    story.add("followup", "reminder.acknowledged", {"visit": contact.data["visit"]}, contact.day - timedelta(days=3))


def _void_as_error(story: ParticipantStory, _: SimulatedFact) -> None:
    story.void_after = story.rng.randint(2, 60), {"reason": "entered_in_error"}


def _void_as_duplicate(story: ParticipantStory, screening: SimulatedFact) -> None:
    """The same person was entered before, under another number; so the site's own number is not given again."""
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
