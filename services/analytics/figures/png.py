"""Pictures as PNG files. Other processes draw them, and those that were asked for last are kept."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from base64 import b64decode
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from shared.async_cache import AsyncCache
from shared.progress import ReportProgress, report_nothing

CACHE_SIZE, PROCESSES = 64, 2
SCALE = 2.0
"""Dots of a PNG file for each pixel of a picture, on screens of twice the density and in print."""
_WORDS = re.compile(rb"<(title|desc)\b[^>]*>.*?</\1>", re.DOTALL)
"""The words that no picture shows. They name the position, and pictures that look alike are drawn once."""
_PROGRAM = Path(__file__).with_name("png_program.py")
_SECONDS = 120.0
_PICTURES_OF_A_PROCESS = 32


def draw_pictures(
    pictures: Sequence[bytes], scale: float = SCALE, report_progress: ReportProgress = report_nothing
) -> list[bytes]:
    """Returns SVG texts as PNG files, with `scale` dots for each pixel.

    It waits for another process, so call it in a thread. `report_progress` is called with the number of different
    pictures that are drawn, and of all of them.

    Raises CalledProcessError for a text that is no picture, and TimeoutExpired.
    """
    drawings = [_WORDS.sub(b"", picture) for picture in pictures]
    distinct, files = list(dict.fromkeys(drawings)), dict[bytes, bytes]()
    for start in range(0, len(distinct), _PICTURES_OF_A_PROCESS):
        part = distinct[start : start + _PICTURES_OF_A_PROCESS]
        files |= zip(part, _draw_part(part, scale), strict=True)
        report_progress(len(files), len(distinct))
    return [files[drawing] for drawing in drawings]


def _draw_part(pictures: Sequence[bytes], scale: float) -> list[bytes]:
    task = {"scale": scale, "pictures": [picture.decode() for picture in pictures]}
    answer = subprocess.run(
        [sys.executable, "-I", str(_PROGRAM)],
        input=json.dumps(task).encode(),
        stdout=subprocess.PIPE,
        check=True,
        timeout=_SECONDS,
    )
    return [b64decode(png) for png in json.loads(answer.stdout)]


class PngFiles:
    """PNG files on request: a picture is drawn once, and at most two processes draw at a time."""

    def __init__(self) -> None:
        self._files, self._processes = AsyncCache[bytes](CACHE_SIZE), asyncio.Semaphore(PROCESSES)

    async def get(self, picture: bytes) -> bytes:
        """Returns the file of a picture, which is SVG text in UTF-8."""

        async def draw() -> bytes:
            async with self._processes:
                (file,) = await asyncio.to_thread(draw_pictures, [picture])
                return file

        return await self._files.get(sha256(_WORDS.sub(b"", picture)).digest(), draw)
