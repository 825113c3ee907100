"""Zones and countries by the tables of the tzdata package, whatever this machine has."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.kernel import zones
from shared.kernel.clock import Clock

NO_PLACES = (
    "localtime", "Factory", "EST", "EST5EDT", "CET", "Etc/GMT+5", "Etc/UTC", "UTC", "GMT", "Zulu", "posixrules",
    "US/Eastern", "Brazil/East", "Japan", "europe/berlin", "", "../Europe/Berlin", "Europe/Atlantis",
)  # fmt: skip
PLACES = (
    "Europe/Berlin", "Europe/Kyiv", "Europe/Kiev", "Africa/Windhoek", "Pacific/Kiritimati", "Pacific/Niue",
    "Asia/Calcutta", "America/Argentina/Buenos_Aires", "Arctic/Longyearbyen", "Indian/Reunion", "Europe/Busingen",
)  # fmt: skip


@pytest.mark.parametrize("name", NO_PLACES)
def test_what_is_the_zone_of_no_place(name: str) -> None:
    assert name not in zones.places()


@pytest.mark.parametrize("name", PLACES)
def test_what_is_the_zone_of_a_place(name: str) -> None:
    assert name in zones.places()
    assert zones.zone(name).key == name


def test_a_renamed_zone_keeps_the_clock() -> None:
    noon = datetime(2024, 7, 1, 12, tzinfo=UTC)
    assert noon.astimezone(zones.zone("Europe/Kiev")).hour == noon.astimezone(zones.zone("Europe/Kyiv")).hour == 15


@pytest.mark.parametrize(
    ("name", "meant"),
    [("europe/berlin", "Europe/Berlin"), ("EUROPE/KIEV", "Europe/Kiev"), ("US/Eastern", "America/New_York"),
     ("us/pacific", "America/Los_Angeles"), ("EST", None), ("localtime", None), ("Etc/GMT+5", None), ("x", None)],
)  # fmt: skip
def test_the_place_that_is_probably_meant_is_suggested(name: str, meant: str | None) -> None:
    assert zones.suggestion(name) == meant


def test_countries_are_those_of_iso_3166() -> None:
    assert {"NA", "GB", "DE", "RE", "GR"} <= zones.countries()
    assert not {"UK", "EL", "EU", "XX"} & zones.countries()
    assert len(zones.countries()) == 249


AT_HALF_PAST_TEN = Clock(now=lambda: datetime(2024, 3, 7, 10, 30, tzinfo=UTC))


@pytest.mark.parametrize(
    ("zone", "day"), [("Pacific/Kiritimati", 8), ("Pacific/Niue", 6), ("Europe/Berlin", 7), ("UTC", 7)]
)
def test_a_sites_day_is_that_of_its_place(zone: str, day: int) -> None:
    assert AT_HALF_PAST_TEN.today("atc-rt", zone).day == day


SAY = """
from datetime import UTC, datetime
from shared.kernel.clock import Clock
clock = Clock(now=lambda: datetime(2024, 3, 7, 10, 30, tzinfo=UTC))
print(*(clock.today("s", zone) for zone in ("Pacific/Kiritimati", "Pacific/Niue", "Europe/Berlin", "UTC")))
"""


@pytest.mark.parametrize("surroundings", [{"TZ": "Asia/Tokyo"}, {"TZ": "America/Los_Angeles", "PYTHONTZPATH": "/"}, {}])
def test_no_sites_day_depends_on_this_machine(surroundings: dict[str, str]) -> None:
    """PYTHONTZPATH hides the tables that the machine has."""
    said = subprocess.run(
        [sys.executable, "-c", SAY], env={**os.environ, **surroundings}, cwd=Path(__file__).parents[3],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert said.stdout.split() == ["2024-03-08", "2024-03-06", "2024-03-07", "2024-03-07"]
