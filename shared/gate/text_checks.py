"""Checks for damaged texts: line breaks in a name, direction marks, a gene that a spreadsheet made a date.

A text that is not sealed is one line of printable characters, except those in `MULTILINE_MEMBERS`. Sealed texts are not
restricted, except the site's own number of a participant, which is searched.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import BaseModel

from shared.contracts.baseline import MolecularFinding
from shared.contracts.enrollment import (
    LesionRegistered,
    ParticipantScreened,
)
from shared.contracts.study import ProtocolAmended
from shared.contracts.toxicity import SeriousEventReported
from shared.contracts.treatment import Agent, RadiotherapyStarted, SystemicTherapyStarted, Target
from shared.gate.flaw import Flaw
from shared.kernel.fact import Fact
from shared.kernel.objection import Objection, ProblemType
from shared.kernel.sealed_text import SealedText, field_names

DAMAGED_TEXT = ProblemType(
    "damaged-text",
    "The text has lost characters (U+FFFD stands for each). Send the original text in UTF-8.",
)
NOT_ONE_LINE = ProblemType(
    "not-one-line",
    "The text is not one line of visible characters. Leave out line breaks, tabs, direction marks, zero-width "
    "characters, and blanks at both ends.",
)
ENCODED_WORD = ProblemType(
    "encoded-word",
    "The text is encoded as in a mail header (=?UTF-8?Q?…?=). Give the text itself.",
)
GENE_BECAME_DATE = ProblemType(
    "spreadsheet-date",
    "A spreadsheet has turned the symbol of a gene into a date. Give the present symbol: MARCHF1 for MARCH1, "
    "MTARC1 for MARC1, SEPTIN4 for SEPT4, DELEC1 or BHLHE40 for DEC1. Format the column as text.",
)
NAME_BECAME_DATE = ProblemType(
    "spreadsheet-date",
    "This is a date. Spreadsheets turn names such as 1-3 or MAR1 into dates. Give the original name, and format "
    "the column as text. If the name is meant to be a date, begin it with a letter, as in RT-2024-03.",
)
REFERENCE_TOO_LONG = ProblemType(
    "reference-too-long",
    "The site's own number is too long. Give at most 200 characters.",
)
ROUNDED_NUMBER = ProblemType(
    "rounded-number",
    "A spreadsheet has rounded this number. Give all its digits, and format the column as text.",
)

MemberKey = tuple[type[BaseModel], str]
"""A class and the name of one of its members."""
MULTILINE_MEMBERS: frozenset[MemberKey] = frozenset({(ProtocolAmended, "reason")})
REFERENCE_MEMBER: MemberKey = (ParticipantScreened, "local_reference")
MAX_REFERENCE_CHARACTERS = 200
"""Characters; the search takes no longer one."""

GENE_MEMBER: MemberKey = (MolecularFinding, "gene")
NAME_MEMBERS: frozenset[MemberKey] = frozenset(
    {
        (MolecularFinding, "alteration"),
        (LesionRegistered, "lesion_id"),
        (RadiotherapyStarted, "course_id"),
        (Target, "target_id"),
        (Target, "label"),
        (SystemicTherapyStarted, "line_id"),
        (Agent, "name"),
        (Agent, "schedule"),
        (SeriousEventReported, "serious_event_id"),
    }
)
"""Members that give something its name, and that a spreadsheet may have changed. Versions of forms and names of
amendments and cuts are not among them: these are often dates. Ids that refer to something are not either: the gate
checks that it exists."""
NON_NUMERIC_MEMBERS: frozenset[MemberKey] = frozenset(
    {GENE_MEMBER, (MolecularFinding, "alteration"), (Target, "label")}
)
"""Members that never are five digits by themselves. An id may be: the number that another system gave to a course."""

_MONTH_NAMES = (
    "jan feb mar apr may jun jul aug sep sept oct nov dec mrz mai okt dez mars avr juin juil ene abr dic fev mrt mei"
)
"""Month names as spreadsheets write them in some languages. Not `set`, `out` and `gen`: SET-1 and GEN-2 are names."""
_MONTH_PATTERN = f"(?:{'|'.join(_MONTH_NAMES.split())})"
_SEPARATOR_PATTERN = r"[-./ ]{1,2}"
_DATE_PATTERN = re.compile(
    # 1-Mar, 01. Mrz, 1-Mar-24
    rf"[0-9]{{1,2}}{_SEPARATOR_PATTERN}{_MONTH_PATTERN}(?:{_SEPARATOR_PATTERN}(?:[0-9]{{2}}|[0-9]{{4}}))?"
    rf"|{_MONTH_PATTERN}{_SEPARATOR_PATTERN}(?:[0-9]{{1,2}}|[0-9]{{4}})"  # Sep-04, Mar-2001
    r"|(?:19|20)[0-9]{2}[-./][0-9]{1,2}[-./][0-9]{1,2}(?:[ T]00:00(?::00)?)?"  # 2024-03-01
    r"|[0-9]{1,2}[-./][0-9]{1,2}[-./](?:19|20)[0-9]{2}",  # 01.03.2024
    re.IGNORECASE,
)
_SPREADSHEET_DAY_NUMBERS = range(36526, 73051)
"""2000-01-01 to 2100-01-01, as a spreadsheet counts days: a month and a day without a year become one of today's."""
_ROUNDED_NUMBER_PATTERN = re.compile(r"[0-9](?:[.,][0-9]+)?E\+[0-9]{1,2}")
_ENCODED_WORD_PATTERN = re.compile(r"=\?[^?\s]+\?[BbQq]\?[^?]*\?=")
_INVISIBLE_CHARACTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u2800\u3164\uffa0")
"""Letters and marks by their category that no screen shows."""


@dataclass(frozen=True, slots=True)
class CheckedText:
    """A text with its place in the fact. `is_free`: sealed prose of a site, which may have any characters."""

    pointer: str
    member_key: MemberKey
    content: str
    is_free: bool = False


def find_flaws(fact: Fact) -> Iterator[Flaw]:
    """Yields every flaw of the texts of a fact."""
    for text in _find_texts(fact, ""):
        for objection in _text_objections(text):
            yield Flaw(objection, (objection.code, text.member_key, text.content))


def _text_objections(text: CheckedText) -> Iterator[Objection]:
    yield from _check_undamaged(text)
    if text.is_free:
        return
    yield from _check_single_line(text)
    yield from _check_not_a_date(text)
    if text.member_key == REFERENCE_MEMBER:
        yield from _check_reference(text)


def _check_undamaged(text: CheckedText) -> Iterator[Objection]:
    if "\ufffd" in text.content:
        yield DAMAGED_TEXT.objection(pointer=text.pointer)


def _check_single_line(text: CheckedText) -> Iterator[Objection]:
    if text.member_key in MULTILINE_MEMBERS:
        return
    if not is_single_line(
        text.content.strip() if text.member_key == REFERENCE_MEMBER else text.content
    ):  # found without its blanks
        yield NOT_ONE_LINE.objection(pointer=text.pointer)
    if "=?" in text.content and _ENCODED_WORD_PATTERN.search(text.content):
        yield ENCODED_WORD.objection(pointer=text.pointer)


def is_single_line(text: str) -> bool:
    """Returns whether the text has only visible characters, and blanks only between them."""
    if text != text.strip():
        return False
    return (text.isascii() and text.isprintable()) or all(_is_visible(character) for character in text)


def _is_visible(character: str) -> bool:
    if character.isprintable():
        return character not in _INVISIBLE_CHARACTERS
    return unicodedata.category(character) == "Zs"


def _check_not_a_date(text: CheckedText) -> Iterator[Objection]:
    if text.member_key != GENE_MEMBER and text.member_key not in NAME_MEMBERS:
        return
    if not (
        _DATE_PATTERN.fullmatch(text.content)
        or (text.member_key in NON_NUMERIC_MEMBERS and _is_day_number(text.content))
    ):
        return
    if text.member_key == GENE_MEMBER:
        yield GENE_BECAME_DATE.objection(pointer=text.pointer)
    else:
        yield NAME_BECAME_DATE.objection(pointer=text.pointer)


def _is_day_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text) in _SPREADSHEET_DAY_NUMBERS


def _check_reference(text: CheckedText) -> Iterator[Objection]:
    if len(text.content) > MAX_REFERENCE_CHARACTERS:
        yield REFERENCE_TOO_LONG.objection(pointer=text.pointer)
    if _ROUNDED_NUMBER_PATTERN.fullmatch(text.content):
        yield ROUNDED_NUMBER.objection(pointer=text.pointer)


def _find_texts(value: object, pointer: str, member_key: MemberKey | None = None) -> Iterator[CheckedText]:
    """Yields every text to check within a fact or a part of it."""
    match value:
        case str() if member_key:
            yield CheckedText(pointer, member_key, value)
        case SealedText(text=str() as content) if member_key:
            yield CheckedText(pointer, member_key, content, is_free=member_key != REFERENCE_MEMBER)
        case BaseModel():
            for name in field_names(type(value)):
                yield from _find_texts(getattr(value, name), f"{pointer}/{name}", (type(value), name))
        case tuple():
            for number, item in enumerate(value):
                yield from _find_texts(item, f"{pointer}/{number}", member_key)
        case Mapping():  # the names are the client's, and are not repeated
            for item in value.values():
                yield from _find_texts(item, pointer, member_key)
