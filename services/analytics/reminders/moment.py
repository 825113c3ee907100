"""The hours of a day at which a site's digest may be composed and sent. Pure."""

from __future__ import annotations

from bisect import bisect_left
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import NamedTuple

from shared.kernel.clock import Clock
from shared.kernel.zones import zone_rules

SENDING_HOURS = timedelta(hours=10)
"""The time after its moment during which a digest may be sent on its day."""
SETTLING_TIME = timedelta(seconds=60)
"""The time after its moment at which a digest is composed: facts recorded just before have arrived by then."""


class SendingHours(NamedTuple):
    """The instants in UTC between which the digest of a day may be sent. `end` is exclusive."""

    start: datetime
    end: datetime


def sending_hours(zone: str, day: date, digest_at: str) -> SendingHours:
    """Returns the hours of a site's day at which its digest may be sent. `digest_at`: a time of day as `HH:MM`.

    They begin at the first instant of the local day at which the clock shows `digest_at` or later, and end 10 hours
    later, or with the day.
    """
    start = _first_instant(zone, datetime.combine(day, time.fromisoformat(digest_at)))
    day_end = _first_instant(zone, datetime.combine(day + timedelta(days=1), time.min))
    return SendingHours(start, min(start + SENDING_HOURS, day_end))


def open_until(clock: Clock, study_id: str, zone: str, digest_at: str) -> datetime | None:
    """Returns until when a digest of today at a site may be sent; None outside of its hours.

    A study that is frozen on a day has no hours, and its digests are due at once.
    """
    now, instant = clock.now(), clock.instant(study_id)
    if instant is None:
        return now + SENDING_HOURS
    start, end = sending_hours(zone, instant.astimezone(zone_rules(zone)).date(), digest_at)
    composed_from = start if clock.is_frozen(study_id) else start + SETTLING_TIME
    return now + (end - instant) if composed_from <= instant < end else None


def _first_instant(zone: str, wall_time: datetime) -> datetime:
    """Returns the first instant at which the clock shows a time, or the end of the hour that leaves the time out.

    A time that a clock change repeats has two offsets, and `fold=0` is the first. For one that is left out both offsets
    miss the change, which lies between the two instants.
    """
    rules = zone_rules(zone)
    first, second = (wall_time.replace(tzinfo=rules, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first <= second:
        return first
    seconds = range(int((first - second).total_seconds()) + 1)
    after_change = bisect_left(
        seconds, True, key=lambda offset: _clock(rules, second + timedelta(seconds=offset)) >= wall_time
    )
    return second + timedelta(seconds=after_change)


def _clock(rules: tzinfo, instant: datetime) -> datetime:
    return instant.astimezone(rules).replace(tzinfo=None)
