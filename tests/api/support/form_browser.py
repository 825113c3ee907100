"""A browser without JavaScript: it opens a page, fills the form in, and sends what a browser would send."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode

import httpx

from tests.api.support.study import ROME_USER, StudyUnderTest
from tests.demo import SAME_ORIGIN_HEADERS

Attributes = dict[str, str]


class _FormParser(HTMLParser):
    """Collects the controls of the page's forms that record facts, in document order, and the text that it shows."""

    def __init__(self) -> None:
        super().__init__()
        self.controls: list[Attributes] = []
        self.buttons: list[tuple[str, str]] = []
        self.links: dict[str, str] = {}
        self.addresses: list[str] = []
        self.texts: list[str] = []
        self.action = ""
        self._select = self._textarea = self._href = ""
        self._is_in_form = self._is_hidden = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._is_in_form = named.get("action") != "/session/end"
            self.action = named.get("action", "") if self._is_in_form else self.action
        if tag == "a":
            self._href = named.get("href", "")
            self.addresses.append(self._href)
        if not self._is_in_form:
            return
        if tag == "input":
            self.controls.append({"tag": named.get("type", "text"), **named})
        elif tag == "button":
            self.buttons.append((named.get("name", ""), named.get("value", "")))
        elif tag == "select":
            self.controls.append({"tag": "select", "value": "", **named})
            self._select = named["name"]
        elif tag == "option" and self._select and "selected" in named:
            self.controls[-1]["value"] = named.get("value", "")
        elif tag == "textarea":
            self.controls.append({"tag": "textarea", "value": "", **named})
            self._textarea = named["name"]
            self._is_hidden = "hidden" in named

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea" and self._textarea:  # the first line break belongs to the markup
            self.controls[-1]["value"] = self.controls[-1]["value"].removeprefix("\n")
        self._select = "" if tag == "select" else self._select
        if tag == "textarea":
            self._textarea, self._is_hidden = "", False
        self._href = "" if tag == "a" else self._href
        self._is_in_form = self._is_in_form and tag != "form"

    def handle_data(self, data: str) -> None:
        if not self._is_hidden:  # a sealed text has any letters
            self.texts.append(data)
        if self._textarea:
            self.controls[-1]["value"] += data
        if self._href and data.strip():
            self.links[data.strip()] = self._href


@dataclass
class Page:
    """A page with its form as it stands in the browser: names and values of everything that would be sent."""

    response: httpx.Response
    parser: _FormParser = field(default_factory=_FormParser)

    def __post_init__(self) -> None:
        self.parser.feed(self.response.text)
        self.parser.close()

    @property
    def status(self) -> int:
        return self.response.status_code

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.parser.texts).split())

    @property
    def values(self) -> list[tuple[str, str]]:
        """Names and values that the browser would send without a button."""
        sent = []
        for control in self.parser.controls:
            is_ticked = control["tag"] not in ("radio", "checkbox") or "checked" in control
            if is_ticked and control.get("name"):
                sent.append((control["name"], control.get("value", "")))
        return sent

    def value(self, name: str) -> str:
        return next((value for field_name, value in reversed(self.values) if field_name == name), "")

    def choices(self, name: str) -> list[str]:
        """Values of the radio buttons or boxes of this name."""
        return [c["value"] for c in self.parser.controls if c.get("name") == name and c["tag"] in ("radio", "checkbox")]

    @property
    def names(self) -> set[str]:
        return {control["name"] for control in self.parser.controls if control.get("name")}

    def fill(self, fields: dict[str, Any]) -> None:
        """Types and chooses values. A list ticks boxes; a text that is typed beside a box unticks it.

        Raises AssertionError for a field that the page lacks.
        """
        for name, value in fields.items():
            controls = [control for control in self.parser.controls if control.get("name") == name]
            assert controls, f"the form has no field {name}: {sorted(self.names)}"
            boxes = [control for control in controls if control["tag"] in ("radio", "checkbox")]
            inputs = [control for control in controls if control not in boxes]
            is_typed = bool(inputs) and isinstance(value, str)
            if is_typed:
                inputs[0]["value"] = value
            if boxes:
                self._tick(boxes, [] if is_typed else [value] if isinstance(value, str) else value)

    def _tick(self, controls: list[Attributes], values: list[str]) -> None:
        assert set(values) <= {control["value"] for control in controls}, values
        for control in controls:
            control.pop("checked", None)
            if control["value"] in values:
                control["checked"] = ""


@dataclass
class FormBrowser:
    """A browser of one member, signed in by the session's cookie."""

    http: httpx.Client

    def open(self, address: str) -> Page:
        return Page(self.http.get(address))

    def press(self, page: Page, button: str, value: str = "1", **changes: Any) -> Page:
        """Sends the form by a button, and follows the answer. `changes`: other headers."""
        body = urlencode([*page.values, (button, value)])
        headers = {"Content-Type": "application/x-www-form-urlencoded", **changes}
        response = self.http.post(page.parser.action, content=body, headers=headers)
        return Page(self.http.get(response.headers["location"])) if response.status_code == 303 else Page(response)

    def record(self, address: str, **fields: Any) -> Page:
        """Opens a form, fills it in and records. Names in `fields` have two underscores for dots."""
        page = self.open(address)
        assert page.status == 200, page.text
        page.fill({name.replace("__", "."): value for name, value in fields.items()})
        return self.press(page, "record")


@contextmanager
def form_browser(study: StudyUnderTest, user: str) -> Iterator[FormBrowser]:
    """Opens a browser in which a member of the study is signed in."""
    headers = {"Accept": "text/html", **SAME_ORIGIN_HEADERS}
    with httpx.Client(base_url=study.demo.url, headers=headers, timeout=30, trust_env=False) as http:
        sign_in(http, study, user)
        yield FormBrowser(http)


def sign_in(http: httpx.Client, study: StudyUnderTest, user: str) -> None:
    token = study.authorization(user)["Authorization"].removeprefix("Bearer ")
    signed_in = http.post("/session", data={"token": token, "next": "/"})
    assert signed_in.status_code == 303, signed_in.text


def pages_of(study: StudyUnderTest, service: str = "enrollment") -> str:
    return f"/{service}/studies/{study.study_id}"


def form_of(study: StudyUnderTest, participant_id: str, type_name: str, service: str = "enrollment") -> str:
    return f"{pages_of(study, service)}/participants/{participant_id}/facts/{type_name}"


def recorded_types(
    study: StudyUnderTest, participant_id: str, service: str = "enrollment", user: str = ROME_USER
) -> list[str]:
    history = study.get_from(service, f"participants/{participant_id}/history", user).json()
    return [event["type"] for event in history.get("events", [])]
