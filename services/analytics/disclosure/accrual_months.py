"""The days on which readers are shown how many participants have been enrolled. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta

from services.analytics.disclosure.editions import DayComparison, DividedCut, Edition


def _allows_every_day(day: date) -> bool:
    return True


def edition_days(cut: DividedCut, editions: Sequence[Edition]) -> tuple[date, ...] | None:
    """Returns the days at whose end a division shows its counts, so that none tells of a few beside earlier editions.

    None if the counts on the day of the cut do.
    """
    days_by_group: dict[str, list[date]] = {}
    for membership in cut.members.values():
        days_by_group.setdefault(membership.group, []).append(membership.entered_on)
    comparisons = [DayComparison(edition, cut) for edition in editions]
    days = published_days(
        list(days_by_group.values()),
        cut.cut_on,
        cut.minimum,
        lambda day: all(comparison.allows(day) for comparison in comparisons),
    )
    return days if all(comparison.allows(cut.cut_on) for comparison in comparisons) else None


def published_days(
    enrollment_days: Sequence[Sequence[date]],
    cut_on: date,
    minimum: int,
    is_allowed: Callable[[date], bool] = _allows_every_day,
) -> tuple[date, ...]:
    """Returns the days at whose end the counts of all groups are published: ends of months, and the day of the cut.

    `enrollment_days`: for each group the day of every enrollment up to the cut. From each published day to the next,
    every group has no newcomer or at least `minimum`. A month that would break this is shown with the next month, and
    the last months with those before; counts of fewer than `minimum` participants are published on `cut_on` alone.
    `is_allowed` leaves out ends of months. Of nobody only the count on `cut_on` is published, which is 0.
    """
    if not any(enrollment_days):
        return (cut_on,)
    first = min(day for days in enrollment_days for day in days)
    published: list[date] = []
    for month_end in month_ends(first, cut_on):
        if _can_follow(published, month_end, enrollment_days, minimum) and is_allowed(month_end):
            published.append(month_end)
    while published and not _can_follow(published, cut_on, enrollment_days, minimum):
        published.pop()
    return (*published, cut_on)


def _can_follow(
    published: Sequence[date], until: date, enrollment_days: Sequence[Sequence[date]], minimum: int
) -> bool:
    """Returns whether no group has from 1 to below `minimum` newcomers since the last published day."""
    after = published[-1] if published else date.min
    newcomers = [sum(after < day <= until for day in days) for days in enrollment_days]
    return all(count == 0 or count >= minimum for count in newcomers)


def month_ends(first: date, cut_on: date) -> Iterator[date]:
    """Yields the last day of each month from that of `first`, as far as it is before the cut."""
    month_end = _end_of_month(first)
    while month_end < cut_on:
        yield month_end
        month_end = _end_of_month(month_end + timedelta(days=1))


def _end_of_month(day: date) -> date:
    next_month = (day.replace(day=1) + timedelta(days=31)).replace(day=1)
    return next_month - timedelta(days=1)
