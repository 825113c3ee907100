"""The page that signs people in with an access token."""

from __future__ import annotations

from shared.ui.pages import Pages
from shared.ui.sign_in import render_sign_in


def test_person_who_was_signed_out_of_a_demo_is_led_to_its_links() -> None:
    """The person was given no token: a link of the start page made it."""
    page = render_sign_in(Pages("enrollment"), "/")
    assert 'A demo needs no token: its <a href="/">start page</a>' in page
