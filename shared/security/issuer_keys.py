"""Public keys of the issuer of access tokens, from a file or from the issuer's JWK set."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

import httpx
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key

KEY_SET_MAX_AGE_SECONDS = 600.0
REFETCH_MIN_SECONDS = 30.0  # between two requests to an issuer whose keys are known
FIRST_RETRY_SECONDS = 1.0  # between two requests until the first key set was read

_LOOK_SECONDS = 0.01  # between two looks at the file for streams, which are served many together

_ALGORITHMS_BY_KEY_TYPE = {
    ("EC", "P-256"): frozenset({"ES256"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA", "Ed25519"}),
    ("RSA", ""): frozenset({"RS256"}),
}
ALGORITHMS = frozenset().union(*_ALGORITHMS_BY_KEY_TYPE.values())
_logger = logging.getLogger(__name__)


class KeysUnavailable(Exception):
    """No key set has been read from the source yet, so no token can be verified."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key and the algorithms that it may verify, so that a token cannot choose another use of it."""

    thumbprint: str
    algorithms: frozenset[str]
    key: Key = field(compare=False, repr=False)


class KeySource(Protocol):
    async def key(self, kid: str) -> PublicKey | None:
        """Returns the issuer's key of that id, or None. Raises KeysUnavailable."""

    def known_key(self, kid: str) -> PublicKey | None:
        """Returns the key of that id if nobody has to be asked for it."""


def parse_keys(document: bytes) -> dict[str, PublicKey]:
    """Returns the keys of a JWK set (RFC 7517) that may verify tokens, by id. Other keys are ignored.

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
        self._looked_at = -_LOOK_SECONDS
        self._keys: dict[str, PublicKey] | None = None

    async def key(self, kid: str) -> PublicKey | None:
        self._reload_if_changed()
        if self._keys is None:
            raise KeysUnavailable("The file of the issuer's public keys is absent or not readable.")
        return self._keys.get(kid)

    def known_key(self, kid: str) -> PublicKey | None:
        if (now := monotonic()) - self._looked_at > _LOOK_SECONDS:
            self._looked_at = now
            self._reload_if_changed()
        return self._keys.get(kid) if self._keys else None

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

    Sends at most one request in `refetch_seconds`. The old keys stay while the issuer is unavailable or answers with
    errors.
    """

    def __init__(
        self,
        url: str,
        *,
        clock: Callable[[], float] | None = None,
        timeout: float = 3.0,
        refetch_seconds: float = REFETCH_MIN_SECONDS,
    ) -> None:
        self._url, self._timeout, self._refetch_seconds = url, timeout, refetch_seconds
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

    def known_key(self, kid: str) -> PublicKey | None:
        return None if self._keys is None or self._is_fetch_due(kid) else self._keys.get(kid)

    def _is_fetch_due(self, kid: str) -> bool:
        now = self._clock()
        stale = self._keys is None or kid not in self._keys or now - self._fetched_at >= KEY_SET_MAX_AGE_SECONDS
        return stale and now - self._tried_at >= (FIRST_RETRY_SECONDS if self._keys is None else self._refetch_seconds)

    async def _fetch(self) -> None:
        self._tried_at = self._clock()
        try:
            async with httpx.AsyncClient(timeout=self._timeout) as client:
                response = await client.get(self._url)
            self._keys = parse_keys(response.raise_for_status().content)
            self._fetched_at = self._clock()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            _logger.warning("The issuer's public keys could not be fetched (%s).", type(error).__name__)
