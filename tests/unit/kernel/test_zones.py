"""Time zones and countries are those of the tzdata package, not those of the machine."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.kernel import zones
from shared.kernel.clock import Clock

ZONES_WITHOUT_PLACE = (
    "localtime",
    "Factory",
    "EST",
    "EST5EDT",
    "CET",
    "Etc/GMT+5",
    "Etc/UTC",
    "UTC",
    "GMT",
    "Zulu",
    "posixrules",
    "US/Eastern",
    "Brazil/East",
    "Japan",
    "europe/berlin",
    "",
    "../Europe/Berlin",
    "Europe/Atlantis",
)
ZONES_OF_PLACES = (
    "Europe/Berlin",
    "Europe/Kyiv",
    "Europe/Kiev",
    "Africa/Windhoek",
    "Pacific/Kiritimati",
    "Pacific/Niue",
    "Asia/Calcutta",
    "America/Argentina/Buenos_Aires",
    "Arctic/Longyearbyen",
    "Indian/Reunion",
    "Europe/Busingen",
)


@pytest.mark.parametrize("name", ZONES_WITHOUT_PLACE)
def test_zones_without_a_place_are_not_listed(name: str) -> None:
    assert name not in zones.place_zones()


@pytest.mark.parametrize("name", ZONES_OF_PLACES)
def test_zones_of_places_are_listed(name: str) -> None:
    assert name in zones.place_zones()
    assert zones.zone_rules(name).key == name


def test_old_and_new_names_of_a_zone_have_the_same_time() -> None:
    noon = datetime(2024, 7, 1, 12, tzinfo=UTC)
    assert (
        noon.astimezone(zones.zone_rules("Europe/Kiev")).hour
        == noon.astimezone(zones.zone_rules("Europe/Kyiv")).hour
        == 15
    )


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("europe/berlin", "Europe/Berlin"),
        ("EUROPE/KIEV", "Europe/Kiev"),
        ("US/Eastern", "America/New_York"),
        ("us/pacific", "America/Los_Angeles"),
        ("EST", None),
        ("localtime", None),
        ("Etc/GMT+5", None),
        ("x", None),
    ],
)
def test_probable_zone_is_suggested(name: str, meant: str | None) -> None:
    assert zones.suggest_zone(name) == meant


def test_countries_are_those_of_iso_3166() -> None:
    assert {"NA", "GB", "DE", "RE", "GR"} <= zones.country_codes()
    assert not {"UK", "EL", "EU", "XX"} & zones.country_codes()
    assert len(zones.country_codes()) == 249


AT_HALF_PAST_TEN = Clock(now=lambda: datetime(2024, 3, 7, 10, 30, tzinfo=UTC))


@pytest.mark.parametrize(
    ("zone", "day"), [("Pacific/Kiritimati", 8), ("Pacific/Niue", 6), ("Europe/Berlin", 7), ("UTC", 7)]
)
def test_today_follows_the_zone_of_the_site(zone: str, day: int) -> None:
    assert AT_HALF_PAST_TEN.today("atc-rt", zone).day == day


PRINT_TODAY_SCRIPT = """
from datetime import UTC, datetime
from shared.kernel.clock import Clock
clock = Clock(now=lambda: datetime(2024, 3, 7, 10, 30, tzinfo=UTC))
print(*(clock.today("s", zone) for zone in ("Pacific/Kiritimati", "Pacific/Niue", "Europe/Berlin", "UTC")))
"""


@pytest.mark.parametrize("environment", [{"TZ": "Asia/Tokyo"}, {"TZ": "America/Los_Angeles", "PYTHONTZPATH": "/"}, {}])
def test_today_does_not_depend_on_the_time_zone_of_the_machine(environment: dict[str, str]) -> None:
    """PYTHONTZPATH hides the tables that the machine has."""
    completed = subprocess.run(
        [sys.executable, "-c", PRINT_TODAY_SCRIPT],
        env={**os.environ, **environment},
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    assert completed.stdout.split() == ["2024-03-08", "2024-03-06", "2024-03-07", "2024-03-07"]
