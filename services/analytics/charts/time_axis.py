"""Days that label an axis of time, with their labels."""

from __future__ import annotations

from datetime import date, timedelta

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MAX_DAYS_WITH_WEEKS = 100  # days; a longer axis has no room for weeks


def month_labels(start: date, end: date, max_labels: int) -> list[tuple[date, str]]:
    """Returns about `max_labels` first days of months from the year of `start` on, of years if months are too many."""
    count = (end.year - start.year) * 12 + end.month - start.month + 1
    months_apart = next((step for step in (1, 3, 6, 12, 24, 60) if count / step <= max_labels), 120)
    first_month = start.year * 12
    days = [date((first_month + m) // 12, (first_month + m) % 12 + 1, 1) for m in range(0, count + 12, months_apart)]
    return [(day, str(day.year) if months_apart >= 12 else f"{_MONTHS[day.month - 1]} {day.year}") for day in days]


def axis_labels(start: date, end: date, max_labels: int) -> list[tuple[date, str]]:
    """Returns labeled days from `start` to `end`: Mondays of a short time, months or years of a long one."""
    if (end - start).days > _MAX_DAYS_WITH_WEEKS:
        return [(day, label) for day, label in month_labels(start, end, max_labels) if start <= day <= end]
    monday = start + timedelta(days=-start.weekday() % 7)
    days = [monday + timedelta(weeks=week) for week in range((end - start).days // 7 + 1)]
    labels = [(day, f"{day.day} {_MONTHS[day.month - 1]}") for day in days if day <= end]
    return [(day, f"{label} {day.year}" if day == monday else label) for day, label in labels]
