from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfoNotFoundError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.kernel.clock import Clock

LATE_IN_MARCH = datetime(2025, 3, 14, 15, 30, tzinfo=UTC)


def clock_at(instant: datetime, setting: str = "") -> Clock:
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
    assert clock_at(LATE_IN_MARCH).today("atc-rt", zone) == today


def test_today_changes_at_local_midnight_across_a_clock_change() -> None:
    before, after = datetime(2025, 3, 29, 22, 59, 59, tzinfo=UTC), datetime(2025, 3, 29, 23, 0, tzinfo=UTC)
    assert clock_at(before).today("atc-rt", "Europe/Berlin") == date(2025, 3, 29)
    assert clock_at(after).today("atc-rt", "Europe/Berlin") == date(2025, 3, 30)
    end = datetime(2025, 3, 30, 22, 0, tzinfo=UTC)
    assert clock_at(end).today("atc-rt", "Europe/Berlin") == date(2025, 3, 31)


def test_frozen_study_has_the_same_today_in_every_zone() -> None:
    clock = clock_at(LATE_IN_MARCH, "atc-rt=2025-01-31")
    assert {clock.today("atc-rt", zone) for zone in ("UTC", "Asia/Tokyo")} == {date(2025, 1, 31)}


def test_study_frozen_at_an_instant_has_the_day_of_that_instant_at_each_site() -> None:
    clock = clock_at(LATE_IN_MARCH, "atc-rt=2025-01-31T23:30:00+01:00,demo-live=2024-12-31t23:00:00Z")
    zones = ("Europe/Berlin", "America/New_York", "Asia/Tokyo")
    assert [clock.today("atc-rt", zone).day for zone in zones] == [31, 31, 1]
    assert [clock.today("demo-live", zone).year for zone in zones] == [2025, 2024, 2025]


@pytest.mark.parametrize("setting", ["", "2025-03-14", "2025-03-14T12:00:00Z", "+0", "atc-rt=2025-03-14"])
@given(days=st.integers(0, 4000))
def test_advanced_study_is_so_many_days_later_and_no_other(setting: str, days: int) -> None:
    advanced_days: dict[str, int] = {}
    clock = Clock(Clock.parse(setting).frozen_or_shifted, lambda: LATE_IN_MARCH, lambda: advanced_days)
    before = clock.today("atc-rt", "Asia/Tokyo"), clock.today("demo-live")
    advanced_days["atc-rt"] = days
    assert clock.today("atc-rt", "Asia/Tokyo") == before[0] + timedelta(days=days)
    assert clock.today("demo-live") == before[1]


@given(st.integers(-4000, 4000))
def test_shifted_study_advances_with_real_days(days: int) -> None:
    setting = f"demo-live={days:+d}"
    shift = timedelta(days=days)
    assert clock_at(LATE_IN_MARCH, setting).today("demo-live") == date(2025, 3, 14) + shift
    assert clock_at(LATE_IN_MARCH + timedelta(days=1), setting).today("demo-live") == date(2025, 3, 15) + shift


def test_studies_without_a_setting_use_the_default_today() -> None:
    clock = clock_at(LATE_IN_MARCH, "2020-02-29, atc-rt=2025-01-31, demo-live=+0")
    assert clock.today("atc-rt") == date(2025, 1, 31)
    assert clock.today("demo-live") == date(2025, 3, 14)
    assert clock.today("another") == date(2020, 2, 29)


def test_empty_setting_means_the_real_today() -> None:
    assert clock_at(LATE_IN_MARCH, " ").today("atc-rt") == date(2025, 3, 14)


def test_recording_time_is_real_despite_a_frozen_today() -> None:
    before = datetime.now(UTC)
    now = Clock.parse("2025-01-31").now()
    assert before <= now <= datetime.now(UTC)
    assert now.utcoffset() == timedelta()


@pytest.mark.parametrize(
    "setting",
    [
        "yesterday",
        "atc-rt=",
        "atc-rt",
        "atc-rt=2025-02-30",
        "+x",
        "+1.5",
        "atc-rt=+1;x=+2",
        "2025-01-31T00:00",
        "2025-01-31T25:00:00Z",
        "T",
    ],
)
def test_invalid_clock_setting_is_refused(setting: str) -> None:
    with pytest.raises(ValueError):
        Clock.parse(setting)


def test_unknown_zone_is_an_error() -> None:
    with pytest.raises(ZoneInfoNotFoundError):
        clock_at(LATE_IN_MARCH).today("atc-rt", "Europe/Atlantis")
