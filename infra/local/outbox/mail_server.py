"""A mail server on loopback that delivers nothing: it keeps what it takes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from infra.local.outbox.kept_mails import KeptMails
from infra.local.ports import LOOPBACK


class _Keeper:
    """The handler of the server: it accepts every message."""

    def __init__(self, mails: KeptMails) -> None:
        self._mails = mails

    async def handle_DATA(self, server: object, session: object, envelope: object) -> str:  # noqa: N802 - aiosmtpd's name
        content = getattr(envelope, "original_content", None) or b""
        await asyncio.to_thread(self._mails.keep, content)
        return "250 OK"


@asynccontextmanager
async def run_mail_server(port: int, mails: KeptMails) -> AsyncIterator[None]:
    """Takes mails by SMTP on a loopback port."""
    from aiosmtpd.smtp import SMTP  # only an installation with this server has a use for it

    logging.getLogger("mail.log").setLevel(logging.WARNING)  # its notes have addresses
    keeper, loop = _Keeper(mails), asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(keeper, hostname="localhost", loop=loop), LOOPBACK, port)
    async with server:
        yield
