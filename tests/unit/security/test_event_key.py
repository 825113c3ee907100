"""Names that cannot be guessed: the key for event ids and stored idempotency keys."""

from __future__ import annotations

import base64
import hashlib
import hmac
from pathlib import Path
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.security.event_key import EventKey
from shared.security.vault import BadKeyFile, make_key_file

SECRET = bytes(range(32))
KEY = EventKey(SECRET)


def test_an_event_id_is_the_first_128_bits_of_a_keyed_hash_as_a_version_8_uuid() -> None:
    scope = "atc-rt/enrollment/rome/ORU-1"
    digest = hmac.digest(SECRET, f"{scope}/0".encode(), hashlib.sha256)
    own, made = KEY.event_id(scope, 0), UUID(bytes=digest[:16], version=4)
    assert str(own) == f"{str(made)[:14]}8{str(made)[15:]}"
    assert (own.version, own.variant) == (8, RFC_4122)


@given(st.lists(st.tuples(st.text(), st.integers(0, 999)), unique=True, max_size=8))
def test_other_requests_and_other_keys_give_other_ids(named: list[tuple[str, int]]) -> None:
    ids = {EventKey(secret).event_id(*each) for each in named for secret in (SECRET, bytes(32))}
    assert len(ids) == 2 * len(named)
    assert ids.isdisjoint(EventKey(bytes(31) + b"\1").event_id(*each) for each in named)


def test_a_stored_key_differs_by_service_and_study_and_is_no_key_in_clear() -> None:
    stored = [KEY.stored(*of, "k") for of in (("enrollment", "s1"), ("toxicity", "s1"), ("enrollment", "s2"))]
    assert len(set(stored)) == 3
    assert all(" " in each for each in stored)
    assert KEY.stored("enrollment", "s1", "k") == stored[0]


def test_a_key_file_is_read_and_shows_nothing(tmp_path: Path) -> None:
    make_key_file(tmp_path / "event_key")
    key = EventKey.load(tmp_path / "event_key")
    secret = base64.b64decode((tmp_path / "event_key").read_bytes())
    assert key.id == EventKey(secret).id
    assert secret.hex() not in repr(key)
    assert repr(key) == f"EventKey({key.id.hex()})"
    (tmp_path / "short").write_text("AAAA")
    for wrong in ("absent", "short"):
        with pytest.raises(BadKeyFile):
            EventKey.load(tmp_path / wrong)
