"""Loads named queries from the `.sql` files beside the modules that use them.

A query follows a line `-- name: …` and a comment that describes its result.
"""

from __future__ import annotations

import re
from pathlib import Path

_NAME_LINE = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def load_queries(file: Path) -> dict[str, str]:
    """Returns the text of every query in the file by its name."""
    _, *parts = _NAME_LINE.split(file.read_text(encoding="utf-8"))
    return dict(zip(parts[::2], (text.strip() for text in parts[1::2]), strict=True))
