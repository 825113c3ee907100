"""The hours of a site's day at which its digest is sent, on days of clock changes too."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.reminders.moment import open_until, sending_hours
from shared.kernel.clock import Clock
from shared.kernel.zones import zone_rules
from tests.unit.analytics.reminders.sending import day


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "on", "digest_at", "start"),
    [
        ("Europe/Berlin", "2025-04-01", "08:00", "2025-04-01T06:00"),
        ("Asia/Tokyo", "2025-04-01", "08:00", "2025-03-31T23:00"),
        ("Africa/Cairo", "2025-04-25", "00:30", "2025-04-24T22:00"),  # the clock shows no 00:30 that day
        ("Africa/Cairo", "2025-10-30", "23:30", "2025-10-30T20:30"),  # the clock shows 23:30 twice
        ("Europe/Berlin", "2025-03-30", "02:30", "2025-03-30T01:00"),
        ("Europe/Berlin", "2025-10-26", "02:30", "2025-10-26T00:30"),
        ("Australia/Lord_Howe", "2025-10-05", "02:15", "2025-10-04T15:30"),  # a change by half an hour
        ("America/Santiago", "2025-09-07", "00:00", "2025-09-07T04:00"),  # the day begins at 01:00
        ("Asia/Kathmandu", "2025-04-01", "08:00", "2025-04-01T02:15"),
    ],
)
def test_the_digest_is_due_when_the_clock_first_shows_its_time_or_later(
    zone: str, on: str, digest_at: str, start: str
) -> None:
    assert sending_hours(zone, day(on), digest_at).start == instant(start)


def test_a_digest_may_be_sent_until_ten_hours_later_on_its_day() -> None:
    assert sending_hours("Europe/Berlin", day("2025-04-01"), "08:00").end == instant("2025-04-01T16:00")
    assert sending_hours("Europe/Berlin", day("2025-04-01"), "20:00").end == instant("2025-04-01T22:00")
    assert sending_hours("America/Santiago", day("2025-09-06"), "20:00").end == instant("2025-09-07T04:00")


@given(
    st.sampled_from(
        sorted(
            zone
            for zone in available_timezones()
            if zone.partition("/")[0] in ("Africa", "America", "Asia", "Australia", "Europe", "Pacific")
        )
    ),
    st.dates(day("2024-01-01"), day("2027-12-31")),
    st.times().map(lambda time: f"{time:%H:%M}"),
)
def test_no_earlier_instant_of_the_day_shows_the_time(zone: str, on: object, digest_at: str) -> None:
    assert hasattr(on, "isoformat")
    start, end = sending_hours(zone, day(on.isoformat()), digest_at)
    rules = zone_rules(zone)
    local = start.astimezone(rules)
    just_before = (start - timedelta(seconds=1)).astimezone(rules)
    assert (str(local.date()), f"{local:%H:%M}" >= digest_at) == (on.isoformat(), True)
    assert (just_before.date(), f"{just_before:%H:%M:%S}") < (local.date(), f"{digest_at}:00")
    assert start < end <= start + timedelta(hours=10)


@pytest.mark.parametrize(
    ("setting", "is_open"),
    [
        ("2025-04-01T07:59:59+02:00", False),
        ("2025-04-01T08:00:00+02:00", True),
        ("2025-04-01T17:59:59+02:00", True),
        ("2025-04-01T18:00:00+02:00", False),
        ("2025-04-01T20:00:00+02:00", False),
        ("2025-04-01", True),  # a day has no hours
    ],
)
def test_a_study_that_is_frozen_at_an_instant_has_the_hours_of_that_instant(setting: str, is_open: bool) -> None:
    clock = Clock(Clock.parse(f"study={setting}").frozen_or_shifted, now=lambda: instant("2026-11-29T03:00"))
    until = open_until(clock, "study", "Europe/Berlin", "08:00")
    assert (until is not None and until > instant("2026-11-29T03:00")) is is_open


def test_a_frozen_instant_has_hours_at_each_site_by_its_zone() -> None:
    clock = Clock.parse("study=2025-04-01T20:00:00+02:00")
    open_zones = {
        zone
        for zone in ("Europe/Berlin", "America/New_York", "Asia/Tokyo", "Pacific/Auckland")
        if open_until(clock, "study", zone, "08:00")
    }
    assert open_zones == {"America/New_York"}  # 14:00; in Tokyo and Auckland it is night
