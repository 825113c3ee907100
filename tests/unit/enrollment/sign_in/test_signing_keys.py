from __future__ import annotations

from datetime import timedelta

from services.enrollment.sign_in.repository import KeyRow
from services.enrollment.sign_in.signing_keys import (
    KEY_MAX_AGE,
    PROPAGATION_TIME,
    ROTATION_INTERVAL,
    order_by_preference,
)
from shared.security.issuer_keys import KEY_SET_MAX_AGE_SECONDS
from shared.security.tokens import MAX_LIFETIME_SECONDS
from tests.unit.security.signed_tokens import NOON


def key(name: str, *, is_known_everywhere: bool) -> KeyRow:
    return KeyRow(name, "{}", b"", NOON, is_known_everywhere)


def test_newest_key_that_every_service_has_read_signs() -> None:
    rows = [key("new", is_known_everywhere=False)]
    rows += [key(name, is_known_everywhere=True) for name in ("read", "old")]
    assert [row.kid for row in order_by_preference(rows)] == ["read", "old", "new"]


def test_oldest_key_signs_while_no_service_has_read_one() -> None:
    rows = [key("second", is_known_everywhere=False), key("first", is_known_everywhere=False)]
    assert [row.kid for row in order_by_preference(rows)] == ["first", "second"]


def test_key_is_published_before_its_first_token_and_after_its_last() -> None:
    assert timedelta(seconds=KEY_SET_MAX_AGE_SECONDS) < PROPAGATION_TIME
    last_token_expires = ROTATION_INTERVAL + PROPAGATION_TIME + timedelta(seconds=MAX_LIFETIME_SECONDS)
    assert last_token_expires < KEY_MAX_AGE
