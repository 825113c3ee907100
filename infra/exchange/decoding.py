"""From the bytes of a file to its text, where they can be read in exactly one way. Pure.

UTF-8 is read with or without its mark, UTF-16 with its mark only. Other encodings differ in single letters, so that a
file in one of them can be read in several ways: whoever imports it says which one it is.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, BOM_UTF32_BE, BOM_UTF32_LE
from collections.abc import Callable

from infra.exchange.line import NotAFile

ENCODINGS = ("utf-8", "windows-1250", "windows-1252", "iso-8859-1", "iso-8859-15", "mac-roman")
"""What `--encoding` may say."""
SAVE_AS = (
    'In Excel: File, Save As, "CSV UTF-8 (Comma delimited)". In LibreOffice: File, Save As, "Text CSV", character set '
    '"Unicode (UTF-8)". In Numbers: File, Export To, CSV, text encoding "Unicode (UTF-8)".'
)
_SIGNATURES = {
    b"PK\x03\x04": "a workbook of a spreadsheet program, or another ZIP file",
    b"\xd0\xcf\x11\xe0": "a workbook of an old Excel (.xls)",
    b"%PDF": "a PDF document",
    b"\x1f\x8b": "a compressed file",
    b"{\\rtf": "a document of a word processor",
}
_LINE_END = re.compile(r"\r\n|\r|\n")
_LONGEST_LOOK = 2000  # bytes

ColumnAt = Callable[[str, int, str], str]
"""(whole text, number of a line, that line up to a place) to the name of the column there; '' where there is none."""


def text_of(content: bytes, encoding: str | None = None, column_at: ColumnAt = lambda *_: "") -> str:
    """Return the text; raise NotAFile with what to do where there is none, or more than one."""
    _refuse_other_formats(content)
    text = _decoded(content, encoding, column_at)
    if not text.strip("\ufeff \t\r\n,;"):
        raise NotAFile("The file is empty.")
    if (place := text.find("\ufffd")) >= 0:
        raise NotAFile(
            f"{_where(text, place, column_at)} has the sign U+FFFD, which stands where a program could not read a "
            f"letter. Write the letter again, and save the file as UTF-8. {SAVE_AS}"
        )
    if text.lstrip().startswith("<"):
        raise NotAFile(f"The file is HTML or XML, not CSV: save it as CSV. {SAVE_AS}")
    return text


def line_of_place(text: str, place: int) -> int:
    """Return the number of the line that the place lies in, as an editor counts."""
    return len(_LINE_END.findall(text, 0, place)) + 1


def _refuse_other_formats(content: bytes) -> None:
    for signature, name in _SIGNATURES.items():
        if content.startswith(signature):
            raise NotAFile(f"The file is {name}, not text: save it as CSV. {SAVE_AS}")
    if content.startswith((BOM_UTF32_LE, BOM_UTF32_BE)):
        raise NotAFile(f"The file is UTF-32: save it as UTF-8. {SAVE_AS}")


def _decoded(content: bytes, encoding: str | None, column_at: ColumnAt) -> str:
    marks = {BOM_UTF8: "utf-8-sig", BOM_UTF16_LE: "utf-16", BOM_UTF16_BE: "utf-16"}
    marked = next((name for mark, name in marks.items() if content.startswith(mark)), None)
    if marked and encoding and encoding.partition("-")[0] != "utf":
        raise NotAFile(f"The file begins with the mark of {marked[:6].upper()}: leave --encoding out.")
    if not marked and _looks_like_utf_16(content):
        raise NotAFile(f"The file looks like UTF-16 without its mark: save it as UTF-8. {SAVE_AS}")
    try:
        return content.decode(marked or encoding or "utf-8")
    except UnicodeDecodeError as invalid:
        raise _not_decoded(content, invalid.start, marked or encoding, column_at) from None


def _looks_like_utf_16(content: bytes) -> bool:
    beginning = content[:_LONGEST_LOOK]
    return beginning.count(0) * 4 > len(beginning)


def _not_decoded(content: bytes, place: int, encoding: str | None, column_at: ColumnAt) -> NotAFile:
    if encoding == "utf-16":
        return NotAFile(f"The file begins like UTF-16, but is not: save it as UTF-8. {SAVE_AS}")
    where = _where(content.decode("latin-1"), place, column_at)
    if encoding and not encoding.startswith("utf-8"):
        return NotAFile(f"{where} is not {encoding}: give the --encoding that the file was saved in.")
    return NotAFile(
        f"{where} is not UTF-8, and letters such as ä or é can be read there in several ways. Save the file as UTF-8. "
        f"{SAVE_AS} Or say in which encoding it was saved, for example --encoding windows-1252."
    )


def _where(text: str, place: int, column_at: ColumnAt) -> str:
    """Return the line, and the column where the file is a table."""
    number = line_of_place(text, place)
    begin = max(text.rfind("\n", 0, place), text.rfind("\r", 0, place)) + 1
    name = column_at(text, number, text[begin:place])
    return f"Line {number}" + (f", column {name}," if name else "")
