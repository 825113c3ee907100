"""Pictures as PNG files: twice the size, with the fonts of the release, the same bytes each time."""

from __future__ import annotations

import asyncio
import struct
from subprocess import CalledProcessError

import pytest

from services.analytics.charts.svg import document, text
from services.analytics.figures.png import PngFiles, draw_pictures

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def picture(words: str, caption: str = "A caption.") -> bytes:
    return document("figure", "Title", caption, (120, 40), [text(10, 20, words)]).encode()


def test_picture_is_drawn_at_twice_its_size_with_every_sign_that_figures_use() -> None:
    signs = ["≥", "≤", "–", "×", "→", "±", "½", "Ω"]  # a sign that the font lacks is an empty box like the last one
    first, again, *others = draw_pictures([picture("3"), picture("3"), *map(picture, signs), picture("\ue000")])
    assert first.startswith(SIGNATURE)
    assert struct.unpack(">II", first[16:24]) == (240, 80)
    assert again == first
    assert len({first, *others}) == 2 + len(signs)


def test_picture_is_the_same_under_another_caption_and_on_another_run() -> None:
    async def ask_twice() -> list[bytes]:
        files = PngFiles()
        pictures = (picture("12"), picture("12", "Position 7 <b> & more."))
        return list(await asyncio.gather(*map(files.get, pictures)))

    first, second = asyncio.run(ask_twice())
    assert first == second == draw_pictures([picture("12")])[0]


def test_progress_counts_different_pictures() -> None:
    reports = list[tuple[int, int]]()
    draw_pictures(
        [picture(str(number % 40)) for number in range(80)], report_progress=lambda *report: reports.append(report)
    )
    assert reports == [(32, 40), (40, 40)]


def test_text_that_is_no_picture_is_refused() -> None:
    with pytest.raises(CalledProcessError):
        draw_pictures([b"<svg"])
