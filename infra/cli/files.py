"""Files that commands write: there as a whole or not at all, and for their owner only."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO


class UnwritableFile(Exception):
    """The file cannot be written; the message says why."""


def check_folder(file: Path) -> None:
    """Raise NotWritten where there is no folder to write the file into, or the name cannot be a file's."""
    if not os.path.isdir(file.parent):
        raise UnwritableFile(f"There is no folder {file.parent}: make it first, or give another name.")
    if os.path.isdir(file):
        raise UnwritableFile(f"{file} is a folder: give the name of a file.")
    with suppress(FileNotFoundError), _translate_os_errors(file):
        os.stat(file)


@contextmanager
def write_atomically(file: Path) -> Iterator[TextIO]:
    """Write a draft beside the file, and put it in its place when all of it is written."""
    check_folder(file)
    with _translate_os_errors(file):
        handle, draft = tempfile.mkstemp(prefix=".quartal-", dir=file.parent)  # mode 0600
        try:
            with open(handle, "w", encoding="utf-8") as text:
                yield text
            os.replace(draft, file)
        finally:
            Path(draft).unlink(missing_ok=True)


@contextmanager
def _translate_os_errors(file: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UnwritableFile(f"{file} cannot be written: {error.strerror}.") from None
