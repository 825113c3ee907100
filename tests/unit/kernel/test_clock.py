from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfoNotFoundError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.kernel.clock import Clock

LATE_IN_MARCH = datetime(2025, 3, 14, 15, 30, tzinfo=UTC)


def at(instant: datetime, setting: str = "") -> Clock:
    return Clock(Clock.parse(setting).frozen_or_shifted, lambda: instant)


@pytest.mark.parametrize(
    ("zone", "today"),
    [
        ("UTC", date(2025, 3, 14)),
        ("Europe/Rome", date(2025, 3, 14)),
        ("Asia/Tokyo", date(2025, 3, 15)),
        ("Pacific/Kiritimati", date(2025, 3, 15)),
        ("Pacific/Pago_Pago", date(2025, 3, 14)),
    ],
)
def test_today_is_the_calendar_day_at_the_site(zone: str, today: date) -> None:
    assert at(LATE_IN_MARCH).today("atc-rt", zone) == today


def test_today_changes_at_local_midnight_even_on_the_night_the_clocks_change() -> None:
    before, after = datetime(2025, 3, 29, 22, 59, 59, tzinfo=UTC), datetime(2025, 3, 29, 23, 0, tzinfo=UTC)
    assert at(before).today("atc-rt", "Europe/Berlin") == date(2025, 3, 29)
    assert at(after).today("atc-rt", "Europe/Berlin") == date(2025, 3, 30)
    end = datetime(2025, 3, 30, 22, 0, tzinfo=UTC)
    assert at(end).today("atc-rt", "Europe/Berlin") == date(2025, 3, 31)


def test_a_frozen_study_has_one_today_wherever_one_looks_from() -> None:
    clock = at(LATE_IN_MARCH, "atc-rt=2025-01-31")
    assert {clock.today("atc-rt", zone) for zone in ("UTC", "Asia/Tokyo")} == {date(2025, 1, 31)}


@given(st.integers(-4000, 4000))
def test_a_shifted_study_moves_on_with_the_real_days(days: int) -> None:
    setting = f"demo-live={days:+d}"
    shift = timedelta(days=days)
    assert at(LATE_IN_MARCH, setting).today("demo-live") == date(2025, 3, 14) + shift
    assert at(LATE_IN_MARCH + timedelta(days=1), setting).today("demo-live") == date(2025, 3, 15) + shift


def test_each_study_has_its_own_today_and_the_others_have_the_one_without_a_name() -> None:
    clock = at(LATE_IN_MARCH, "2020-02-29, atc-rt=2025-01-31, demo-live=+0")
    assert clock.today("atc-rt") == date(2025, 1, 31)
    assert clock.today("demo-live") == date(2025, 3, 14)
    assert clock.today("another") == date(2020, 2, 29)


def test_without_a_setting_every_study_has_the_real_today() -> None:
    assert at(LATE_IN_MARCH, " ").today("atc-rt") == date(2025, 3, 14)


def test_what_is_recorded_goes_by_the_real_time_whatever_is_frozen() -> None:
    before = datetime.now(UTC)
    now = Clock.parse("2025-01-31").now()
    assert before <= now <= datetime.now(UTC)
    assert now.utcoffset() == timedelta()


@pytest.mark.parametrize(
    "setting",
    ["yesterday", "atc-rt=", "atc-rt", "atc-rt=2025-02-30", "+x", "+1.5", "atc-rt=+1;x=+2", "2025-01-31T00:00"],
)
def test_a_setting_that_is_none_is_refused_at_the_start(setting: str) -> None:
    with pytest.raises(ValueError):
        Clock.parse(setting)


def test_a_zone_that_is_none_is_not_taken_for_utc() -> None:
    with pytest.raises(ZoneInfoNotFoundError):
        at(LATE_IN_MARCH).today("atc-rt", "Europe/Atlantis")
