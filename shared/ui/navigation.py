"""Links between pages, and the header of the pages of a study."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from posixpath import normpath
from urllib.parse import unquote

MAX_RETURN_LENGTH = 500
"""Characters of the address that signing in leads back to."""


@dataclass(frozen=True, slots=True)
class Link:
    """A link, and optionally a sentence about the page that it leads to."""

    href: str
    label: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class NavLink:
    """A link of a navigation; `is_current` on the page that it leads to."""

    href: str
    label: str
    is_current: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyHeader:
    """The header of a study's page.

    `position` and `recorded_at` state how much of the record the page shows. A data cut-off
    and an epoch are shown if they are given. A page with a `live_url` follows the event stream at that address, which
    names `live_parts`. `nav_links` lead to the pages of the study that `member`, who is signed in, may see.
    """

    study_id: str
    title: str
    heading: str
    position: int
    recorded_at: datetime | None = None
    cut_date: str = ""
    epoch: str | None = None
    live_url: str = ""
    live_parts: Sequence[str] = ()
    notes: Sequence[str] = ()
    nav_links: Sequence[NavLink] = ()
    member: str = ""


def return_address(address: str) -> str:
    """Returns the local address that a sign-in leads back to; of the pages about the session only `/session`."""
    local = limit_address(local_address(address))
    return "/session" if is_about_session(local) else local


def local_address(address: str) -> str:
    """Returns the address if it leads to a page of this server, otherwise `/`, so that it leads to no other server."""
    path_alone = address.startswith("/") and not address.startswith(("//", "/\\"))
    return address if path_alone and address.isprintable() else "/"


def limit_address(address: str) -> str:
    """Returns the address, without its query if it is long, since it is kept in a cookie; `/` if it is still long."""
    return next((text for text in (address, address.partition("?")[0]) if len(text) <= MAX_RETURN_LENGTH), "/")


def is_about_session(address: str) -> bool:
    """Returns whether a browser that is sent to the local address opens `/session` or a page below it.

    Browsers take a backslash for a slash and resolve `..`, also where it is encoded; the server decodes all else.
    """
    path = normpath(unquote(re.split("[?#]", address, maxsplit=1)[0]).replace("\\", "/"))
    return path == "/session" or path.startswith("/session/")
