"""Hours and working days of the plain implementation, on days of clock changes and on holidays."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

import pytest

from tests.two_years.history import ConfirmedDigest, PlainPlan, PlainSite, RecordedStudy
from tests.two_years.plain_reminders import digest_moment, is_working_day
from tests.two_years.worked_examples import anchor, local, mornings, sent, study_of

CAIRO = PlainSite(site_id="cairo", country="EG", zone="Africa/Cairo")


@pytest.mark.parametrize(
    ("zone", "day", "clock", "instant"),
    [
        ("Europe/Berlin", "2025-03-30", "08:00", "2025-03-30T06:00Z"),
        ("Europe/Berlin", "2025-03-30", "02:30", "2025-03-30T01:00Z"),  # the clock jumps from 02:00 to 03:00
        ("Europe/Berlin", "2025-10-26", "02:30", "2025-10-26T00:30Z"),  # 02:30 comes twice
        ("Africa/Cairo", "2025-04-25", "00:30", "2025-04-24T22:00Z"),  # the day begins at 01:00
        ("Africa/Cairo", "2025-10-30", "23:30", "2025-10-30T20:30Z"),  # 23:30 comes twice
        ("America/New_York", "2025-03-09", "02:30", "2025-03-09T07:00Z"),
        ("America/New_York", "2025-11-02", "01:30", "2025-11-02T05:30Z"),
        ("Australia/Lord_Howe", "2025-10-05", "02:15", "2025-10-04T15:30Z"),  # a change of half an hour
        ("Australia/Lord_Howe", "2025-04-06", "01:45", "2025-04-05T14:45Z"),
        ("Europe/London", "2025-03-30", "01:30", "2025-03-30T01:00Z"),
        ("Europe/London", "2025-10-26", "01:30", "2025-10-26T00:30Z"),
        ("America/Sao_Paulo", "2025-10-19", "08:00", "2025-10-19T11:00Z"),
        ("Asia/Kolkata", "2025-03-30", "08:00", "2025-03-30T02:30Z"),
        ("Asia/Tokyo", "2025-03-30", "08:00", "2025-03-29T23:00Z"),
    ],
)
def test_moment_is_the_first_instant_at_which_the_clock_shows_the_hour_or_later(
    zone: str, day: str, clock: str, instant: str
) -> None:
    moment = digest_moment(zone, date.fromisoformat(day), time.fromisoformat(clock))
    assert moment == datetime.fromisoformat(instant).astimezone(UTC)


@pytest.mark.parametrize(
    ("country", "day", "works"),
    [
        ("DE", "2025-05-01", False),
        ("DE", "2025-06-19", True),  # Corpus Christi is a holiday of some regions
        ("EG", "2025-04-24", True),
        ("EG", "2025-04-25", False),  # Friday, and Sinai Liberation Day
        ("EG", "2025-04-27", True),  # Sunday
        ("US", "2025-07-04", False),
        ("IN", "2025-08-15", False),
        ("XX", "2025-12-25", True),  # unknown: Monday to Friday
        ("XX", "2025-12-27", False),
    ],
)
def test_working_days_are_those_of_the_country(country: str, day: str, works: bool) -> None:
    assert is_working_day(country, date.fromisoformat(day)) is works


@pytest.mark.parametrize(
    ("clock", "goes"),
    [("07:59", False), ("08:00", False), ("08:01", True), ("17:59", True), ("18:00", True), ("18:01", False)],
)
def test_digest_goes_from_a_minute_after_its_moment_until_ten_hours_after(clock: str, goes: bool) -> None:
    study = study_of(anchor("2025-01-15"))
    assert sent(study, [local("2025-04-01", clock)]) == (["2025-04-01 V1 open berlin"] if goes else [])


def test_digest_late_in_the_evening_ends_with_its_day() -> None:
    study = study_of(anchor("2025-01-15"), plan=PlainPlan(digest_at=time(22)))
    assert sent(study, [local("2025-04-01", "23:59")]) == ["2025-04-01 V1 open berlin"]
    assert sent(study, [local("2025-04-02", "00:01")]) == []


def test_egypt_works_on_sundays() -> None:
    study = study_of(anchor("2025-02-09"), site=CAIRO)  # opens on Friday 04-25
    looks = mornings("2025-04-23", "2025-04-28", zones=(CAIRO.zone,))
    assert sent(study, looks) == ["2025-04-27 V1 open cairo"]


def test_day_of_a_clock_change_has_one_digest() -> None:
    study = study_of(anchor("2025-08-08"), site=CAIRO, plan=PlainPlan(digest_at=time(23, 30), before=9))
    looks = [datetime(2025, 10, 30, hour, 31, tzinfo=UTC) for hour in (20, 21)]  # 23:31 twice
    assert sent(study, looks) == ["2025-10-30 V1 open cairo"]


def test_study_digest_goes_by_the_hour_of_the_chosen_site_and_the_day_of_each_participant() -> None:
    tokyo = PlainSite(site_id="tokyo", country="JP", zone="Asia/Tokyo")
    hawaii = PlainSite(site_id="hawaii", country="US", zone="Pacific/Honolulu")
    study = study_of(anchor("2025-01-15"), site=hawaii, other_sites=[tokyo])
    digests = [digest for digest in study.digests if digest.site_id]
    chosen = ConfirmedDigest(member="of-study", site_id=None, since=study.digests[-1].since, hour_site="tokyo")
    study = RecordedStudy(
        sites=study.sites, plan=study.plan, digests=[*digests, chosen], participants=study.participants
    )
    looks = mornings("2025-05-19", "2025-05-22", zones=("Asia/Tokyo",))
    assert sent(study, looks, "*") == ["2025-05-21 V1 escalation"]  # at Tokyo's 08:01 Honolulu has 05-20
