"""Figures of the cohort: pure functions of a figure's numbers, as its `.json` answers them.

Every figure has a module of its own with `draw`, `table`, `caption` and `headline`; what their sentences share is here.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from services.analytics.statistics.proportions import clopper_pearson, percent

FigureData = Mapping[str, Any]
FigureTable = tuple[list[str], list[list[str]]]
Headline = list[tuple[str, str, str]]


def provenance(figure: FigureData) -> str:
    """Which state of the study a figure shows, and what was imputed or left out: the last sentence of each caption."""
    imputed_count = count_noun(figure["imputed_dates"], "imputed date")
    excluded = f"{count_noun(figure['left_out'], 'participant')} excluded"
    reason = " (voided, or consent to data use withdrawn)" if figure["left_out"] else ""
    filters = "".join(f", {humanize(name)} {value}" for name, value in active_parameters(figure).items())
    return f"Data cut-off {figure['cut']}, position {figure['position']}{filters}; {imputed_count}, {excluded}{reason}."


def active_parameters(figure: FigureData) -> dict[str, str]:
    """What narrows or divides a figure beyond its cut, in a stable order; a default that hides nobody is not said."""
    values = {name: value for name, value in sorted(figure["parameters"].items()) if value is not None}
    return {name: str(value) for name, value in values.items() if (name, value) != ("subset", "all")}


def count_noun(count: int, noun: str) -> str:
    """`1 participant`, `31 participants`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def humanize(code: str) -> str:
    """A coded value as it stands in a sentence: `brachytherapy_hdr` is `brachytherapy hdr`."""
    return code.replace("follow_up", "follow-up").replace("_", " ")


def format_share(count: int, total: int) -> str:
    """`4 / 31 = 12.9 % (95 % CI 3.6–29.8)`; a share of nobody is not defined, and is not 0."""
    if not total:
        return "not defined (no participants)"
    low, high = clopper_pearson(count, total)
    return f"{count} / {total} = {percent(count / total):.1f} % (95 % CI {percent(low):.1f}–{percent(high):.1f})"


def format_number(value: object) -> str:
    """A number without its trailing zeros, as people write doses: 30, 2.12, 69.96. Nothing is an empty text."""
    if value is None:
        return ""
    exact = Decimal(str(value)).quantize(Decimal("0.0001"), ROUND_HALF_UP)
    return f"{exact.normalize():f}" if exact else "0"
