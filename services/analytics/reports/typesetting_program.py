"""The program that typesets: a task from standard input as JSON, the PDF to standard output.

It runs in a process of its own: typst keeps what it has typeset in memory, and does not give it back.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from importlib.resources import as_file, files
from pathlib import Path
from tempfile import TemporaryDirectory

import typst

_TEMPLATES = Path(__file__).with_name("templates")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_ANY_TIME = datetime(1970, 1, 1, tzinfo=UTC)


def typeset(template: str, text: str, font: str, created_at: datetime) -> bytes:
    """Returns the PDF of a template and its content as JSON. Characters that no font has are printed as numbers."""
    missing = _missing_characters("".join(sorted(set(_NOT_ASCII.findall(text)))), font)
    printable = text.translate({ord(character): f"[U+{ord(character):04X}]" for character in missing})
    return _compile(template, {"content": printable, "font": font}, created_at)


def _compile(template: str, inputs: Mapping[str, str], created_at: datetime) -> bytes:
    with _font_folder() as fonts:
        return typst.compile(
            _TEMPLATES / template,
            root=_TEMPLATES,
            font_paths=[fonts],
            ignore_system_fonts=True,
            sys_inputs=dict(inputs),
            format="pdf",
            pdf_standards=["ua-1"],
            timestamp=created_at.astimezone(UTC).replace(microsecond=0),  # a PDF has whole seconds
        )


@contextmanager
def _font_folder() -> Iterator[Path]:
    """Yields a folder with the TrueType files of the font alone: its package has the font in another format too."""
    with as_file(files("font_source_sans_pro") / "files") as package, TemporaryDirectory() as folder:
        for font in package.glob("*.ttf"):
            (Path(folder) / font.name).symlink_to(font)
        yield Path(folder)


@lru_cache(maxsize=256)
def _missing_characters(characters: str, font: str) -> frozenset[str]:
    """Returns the characters that no font can show."""
    if not characters or _can_show(characters, font):
        return frozenset()
    if len(characters) == 1:
        return frozenset(characters)
    middle = len(characters) // 2
    return _missing_characters(characters[:middle], font) | _missing_characters(characters[middle:], font)


def _can_show(characters: str, font: str) -> bool:
    try:
        _compile("characters.typ", {"characters": " ".join(characters), "font": font}, _ANY_TIME)
    except typst.TypstError:
        return False
    return True


if __name__ == "__main__":
    task = json.load(sys.stdin)
    created_at = datetime.fromisoformat(task["created_at"])
    sys.stdout.buffer.write(typeset(task["template"], task["content"], task["font"], created_at))
