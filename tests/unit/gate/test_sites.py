"""A site has the time zone of a place and an existing country."""

from __future__ import annotations

import json
from datetime import date
from functools import partial

import pytest
from pydantic import ValidationError

from services.enrollment.rules.study import gate_objections, objections
from shared.contracts.streams import STUDY
from shared.contracts.study import SiteActivated
from shared.kernel.objection import RuleViolation
from shared.testing.builders.facts import site_activated, study_opened
from shared.testing.spec import Spec

study_spec = Spec(objections, partial(gate_objections, date.max)).given(study_opened())


@pytest.mark.parametrize("zone", ["Factory", "EST", "Etc/GMT+5", "UTC", "US/Eastern", "Japan", "EST5EDT"])
def test_time_zone_without_a_place_is_refused(zone: str) -> None:
    study_spec.when(site_activated(time_zone=zone)).then_refused("zone-of-no-place")


def test_place_of_a_time_zone_is_suggested() -> None:
    with pytest.raises(RuleViolation, match="such as America/New_York"):
        study_spec.when(site_activated(time_zone="US/Eastern")).then_admitted()
    with pytest.raises(ValidationError, match="such as Europe/Berlin"):
        site_activated(time_zone="europe/berlin")
    with pytest.raises(ValidationError, match="such as Africa/Windhoek"):
        site_activated(time_zone="AFRICA/WINDHOEK")


@pytest.mark.parametrize("country", ["UK", "EL", "EU", "XX", "ZZ"])
def test_country_must_be_in_iso_3166(country: str) -> None:
    study_spec.when(site_activated(country=country)).then_refused("no-such-country")
    with pytest.raises(RuleViolation, match="the United Kingdom is GB"):
        study_spec.when(site_activated(country=country)).then_admitted()


@pytest.mark.parametrize(
    ("country", "zone"),
    [
        ("NA", "Africa/Windhoek"),
        ("GB", "Europe/London"),
        ("UA", "Europe/Kiev"),
        ("UA", "Europe/Kyiv"),
        ("FR", "Indian/Reunion"),
        ("US", "America/Puerto_Rico"),
        ("NO", "Arctic/Longyearbyen"),
        ("IN", "Asia/Calcutta"),
    ],
)
def test_country_and_time_zone_of_a_site_are_accepted(country: str, zone: str) -> None:
    study_spec.when(site_activated(country=country, time_zone=zone)).then_admitted()


def test_all_faults_of_a_site_are_reported_at_once() -> None:
    study_spec.when(site_activated(country="UK", time_zone="EST", name="A\nB")).then_refused(
        "zone-of-no-place", "no-such-country", "not-one-line"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"time_zone": "Factory"},
        {"time_zone": "No/Such"},
        {"time_zone": "localtime"},
        {"name": "Rome\u202e"},
        {"name": "=?UTF-8?Q?=0A?="},
        {"country": "XX"},
    ],
)
def test_stored_site_that_would_be_refused_today_stays_readable(changes: dict[str, str]) -> None:
    """F17: classes are validated whenever an event is read. What is refused from now on is refused by the gate."""
    content = {**site_activated().model_dump(mode="json"), **changes}
    stored = STUDY.read("study.site_activated", 1, json.dumps(content))
    assert isinstance(stored, SiteActivated)
    assert {name: getattr(stored, name) for name in changes} == changes
    with pytest.raises((RuleViolation, ValidationError)):
        study_spec.when(SiteActivated.model_validate(content)).then_admitted()
