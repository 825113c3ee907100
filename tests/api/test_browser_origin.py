"""Requests that a foreign page can make a browser send to a Quartal on the same machine."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from infra.reference.study import STUDY_ID
from tests.demo import SAME_ORIGIN_HEADERS, Demo

MARKER = "MARK-7f3a"
SIGN_IN = f"/session/development?study={STUDY_ID}&role=investigator"


@pytest.fixture
def browser(demo: Demo) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=demo.url, trust_env=False, timeout=30) as client:
        yield client


def cookie_name(demo: Demo) -> str:
    return f"quartal-session-{demo.port}"


def foreign_origin_headers(demo: Demo) -> dict[str, dict[str, str]]:
    return {
        "another site": {"Sec-Fetch-Site": "cross-site", "Origin": "https://elsewhere.example"},
        "another port": {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:1"},
        "typed by the user": {"Sec-Fetch-Site": "none"},
        "another site, our origin pretended": {"Sec-Fetch-Site": "cross-site", "Origin": demo.url},
        "an old browser on another site": {"Origin": "https://elsewhere.example"},
        "an old browser in a sandboxed frame": {"Origin": "null"},
        "an old browser, our host over TLS": {"Origin": demo.url.replace("http:", "https:")},
        "nothing said": {},
    }


@pytest.mark.parametrize("case", foreign_origin_headers(Demo(Path(__file__), 1)))
def test_cross_site_form_cannot_sign_in(demo: Demo, browser: httpx.Client, case: str) -> None:
    form = {"token": demo.token("investigator"), "next": f"/{MARKER}"}
    response = browser.post(
        "/session", data=form, headers={**foreign_origin_headers(demo)[case], "Cookie": f"{cookie_name(demo)}=kept"}
    )
    assert (response.status_code, response.json()["type"]) == (403, "/problems/cross-site")
    assert "set-cookie" not in response.headers
    assert MARKER not in response.text
    assert form["token"] not in response.text


def test_same_origin_form_signs_in_and_out(demo: Demo, browser: httpx.Client) -> None:
    for origin_headers in (SAME_ORIGIN_HEADERS, {"Origin": demo.url}):
        signed_in = browser.post("/session", data={"token": demo.token("investigator")}, headers=origin_headers)
        assert signed_in.status_code == 303
        cookie = signed_in.headers["set-cookie"].lower()
        assert {"httponly", "samesite=lax", "path=/"} <= set(cookie.replace(" ", "").split(";"))
        assert cookie_name(demo) in browser.cookies
        assert browser.get("/session/end", headers=SAME_ORIGIN_HEADERS).status_code == 303
        assert cookie_name(demo) not in browser.cookies


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "anything"},
        {},
        {"Referer": "https://elsewhere.example/"},
    ],
)
def test_link_of_another_site_cannot_sign_out(demo: Demo, browser: httpx.Client, headers: dict[str, str]) -> None:
    response = browser.get("/session/end", headers={**headers, "Cookie": f"{cookie_name(demo)}=kept"})
    assert (response.status_code, "set-cookie" in response.headers) == (403, False)


def test_old_browser_signs_out_by_a_link_of_our_page(demo: Demo, browser: httpx.Client) -> None:
    for referrer, status in ((f"{demo.url}/", 303), (f"{demo.url}.elsewhere.example/", 403), (demo.url, 403)):
        assert browser.get("/session/end", headers={"Referer": referrer}).status_code == status


def test_token_in_a_url_does_not_sign_in(demo: Demo, browser: httpx.Client) -> None:
    token = demo.token("investigator")
    for path in (f"/session?token={token}", f"/?token={token}", f"/session?next=/&token={token}"):
        response = browser.get(path, headers={"Sec-Fetch-Site": "cross-site"})
        assert "set-cookie" not in response.headers
        assert token not in response.text
    posted = browser.post(f"/session?token={token}", headers=SAME_ORIGIN_HEADERS)
    assert (posted.status_code, "set-cookie" in posted.headers) == (422, False)


def test_development_sign_in_rejects_links_from_other_sites(browser: httpx.Client) -> None:
    for site in ("cross-site", "same-site", "anything"):
        response = browser.get(SIGN_IN, headers={"Sec-Fetch-Site": site})
        assert (response.status_code, "set-cookie" in response.headers) == (403, False)
    assert browser.get(SIGN_IN).status_code == 403
    for site in ("none", "same-origin"):
        response = browser.get(SIGN_IN, headers={"Sec-Fetch-Site": site})
        assert (response.status_code, "set-cookie" in response.headers) == (303, True)


@pytest.mark.parametrize(
    "host",
    [
        "elsewhere.example:{}",
        "127.0.0.1:1",
        "127.0.0.1",
        "localhost",
        "127.0.0.1.elsewhere.example:{}",
        "[::2]:{}",
        "0.0.0.0:{}",
        "localhost.:{}",
        "",
    ],
)
def test_requests_under_a_foreign_host_name_are_rejected(demo: Demo, browser: httpx.Client, host: str) -> None:
    host_headers = {"Host": host.format(demo.port), "Sec-Fetch-Site": "same-origin"}
    participants = f"/enrollment/v1/studies/{STUDY_ID}/participants"
    bearer = {"Authorization": f"Bearer {demo.token('investigator')}"}
    for path in (SIGN_IN, "/", "/health/ready", "/metrics", participants):
        response = browser.get(path, headers={**host_headers, **bearer})
        assert (response.status_code, response.json()["type"]) == (421, "/problems/wrong-host"), path
        assert "set-cookie" not in response.headers
        assert "elsewhere" not in response.text


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
def test_every_loopback_host_name_is_accepted(demo: Demo, browser: httpx.Client, name: str) -> None:
    host_headers = {"Host": f"{name}:{demo.port}", "Sec-Fetch-Site": "none"}
    assert browser.get(SIGN_IN, headers=host_headers).status_code == 303


def test_request_without_a_host_is_rejected(demo: Demo) -> None:
    with socket.create_connection(("127.0.0.1", demo.port), timeout=10) as connection:
        connection.sendall(f"GET {SIGN_IN} HTTP/1.0\r\n\r\n".encode())
        response = b"".join(iter(lambda: connection.recv(65536), b""))
    assert response.startswith(b"HTTP/1.1 421 ")


def test_referrer_policy_is_same_origin_for_pages_and_none_for_documents(browser: httpx.Client) -> None:
    for path in ("/", "/session", "/enrollment/docs", f"/analytics/studies/{STUDY_ID}?by=nothing"):
        page = browser.get(path, headers={"Accept": "text/html"}, follow_redirects=True)
        assert page.headers["content-type"].startswith("text/html")
        assert page.headers["referrer-policy"] == "same-origin"
    document = browser.get("/problems")
    assert document.headers["referrer-policy"] == "no-referrer"
