"""Names of the files that a browser saves."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256

MAX_FILE_NAME_LENGTH = 200
"""Characters. File systems take 255 bytes, and some browsers add a number to a name that is taken."""
_UNSAFE_IN_FILE_NAME = re.compile(r"[^A-Za-z0-9_.-]")


def content_disposition(parts: Sequence[str], position: int, file_format: str) -> dict[str, str]:
    """The header that names the file. Its parts and the position are what the same answer can be requested with."""
    return {"Content-Disposition": f'inline; filename="{file_name(parts, position, file_format)}"'}


def file_name(parts: Sequence[str], position: int, file_format: str) -> str:
    """A name in ASCII of at most `MAX_FILE_NAME_LENGTH` characters; a longer one ends in a digest of all its parts."""
    full_name, suffix = "_".join(parts), f"_position-{position}.{file_format}"
    name = _UNSAFE_IN_FILE_NAME.sub("-", full_name)
    if len(name + suffix) > MAX_FILE_NAME_LENGTH:
        digest = sha256(full_name.encode()).hexdigest()[:16]
        name = f"{name[: MAX_FILE_NAME_LENGTH - len(suffix) - len(digest) - 1]}-{digest}"
    return name + suffix
