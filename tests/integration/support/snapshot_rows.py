"""Rows of snapshots as text and numbers, for comparison: codes of words differ between databases."""

from __future__ import annotations

from typing import Any, get_type_hints

from services.analytics.derivation.rows import TABLES
from services.analytics.snapshot.columns import Table, WordCodes
from services.analytics.snapshot.snapshot import StudySnapshot


def decoded(snapshot: StudySnapshot) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of a snapshot with words in place of codes."""
    return {name: _decode(snapshot.tables[name], name, snapshot.words) for name in TABLES}


def _decode(table: Table, name: str, words: WordCodes) -> list[tuple[Any, ...]]:
    kinds = get_type_hints(TABLES[name])
    columns = [
        [words.word(code) for code in column] if kinds[key] is str and key != "participant_id" else column.tolist()
        for key, column in table.columns.items()
        if key in kinds
    ]
    return list(zip(*columns, strict=True))
