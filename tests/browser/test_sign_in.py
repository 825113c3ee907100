"""Sign-in with an OpenID provider in a real browser, on a Quartal that `quartal up` has started."""

from __future__ import annotations

import os
import re
import secrets
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from infra.local.child_process import Program, RunningProgram
from infra.local.ports import LOOPBACK, free_port
from infra.reference.study import OPENING_DATA
from shared.testing.builders.facts import site_activated
from tests.demo import CHECKOUT
from tests.identity_provider import SERVICE_CLIENT, IdentityProvider, running_provider
from tests.integration.support.quartal_server import sign_in_settings

READY_TIMEOUT_SECONDS = 180.0
AUDIENCE = "https://x.example"
STUDY = f"study-{secrets.token_hex(4)}"
COHORT = f"/analytics/studies/{STUDY}"
SIGN_IN_LINK = "Sign in with your hospital's account"


@dataclass
class SignInInstallation:
    """A Quartal whose people and programs have accounts at the provider."""

    url: str
    provider: IdentityProvider

    def post(self, path: str, data: object) -> None:
        """States a fact as a program that may open studies."""
        token = self.provider.access_token(AUDIENCE)
        headers = {"Authorization": f"Bearer {token}"}
        httpx.post(f"{self.url}{path}", json=data, headers=headers, trust_env=False, timeout=60).raise_for_status()

    def activate_site(self, name: str) -> None:
        site = site_activated(name).model_dump(mode="json", exclude_none=True)
        self.post(f"/enrollment/v1/studies/{STUDY}/facts/study.site_activated", site)


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignInInstallation]:
    port, folder = free_port(), tmp_path_factory.mktemp("quartal")
    url = f"http://{LOOPBACK}:{port}"
    with running_provider(IdentityProvider(free_port(), tmp_path_factory.mktemp("provider"), url)) as provider:
        settings = sign_in_settings(folder, port, {}, provider)
        settings |= {"QUARTAL_AUDIENCE": AUDIENCE, "QUARTAL_ADMINISTRATORS": str(SERVICE_CLIENT["client_id"])}
        log = folder / "up.log"
        up = Program([sys.executable, "-m", "infra.cli", "up"], log, {**os.environ, **settings}, folder=CHECKOUT)
        quartal = RunningProgram(up)
        try:
            assert quartal.wait_for_text(log, b"Ready:", 0, READY_TIMEOUT_SECONDS), log.read_text()
            installation = SignInInstallation(url, provider)
            installation.post("/enrollment/v1/studies", {"study_id": STUDY, **OPENING_DATA})
            grant = {"member": "anna", "role": "investigator"}
            installation.post(f"/enrollment/v1/studies/{STUDY}/facts/study.member_granted", grant)
            yield installation
        finally:
            quartal.stop()


@pytest.fixture
def page(browser: Browser, installation: SignInInstallation) -> Iterator[Page]:
    """A page of a browser that has not been here before. The provider's pages ask for fonts elsewhere and get none."""
    context = browser.new_context(base_url=installation.url)
    context.route(re.compile("^https:"), lambda route: route.fulfill(content_type="text/css", body=""))
    yield context.new_page()
    context.close()


@pytest.fixture
def cohort(page: Page) -> Page:
    """The page of the study, for which its investigator has signed in by keyboard."""
    page.goto(COHORT)
    link = page.get_by_role("link", name=SIGN_IN_LINK)
    link.focus()
    page.keyboard.press("Enter")
    page.get_by_placeholder("Enter any login").fill("anna")
    page.get_by_placeholder("and password").fill("any")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Continue").press("Enter")
    expect(page).to_have_url(COHORT)
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_of_the_sign_in_are_accessible(
    page: Page,
    find_violations: Callable[[], list[tuple[str, list[str]]]],
    console_messages: list[str],
    scheme: Literal["light", "dark"],
) -> None:
    page.emulate_media(color_scheme=scheme)
    for path in (f"/session?next={COHORT}", "/session/callback?state=x&code=y"):
        page.goto(path)
        assert find_violations() == []
    assert len(console_messages) == 1  # the browser notes the status 400 of the second page
    console_messages.clear()


def test_member_signs_in_by_keyboard_and_out_again(
    cohort: Page, find_violations: Callable[[], list[tuple[str, list[str]]]]
) -> None:
    expect(cohort.locator(".member")).to_have_text("anna")
    cohort.goto("/session")
    assert find_violations() == []
    cohort.goto(COHORT)
    cohort.get_by_role("link", name="Sign out").press("Enter")
    cohort.get_by_role("button", name="Yes, sign me out").press("Enter")
    expect(cohort).to_have_url("/session")
    cohort.goto(COHORT)
    expect(cohort.get_by_role("link", name=SIGN_IN_LINK)).to_be_visible()


def test_back_shows_no_list_after_the_sign_out(cohort: Page, console_messages: list[str]) -> None:
    cohort.context.unroute_all()  # which would keep the browser from storing anything
    cohort.goto(f"/analytics/v1/studies/{STUDY}/queries.json")
    expect(cohort.locator("body")).to_contain_text("rows")
    cohort.goto("/session")
    end = cohort.context.request.get("/session/end", headers={"Sec-Fetch-Site": "same-origin"}, max_redirects=0)
    assert end.status == 303
    cohort.go_back()
    assert cohort.url.endswith("queries.json")
    expect(cohort.locator("body")).not_to_contain_text("rows")
    console_messages.clear()  # the browser notes the status 401


def test_page_is_shown_again_without_a_question_when_its_token_has_expired(cohort: Page) -> None:
    expire_token(cohort)
    cohort.goto(f"{COHORT}/queries?state=all")
    expect(cohort).to_have_url(f"{COHORT}/queries?state=all")


def test_open_page_stays_live_when_its_token_has_expired(cohort: Page, installation: SignInInstallation) -> None:
    position = cohort.locator("[data-number=position]").first
    before = position.inner_text()
    expire_token(cohort)
    installation.activate_site(f"site-{secrets.token_hex(3)}")
    expect(position).not_to_have_text(before)
    expect(cohort.locator("#state")).to_have_text("Live")
    assert any(cookie["name"] == session_cookie(cohort) for cookie in cohort.context.cookies())


def session_cookie(page: Page) -> str:
    return f"quartal-session-{page.url.split('/')[2].rpartition(':')[2]}"


def expire_token(page: Page) -> None:
    """Lets the browser forget the token, as it does when its time is over, once the page has opened its stream."""
    expect(page.locator("#state")).to_have_text("Live")
    page.context.clear_cookies(name=session_cookie(page))
