"""Links: secrets that only the key's holder can make, each for one purpose."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from services.analytics.reminders.links import LinksKey
from shared.security.vault import BadKeyFile, make_key_file

SECRET = b"the key of links in these tests."
KEY, OTHER = LinksKey(SECRET), LinksKey(SECRET[::-1])
REQUEST = UUID("0197bd5b-0000-7000-8000-000000000001")
NOW = datetime(2025, 4, 30, 8, tzinfo=UTC)
EXPIRY = NOW + timedelta(days=7)


def test_a_calendar_secret_is_the_hmac_of_purpose_study_member_and_generation() -> None:
    digest = hmac.new(SECRET, b"calendar\0atc-sbrt\0nurse-1\x003", hashlib.sha256).digest()
    assert KEY.calendar_secret("atc-sbrt", "nurse-1", 3) == base64.urlsafe_b64encode(digest).decode()[:22]


def test_each_study_member_generation_and_key_has_another_calendar_secret() -> None:
    secrets = {
        key.calendar_secret(study, member, generation)
        for key in (KEY, OTHER)
        for study in ("a", "b")
        for member in ("m", "n")
        for generation in (0, 1)
    }
    assert len(secrets) == 16


def test_a_token_confirms_its_request_until_it_expires() -> None:
    token = KEY.confirmation_token(REQUEST, EXPIRY)
    assert KEY.read_confirmation(token, EXPIRY - timedelta(seconds=1)) == REQUEST
    assert KEY.read_confirmation(token, EXPIRY) is None


def test_a_changed_token_confirms_nothing() -> None:
    token = KEY.confirmation_token(REQUEST, EXPIRY)
    for position, character in enumerate(token):
        changed = token[:position] + ("1" if character == "0" else "0") + token[position + 1 :]
        assert KEY.read_confirmation(changed, NOW) is None
    for other in (token + "0", " " + token, token.replace(".", ".0", 1), token[:-1]):
        assert KEY.read_confirmation(other, NOW) is None


def test_a_token_of_another_key_or_purpose_confirms_nothing() -> None:
    assert OTHER.read_confirmation(KEY.confirmation_token(REQUEST, EXPIRY), NOW) is None
    assert KEY.read_confirmation(KEY.calendar_secret("atc-sbrt", "nurse-1", 0), NOW) is None
    assert KEY.read_confirmation("", NOW) is None


def test_the_key_is_a_file_of_32_bytes_and_is_not_shown(tmp_path: Path) -> None:
    make_key_file(tmp_path / "links_key")
    assert repr(LinksKey.load(tmp_path / "links_key")) == "LinksKey()"
    with pytest.raises(BadKeyFile):
        LinksKey(b"short")
