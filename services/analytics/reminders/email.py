"""Sends one message by SMTP, and says what came of it.

The reason of a failure is the number that the mail server gave, never its sentence, which quotes the address.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal, Protocol

import aiosmtplib

from shared.mail_server import MailServer

ATTEMPT_SECONDS = 60.0
"""Longest time of one attempt, from the connection to the answer."""
_GOODBYE_SECONDS = 1.0
_log = logging.getLogger(__name__)
AttemptResult = Literal["sent", "later", "refused"]


@dataclass(frozen=True, slots=True)
class Attempt:
    """The outcome of one attempt.

    `later`: no answer, or one that asks to try again. `refused`: for good. `code`: the number of the answer; "" without
    one. `is_of_mail`: the server refuses the address or the message, and not its sender, whoever the recipient is.
    """

    result: AttemptResult
    code: str = ""
    is_of_mail: bool = False


SENT = Attempt("sent")
NO_ANSWER = Attempt("later")


class SendMessage(Protocol):
    """Sends a message once."""

    async def __call__(self, sender: str, address: str, message: bytes) -> Attempt: ...


class SmtpSender:
    """Sends messages over a mail server, each over a connection of its own.

    `own_host`: the name by which we introduce ourselves. Without it a name would be looked up for each connection.
    A connection that cannot be opened, encrypted or authenticated counts as no answer: the message was not looked at.
    """

    def __init__(self, server: MailServer, *, own_host: str = "localhost", seconds: float = ATTEMPT_SECONDS) -> None:
        self._server, self._own_host, self._seconds = server, own_host, seconds

    async def __call__(self, sender: str, address: str, message: bytes) -> Attempt:
        client = self._client()
        try:
            async with asyncio.timeout(self._seconds):
                await client.connect()
                attempt = await _transfer(client, sender, address, message)
            with suppress(aiosmtplib.SMTPException, OSError, TimeoutError):  # the answer has been given
                async with asyncio.timeout(_GOODBYE_SECONDS):
                    await client.quit()
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as fault:
            _log.warning("the mail server did not take a message: %s", type(fault).__name__)
            return NO_ANSWER
        finally:
            client.close()
        return attempt

    def _client(self) -> aiosmtplib.SMTP:
        server = self._server
        return aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            local_hostname=_introduce(self._own_host),
            use_tls=server.encryption == "tls",
            start_tls=server.encryption == "starttls",
            username=server.user or None,
            password=server.password or None,
            tls_context=None if server.encryption == "none" else ssl.create_default_context(),
            timeout=self._seconds,
        )


def _introduce(host: str) -> str:
    """Returns a host as servers take it in EHLO: an address in brackets (RFC 5321, section 4.1.3)."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    return f"[{'IPv6:' if address.version == 6 else ''}{host}]"


async def _transfer(client: aiosmtplib.SMTP, sender: str, address: str, message: bytes) -> Attempt:
    try:
        await client.sendmail(sender, [address], message)
    except aiosmtplib.SMTPRecipientsRefused as refusal:
        (recipient,) = refusal.recipients
        return _answered(recipient.code, is_of_mail=True)
    except aiosmtplib.SMTPDataError as refusal:
        return _answered(refusal.code, is_of_mail=True)
    except aiosmtplib.SMTPSenderRefused as refusal:
        return _answered(refusal.code, is_of_mail=False)
    return SENT


def _answered(code: int, *, is_of_mail: bool) -> Attempt:
    is_final = 500 <= code < 600
    return Attempt("refused" if is_final else "later", str(code), is_of_mail and is_final)
