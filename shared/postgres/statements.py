"""Statements with names of tables and columns, which the database does not take as arguments."""

from __future__ import annotations

import re
from collections.abc import Iterable

_NAME = re.compile(r"[a-z_][a-z0-9_]*|\*")


def compose_statement(statement: str, **names: str | Iterable[str]) -> str:
    """Returns the statement with a name in place of each `{field}`, or with several names and commas between them.

    `*` is the name of all columns. Raises ValueError for any text that is not a plain name, so that no text of others
    becomes part of a statement.
    """
    return statement.format_map({field: _join(text) for field, text in names.items()})


def _join(names: str | Iterable[str]) -> str:
    texts = [names] if isinstance(names, str) else list(names)
    for text in texts:
        if not _NAME.fullmatch(text):
            raise ValueError(f"not a name of the database: {text!r}")
    return ", ".join(texts)
