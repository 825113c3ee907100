"""Checks of every page: no violation of accessibility rules, nothing wider than the window, no error."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import ConsoleMessage, Page

Violations = list[tuple[str, list[str]]]
"""Rules of axe that a page breaks, each with the elements that break it."""
_ID = re.compile(r"own-[0-9a-f]+|[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]|[0-9a-f]{8}-[0-9a-f-]{27}")
_EXPECTED = re.compile(r"the server responded with a status of 4\d\d")
"""The browser's own message about a page that has such a status."""


LOOKS = ["color-contrast", "scrollable-region-focusable"]
"""The rules of axe that depend on colors and sizes. All others depend on the markup alone."""


def find_violations(page: Page, rules: Sequence[str] = ()) -> Violations:
    """Returns what axe reports; `rules`: only that of these rules.

    It lists every element that breaks a rule, and one of those that satisfy it: listing all took most of the time.
    """
    only = {"runOnly": {"type": "rule", "values": rules}} if rules else {}
    answer = Axe().run(page, options={"resultTypes": ["violations"], **only}).response
    return [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in answer["violations"]]


def horizontal_overflow(page: Page) -> int:
    """Number of pixels by which the page is wider than the window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def check_on_desk_and_phone(page: Page) -> None:
    """Checks the page in two widths, one in each color scheme: no violation, and nothing wider than the window."""
    looks: Sequence[tuple[int, Literal["light", "dark"], Sequence[str]]] = ((1280, "light", ()), (390, "dark", LOOKS))
    for width, scheme, rules in looks:
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        assert horizontal_overflow(page) == 0, page.url
        assert find_violations(page, rules) == [], page.url


def kind_of_page(page: Page) -> str:
    """Returns the address without ids and query. A form of a fact is of its own kind; pages of facts are of one."""
    return _ID.sub("*", urlsplit(page.url).path)


@dataclass
class PageChecks:
    """Checks each kind of page once. `auditor`: a page with scripts and the same session, for pages without scripts."""

    auditor: Page | None = None
    errors: list[str] = field(default_factory=list)
    checked_kinds: set[str] = field(default_factory=set)

    def watch(self, page: Page) -> None:
        """Collects errors and warnings of the page's console, such as violations of the content security policy."""
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def check(self, page: Page) -> None:
        kind = kind_of_page(page)
        if kind in self.checked_kinds:
            return
        self.checked_kinds.add(kind)
        assert horizontal_overflow(page) == 0, page.url
        audited = page
        if self.auditor:
            self.auditor.context.add_cookies(page.context.cookies())  # type: ignore[arg-type] # both are cookies
            self.auditor.goto(page.url)
            audited = self.auditor
        assert find_violations(audited) == [], page.url

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not _EXPECTED.search(message.text):
            self.errors.append(message.text)
