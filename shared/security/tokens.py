"""Verifies access tokens (RFC 9068). Only the subject of a token is used.

The rights of a subject come from facts of the study, not from the token.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeGuard

from joserfc import jws
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.util import urlsafe_b64decode

from shared.security.issuer_keys import ALGORITHMS, KeySource, PublicKey

MAX_TOKEN_LENGTH = 8192  # characters
MAX_LIFETIME_SECONDS = 15 * 60  # from `iat` to `exp`
MAX_SUBJECT_LENGTH = 255  # characters, as OpenID Connect has it
CLOCK_LEEWAY_SECONDS = 5  # the clocks of issuer and service may differ by this
VERIFIED_TOKEN_CACHE_SIZE = 1024


TokenRefusalReason = Literal[
    "oversized",
    "several",
    "malformed",
    "duplicate",
    "header",
    "algorithm",
    "type",
    "unknown-key",
    "signature",
    "issuer",
    "audience",
    "subject",
    "lifetime",
    "not-yet-valid",
    "expired",
]


class BadToken(Exception):
    """The token is refused. `reason` is a stable code; the token is never quoted."""

    def __init__(self, reason: TokenRefusalReason) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Caller:
    """The subject that a verified token speaks for."""

    subject: str


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """The claims of a token that a service uses, and the key of its signature."""

    caller: Caller
    kid: str
    key: PublicKey
    valid_until: float  # seconds since 1970, including leeway


class Verifier:
    """Verifies tokens of one issuer for one audience, and caches verified tokens until they expire.

    The key of a cached token is looked up again at each use, so that withdrawing a key ends its tokens at once.
    """

    def __init__(self, keys: KeySource, issuer: str, audience: str, *, now: Callable[[], datetime]) -> None:
        self._keys, self._issuer, self._audience, self._now = keys, issuer, audience, now
        self._verified: OrderedDict[bytes, VerifiedToken] = OrderedDict()

    def holds(self, verified: VerifiedToken) -> bool:
        """Returns whether it is known that the token has not expired, and that its key has not been withdrawn."""
        return self._now().timestamp() < verified.valid_until and self._keys.known_key(verified.kid) == verified.key

    async def verify(self, token: str) -> Caller:
        """Returns the caller that the token speaks for. Raises BadToken, KeysUnavailable."""
        return (await self.accept(token)).caller

    async def accept(self, token: str) -> VerifiedToken:
        """Verifies a token that is used for long. Raises BadToken, KeysUnavailable."""
        if len(token) > MAX_TOKEN_LENGTH:
            raise BadToken("oversized")
        digest = hashlib.sha256(token.encode(errors="surrogatepass")).digest()
        verified = self._verified.get(digest)
        if verified is None or await self._keys.key(verified.kid) != verified.key:
            self._verified.pop(digest, None)
            verified = await self._verify(token)
        if self._now().timestamp() >= verified.valid_until:
            self._verified.pop(digest, None)
            raise BadToken("expired")
        self._verified[digest] = verified
        self._verified.move_to_end(digest)
        if len(self._verified) > VERIFIED_TOKEN_CACHE_SIZE:
            self._verified.popitem(last=False)
        return verified

    async def _verify(self, token: str) -> VerifiedToken:
        algorithm, kid = _parse_header(token)
        key = await self._keys.key(kid)
        if key is None:
            raise BadToken("unknown-key")
        if algorithm not in key.algorithms:
            raise BadToken("algorithm")
        claims = _signed_claims(token, key)
        if claims.get("iss") != self._issuer:
            raise BadToken("issuer")
        audience = claims.get("aud")
        if self._audience not in (audience if isinstance(audience, list) else [audience]):
            raise BadToken("audience")
        return VerifiedToken(Caller(_subject(claims)), kid, key, _expiry(claims, self._now().timestamp()))


def _parse_header(token: str) -> tuple[str, str]:
    """Returns the algorithm and key id in the header, which are not trusted before the signature is verified."""
    try:
        header = _parse_object(urlsafe_b64decode(token.encode("ascii").partition(b".")[0]))
    except ValueError:
        raise BadToken("malformed") from None
    if "crit" in header or "b64" in header:
        raise BadToken("header")
    algorithm, typ, kid = header.get("alg"), header.get("typ"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise BadToken("algorithm")
    if not isinstance(typ, str) or typ.lower() not in ("at+jwt", "application/at+jwt"):
        raise BadToken("type")
    if not isinstance(kid, str):
        raise BadToken("unknown-key")
    return algorithm, kid


def _signed_claims(token: str, key: PublicKey) -> dict[str, Any]:
    try:
        payload = jws.deserialize_compact(token, key.key, registry=_REGISTRY).payload
    except (JoseError, ValueError, TypeError):
        raise BadToken("signature") from None
    return _parse_object(payload)


def _parse_object(text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text, object_pairs_hook=_reject_duplicate_members)
    except (ValueError, RecursionError):
        raise BadToken("malformed") from None
    if not isinstance(value, dict):
        raise BadToken("malformed")
    return value


def _reject_duplicate_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):  # two parsers could read different values
        raise BadToken("duplicate")
    return members


def _expiry(claims: Mapping[str, Any], now: float) -> float:
    """Returns the time of expiry in seconds since 1970, including leeway. Raises BadToken unless it is valid now."""
    issued_at, expires_at = _parse_timestamp(claims.get("iat")), _parse_timestamp(claims.get("exp"))
    if not 0 < expires_at - issued_at <= MAX_LIFETIME_SECONDS:
        raise BadToken("lifetime")
    if max(issued_at, _parse_timestamp(claims.get("nbf", issued_at))) > now + CLOCK_LEEWAY_SECONDS:
        raise BadToken("not-yet-valid")
    return expires_at + CLOCK_LEEWAY_SECONDS


def _parse_timestamp(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**40:
        raise BadToken("lifetime")
    return float(value)


def _subject(claims: Mapping[str, Any]) -> str:
    subject = claims.get("sub")
    if not is_subject(subject):
        raise BadToken("subject")
    return subject


def is_subject(value: object) -> TypeGuard[str]:
    """Returns whether a value can name a person or a program: a printable text of at most 255 characters."""
    return isinstance(value, str) and 0 < len(value) <= MAX_SUBJECT_LENGTH and value.isprintable()


class AlgorithmRegistry(jws.JWSRegistry):
    """Accepts our algorithms without warnings. Most issuers still write `EdDSA` for Ed25519, at which joserfc warns."""

    max_header_length = MAX_TOKEN_LENGTH

    def get_alg(self, name: str) -> Any:
        if name not in ALGORITHMS:
            raise UnsupportedAlgorithmError
        return self.algorithms[name]


_REGISTRY = AlgorithmRegistry(strict_check_header=False)
