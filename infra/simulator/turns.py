"""Turns that a participation takes besides the course of the disease: how often is in rates.py."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from datetime import date, timedelta
from itertools import pairwise

from infra.reference.treated import Happening
from infra.simulator.story import Story, Turn, iso
from infra.simulator.study import FORMS


def _screening(story: Story) -> Sequence[Happening]:
    return story.all("participant.screened")


def _enrolled_screening(story: Story) -> Sequence[Happening]:
    return _screening(story) if story.treated else []


def _contacts(story: Story) -> list[Happening]:
    return [each for each in story.all("followup.recorded") if each.data["mode"] == "clinic"]


def _before_withdrawal(story: Story) -> list[Happening]:
    """Contacts of whoever has not withdrawn; it is then that something can be arranged."""
    return [] if story.all("participant.withdrawn") else _contacts(story)


def _waive(story: Story, screening: Happening) -> None:
    screening.data["criteria"] = {**screening.data["criteria"], "other-malignancy": "waived"}
    screening.data["waivers"] = {"other-malignancy": "made up"}


def _long_courses(story: Story) -> list[Happening]:
    index = story.treated.index if story.treated else None
    if not index or not index.ended or (index.ended - index.began).days < 14:
        return []
    return [each for each in story.all("radiotherapy.started") if each.data["index"]]


def _change_prescription(story: Story, started: Happening) -> None:
    """Planned anew on the changed anatomy: the same doses to new volumes."""
    on = started.day + timedelta(days=story.rng.randint(7, 12))
    targets = [{**target, "label": f"{target['label']}_R1"} for target in started.data["targets"]]
    data = {"course_id": started.data["course_id"], "on": iso(on), "targets": targets, "reason_code": "anatomy"}
    story.add("enrollment", "radiotherapy.prescription_changed", data, on)


def _since_the_new_form(story: Story) -> list[Happening]:
    new = date.fromisoformat(FORMS[-1]["valid_from"])
    signed = story.all("participant.consented")
    if not signed or signed[0].day >= new:
        return []
    return [each for each in _before_withdrawal(story) if each.day >= new]


def _renew_consent(story: Story, contact: Happening) -> None:
    options = deepcopy(story.all("participant.consented")[0].data["options"])
    data = {"signed_on": iso(contact.day), "form_version": FORMS[-1]["version"], "options": options}
    story.add("enrollment", "participant.consented", data, contact.day)


def _elsewhere(story: Story) -> list[Happening]:
    return _before_withdrawal(story) if len(story.sites) > 1 else []


def _transfer(story: Story, contact: Happening) -> None:
    """The new site gives the participant a number of its own, by restating the screening."""
    to = story.rng.choice([site for site in story.sites if site is not story.site])
    on = contact.day + timedelta(days=1)
    moved = story.add("enrollment", "participant.transferred", {"to_site": to.site_id, "on": iso(on)}, on)
    screening = story.all("participant.screened")[0]
    restated = {**deepcopy(screening.data), "local_reference": f"{screening.data['local_reference']}-T"}
    story.correct(screening, "source_corrected", restated, after=moved)


def _withdraw_all(story: Story, contact: Happening) -> None:
    """Nothing that happened later is told any more, except death."""
    on = contact.day
    story.forget(lambda each: each.day > on and each.type != "participant.died")
    data = {"withdrawn_on": iso(on), "scope": "data_use", "reason": "made up"}
    story.add("enrollment", "participant.withdrawn", data, on)


def _in_a_registry(story: Story) -> list[Happening]:
    """Withdrawals after which a registry may still be asked, since consent says so and the participant lives."""
    if not story.treated or not story.treated.registry or not story.outlook:
        return []
    dies_on = story.outlook.dies_on
    return [each for each in story.all("participant.withdrawn") if each.day + timedelta(days=91) < dies_on]


def _ask_registry(story: Story, withdrawal: Happening) -> None:
    on = withdrawal.day + timedelta(days=story.rng.randint(30, 90))
    story.add("followup", "vital_status.confirmed", {"alive_on": iso(on), "source": "registry"}, on)


def _spread(story: Story) -> list[Happening]:
    return [each for each in story.all("disease.progressed") if each.data["kind"] == "distant"]


def _register_lesion(story: Story, progression: Happening) -> None:
    """The new lesion gets an id, which the progression names."""
    site = progression.data["body_site"]
    data = {"lesion_id": "P1", "kind": "metastasis", "body_site": site, "found_on": iso(progression.day)}
    story.add("enrollment", "lesion.registered", data, progression.day)
    progression.data["lesion_id"] = "P1"


def _late(story: Story) -> list[Happening]:
    """Contacts of a visit that somebody had to be reminded of: four months or more after what was before."""
    contacts, quarter = story.all("followup.recorded"), timedelta(days=110)
    return [late for before, late in pairwise(contacts) if "visit" in late.data and late.day - before.day > quarter]


def _snooze(story: Story, late: Happening) -> None:
    """Without a day until when: that would have to lie ahead of the day on which it is told, whenever that is."""
    story.add("followup", "reminder.snoozed", {"visit": late.data["visit"]}, late.day - timedelta(days=10))


def _acknowledge(story: Story, late: Happening) -> None:
    story.add("followup", "reminder.acknowledged", {"visit": late.data["visit"]}, late.day - timedelta(days=3))


def _entered_in_error(story: Story, _: Happening) -> None:
    story.voided = story.rng.randint(2, 60), {"reason": "entered_in_error"}


def _duplicate(story: Story, screening: Happening) -> None:
    """The same person was entered before, under another number; so the site's own number is not given again."""
    screening.data.pop("local_reference", None)
    story.voided = story.rng.randint(2, 60), {"reason": "duplicate"}


def _not_moved(story: Story) -> Sequence[Happening]:
    return [] if story.all("participant.transferred") or story.voided else _screening(story)


TURNS = (
    Turn("a criterion is waived", _enrolled_screening, _waive),
    Turn("the prescription is changed", _long_courses, _change_prescription),
    Turn("consent is renewed", _since_the_new_form, _renew_consent),
    Turn("transferred to another site", _elsewhere, _transfer),
    Turn("all use of the data is withdrawn", _before_withdrawal, _withdraw_all),
    Turn("a registry is asked after the withdrawal", _in_a_registry, _ask_registry),
    Turn("a new lesion is registered", _spread, _register_lesion),
    Turn("a reminder is snoozed", _late, _snooze),
    Turn("a reminder is acknowledged", _late, _acknowledge),
    Turn("entered in error", _not_moved, _entered_in_error),
    Turn("a duplicate", _not_moved, _duplicate),
)
