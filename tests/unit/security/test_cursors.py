"""A cursor is a text that nobody can read, change, or use in another place."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.security.cursors import BadCursor, Cursors
from shared.security.vault import KeyEncryptionKey

PLACE = ("facts", "enrollment", "atc-rt")
CURSORS = Cursors(KeyEncryptionKey(bytes(32)))


@given(st.lists(st.text(max_size=40) | st.integers(), max_size=6))
def test_it_opens_at_its_own_place_and_is_always_the_same_text(values: list[str | int]) -> None:
    text = CURSORS.seal(PLACE, values)
    assert CURSORS.open(PLACE, text) == values
    assert CURSORS.seal(PLACE, values) == text
    for other in (PLACE[:2], (*PLACE[:2], "other"), ("facts", "enrollmentatc", "-rt")):
        with pytest.raises(BadCursor):
            CURSORS.open(other, text)
    with pytest.raises(BadCursor):
        Cursors(KeyEncryptionKey(bytes([1]) * 32)).open(PLACE, text)


def test_its_numbers_cannot_be_read() -> None:
    text = CURSORS.seal(PLACE, ["1234567:1234567:", 7654321])
    box = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    assert b"1234567" not in box
    assert b"7654321" not in box


@pytest.mark.parametrize("change", [lambda text: text[:-4], lambda text: f"AAAA{text}", lambda text: text.swapcase()])
def test_it_cannot_be_changed(change: object) -> None:
    text = CURSORS.seal(PLACE, ["1:1:", 5])
    with pytest.raises(BadCursor):
        CURSORS.open(PLACE, change(text))  # type: ignore[operator]


@pytest.mark.parametrize("text", ["", "A", "AAAA", "é", "=", "a b", "\x00"])
def test_other_texts_are_none(text: str) -> None:
    with pytest.raises(BadCursor):
        CURSORS.open(PLACE, text)
