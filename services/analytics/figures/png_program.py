"""The program that draws pictures: a scale and SVG texts from standard input, PNG files to standard output, as JSON.

It runs in a process of its own, because drawing holds the lock of the interpreter: half a second for a tall picture.
"""

from __future__ import annotations

import json
import sys
from base64 import b64encode
from pathlib import Path

import font_source_sans_pro  # type: ignore[import-untyped] # it has no types
import resvg_py

_FAMILY = "Source Sans Pro"
_FONTS = [
    str(Path(font_source_sans_pro.font_directory) / f"SourceSansPro-{weight}.ttf") for weight in ("Regular", "Semibold")
]


def draw(svg: str, scale: float) -> bytes:
    """Returns a picture on white, with the fonts of the release: the same bytes on every machine."""
    return resvg_py.svg_to_bytes(
        svg_string=svg,
        zoom=scale,
        background="#ffffff",
        skip_system_fonts=True,
        font_files=_FONTS,
        sans_serif_family=_FAMILY,
        font_family=_FAMILY,
    )


if __name__ == "__main__":
    task = json.load(sys.stdin)
    json.dump([b64encode(draw(svg, task["scale"])).decode() for svg in task["pictures"]], sys.stdout)
