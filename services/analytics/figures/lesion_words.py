"""The caption of local control: estimates, statuses, lesions that are not counted, and other readings, as sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from services.analytics.endpoints.time_to_event import NotCountedReason
from services.analytics.figures.incidence_numbers import IncidenceGroup, IncidenceLandmark
from services.analytics.figures.lesion_numbers import LesionSensitivityLine, LesionsNotCounted, LesionStatusCounts
from services.analytics.figures.survival_numbers import DAYS_OF_MONTH, NotCounted
from services.analytics.figures.survival_words import READING_WORDS
from services.analytics.snapshot.selection import LesionEvent
from services.analytics.statistics.proportions import percent
from services.analytics.wording.phrasing import count_noun, join_words

_EVENT_WORDS: Mapping[LesionEvent, tuple[str, str]] = {
    "failure": ("local failure", "local failures"),
    "necrosis": ("necrosis", "necroses"),
}
EVENT_PLURALS: Mapping[LesionEvent, str] = {event: plural for event, (_, plural) in _EVENT_WORDS.items()}
EVENT_PHRASES: Mapping[LesionEvent, str] = {"failure": "local progression", "necrosis": "necrosis"}
DEFINITION_WORDS = (
    "Cumulative incidence of {event} of treated lesions, seen on any basis, from the first day on which a prescription "
    "names the lesion (Aalen-Johansen; limits by the influence of each participant). Death, a later course and a "
    "procedure that name the lesion compete. Without any of these by the data cut-off, time ends on the last imaging, "
    "or at once if there was none."
)
"""A sentence with the place `{event}`."""
_REASON_WORDS: Mapping[NotCountedReason, str] = {
    "no_origin": "without a treated lesion",
    "exit_before_origin": "last known alive before the treatment",
    "entry_not_before_exit": "never at risk after the enrollment",
    "event_before_entry": "with the end of the time before it began",
}
_MOST_GROUPS = 6
"""A caption of more groups names the counts alone."""


def describe_lesions(groups: Sequence[IncidenceGroup], event: LesionEvent) -> Iterator[str]:
    """Yields a sentence for each group: the number of lesions, what ended their times, and the landmarks."""
    for group in groups:
        beginning = f"{group.name}: " if len(groups) > 1 else ""
        events = _count_events(group.events, event)
        details = "" if len(groups) > _MOST_GROUPS else "".join(_landmarks(group.landmarks))
        yield f"{beginning}{count_noun(group.n, 'lesion')}, {events}, {_count_competing(group)} before it{details}."


def _count_competing(numbers: IncidenceGroup | LesionSensitivityLine) -> str:
    counts = numbers.events_by_cause
    return f"{counts['death']} with death and {counts['retreatment']} with re-treatment"


def _count_events(count: int, event: LesionEvent) -> str:
    singular, plural = _EVENT_WORDS[event]
    return f"{count} {singular if count == 1 else plural}"


def _landmarks(landmarks: Sequence[IncidenceLandmark]) -> Iterator[str]:
    for landmark in landmarks:
        if landmark.estimate is None:
            continue
        limits = ""
        if landmark.lower is not None and landmark.upper is not None:
            limits = f" (95 % CI {percent(landmark.lower):.1f}–{percent(landmark.upper):.1f})"
        yield f"; at {round(landmark.time / DAYS_OF_MONTH)} months {percent(landmark.estimate):.1f} %{limits}"


def describe_statuses(status: LesionStatusCounts) -> str:
    """Returns how many lesions had each status at the last imaging."""
    counts = [f"{count} {name.replace('_', ' ')}" for name, count in status]
    return f"At the last imaging: {join_words(counts)}."


def describe_gaps(deaths: int) -> Iterator[str]:
    """Yields how many lesions had no imaging for long before the death that ended their time."""
    if deaths:
        yield f"{count_noun(deaths, 'lesion')} had no imaging in the 183 days before the death."


def describe_absent(not_counted: Sequence[NotCounted], lesions: Sequence[LesionsNotCounted]) -> Iterator[str]:
    """Yields the participants without a counted lesion, and the treated lesions without time at risk, by reason."""
    if not_counted:
        parts = [f"{row.participants} {_REASON_WORDS[row.reason]}" for row in not_counted]
        yield f"Enrolled and not counted: {join_words(parts)}."
    if lesions:
        parts = [f"{row.lesions} {_REASON_WORDS[row.reason]}" for row in lesions]
        yield f"Treated lesions not counted: {join_words(parts)}."


def describe_other_readings(lines: Sequence[LesionSensitivityLine], event: LesionEvent) -> Iterator[str]:
    """Yields what the figure would be by other readings."""
    for line in lines:
        events = _count_events(line.events, event)
        yield f"With {READING_WORDS[line.name]}: {events}, {_count_competing(line)} before it."
