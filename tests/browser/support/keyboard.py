"""A person at a keyboard: reaches every control of a page with Tab, and types, chooses and presses there."""

from __future__ import annotations

import re
from dataclasses import dataclass

from playwright.sync_api import Locator, Page, Response

MAX_STEPS = 250
"""The most presses of Tab that any control of a page may take."""
MAX_STEPS_WITHIN = 8
"""The most presses of Tab within one control: a field for a day has four parts."""
_FOCUS = """target => {
  const focused = document.activeElement, style = getComputedStyle(focused), box = focused.getBoundingClientRect();
  const bar = document.querySelector('header.bar'), isAbove = focused.closest('header, .skip');
  const isPicker = focused.type === 'date' && !focused.matches(':focus-visible'); // the browser outlines its own button
  const isOutlined = isPicker || (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0);
  const isInView = box.top < innerHeight && (isAbove || !bar || box.bottom > bar.getBoundingClientRect().bottom);
  const name = focused.name || focused.id || focused.textContent.trim().slice(0, 60);
  const value = focused.value ?? focused.href ?? '';
  return [focused === target, focused === document.body || (isOutlined && isInView), `${name} ${value}`];
}"""
"""Tells whether the focus is on the target, whether it can be seen, and what has it."""


def starts_with(text: str) -> re.Pattern[str]:
    """Returns the pattern of a label: the text, and after it a bracket such as "(mm)", or more after a colon."""
    return re.compile(rf"^\s*{re.escape(text)}(?:(?: \(|:|,).*)?\s*$")


@dataclass
class Keyboard:
    """The keyboard of one person. Every step that the focus takes must be visible, and must lead on."""

    page: Page

    def tab_to(self, target: Locator, key: str = "Tab") -> None:
        """Presses Tab until the control has the focus. Raises AssertionError where Tab is trapped or misses it."""
        target.wait_for(state="attached")
        handle, last, repeated = target.element_handle(), "", 0
        for _ in range(MAX_STEPS):
            has_focus, is_visible, name = self.page.evaluate(_FOCUS, handle)
            assert is_visible, f"the focus on {name} cannot be seen at {self.page.url}"
            if has_focus:
                return
            repeated = repeated + 1 if name == last else 0
            assert repeated < MAX_STEPS_WITHIN, f"{name} does not let the focus go at {self.page.url}"
            last = name
            self.page.keyboard.press(key)
        raise AssertionError(f"Tab does not reach {target} at {self.page.url}")

    def write(self, label: str, text: str, within: str = "") -> None:
        """Types a text into the field of this label, in place of what is there."""
        self.tab_to(self._scope(within).get_by_label(starts_with(label)).and_(self.page.locator("input, textarea")))
        self.page.keyboard.press("Control+A")
        self.page.keyboard.type(text)

    def paste(self, label: str, text: str) -> None:
        """Pastes a text into the field of this label."""
        self.tab_to(self.page.get_by_label(starts_with(label)))
        self.page.keyboard.insert_text(text)

    def choose(self, legend: str, option: str, within: str = "") -> None:
        """Chooses one of the radio buttons of a group with the arrow keys."""
        group = self._scope(within).get_by_role("group", name=starts_with(legend))
        wanted = group.get_by_role("radio", name=starts_with(option))
        self.tab_to(group.get_by_role("radio").first)
        for _ in range(group.get_by_role("radio").count()):
            if wanted.evaluate("radio => radio === document.activeElement"):
                break
            self.page.keyboard.press("ArrowDown")
        self.page.keyboard.press("Space")
        assert wanted.is_checked(), f"{option} of {legend} is not chosen"

    def select(self, label: str, option: str, within: str = "") -> None:
        """Chooses an option of a list with the arrow keys."""
        control = self._scope(within).get_by_label(starts_with(label)).and_(self.page.locator("select"))
        self.tab_to(control)
        for _ in range(control.locator("option").count()):
            if control.evaluate("list => list.selectedOptions[0].label").startswith(option):
                return
            self.page.keyboard.press("ArrowDown")
        raise AssertionError(f"{label} has no option {option}")

    def tick(self, label: str, within: str = "") -> None:
        """Ticks a box."""
        box = self._scope(within).get_by_role("checkbox", name=starts_with(label))
        self.tab_to(box)
        self.page.keyboard.press("Space")
        assert box.is_checked()

    def unfold(self, summary: str, within: str = "") -> None:
        """Opens a part of a form that is folded."""
        self.tab_to(self._scope(within).locator("summary").filter(has_text=summary))
        self.page.keyboard.press("Enter")

    def add(self, button: str, row: str) -> None:
        """Presses the button that adds a row, and waits for the row."""
        self.tab_to(self.page.get_by_role("button", name=button, exact=True))
        self.page.keyboard.press("Enter")
        self.page.get_by_role("group", name=row, exact=True).wait_for()

    def jump(self, link: str) -> None:
        """Follows a link to another place of the page."""
        self.tab_to(self.page.get_by_role("link", name=link, exact=True))
        self.page.keyboard.press("Enter")

    def press(self, button: str) -> Response | None:
        """Presses a button that loads a page; returns the answer."""
        return self._enter(self.page.get_by_role("button", name=button, exact=True).last)

    def follow(self, link: str | re.Pattern[str]) -> Response | None:
        """Follows a link to another page; returns the answer."""
        return self._enter(self.page.get_by_role("link", name=link, exact=True).first)

    def _enter(self, target: Locator) -> Response | None:
        self.tab_to(target)
        with self.page.expect_navigation() as navigation:
            self.page.keyboard.press("Enter")
        return navigation.value

    def _scope(self, within: str) -> Page | Locator:
        return self.page.get_by_role("group", name=starts_with(within)) if within else self.page
