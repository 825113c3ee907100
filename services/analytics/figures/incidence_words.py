"""The caption of an incidence figure: the counts and incidences of each group, as sentences. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from services.analytics.figures.comparison_words import describe_emptied_groups
from services.analytics.figures.incidence_numbers import (
    IncidenceGroup,
    IncidenceLandmark,
    IncidenceRate,
    emptied_on,
)
from services.analytics.figures.survival_numbers import DAYS_OF_MONTH, Interval
from services.analytics.statistics.proportions import percent
from services.analytics.wording.phrasing import count_noun

_MOST_GROUPS = 6
"""A caption of more groups names the counts alone."""


def describe_incidences(
    groups: Sequence[IncidenceGroup], event_noun: str, competing_words: str, beginning: str = ""
) -> Iterator[str]:
    """Yields a sentence for each group: participants, events with their share, and the incidences at the landmarks."""
    for group in groups:
        start = f"{beginning}{group.name}: " if len(groups) > 1 else beginning
        counts = f"{start}{group.events} with {event_noun} of {count_noun(group.n, 'participant')}"
        if not group.n or len(groups) > _MOST_GROUPS:
            yield f"{counts}."
            continue
        landmarks = "".join(_landmark(landmark, competing_words) for landmark in group.landmarks)
        yield f"{counts} ({describe_share(group.proportion)}){landmarks}."


def describe_share(proportion: Interval) -> str:
    """Returns a proportion in percent with its exact interval; an empty text for that of nobody."""
    if proportion.estimate is None or proportion.lower is None or proportion.upper is None:
        return ""
    limits = f"{percent(proportion.lower):.1f}–{percent(proportion.upper):.1f}"
    return f"{percent(proportion.estimate):.1f} %, exact 95 % CI {limits}"


def _landmark(landmark: IncidenceLandmark, competing_words: str) -> str:
    if landmark.estimate is None or landmark.competing is None:
        return ""
    limits = ""
    if landmark.lower is not None and landmark.upper is not None:
        limits = f" (95 % CI {percent(landmark.lower):.1f}–{percent(landmark.upper):.1f})"
    months = round(landmark.time / DAYS_OF_MONTH)
    competing = f"{competing_words} {percent(landmark.competing):.1f} %"
    return f"; incidence at {months} months {percent(landmark.estimate):.1f} %{limits}, {competing}"


def describe_emptied(groups: Sequence[IncidenceGroup]) -> Iterator[str]:
    """Yields a sentence for each group in which nobody is left event-free before others enter."""
    emptied = {group.name: emptied_on(group) for group in groups}
    return describe_emptied_groups(emptied, "an event", "the incidences stay as they are")


def describe_rate(rate: IncidenceRate | None, beginning: str = "Rate") -> Iterator[str]:
    """Yields the events per 100 person-months."""
    if rate and rate.estimate is not None and rate.lower is not None and rate.upper is not None:
        limits = f"{100 * rate.lower:.1f}–{100 * rate.upper:.1f}"
        yield f"{beginning}: {100 * rate.estimate:.1f} per 100 person-months (exact 95 % CI {limits})."
