"""Typesets a document by typst: from a template and data, with fonts that are shipped, to the same bytes everywhere.

Texts reach the template as JSON, and so are never read as markup. A template can read its own folder alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from importlib.resources import as_file, files
from pathlib import Path
from tempfile import TemporaryDirectory

import typst
from pydantic import JsonValue

from services.analytics.reports.print_format import FONT, visible

_TEMPLATES = Path(__file__).with_name("templates")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_ANY_TIME = datetime(1970, 1, 1, tzinfo=UTC)


def typeset(template: str, content: Mapping[str, JsonValue], created_at: datetime) -> bytes:
    """Returns the PDF (PDF/UA-1, so tagged) of a template of this package; its dates are `created_at`.

    A character that no shipped font has is printed as its number, such as [U+4E2D].
    """
    text = json.dumps(visible(dict(content)), ensure_ascii=False)
    missing = _missing_characters("".join(sorted(set(_NOT_ASCII.findall(text)))))
    printable = text.translate({ord(character): f"[U+{ord(character):04X}]" for character in missing})
    return _compile(template, {"content": printable}, created_at)


def _compile(template: str, inputs: Mapping[str, str], created_at: datetime) -> bytes:
    with _font_folder() as fonts:
        return typst.compile(
            _TEMPLATES / template,
            root=_TEMPLATES,
            font_paths=[fonts],
            ignore_system_fonts=True,
            sys_inputs={"font": FONT, **inputs},
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
def _missing_characters(characters: str) -> frozenset[str]:
    """Returns the characters that no font can show."""
    if not characters or _can_show(characters):
        return frozenset()
    if len(characters) == 1:
        return frozenset(characters)
    middle = len(characters) // 2
    return _missing_characters(characters[:middle]) | _missing_characters(characters[middle:])


def _can_show(characters: str) -> bool:
    try:
        _compile("characters.typ", {"characters": " ".join(characters)}, _ANY_TIME)
    except typst.TypstError:
        return False
    return True
