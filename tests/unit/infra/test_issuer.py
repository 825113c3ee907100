"""The development issuer: its tokens are accepted, and its private key stays private."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

from infra.issuer import AUDIENCE, ISSUER, Issuer
from shared.security.issuer_keys import FileKeys
from shared.security.tokens import Caller, Verifier
from tests.unit.security.signed_tokens import EC, NOON, jwks, refusal_reason


async def test_tokens_of_the_development_issuer_are_accepted(tmp_path: Path) -> None:
    issuing = Issuer.load(tmp_path / "keys")
    verifier = Verifier(FileKeys(issuing.jwks), ISSUER, AUDIENCE, now=lambda: NOON)
    assert await verifier.verify(issuing.token("anna", now=NOON)) == Caller("anna")
    assert await refusal_reason(verifier, issuing.token("anna", now=NOON, minutes=16)) == "lifetime"
    assert await refusal_reason(verifier, Issuer.load(tmp_path / "others").token("anna", now=NOON)) == "unknown-key"


async def test_development_issuer_keeps_its_key_after_a_restart(tmp_path: Path) -> None:
    first = Issuer.load(tmp_path)
    token, published = first.token("anna", now=NOON), first.jwks.read_bytes()
    changed = first.jwks.stat().st_mtime_ns
    again = Issuer.load(tmp_path)
    assert (again.jwks.read_bytes(), again.jwks.stat().st_mtime_ns) == (published, changed)
    assert await Verifier(FileKeys(again.jwks), ISSUER, AUDIENCE, now=lambda: NOON).verify(token) == Caller("anna")


async def test_lost_or_foreign_public_key_file_is_recreated(tmp_path: Path) -> None:
    published = Issuer.load(tmp_path).jwks.read_bytes()
    (tmp_path / "jwks.json").write_bytes(jwks(EC))
    assert Issuer.load(tmp_path).jwks.read_bytes() == published
    (tmp_path / "jwks.json").unlink()
    assert Issuer.load(tmp_path).jwks.read_bytes() == published


def test_the_private_key_of_the_development_issuer_stays_private(tmp_path: Path) -> None:
    issuing = Issuer.load(tmp_path / "keys")
    private = json.loads((tmp_path / "keys" / "issuer.json").read_bytes())
    assert stat.S_IMODE((tmp_path / "keys" / "issuer.json").stat().st_mode) == 0o600
    assert sorted(os.listdir(tmp_path / "keys")) == ["issuer.json", "jwks.json"]
    for visible_text in (issuing.jwks.read_text(), repr(issuing)):
        assert private["d"] not in visible_text
