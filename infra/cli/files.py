"""Writes files whole or not at all, readable by their owner only."""

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
    """Raises UnwritableFile if the folder of the file is missing, or the name cannot be the name of a file."""
    if not os.path.isdir(file.parent):
        raise UnwritableFile(f"There is no folder {file.parent}: make it first, or give another name.")
    if os.path.isdir(file):
        raise UnwritableFile(f"{file} is a folder: give the name of a file.")
    with suppress(FileNotFoundError), _translate_os_errors(file):
        os.stat(file)


@contextmanager
def write_atomically(file: Path) -> Iterator[TextIO]:
    """Yields a draft beside the file, which replaces it at the end of the block. Raises UnwritableFile."""
    check_folder(file)
    with _translate_os_errors(file):
        handle, draft = tempfile.mkstemp(prefix=".quartal-", dir=file.parent)  # mode 0600
        try:
            with open(handle, "w", encoding="utf-8") as text:
                yield text
            os.replace(draft, file)
        finally:
            Path(draft).unlink(missing_ok=True)


def write_bytes_atomically(file: Path, content: bytes) -> None:
    """Writes a new file whole or not at all. Raises UnwritableFile."""
    check_folder(file)
    with _translate_os_errors(file):
        handle, draft = tempfile.mkstemp(prefix=".quartal-", dir=file.parent)
        try:
            with open(handle, "wb") as binary:
                binary.write(content)
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
