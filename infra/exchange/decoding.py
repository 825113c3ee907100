"""Decodes the bytes of a file to text, if they can be read in exactly one way. Pure.

UTF-8 is read with or without a byte order mark, UTF-16 only with one. Other encodings differ in single letters, so a
file in one of them can be read in several ways, and the user must name the encoding.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, BOM_UTF32_BE, BOM_UTF32_LE
from collections.abc import Callable

from infra.exchange.import_line import UnreadableFile

ENCODINGS = ("utf-8", "windows-1250", "windows-1252", "iso-8859-1", "iso-8859-15", "mac-roman")
"""Values of `--encoding`."""
SAVE_AS_HINT = (
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
_SNIFF_BYTES = 2000

ColumnAt = Callable[[str, int, str], str]
"""(whole text, line number, start of that line) to the name of the column at the end of the start; '' if none."""


def decode_text(content: bytes, encoding: str | None = None, column_at: ColumnAt = lambda *_: "") -> str:
    """Returns the text; raises UnreadableFile, with advice, if there is none or more than one."""
    _refuse_other_formats(content)
    text = _decode(content, encoding, column_at)
    if not text.strip("\ufeff \t\r\n,;"):
        raise UnreadableFile("The file is empty.")
    if (offset := text.find("\ufffd")) >= 0:
        raise UnreadableFile(
            f"{_describe_location(text, offset, column_at)} has the character U+FFFD, which a program wrote for a "
            f"letter that it could not read. Write the letter again, and save the file as UTF-8. {SAVE_AS_HINT}"
        )
    if text.lstrip().startswith("<"):
        raise UnreadableFile(f"The file is HTML or XML, not CSV: save it as CSV. {SAVE_AS_HINT}")
    return text


def line_number_at(text: str, offset: int) -> int:
    """Returns the number of the line at the offset, as an editor counts lines."""
    return len(_LINE_END.findall(text, 0, offset)) + 1


def _refuse_other_formats(content: bytes) -> None:
    for signature, name in _SIGNATURES.items():
        if content.startswith(signature):
            raise UnreadableFile(f"The file is {name}, not text: save it as CSV. {SAVE_AS_HINT}")
    if content.startswith((BOM_UTF32_LE, BOM_UTF32_BE)):
        raise UnreadableFile(f"The file is UTF-32: save it as UTF-8. {SAVE_AS_HINT}")


def _decode(content: bytes, encoding: str | None, column_at: ColumnAt) -> str:
    marks = {BOM_UTF8: "utf-8-sig", BOM_UTF16_LE: "utf-16", BOM_UTF16_BE: "utf-16"}
    marked_encoding = next((name for mark, name in marks.items() if content.startswith(mark)), None)
    if marked_encoding and encoding and encoding.partition("-")[0] != "utf":
        mark_name = marked_encoding.removesuffix("-sig").upper()
        raise UnreadableFile(f"The file begins with the byte order mark of {mark_name}: leave out --encoding.")
    if not marked_encoding and _looks_like_utf_16(content):
        raise UnreadableFile(f"The file looks like UTF-16 without a byte order mark: save it as UTF-8. {SAVE_AS_HINT}")
    try:
        return content.decode(marked_encoding or encoding or "utf-8")
    except UnicodeDecodeError as invalid:
        raise _undecodable(content, invalid.start, marked_encoding or encoding, column_at) from None


def _looks_like_utf_16(content: bytes) -> bool:
    beginning = content[:_SNIFF_BYTES]
    return beginning.count(0) * 4 > len(beginning)


def _undecodable(content: bytes, offset: int, encoding: str | None, column_at: ColumnAt) -> UnreadableFile:
    if encoding == "utf-16":
        return UnreadableFile(f"The file begins like UTF-16, but is not: save it as UTF-8. {SAVE_AS_HINT}")
    location = _describe_location(content.decode("latin-1"), offset, column_at)
    if encoding and not encoding.startswith("utf-8"):
        return UnreadableFile(f"{location} is not {encoding}: give the encoding of the file with --encoding.")
    return UnreadableFile(
        f"{location} is not UTF-8, and letters such as ä or é can be read there in several ways. "
        f"Save the file as UTF-8. "
        f"{SAVE_AS_HINT} Or give its encoding, for example --encoding windows-1252."
    )


def _describe_location(text: str, offset: int, column_at: ColumnAt) -> str:
    """Returns the line, and the column if the file is a table."""
    number = line_number_at(text, offset)
    begin = max(text.rfind("\n", 0, offset), text.rfind("\r", 0, offset)) + 1
    name = column_at(text, number, text[begin:offset])
    return f"Line {number}" + (f", column {name}," if name else "")
