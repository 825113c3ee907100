from __future__ import annotations

import pytest
from fastapi.responses import Response

from shared.web.cookies import Cookies


def header_of(cookies: Cookies) -> set[str]:
    response = Response()
    cookies.set(response, "session", "token", 900)
    return set(response.headers["set-cookie"].split("; "))


def test_cookie_over_tls_belongs_to_this_host_and_no_script_reads_it() -> None:
    assert header_of(Cookies()) == {
        "__Host-quartal-session=token",
        "HttpOnly",
        "Max-Age=900",
        "Path=/",
        "SameSite=lax",
        "Secure",
    }


def test_cookie_over_plain_http_belongs_to_a_port() -> None:
    assert header_of(Cookies(plain_http=True, port=8001)) == {
        "quartal-session-8001=token",
        "HttpOnly",
        "Max-Age=900",
        "Path=/",
        "SameSite=lax",
    }


def test_cookie_that_ends_has_the_same_attributes() -> None:
    response = Response()
    Cookies().delete(response, "session")
    parts = set(response.headers["set-cookie"].split("; "))
    assert {"Max-Age=0", "Path=/", "Secure", "HttpOnly", "SameSite=lax"} <= parts


@pytest.mark.parametrize("cookies", [Cookies(), Cookies(plain_http=True, port=8001)])
def test_purposes_are_those_of_this_installation(cookies: Cookies) -> None:
    own = [cookies.name(purpose) for purpose in ("session", "sign-in-abc")]
    foreign = ["session", "quartal-session-8002", "_ga", "__Host-other-session"]
    assert cookies.purposes([*own, *foreign]) == ["session", "sign-in-abc"]
