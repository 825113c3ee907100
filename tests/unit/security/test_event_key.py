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


def test_event_id_is_a_version_8_uuid_of_a_keyed_hash() -> None:
    scope = "atc-rt/enrollment/rome/ORU-1"
    digest = hmac.digest(SECRET, f"{scope}/0".encode(), hashlib.sha256)
    own, version_4_uuid = KEY.event_id(scope, 0), UUID(bytes=digest[:16], version=4)
    assert str(own) == f"{str(version_4_uuid)[:14]}8{str(version_4_uuid)[15:]}"
    assert (own.version, own.variant) == (8, RFC_4122)


@given(st.lists(st.tuples(st.text(), st.integers(0, 999)), unique=True, max_size=8))
def test_other_requests_and_other_keys_give_other_ids(named: list[tuple[str, int]]) -> None:
    ids = {EventKey(secret).event_id(*name) for name in named for secret in (SECRET, bytes(32))}
    assert len(ids) == 2 * len(named)
    assert ids.isdisjoint(EventKey(bytes(31) + b"\1").event_id(*name) for name in named)


def test_stored_key_is_hashed_per_service_and_study() -> None:
    stored = [KEY.stored_key(*of, "k") for of in (("enrollment", "s1"), ("toxicity", "s1"), ("enrollment", "s2"))]
    assert len(set(stored)) == 3
    assert all(" " in name for name in stored)
    assert KEY.stored_key("enrollment", "s1", "k") == stored[0]


def test_event_key_file_is_loaded_without_revealing_the_secret(tmp_path: Path) -> None:
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
