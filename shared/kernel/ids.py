"""Identifiers of studies, sites, participants, events, and of lesions, courses and lines within a participant.

A participant's number, such as `K7F2-9QXA-3`, is random, so it does not reveal the order of accrual. Its check
character (Luhn mod 32 over Crockford's alphabet) detects typing errors.
"""

from __future__ import annotations

import secrets
from typing import Annotated
from uuid import UUID, uuid5

from pydantic import BeforeValidator, StringConstraints, WithJsonSchema

from shared.kernel.clock import real_time
from shared.kernel.patterns import CODE_SENTENCE, DOTTED_ID_SENTENCE, ID_SENTENCE, explain_pattern

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
QUARTAL_NAMESPACE = UUID("6f8f2f57-8b0a-5d7e-9c55-51ab6e1d7a20")
_RANDOM_CHARACTERS = 8


def new_participant_id() -> str:
    """Draws a participant number: 40 random bits and the check character."""
    body = "".join(secrets.choice(ALPHABET) for _ in range(_RANDOM_CHARACTERS))
    return _hyphenate(body + check_character(body))


def normalize_participant_id(value: object) -> str:
    """Returns the number in upper case and with hyphens. Input may have any case and any hyphens.

    Raises ValueError if the value is no number or the check character does not fit.
    """
    characters = value.replace("-", "").upper() if isinstance(value, str) and value.isascii() else ""
    if (
        len(characters) != _RANDOM_CHARACTERS + 1
        or set(characters) - set(ALPHABET)
        or check_character(characters[:-1]) != characters[-1]
    ):
        raise ValueError("This is not a participant number. Its check character does not fit: look for typing errors.")
    return _hyphenate(characters)


def check_character(body: str) -> str:
    """Computes the check character: Luhn mod 32, with factor 2 at the rightmost character."""
    checksum = 0
    for index, character in enumerate(reversed(body)):
        addend = ALPHABET.index(character) * (2 if index % 2 == 0 else 1)
        checksum += addend // len(ALPHABET) + addend % len(ALPHABET)
    return ALPHABET[-checksum % len(ALPHABET)]


def _hyphenate(characters: str) -> str:
    return f"{characters[:4]}-{characters[4:8]}-{characters[8]}"


def new_event_id() -> UUID:
    """Creates a version 7 UUID (RFC 9562): 48 bits of milliseconds and 74 random bits. It sorts by time of creation."""
    milliseconds = int(real_time().timestamp() * 1000)
    value = (milliseconds << 80) | secrets.randbits(80)
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    return UUID(int=(value & ~(0x3 << 62)) | (0x2 << 62))


def legacy_event_id(scope: str, index: int) -> UUID:
    """Returns the id that earlier releases gave to an event: a hash without a secret key, which can be guessed.

    Events that those releases recorded keep such ids.
    """
    return uuid5(QUARTAL_NAMESPACE, f"{scope}/{index}")


def _text_pattern(pattern: str, sentence: str) -> StringConstraints:
    return StringConstraints(strict=True, pattern=explain_pattern(pattern, sentence))


StudyId = Annotated[
    str,
    _text_pattern(
        r"^[a-z0-9][a-z0-9-]{0,30}[a-z0-9]$",
        "Give 2 to 32 characters: lower-case letters without accents, digits and hyphens; no hyphen at either end.",
    ),
]
SiteId = Annotated[str, _text_pattern(r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$", ID_SENTENCE)]
LOCAL_ID = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}"
"""The pattern of an id that a site gives, for patterns that have it as a part."""
LocalId = Annotated[str, _text_pattern(f"^{LOCAL_ID}$", DOTTED_ID_SENTENCE)]
"""The site's id of a lesion, course, target, line or serious adverse event: unique within the participant."""
Code = Annotated[str, _text_pattern(r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$", CODE_SENTENCE)]
Label = Annotated[
    str,
    _text_pattern(
        r"^[A-Za-z0-9_^~-]{1,32}$",
        "Give 1 to 32 characters without blanks: letters without accents, digits and _ ^ ~ -.",
    ),
]
ParticipantId = Annotated[
    str,
    BeforeValidator(normalize_participant_id),
    WithJsonSchema({"type": "string", "pattern": "^[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]$"}),
]
