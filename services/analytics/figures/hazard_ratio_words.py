"""Hazard ratios in words: for captions, the lines below curves, and the column beside a forest. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from services.analytics.figures.hazard_ratio_numbers import HazardRatio, HazardRatioReason

HAZARD_RATIO, CAUSE_SPECIFIC = "Hazard ratio", "Cause-specific hazard ratio"
MOST_RATIOS = 6
"""A figure of more groups has no line for each of them; the numbers have."""
REASON_WORDS: dict[HazardRatioReason, str] = {
    "live": "at named data cuts",
    "reference": "reference",
    "one_group": "no other group",
    "nobody": "nobody",
    "no_events": "no events",
    "no_variance": "not defined",
    "monotone_likelihood": "no finite estimate",
}
NOT_COMPARED: tuple[HazardRatioReason, ...] = ("reference", "one_group", "nobody")
"""Reasons of groups that words leave out: nothing is compared."""
_LEAST_WRITTEN, _GREATEST_WRITTEN = 0.01, 1000


def describe_ratio(ratio: HazardRatio, interval_words: str = "95 % CI ") -> str:
    """Returns `1.22 (95 % CI 0.20–7.40)`, or the reason for no estimate."""
    if ratio.estimate is None or ratio.lower is None or ratio.upper is None:
        return REASON_WORDS[ratio.reason or "no_variance"]
    return f"{_number(ratio.estimate)} ({interval_words}{_number(ratio.lower)}–{_number(ratio.upper)})"


def _number(value: float) -> str:
    if value < _LEAST_WRITTEN:
        return f"<{_LEAST_WRITTEN}"
    return f">{_GREATEST_WRITTEN}" if value > _GREATEST_WRITTEN else f"{value:.2f}"


def hazard_lines(ratios: Sequence[HazardRatio] | None, noun: str = HAZARD_RATIO) -> list[str]:
    """Returns a line for each group with somebody that is compared with the reference, in a division of few groups."""
    compared = [ratio for ratio in ratios or () if ratio.reason not in NOT_COMPARED]
    if len(ratios or ()) > MOST_RATIOS:
        return []
    return [f"{noun}, {ratio.group} against {ratio.reference}: {describe_ratio(ratio)}" for ratio in compared]


def describe_hazards(ratios: Sequence[HazardRatio] | None, noun: str = HAZARD_RATIO) -> Iterator[str]:
    """Yields a sentence for each line."""
    yield from (f"{line}." for line in hazard_lines(ratios, noun))
