"""The caption of a survival figure: estimates, participants who are not counted, and other readings, as sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from services.analytics.endpoints.sensitivity import SensitivityName
from services.analytics.endpoints.time_to_event import NotCountedReason
from services.analytics.figures.comparison_words import describe_emptied_groups
from services.analytics.figures.survival_numbers import (
    DAYS_OF_MONTH,
    Interval,
    NotCounted,
    SensitivityLine,
    SurvivalGroup,
)
from services.analytics.statistics.proportions import percent
from services.analytics.wording.phrasing import count_noun, join_words

_REASON_WORDS: Mapping[NotCountedReason, str] = {
    "no_origin": "without the day from which time is counted",
    "exit_before_origin": "last known alive before that day",
    "entry_not_before_exit": "never at risk after the enrollment",
    "event_before_entry": "with the event before the time at risk began",
    "baseline_severe": "with severe toxicity at baseline",
    "not_evaluable": "with no assessment in which anything could be graded",
}
READING_WORDS: Mapping[SensitivityName, str] = {
    "presumed_censored": "presumed deaths censored on the last proof of life",
    "undated_as_event": "deaths without a date on the day after the last proof of life",
    "deaths_after_leaving": "deaths after a withdrawal of consent counted",
    "without_registry_links": "everybody censored on the last proof of life, also at sites with a registry link",
    "lost_censored": "participants lost to follow-up censored on the last proof of life before the loss",
}
_MOST_GROUPS = 6
"""A caption of more groups names the counts alone."""


def describe_months(days: float | None) -> str:
    """Returns days as months, to one decimal."""
    return "not reached" if days is None else f"{days / DAYS_OF_MONTH:.1f}"


def describe_estimates(groups: Sequence[SurvivalGroup], event_noun: str) -> Iterator[str]:
    """Yields a sentence for each group: the number of participants and events, the median, and the landmarks."""
    for group in groups:
        beginning = f"{group.name}: " if len(groups) > 1 else ""
        counts = f"{beginning}{count_noun(group.n, 'participant')}, {count_noun(group.events, event_noun)}"
        if not group.n or len(groups) > _MOST_GROUPS:
            yield f"{counts}."
            continue
        yield f"{counts}; median {_median(group.median, is_published(group))}{''.join(_landmarks(group))}."


def is_published(group: SurvivalGroup) -> bool:
    """Returns whether the group is as readers see it, with a life table in place of the curve."""
    return not group.risk_table


def _median(median: Interval, without_limits: bool) -> str:
    if median.estimate is None and median.lower is None:
        return "not reached"
    value = describe_months(median.estimate)
    unit = "" if median.estimate is None else " months"
    if without_limits:
        return f"{value}{unit}"
    limits = f"{describe_months(median.lower)} to {describe_months(median.upper)}"
    return f"{value}{unit} (95 % CI {limits})"


def _landmarks(group: SurvivalGroup) -> Iterator[str]:
    for landmark in group.landmarks:
        if landmark.estimate is None:
            continue
        limits = ""
        if landmark.lower is not None and landmark.upper is not None:
            limits = f" (95 % CI {percent(landmark.lower):.1f}–{percent(landmark.upper):.1f})"
        yield f"; at {round(landmark.time / DAYS_OF_MONTH)} months {percent(landmark.estimate):.1f} %{limits}"


def emptied_on(group: SurvivalGroup) -> tuple[int, int] | None:
    """Returns the day on which all at risk had the event although others entered later, and how many did.

    None if there is no such day. Everybody at risk after it entered later.
    """
    row = next((number for number, row in enumerate(group.curve) if row.estimate == 0), None)
    if row is None or is_published(group):
        return None
    later = sum((row.events or 0) + (row.censored or 0) for row in group.curve[row + 1 :])
    return (group.curve[row].time, later) if later else None


def describe_emptied(groups: Sequence[SurvivalGroup]) -> Iterator[str]:
    """Yields a sentence for each curve that comes down to 0 before others enter."""
    emptied = {group.name: emptied_on(group) for group in groups}
    return describe_emptied_groups(emptied, "the event", "the estimate stays at 0")


def describe_not_counted(not_counted: Sequence[NotCounted]) -> Iterator[str]:
    """Yields the participants who have no time at risk, by reason."""
    if not_counted:
        parts = [f"{row.participants} {_REASON_WORDS[row.reason]}" for row in not_counted]
        yield f"Enrolled and not counted: {join_words(parts)}."


def describe_sensitivity(lines: Sequence[SensitivityLine], event_noun: str) -> Iterator[str]:
    """Yields what the figure would be by other readings."""
    for line in lines:
        events, median = count_noun(line.events, event_noun), _median(line.median, without_limits=True)
        yield f"With {READING_WORDS[line.name]}: {events}, median {median}."
