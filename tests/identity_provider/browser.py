"""A browser without scripts: it follows redirects, keeps cookies, and fills in the forms of the provider."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import unescape
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

import httpx

MAX_STEPS = 20
OWN_NAVIGATION = {"Sec-Fetch-Site": "same-origin"}
_FORM = re.compile(r'<form[^>]*action="([^"]+)"[^>]*>(.*?)</form>', re.DOTALL)
_HIDDEN = re.compile(r'name="(\w+)" value="(\w+)"')


def with_parameters(url: str, **changes: str) -> str:
    """Returns the URL with other query parameters; an empty value removes one."""
    parts = urlsplit(url)
    query = {**dict(parse_qsl(parts.query)), **changes}
    return parts._replace(query=urlencode({name: value for name, value in query.items() if value})).geturl()


class Browser:
    """A browser whose cookies are shared by all ports of a host, as browsers have it."""

    def __init__(self, quartal_url: str) -> None:
        self.quartal_url = quartal_url
        self.http = httpx.Client(trust_env=False, timeout=30, headers={"Accept": "text/html"})
        self.visited: list[str] = []

    def close(self) -> None:
        self.http.close()

    def get(self, address: str, **headers: str) -> httpx.Response:
        """Returns the answer of one address, without following a redirect."""
        url = urljoin(self.quartal_url, address)
        self.visited.append(url)
        return self.http.get(url, headers={**OWN_NAVIGATION, **headers})

    def post(self, address: str, headers: Mapping[str, str] = OWN_NAVIGATION, **fields: str) -> httpx.Response:
        """Returns the answer to a request that a script of a page sends."""
        accepted = {"Accept": "*/*", **headers}
        return self.http.post(urljoin(self.quartal_url, address), data=fields, headers=accepted)

    def visit(self, address: str, *, until: str = "") -> httpx.Response:
        """Returns the page that an address leads to through all redirects, or the redirect to the path `until`."""
        response = self.get(address)
        for _ in range(MAX_STEPS):
            target = urljoin(str(response.url), response.headers.get("location", ""))
            if not response.is_redirect or (until and urlsplit(target).path == until):
                return response
            response = self.get(target)
        raise AssertionError(f"too many redirects: {self.visited[-4:]}")

    def stop_before_callback(self, name: str, next_address: str = "/", **changes: str) -> str:
        """Signs in at the provider; returns the address that it leads back to, which is not opened.

        `changes` are parameters of the request to the provider that are changed on the way.
        """
        begun = self.get(f"/session/sign-in?next={next_address}")
        page = self.visit(with_parameters(begun.headers["location"], **changes), until="/session/callback")
        for _ in range(MAX_STEPS):
            if page.is_redirect:
                return str(page.headers["location"])
            page = self._submit(page, {"login": name, "password": "any"}, until="/session/callback")
        raise AssertionError("the provider asks again and again")

    def sign_in(self, name: str, next_address: str = "/") -> httpx.Response:
        """Signs in as that person; returns the page that the sign-in leads back to."""
        return self.answer_provider(name, self.visit(f"/session/sign-in?next={next_address}"))

    def answer_provider(self, name: str, page: httpx.Response) -> httpx.Response:
        """Fills in the provider's forms until the browser has left it."""
        for _ in range(MAX_STEPS):
            if urlsplit(str(page.url)).path.partition("/")[2].partition("/")[0] != "interaction":
                return page
            page = self._submit(page, {"login": name, "password": "any"})
        raise AssertionError("the provider asks again and again")

    def submit(self, page: httpx.Response, **fields: str) -> httpx.Response:
        return self._submit(page, fields)

    def _submit(self, page: httpx.Response, fields: dict[str, str], until: str = "") -> httpx.Response:
        form = _FORM.search(page.text)
        assert form, page.text[:2000]
        hidden = dict(_HIDDEN.findall(form[2]))
        url = urljoin(str(page.url), unescape(form[1]))
        response = self.http.post(url, data={**fields, **hidden})
        return self.visit(urljoin(url, response.headers["location"]), until=until) if response.is_redirect else response

    def set_cookie(self, purpose: str, value: str) -> None:
        self.forget(purpose)
        address = urlsplit(self.quartal_url)
        self.http.cookies.set(f"quartal-{purpose}-{address.port}", value, address.hostname or "")

    def cookie(self, purpose: str) -> str:
        port = urlsplit(self.quartal_url).port
        return self.http.cookies.get(f"quartal-{purpose}-{port}") or ""

    def forget(self, purpose: str) -> None:
        """Loses a cookie, as a browser does when its time is over."""
        port = urlsplit(self.quartal_url).port
        for cookie in list(self.http.cookies.jar):
            if cookie.name == f"quartal-{purpose}-{port}":
                self.http.cookies.jar.clear(cookie.domain, cookie.path, cookie.name)
