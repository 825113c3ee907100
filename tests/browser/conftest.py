"""A browser on the running demo."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from infra.reference.study import SITE_ID, STUDY_ID
from tests.browser.support.page_checks import Violations
from tests.browser.support.page_checks import find_violations as find_violations_of
from tests.demo import SAME_ORIGIN_HEADERS, Demo, open_demo

expect.set_options(timeout=30_000)  # a page shows a fact when analytics has applied it
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
IMAGES = Path(__file__).parents[2] / "docs" / "images"


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    chromium = os.environ.get("CHROMIUM", "/usr/bin/chromium-headless-shell")
    return {**browser_type_launch_args, "executable_path": chromium, "args": ARGUMENTS}


@pytest.fixture(scope="session")
def demo() -> Iterator[Demo]:
    """The demo of this folder's tests."""
    with open_demo() as running:
        yield running


@pytest.fixture(scope="session")
def token(demo: Demo) -> str:
    """A bearer token of the reference study's investigator."""
    return demo.token("investigator")


@pytest.fixture
def screen_participant(demo: Demo) -> Callable[[dict[str, Any]], None]:
    """Screens a participant of the reference study, as its site."""

    def record_screening(data: dict[str, Any]) -> None:
        with demo.client("site", SITE_ID) as http:
            http.post(f"/enrollment/v1/studies/{STUDY_ID}/participants", json=data).raise_for_status()

    return record_screening


@pytest.fixture(scope="session")
def base_url(demo: Demo) -> str:
    """Base address of paths in `page.goto`."""
    return demo.url


@pytest.fixture(autouse=True)
def console_messages(page: Page) -> Iterator[list[str]]:
    """Errors in the browser's console, including violations of the content security policy. Every test fails on one."""
    messages: list[str] = []
    page.on("console", lambda message: messages.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: messages.append(str(error)))
    yield messages
    assert messages == []


@pytest.fixture
def signed_in(page: Page, token: str) -> Page:
    """A page of the browser in which the reference study's investigator has signed in."""
    page.request.post("/session", form={"token": token, "next": "/"}, headers=SAME_ORIGIN_HEADERS, max_redirects=0)
    return page


@pytest.fixture
def cohort(signed_in: Page) -> Page:
    """The reference study's cohort page, as its investigator sees it."""
    signed_in.goto(f"/analytics/studies/{STUDY_ID}")
    return signed_in


@pytest.fixture
def find_violations(page: Page) -> Callable[[], Violations]:
    """Violations that axe reports on the current page: the rule, and the elements that break it."""

    return lambda: find_violations_of(page)
