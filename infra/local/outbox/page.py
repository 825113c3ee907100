"""The outbox: what the local mail server has taken, for people on this machine."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import Response
from markupsafe import Markup, escape

from infra.local.outbox.kept_mails import KeptMails
from shared.kernel.errors import NotFound
from shared.ui.navigation import Link
from shared.ui.pages import Pages, html_response
from shared.web.route_classes import StrictRoute

OUTBOX_LINK = Link("/outbox", "Outbox", "The messages that Quartal has sent. None of them leaves this machine.")
_ADDRESS = re.compile(r"https?://[^\s<>\"]+")


def outbox_routes(mails: KeptMails, require_loopback: Callable[[Request], None]) -> APIRouter:
    """Returns the list of mails, and the page of each."""
    router = APIRouter(include_in_schema=False, route_class=StrictRoute)
    pages = Pages("analytics", Path(__file__).with_name("templates"), filters={"linked": link_addresses})

    @router.get("/outbox")
    def outbox(request: Request) -> Response:
        require_loopback(request)
        return html_response(pages.render("outbox.html", mails=mails.newest_first()))

    @router.get("/outbox/{name}")
    def outbox_mail(request: Request, name: str) -> Response:
        require_loopback(request)
        mail = mails.find(name)
        if mail is None:
            raise NotFound
        return html_response(pages.render("outbox_mail.html", mail=mail))

    return router


def link_addresses(text: str) -> Markup:
    """Returns the text with its web addresses as links."""
    parts = []
    end = 0
    for match in _ADDRESS.finditer(text):
        address = escape(match[0])
        parts += [escape(text[end : match.start()]), Markup('<a href="{0}">{0}</a>').format(address)]
        end = match.end()
    return Markup("").join([*parts, escape(text[end:])])
