"""The words of a first table: titles, sentences of the caption, cells of the table, and parts of the picture. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from services.analytics.figures.characteristic_rows import CharacteristicRows, CharacteristicsGroup, Quartiles
from services.analytics.figures.share_chart import MOST_LABELED_GROUPS, ShareRow, ShareSection
from services.analytics.figures.shares import SHARE_HEADINGS
from services.analytics.wording.phrasing import as_sentence, capitalize, count_noun, format_number, humanize, join_words

_TITLES: Mapping[str, str] = {
    "age": "Age at enrollment",
    "sex": "Sex",
    "stage": "Stage group (AJCC 8, derived from TNM)",
    "performance": "Performance status as measured",
    "ecog": "ECOG performance status",
    "histology": "Histology (ICD-O-3)",
    "metastatic_sites": "Metastatic sites",
    "metastatic_site_count": "Number of metastatic sites",
    "molecular": "Molecular finding",
    "symptom": "Symptom at baseline",
    "intent": "Intent of the index course",
    "delivery": "Delivery of the index course",
    "index_dose": "Highest prescribed dose of the index course",
}
_CODES = frozenset({"histology", "performance", "stage", "delivery"})
"""Characteristics whose values are codes that are read as they are."""
_SPREAD_MEMBERS = ("median", "lower_quartile", "upper_quartile", "minimum", "maximum")
_SPREAD_HEADINGS = tuple(capitalize(humanize(name)) for name in _SPREAD_MEMBERS)
TABLE_HEADINGS = ("Group", "Characteristic", "Value", *SHARE_HEADINGS, *_SPREAD_HEADINGS)


def describe_group(group: CharacteristicsGroup, *, is_divided: bool) -> str:
    """Returns age, sex and stage of a group as one sentence."""
    age = group.rows_of("age")
    parts = [f"age {_describe_quartiles(age.quartiles, age.unit)}"] if age.quartiles else []
    parts += [
        f"{humanize(share.value) if name == 'sex' else share.value} {share.in_words()}"
        for name in ("sex", "stage")
        for share in group.rows_of(name).values
        if share.participants
    ]
    sentence = as_sentence("; ".join(parts))
    return f"{group.name} ({count_noun(group.n, 'participant')}): {sentence}" if is_divided else sentence


def table_rows(group: CharacteristicsGroup) -> Iterator[list[str]]:
    """Yields the rows of a group below `TABLE_HEADINGS`: the number, the values, and who is missing for what reason."""
    no_share, no_spread = [""] * 3, [""] * len(_SPREAD_MEMBERS)
    for rows in group.characteristics:
        beginning = [group.name, _title(rows)]
        if rows.quartiles:
            numbers = [format_number(getattr(rows.quartiles, name)) for name in _SPREAD_MEMBERS]
            yield [*beginning, "", str(rows.known), str(group.n), *no_share, *numbers]
        for share in rows.values:
            yield [*beginning, _value_words(rows, share.value), *share.cells(), *no_spread]
        for missing in rows.missing:
            counts = [str(missing.participants), str(group.n)]
            yield [*beginning, f"missing: {humanize(missing.reason)}", *counts, *no_share, *no_spread]


def picture_sections(groups: Sequence[CharacteristicsGroup]) -> Iterator[ShareSection]:
    """Yields a section of the picture for each characteristic."""
    for columns in zip(*(group.characteristics for group in groups), strict=True):
        first = columns[0]
        rows = tuple(
            ShareRow(_value_words(first, shares[0].value), shares)
            for shares in zip(*(column.values for column in columns), strict=True)
        )
        yield ShareSection(_title(first), tuple(_lines(columns, groups)), rows)


def _lines(columns: Sequence[CharacteristicRows], groups: Sequence[CharacteristicsGroup]) -> Iterator[str]:
    """Yields the numbers and the missing values of each group, unless there are too many groups."""
    if len(groups) > MOST_LABELED_GROUPS:
        return
    for rows, group in zip(columns, groups, strict=True):
        parts = [_describe_quartiles(rows.quartiles, rows.unit)] if rows.quartiles else []
        missing = [f"{missing.participants} {humanize(missing.reason)}" for missing in rows.missing]
        parts += [f"missing: {join_words(missing, ', ')}"] if missing else []
        if parts:
            yield (f"{group.name}: " if len(groups) > 1 else "") + "; ".join(parts)


def _describe_quartiles(quartiles: Quartiles, unit: str | None) -> str:
    if quartiles.median is None:
        return "not defined"
    median, lower, upper = map(format_number, (quartiles.median, quartiles.lower_quartile, quartiles.upper_quartile))
    limits = [f"quartiles {lower}–{upper}"]
    if quartiles.minimum is not None:
        limits.append(f"range {format_number(quartiles.minimum)}–{format_number(quartiles.maximum)}")
    return f"median {median}{f' {unit}' if unit else ''} ({join_words(limits, ', ')})"


def _title(rows: CharacteristicRows) -> str:
    title = _TITLES[rows.name]
    unit = f", {rows.unit}" if rows.unit else ""
    return f"{title}: {rows.item}" if rows.item else f"{title}{unit}"


def _value_words(rows: CharacteristicRows, value: str) -> str:
    return value if rows.name in _CODES else capitalize(humanize(value))
