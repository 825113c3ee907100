"""Checks of every page: no violation of accessibility rules, nothing wider than the window, no error."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import ConsoleMessage, Page

Violations = list[tuple[str, list[str]]]
"""Rules of axe that a page breaks, each with the elements that break it."""
_ID = re.compile(r"own-[0-9a-f]+|[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]|[0-9a-f]{8}-[0-9a-f-]{27}")
_EXPECTED = re.compile(r"the server responded with a status of 4\d\d")
"""The browser's own message about a page that has such a status."""


def find_violations(page: Page) -> Violations:
    answer = Axe().run(page, options={"resultTypes": ["violations"]}).response
    return [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in answer["violations"]]


def horizontal_overflow(page: Page) -> int:
    """Number of pixels by which the page is wider than the window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def kind_of_page(page: Page) -> str:
    """Returns the address without ids and query, and the heading: pages of one kind differ in their values alone."""
    return f"{_ID.sub('*', urlsplit(page.url).path)} {_ID.sub('*', page.locator('h1').inner_text())}"


@dataclass
class PageChecks:
    """Checks each kind of page once. `auditor`: a page with scripts and the same session, for pages without scripts."""

    auditor: Page | None = None
    errors: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    def watch(self, page: Page) -> None:
        """Collects errors and warnings of the page's console, such as violations of the content security policy."""
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def check(self, page: Page) -> None:
        kind = kind_of_page(page)
        if kind in self.seen:
            return
        self.seen.add(kind)
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
