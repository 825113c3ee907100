"""Named queries: SQL lies in `.sql` files beside what uses it, each under a line `-- name: …`."""

from __future__ import annotations

import re
from pathlib import Path

_NAME_LINE = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def load_queries(file: Path) -> dict[str, str]:
    """Name → text of every query in the file."""
    _, *parts = _NAME_LINE.split(file.read_text(encoding="utf-8"))
    return dict(zip(parts[::2], (text.strip() for text in parts[1::2]), strict=True))
