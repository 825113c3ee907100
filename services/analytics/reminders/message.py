"""Messages to members: one text as plain text and as HTML, under headers of printable ASCII. Pure: no random parts."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from html import escape
from typing import Literal

_BODY = SMTP.clone(max_line_length=76)
"""Lines in quoted-printable have at most 76 characters (RFC 2045)."""
_WHOLE = SMTP.clone(max_line_length=998, cte_type="7bit")
"""Headers are not folded: mail programs do not read a folded List-Unsubscribe."""
_PRINTABLE_LINE = re.compile(r"[\x20-\x7e]{1,900}")
_ENCODED_WORD = "=?"
"""Beginning of an encoded word, which parsers of headers decode, line breaks included."""


@dataclass(frozen=True, slots=True)
class Block:
    """A heading, paragraph or entry of a list. `link`: an address that stands below the text; "" for none."""

    kind: Literal["heading", "subheading", "paragraph", "entry"]
    text: str
    link: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """The headers of a message. `message_id` has its angle brackets; `sender` and `address` are bare addresses."""

    sender: str
    address: str
    subject: str
    composed_at: datetime
    message_id: str
    unsubscribe_url: str


def compose_message(envelope: Envelope, blocks: Sequence[Block]) -> bytes:
    """Returns a message in the form that SMTP transfers, in quoted-printable; lines end with CRLF.

    Raises ValueError if a header would hold anything but one line of printable ASCII.
    """
    message = EmailMessage(policy=_BODY)
    for name, value in _headers(envelope).items():
        message[name] = _require_plain(name, value)
    message.set_content("\n".join(map(_as_text, blocks)), cte="quoted-printable")
    message.add_alternative(_as_html(blocks), subtype="html", cte="quoted-printable")
    message.set_boundary("=_" + hashlib.sha256(envelope.message_id.encode()).hexdigest()[:32])
    return message.as_bytes(policy=_WHOLE)


def make_message_id(prefix: str, parts: Sequence[str], host: str) -> str:
    """Returns `<prefix.…@host>` with the first 32 hexadecimal digits of the SHA-256 of the parts."""
    digits = hashlib.sha256("\x00".join(parts).encode()).hexdigest()[:32]
    return f"<{prefix}.{digits}@{f'[{host}]' if ':' in host else host}>"


def _headers(envelope: Envelope) -> dict[str, str]:
    return {
        "Date": format_datetime(envelope.composed_at.astimezone(UTC)),
        "From": envelope.sender,
        "To": envelope.address,
        "Message-ID": envelope.message_id,
        "Subject": envelope.subject,
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "All",
        "List-Unsubscribe": f"<{envelope.unsubscribe_url}>",
    }


def _require_plain(name: str, value: str) -> str:
    if not _PRINTABLE_LINE.fullmatch(value) or _ENCODED_WORD in value:
        raise ValueError(f"The header {name} is not one line of printable ASCII.")
    return value


def _as_text(block: Block) -> str:
    match block.kind:
        case "heading":
            return f"{block.text}\n{'-' * len(block.text)}\n"
        case "subheading":
            return f"{block.text}\n"
        case "entry":
            return f"- {block.text}\n" + (f"  {block.link}\n" if block.link else "")
        case "paragraph":
            return f"{block.text}\n" + (f"{block.link}\n" if block.link else "")


def _as_html(blocks: Sequence[Block]) -> str:
    parts = "\n".join(map(_block_html, blocks))
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head><title>Quartal</title></head>\n<body>\n{parts}\n</body>\n</html>\n'
    )


def _block_html(block: Block) -> str:
    text, link = escape(block.text), escape(block.link)
    linked = f'{text}<br><a href="{link}">{link}</a>' if link else text
    tag = {"heading": "h1", "subheading": "h2"}.get(block.kind, "p")
    return f"<{tag}>{linked}</{tag}>"
