"""Verifies access tokens (RFC 9068). Only the subject of a token is used.

The rights of a subject come from facts of the study, not from the token.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

import httpx
from joserfc import jws
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwk import JWKRegistry, Key
from joserfc.util import urlsafe_b64decode

MAX_TOKEN_LENGTH = 8192  # characters
MAX_LIFETIME_SECONDS = 15 * 60  # from `iat` to `exp`
MAX_SUBJECT_LENGTH = 255  # characters, as OpenID Connect has it
CLOCK_LEEWAY_SECONDS = 5  # the clocks of issuer and service may differ by this
VERIFIED_TOKEN_CACHE_SIZE = 1024
KEY_SET_MAX_AGE_SECONDS = 600.0
REFETCH_MIN_SECONDS = 30.0  # between two requests to an issuer whose keys are known
FIRST_RETRY_SECONDS = 1.0  # between two requests until the first key set was read

_ALGORITHMS_BY_KEY_TYPE = {
    ("EC", "P-256"): frozenset({"ES256"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA", "Ed25519"}),
    ("RSA", ""): frozenset({"RS256"}),
}
_ALGORITHMS = frozenset().union(*_ALGORITHMS_BY_KEY_TYPE.values())
_logger = logging.getLogger(__name__)

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


class KeysUnavailable(Exception):
    """No key set was read from the source yet, so that no token can be verified."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The subject that a verified token speaks for."""

    subject: str


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key and the algorithms that it may verify, so that a token cannot choose another use of it."""

    thumbprint: str
    algorithms: frozenset[str]
    key: Key = field(compare=False, repr=False)


class KeySource(Protocol):
    async def key(self, kid: str) -> PublicKey | None:
        """Return the issuer's key of that id, or None. Raises KeysUnavailable."""


@dataclass(frozen=True, slots=True)
class _VerifiedToken:
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
        self._verified: OrderedDict[bytes, _VerifiedToken] = OrderedDict()

    async def verify(self, token: str) -> Caller:
        """Return the caller that the token speaks for. Raises BadToken, KeysUnavailable."""
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
        return verified.caller

    async def _verify(self, token: str) -> _VerifiedToken:
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
        return _VerifiedToken(Caller(_subject(claims)), kid, key, _expiry(claims, self._now().timestamp()))


def _parse_header(token: str) -> tuple[str, str]:
    """Return the algorithm and key id in the header, which are not trusted before the signature is verified."""
    try:
        header = _parse_object(urlsafe_b64decode(token.encode("ascii").partition(b".")[0]))
    except ValueError:
        raise BadToken("malformed") from None
    if "crit" in header or "b64" in header:
        raise BadToken("header")
    algorithm, typ, kid = header.get("alg"), header.get("typ"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in _ALGORITHMS:
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
    """Return the time of expiry in seconds since 1970, including leeway. Raises BadToken unless it is valid now."""
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
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT_LENGTH or not subject.isprintable():
        raise BadToken("subject")
    return subject


class _AlgorithmRegistry(jws.JWSRegistry):
    """Accepts our algorithms without warnings. Most issuers still write `EdDSA` for Ed25519, at which joserfc warns."""

    max_header_length = MAX_TOKEN_LENGTH

    def get_alg(self, name: str) -> Any:
        if name not in _ALGORITHMS:
            raise UnsupportedAlgorithmError
        return self.algorithms[name]


_REGISTRY = _AlgorithmRegistry(strict_check_header=False)


def parse_keys(document: bytes) -> dict[str, PublicKey]:
    """Return the keys of a JWK set (RFC 7517) that may verify tokens, by id, and ignore other keys.

    Raises ValueError for anything but a JWK set.
    """
    try:
        jwks = json.loads(document)["keys"]
        return dict(named for jwk in jwks if (named := _parse_key(jwk)))
    except (KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError("not a JWK set") from None


def _parse_key(jwk: dict[str, Any]) -> tuple[str, PublicKey] | None:
    kty, curve, kid = str(jwk.get("kty")), str(jwk.get("crv", "")), jwk.get("kid")
    algorithms = {a for a in _ALGORITHMS_BY_KEY_TYPE.get((kty, curve), ()) if jwk.get("alg", a) == a}
    too_short = kty == "RSA" and len(str(jwk.get("n"))) * 6 < 2048  # a base64 character has six bits
    if not algorithms or too_short or jwk.get("use", "sig") != "sig" or not isinstance(kid, str):
        return None
    try:
        key = JWKRegistry.import_key(jwk)
        return kid, PublicKey(key.thumbprint(), frozenset(algorithms), key)
    except (JoseError, ValueError, TypeError):
        _logger.warning("A key of the issuer's key set cannot be read and is ignored.")
        return None


class FileKeys:
    """Keys from a JWK set on disk, read again when the file changes. The old keys stay if the new file is invalid."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file_state: tuple[int, int, int] | None = None
        self._keys: dict[str, PublicKey] | None = None

    async def key(self, kid: str) -> PublicKey | None:
        self._reload_if_changed()
        if self._keys is None:
            raise KeysUnavailable("The file of the issuer's public keys is absent or not readable.")
        return self._keys.get(kid)

    def _reload_if_changed(self) -> None:
        try:
            stat = self._path.stat()
            if (state := (stat.st_mtime_ns, stat.st_size, stat.st_ino)) != self._file_state:
                self._file_state = state
                self._keys = parse_keys(self._path.read_bytes())
        except OSError:
            return  # the file is missing at present: keep the keys
        except ValueError:
            _logger.warning("The file of the issuer's public keys is not a JWK set; the earlier keys stay in use.")


class HttpKeys:
    """Keys from the issuer's `jwks_uri`, fetched again after ten minutes, or when a token names an unknown key.

    Sends at most one request in 30 s. The old keys stay while the issuer is unavailable or answers with errors.
    """

    def __init__(self, url: str, *, clock: Callable[[], float] | None = None, timeout: float = 3.0) -> None:
        self._url, self._timeout = url, timeout
        self._clock = clock or (lambda: asyncio.get_running_loop().time())
        self._keys: dict[str, PublicKey] | None = None
        self._fetched_at = self._tried_at = float("-inf")
        self._fetch_lock = asyncio.Lock()

    async def key(self, kid: str) -> PublicKey | None:
        is_cached = self._keys is not None and kid in self._keys
        if not is_cached or (self._is_fetch_due(kid) and not self._fetch_lock.locked()):
            async with self._fetch_lock:
                if self._is_fetch_due(kid):
                    await self._fetch()
        if self._keys is None:
            raise KeysUnavailable("The issuer's public keys could not be fetched yet.")
        return self._keys.get(kid)

    def _is_fetch_due(self, kid: str) -> bool:
        now = self._clock()
        stale = self._keys is None or kid not in self._keys or now - self._fetched_at >= KEY_SET_MAX_AGE_SECONDS
        return stale and now - self._tried_at >= (FIRST_RETRY_SECONDS if self._keys is None else REFETCH_MIN_SECONDS)

    async def _fetch(self) -> None:
        self._tried_at = self._clock()
        try:
            async with httpx.AsyncClient(timeout=self._timeout) as client:
                response = await client.get(self._url)
            self._keys = parse_keys(response.raise_for_status().content)
            self._fetched_at = self._clock()
        except (httpx.HTTPError, ValueError) as error:
            _logger.warning("The issuer's public keys could not be fetched (%s).", type(error).__name__)
