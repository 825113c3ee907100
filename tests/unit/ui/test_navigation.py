"""The address that a sign-in leads back to: a page of this server, and none that signs out."""

from __future__ import annotations

import pytest

from shared.ui.navigation import MAX_RETURN_LENGTH, return_address


@pytest.mark.parametrize(
    "address",
    [
        "/",
        "/analytics/studies/a/worklist?site=berlin&state=overdue",
        "/analytics/studies/a?by=sex#figures",
        "/sessions",
        "/a/session/end",
        "/a?next=/session/end",
        "/%2F/evil.example",
    ],
)
def test_page_of_this_server_is_led_back_to(address: str) -> None:
    assert return_address(address) == address


@pytest.mark.parametrize(
    "address",
    [
        "",
        "evil.example",
        "//elsewhere.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "/\u00a0/evil.example",
        "https://elsewhere.example",
        "javascript:alert(1)",
        "data:text/html,x",
        "/a\r\nSet-Cookie: a=b",
    ],
)
def test_other_address_leads_to_the_first_page(address: str) -> None:
    assert return_address(address) == "/"


@pytest.mark.parametrize(
    "address",
    [
        "/session",
        "/session/end",
        "/session?next=/session",
        "/session#end",
        "/%73ession/end",
        "/%53ession/../session/end",
        "/./session/end",
        "/%2e/session/end",
        "/a/../session/end",
        "/a/%2E%2e/session/end",
        "/a\\..\\session\\end",
        "/session/./end",
    ],
)
def test_address_about_the_session_is_recognized_however_it_is_written(address: str) -> None:
    assert return_address(address) == "/session"


def test_long_address_loses_its_query() -> None:
    path = "/" + "a" * (MAX_RETURN_LENGTH - 1)
    assert return_address(path) == path
    assert return_address(f"{path}?b") == path
    assert return_address(f"{path}a?b") == "/"
