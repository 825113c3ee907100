"""A site is at a place: in the zone of one, in a country that there is."""

from __future__ import annotations

from datetime import date
from functools import partial
from typing import Any

import pytest
from pydantic import ValidationError

from services.enrollment.study import gate, objections
from shared.contracts.study import SiteActivated
from shared.kernel.record import Refused
from shared.testing.facts import opened, site_activated
from shared.testing.spec import Spec

study = Spec(objections, partial(gate, date.max)).given(opened())


def site(**changes: Any) -> SiteActivated:
    return SiteActivated.model_validate({**site_activated().model_dump(mode="json"), **changes})


@pytest.mark.parametrize("zone", ["Factory", "EST", "Etc/GMT+5", "UTC", "US/Eastern", "Japan", "EST5EDT"])
def test_a_zone_of_no_place_is_refused(zone: str) -> None:
    study.when(site(time_zone=zone)).then_refused("zone-of-no-place")


def test_the_place_that_a_zone_names_is_suggested() -> None:
    with pytest.raises(Refused, match="such as America/New_York"):
        study.when(site(time_zone="US/Eastern")).then_admitted()
    with pytest.raises(ValidationError, match="such as Europe/Berlin"):
        site(time_zone="europe/berlin")
    with pytest.raises(ValidationError, match="such as Africa/Windhoek"):
        site(time_zone="AFRICA/WINDHOEK")


@pytest.mark.parametrize("country", ["UK", "EL", "EU", "XX", "ZZ"])
def test_a_country_is_one_of_iso_3166(country: str) -> None:
    study.when(site(country=country)).then_refused("no-such-country")
    with pytest.raises(Refused, match="the United Kingdom is GB"):
        study.when(site(country=country)).then_admitted()


@pytest.mark.parametrize(
    ("country", "zone"),
    [("NA", "Africa/Windhoek"), ("GB", "Europe/London"), ("UA", "Europe/Kiev"), ("UA", "Europe/Kyiv"),
     ("FR", "Indian/Reunion"), ("US", "America/Puerto_Rico"), ("NO", "Arctic/Longyearbyen"), ("IN", "Asia/Calcutta")],
)  # fmt: skip
def test_a_site_names_the_country_that_it_belongs_to(country: str, zone: str) -> None:
    study.when(site(country=country, time_zone=zone)).then_admitted()


def test_everything_that_is_wrong_is_said_at_once() -> None:
    study.when(site(country="UK", time_zone="EST", name="A\nB")).then_refused(
        "zone-of-no-place", "no-such-country", "not-one-line"
    )
