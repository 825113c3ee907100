"""Pictures, numbers and texts as they are printed. Pure."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Context, Decimal

from pydantic import BaseModel, JsonValue

FONT = "Source Sans Pro"
MAX_TABLE_ROWS = 120
"""Longer tables are not printed."""
_PICTURE_WIDTH, _PICTURE_HEIGHT = 476.0, 560.0  # points that a picture may take on a page
_POINTS_PER_PIXEL, _SMALLEST_SCALE = 0.75, 0.55
_LONG_DECIMAL = re.compile(r"-?[0-9]+\.[0-9]{5,}(?:e-?[0-9]+)?")
_DECIMALS, _SMALL, _FEW_DIGITS = Decimal("0.0001"), Decimal("0.001"), Context(prec=2, rounding=ROUND_HALF_UP)
_SIZE = re.compile(r'<svg [^>]*?\bwidth="([0-9.]+)" height="([0-9.]+)"')
_FONT_FAMILY = re.compile(r'font-family="[^"]*"')
_INVISIBLE = re.compile(
    "[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)
"""Controls and marks without a glyph; those of directions would turn the text that follows."""


class PrintedPicture(BaseModel):
    """A picture with its size in points. `alternative`: what it shows, for those who do not see it."""

    svg: str
    width: float
    height: float
    alternative: str


def print_picture(svg: str, alternative: str) -> PrintedPicture | None:
    """Returns a picture that fits a page, in the font of the report; None if nobody could read it at that size.

    Raises ValueError for a picture without a size.
    """
    size = _SIZE.search(svg)
    if size is None:
        raise ValueError("a picture has no size")
    width, height = (float(length) * _POINTS_PER_PIXEL for length in size.groups())
    scale = min(1.0, _PICTURE_WIDTH / width, _PICTURE_HEIGHT / height)
    if scale < _SMALLEST_SCALE:
        return None
    return PrintedPicture(
        svg=_FONT_FAMILY.sub(f'font-family="{FONT}"', svg),
        width=round(width * scale, 2),
        height=round(height * scale, 2),
        alternative=alternative,
    )


def round_cell(cell: str) -> str:
    """Returns a cell with at most 4 decimals, half up; a smaller number than 0.001 keeps 2 digits."""
    if not _LONG_DECIMAL.fullmatch(cell):
        return cell
    value = Decimal(cell)
    if 0 < abs(value) < _SMALL:
        return f"{_FEW_DIGITS.plus(value):f}"
    return f"{value.quantize(_DECIMALS, ROUND_HALF_UP):f}"


def visible(value: JsonValue) -> JsonValue:
    """Returns a value whose texts have no controls: a blank stands for each, nothing for a mark of direction."""
    match value:
        case str():
            return _INVISIBLE.sub(lambda mark: " " if mark[0].isspace() else "", value)
        case list():
            return [visible(part) for part in value]
        case dict():
            return {name: visible(part) for name, part in value.items()}
        case _:
            return value
