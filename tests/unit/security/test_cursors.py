"""Cursors can be neither read, nor changed, nor used in another context."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.security.cursors import BadCursor, CursorCipher
from shared.security.vault import KeyEncryptionKey

SCOPE = ("facts", "enrollment", "atc-rt")
CURSORS = CursorCipher(KeyEncryptionKey(bytes(32)))


@given(st.lists(st.text(max_size=40) | st.integers(), max_size=6))
def test_cursor_opens_only_in_its_scope_and_is_deterministic(values: list[str | int]) -> None:
    text = CURSORS.seal(SCOPE, values)
    assert CURSORS.open(SCOPE, text) == values
    assert CURSORS.seal(SCOPE, values) == text
    for other in (SCOPE[:2], (*SCOPE[:2], "other"), ("facts", "enrollmentatc", "-rt")):
        with pytest.raises(BadCursor):
            CURSORS.open(other, text)
    with pytest.raises(BadCursor):
        CursorCipher(KeyEncryptionKey(bytes([1]) * 32)).open(SCOPE, text)


def test_cursor_values_are_encrypted() -> None:
    text = CURSORS.seal(SCOPE, ["1234567:1234567:", 7654321])
    box = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    assert b"1234567" not in box
    assert b"7654321" not in box


@pytest.mark.parametrize("change", [lambda text: text[:-4], lambda text: f"AAAA{text}", lambda text: text.swapcase()])
def test_modified_cursor_is_refused(change: Callable[[str], str]) -> None:
    text = CURSORS.seal(SCOPE, ["1:1:", 5])
    with pytest.raises(BadCursor):
        CURSORS.open(SCOPE, change(text))


@pytest.mark.parametrize("text", ["", "A", "AAAA", "é", "=", "a b", "\x00"])
def test_arbitrary_text_is_not_a_cursor(text: str) -> None:
    with pytest.raises(BadCursor):
        CURSORS.open(SCOPE, text)
