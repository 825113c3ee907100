"""Phrases for sentences: lists, counts, coded values, doses, percents. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal

from services.analytics.statistics.dose import gray
from services.analytics.statistics.proportions import clopper_pearson, percent


def join_words(parts: Iterable[str], last_separator: str = " and ") -> str:
    """Joins words: `a`, `a and b`, `a, b and c`; an empty text for no parts."""
    *leading, end = list(parts) or [""]
    return f"{', '.join(leading)}{last_separator}{end}" if leading else end


def non_empty(*parts: str) -> tuple[str, ...]:
    """Returns the parts that are not empty."""
    return tuple(part for part in parts if part)


def capitalize(text: str) -> str:
    """Returns the text with a capital first letter; the rest stays as it is."""
    return text[:1].upper() + text[1:]


def as_sentence(text: str) -> str:
    """Returns the text with a capital first letter and a period."""
    return f"{capitalize(text)}."


def humanize(code: str) -> str:
    """Returns a coded value as it reads in a sentence: `brachytherapy_hdr` is `brachytherapy hdr`."""
    return code.replace("follow_up", "follow-up").replace("_", " ")


def count_noun(count: int, noun: str) -> str:
    """Returns `1 participant`, `31 participants`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def describe_days(days: int) -> str:
    """Returns the distance from today, such as `in 5 days`; negative days have passed."""
    if days == 0:
        return "today"
    return f"in {count_noun(days, 'day')}" if days > 0 else f"{count_noun(-days, 'day')} ago"


def label_term(term_id: str, term_name: str | None) -> str:
    """Returns `Nausea (3.0:0150)`, or the id alone for a term without a known name."""
    return term_id if term_name is None else f"{term_name} ({term_id})"


def format_number(value: object) -> str:
    """Returns a number without trailing zeros, as doses are written: 30, 2.12, 69.96. None is an empty text."""
    if value is None:
        return ""
    exact = Decimal(str(value)).quantize(Decimal("0.0001"), ROUND_HALF_UP)
    return f"{exact.normalize():f}" if exact else "0"


def format_gray(centigray: int) -> str:
    """Returns `69.96 Gy`."""
    return f"{format_number(gray(centigray))} Gy"


def format_share(count: int, total: int) -> str:
    """Returns `4 / 31 = 12.9 % (95 % CI 3.6–29.8)`; not defined, and so not 0, for a total of 0."""
    if not total:
        return "not defined (no participants)"
    low, high = clopper_pearson(count, total)
    return f"{count} / {total} = {percent(count / total):.1f} % (95 % CI {percent(low):.1f}–{percent(high):.1f})"
