from __future__ import annotations

from pathlib import Path

import pytest

from infra.issuer import AUDIENCE, ISSUER
from shared.security.issuer_keys import FileKeys
from shared.security.tokens import Verifier
from tests.unit.security.signed_tokens import ALL_KEYS, ManualClock, jwks


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "jwks.json"
    path.write_bytes(jwks(*ALL_KEYS))
    return path


@pytest.fixture
def verifier(key_file: Path, clock: ManualClock) -> Verifier:
    return Verifier(FileKeys(key_file), ISSUER, AUDIENCE, now=clock)
