"""A member of a study at a keyboard, in a browser that nobody has used before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic

from playwright.sync_api import Browser, Response, expect

from tests.browser.support.keyboard import Keyboard
from tests.browser.support.page_checks import PageChecks

TIMEOUT_SECONDS = 30.0
"""Seconds until a page must show what another service has just recorded."""


@dataclass(frozen=True)
class Browsing:
    """The width of the window, and whether scripts run."""

    width: int
    has_script: bool


@dataclass
class MemberAtKeyboard(Keyboard):
    """A member of the study at a keyboard, who looks at every page."""

    checks: PageChecks

    def open(self, address: str) -> None:
        """Opens the first page, and signs in."""
        self.checks.watch(self.page)
        self._arrive(self.page.goto(address))

    def sign_in(self, token: str) -> None:
        self.paste("Access token", token)
        self._arrive(self.press("Sign in"))

    def visit(self, link: str) -> None:
        """Follows a link, which the page has as soon as analytics knows what was recorded."""
        target = self.page.get_by_role("link", name=link, exact=True)
        self.load_until(lambda: target.count() > 0)
        self._arrive(self.follow(link))

    def record(self, heading: str, button: str = "Record") -> None:
        """Records a form. The answer is the page of the recorded fact."""
        self._arrive(self.press(button))
        assert "/events/" in self.page.url, self.page.locator("main").inner_text()
        expect(self.page.get_by_role("heading", level=1)).to_have_text(heading)

    def load_until(self, condition: Callable[[], bool]) -> None:
        """Loads the page again until it shows what it should. Raises AssertionError if it never does."""
        deadline = monotonic() + TIMEOUT_SECONDS
        while not condition():
            assert monotonic() < deadline, self.page.locator("main").inner_text()
            self.page.reload()

    def _arrive(self, response: Response | None) -> None:
        """Looks at the page. What another service has just recorded may be unknown here for a moment."""
        deadline = monotonic() + TIMEOUT_SECONDS
        while response and response.status == 404 and monotonic() < deadline:
            response = self.page.reload()
        assert response
        assert response.status == 200, self.page.locator("main").inner_text()
        self.checks.check(self.page)


@contextmanager
def at_keyboard(browser: Browser, base_url: str, browsing: Browsing, checks: PageChecks) -> Iterator[MemberAtKeyboard]:
    """A member at a browser that nobody has used before."""
    with browser.new_context(
        base_url=base_url,
        viewport={"width": browsing.width, "height": 900},
        java_script_enabled=browsing.has_script,
    ) as context:
        yield MemberAtKeyboard(context.new_page(), checks)
