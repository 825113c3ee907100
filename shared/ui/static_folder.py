"""The folder of style, scripts and icon, and the name that their content gives it in addresses."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).with_name("static")
MEDIA_TYPES = {
    "app.css": "text/css",
    "cohort-dark.png": "image/png",
    "cohort.png": "image/png",
    "combobox.js": "text/javascript",
    "data-query.js": "text/javascript",
    "favicon.svg": "image/svg+xml",
    "figures.js": "text/javascript",
    "forms.js": "text/javascript",
    "live.js": "text/javascript",
    "parts.js": "text/javascript",
    "relays.js": "text/javascript",
    "session.js": "text/javascript",
    "stream.js": "text/javascript",
}


@cache
def content_name() -> str:
    """Returns the name of the folder in addresses: 16 hexadecimal digits, others whenever one of its files changes.

    One name for all files keeps their relative imports of each other as they are.
    """
    digest = hashlib.sha256()
    for name in sorted(MEDIA_TYPES):
        content = (FOLDER / name).read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:16]
