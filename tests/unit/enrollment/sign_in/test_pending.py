"""The cookie of a sign-in under way opens only as it was sealed, and for ten minutes."""

from __future__ import annotations

import base64
from datetime import timedelta

import pytest

from services.enrollment.sign_in.pending import NoPendingSignIn, PendingSignIn, cookie_of, open_pending
from services.enrollment.sign_in.sealing import PENDING, SignInCipher
from shared.security.vault import KeyEncryptionKey
from tests.unit.security.signed_tokens import NOON

CIPHER = SignInCipher(KeyEncryptionKey(b"k" * 32))


@pytest.fixture
def pending() -> PendingSignIn:
    return PendingSignIn.begin("/analytics/studies/a", renews=False, now=NOON)


def test_sign_in_is_finished_as_it_was_begun(pending: PendingSignIn) -> None:
    later = NOON + timedelta(minutes=10)
    assert open_pending(CIPHER, pending.seal(CIPHER), pending.state, now=later) == pending


def test_sign_in_is_finished_within_ten_minutes(pending: PendingSignIn) -> None:
    with pytest.raises(NoPendingSignIn):
        open_pending(CIPHER, pending.seal(CIPHER), pending.state, now=NOON + timedelta(minutes=10, seconds=1))


def test_cookie_of_another_sign_in_or_installation_opens_nothing(pending: PendingSignIn) -> None:
    another = PendingSignIn.begin("/", renews=False, now=NOON)
    foreign = SignInCipher(KeyEncryptionKey(b"f" * 32))
    for cookie in (another.seal(CIPHER), pending.seal(foreign), "", "x", "é", pending.seal(CIPHER)[:-4]):
        with pytest.raises(NoPendingSignIn):
            open_pending(CIPHER, cookie, pending.state, now=NOON)


def test_cookie_that_another_version_sealed_opens_nothing(pending: PendingSignIn) -> None:
    box = CIPHER.seal(PENDING, pending.state.encode(), b'{"state": "x"}')
    with pytest.raises(NoPendingSignIn):
        open_pending(CIPHER, base64.urlsafe_b64encode(box).decode(), pending.state, now=NOON)


def test_each_sign_in_has_secrets_of_its_own(pending: PendingSignIn) -> None:
    another = PendingSignIn.begin("/", renews=False, now=NOON)
    texts = {value for sign_in in (pending, another) for value in (sign_in.state, sign_in.nonce, sign_in.code_verifier)}
    assert len(texts) == 6
    assert all(len(text) >= 43 for text in texts)  # 256 bits; a code verifier has 43 characters at least (RFC 7636)
    assert pending.cookie != another.cookie


@pytest.mark.parametrize("state", ["", "a;b=c", "a b", "\r\nSet-Cookie: x", "ü" * 40, "%00"])
def test_state_of_anybody_names_a_harmless_cookie(state: str) -> None:
    assert cookie_of(state).replace("-", "").isalnum()
    assert cookie_of(state).isascii()
