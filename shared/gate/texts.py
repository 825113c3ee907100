"""Texts that hold something that no person meant: line breaks in a name, direction marks, a date that was a gene.

Every text in the clear is one line of printable characters, but for those in `PARAGRAPHS`. Sealed texts keep what
they have, but for the site's own number of a participant, which is searched.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import BaseModel

from shared.contracts.enrollment import LesionRegistered, MolecularFinding, Screened
from shared.contracts.study import ProtocolAmended
from shared.contracts.toxicity import SeriousEventReported
from shared.contracts.treatment import Agent, RadiotherapyStarted, SystemicTherapyStarted, Target
from shared.gate.flaw import Flaw
from shared.kernel.fact import Fact
from shared.kernel.record import Objection
from shared.kernel.sealed import SealedText, members

Place = tuple[type[BaseModel], str]
"""A class and the name of one of its members."""
PARAGRAPHS: frozenset[Place] = frozenset({(ProtocolAmended, "reason")})
REFERENCE: Place = (Screened, "local_reference")
LONGEST_REFERENCE = 200
"""Characters; the search takes no longer one."""

GENE: Place = (MolecularFinding, "gene")
NAMES: frozenset[Place] = frozenset(
    {
        (MolecularFinding, "alteration"), (LesionRegistered, "lesion_id"), (RadiotherapyStarted, "course_id"),
        (Target, "target_id"), (Target, "label"), (SystemicTherapyStarted, "line_id"), (Agent, "name"),
        (Agent, "schedule"), (SeriousEventReported, "serious_event_id"),
    }
)  # fmt: skip
"""Members that give something its name, and that a spreadsheet may have changed. Versions of forms and names of
amendments and cuts are not among them: these are often dates. Ids that refer to something are not either: whether
there is such a thing is asked already."""
NUMBERS: frozenset[Place] = frozenset({GENE, (MolecularFinding, "alteration"), (Target, "label")})
"""Members that never are five digits by themselves. An id may be: the number that another system gave to a course."""

_MONTHS = (
    "jan feb mar apr may jun jul aug sep sept oct nov dec mrz mai okt dez mars avr juin juil ene abr dic fev mrt mei"
)
"""As spreadsheets write them in some languages. Not `set`, `out` and `gen`: SET-1 and GEN-2 are names."""
_MONTH = f"(?:{'|'.join(_MONTHS.split())})"
_PART = r"[-./ ]{1,2}"
_DATE = re.compile(
    rf"[0-9]{{1,2}}{_PART}{_MONTH}(?:{_PART}(?:[0-9]{{2}}|[0-9]{{4}}))?"  # 1-Mar, 01. Mrz, 1-Mar-24
    rf"|{_MONTH}{_PART}(?:[0-9]{{1,2}}|[0-9]{{4}})"  # Sep-04, Mar-2001
    r"|(?:19|20)[0-9]{2}[-./][0-9]{1,2}[-./][0-9]{1,2}(?:[ T]00:00(?::00)?)?"  # 2024-03-01
    r"|[0-9]{1,2}[-./][0-9]{1,2}[-./](?:19|20)[0-9]{2}",  # 01.03.2024
    re.IGNORECASE,
)
_DAY_NUMBER = range(36526, 73051)
"""2000-01-01 to 2100-01-01, as a spreadsheet counts days: a month and a day without a year become one of today's."""
_ROUNDED = re.compile(r"[0-9](?:[.,][0-9]+)?E\+[0-9]{1,2}")
_ENCODED_WORD = re.compile(r"=\?[^?\s]+\?[BbQq]\?[^?]*\?=")
_UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u2800\u3164\uffa0")
"""Letters and marks by their category that no screen shows."""


@dataclass(frozen=True, slots=True)
class Text:
    """`is_free`: sealed prose of a site, which may have line breaks and whatever else its writer wants."""

    pointer: str
    place: Place
    content: str
    is_free: bool = False


def flaws(fact: Fact) -> Iterator[Flaw]:
    """Everything that is wrong with the texts of a fact."""
    for text in _texts(fact, ""):
        for objection in _objections(text):
            yield Flaw(objection, (objection.code, text.place, text.content))


def _objections(text: Text) -> Iterator[Objection]:
    yield from _damaged(text)
    if text.is_free:
        return
    yield from _not_a_line(text)
    yield from _made_a_date(text)
    if text.place == REFERENCE:
        yield from _no_reference(text)


def _damaged(text: Text) -> Iterator[Objection]:
    if "\ufffd" in text.content:
        message = "The text has lost characters (U+FFFD stands for each). Send the original text in UTF-8."
        yield Objection("damaged-text", message, member=text.pointer)


def _not_a_line(text: Text) -> Iterator[Objection]:
    if text.place in PARAGRAPHS:
        return
    if not is_line(text.content.strip() if text.place == REFERENCE else text.content):  # found without its blanks
        message = (
            "The text is not one line of visible characters. Leave out line breaks, tabs, direction marks, zero-width "
            "characters, and blanks at both ends."
        )
        yield Objection("not-one-line", message, member=text.pointer)
    if "=?" in text.content and _ENCODED_WORD.search(text.content):
        message = "The text is encoded as in a mail header (=?UTF-8?Q?…?=). Give the text itself."
        yield Objection("encoded-word", message, member=text.pointer)


def is_line(text: str) -> bool:
    """Does it hold characters that can be seen, blanks between them, and nothing else?"""
    if text != text.strip():
        return False
    return (text.isascii() and text.isprintable()) or all(_can_be_seen(character) for character in text)


def _can_be_seen(character: str) -> bool:
    if character.isprintable():
        return character not in _UNSEEN
    return unicodedata.category(character) == "Zs"


def _made_a_date(text: Text) -> Iterator[Objection]:
    if text.place != GENE and text.place not in NAMES:
        return
    if not (_DATE.fullmatch(text.content) or (text.place in NUMBERS and _is_day_number(text.content))):
        return
    if text.place == GENE:
        of_a_gene = (
            "A spreadsheet has turned the symbol of a gene into a date. Give the present symbol: MARCHF1 for MARCH1, "
            "MTARC1 for MARC1, SEPTIN4 for SEPT4, DELEC1 or BHLHE40 for DEC1. Format the column as text."
        )
        yield Objection("spreadsheet-date", of_a_gene, member=text.pointer)
    else:
        of_a_name = (
            "This is a date. Spreadsheets turn names such as 1-3 or MAR1 into dates. Give the original name, and "
            "format the column as text. If the name is meant to be a date, begin it with a letter, as in RT-2024-03."
        )
        yield Objection("spreadsheet-date", of_a_name, member=text.pointer)


def _is_day_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text) in _DAY_NUMBER


def _no_reference(text: Text) -> Iterator[Objection]:
    if len(text.content) > LONGEST_REFERENCE:
        message = "The site's own number is too long. Give at most 200 characters."
        yield Objection("reference-too-long", message, member=text.pointer)
    if _ROUNDED.fullmatch(text.content):
        message = "A spreadsheet has rounded this number. Give all its digits, and format the column as text."
        yield Objection("rounded-number", message, member=text.pointer)


def _texts(value: object, pointer: str, place: Place | None = None) -> Iterator[Text]:
    """Every text that is judged, within a fact or a part of it."""
    match value:
        case str() if place:
            yield Text(pointer, place, value)
        case SealedText(text=str() as content) if place:
            yield Text(pointer, place, content, is_free=place != REFERENCE)
        case BaseModel():
            for name in members(type(value)):
                yield from _texts(getattr(value, name), f"{pointer}/{name}", (type(value), name))
        case tuple():
            for number, each in enumerate(value):
                yield from _texts(each, f"{pointer}/{number}", place)
        case Mapping():  # the names are the client's, and are not repeated
            for each in value.values():
                yield from _texts(each, pointer, place)
