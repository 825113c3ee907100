"""Compresses large responses with gzip, except those whose size could reveal a secret (BREACH).

BREACH guesses a secret from the length of compressed responses that contain both the secret and input of the attacker.
The attacker makes the victim's browser send many requests with the victim's credentials. A browser can be made to send
a cookie, but no bearer token; so a response to a request with a cookie is compressed only if it is public. Sealed texts
are secrets of one site beside texts of others; a response that shows one forbids transformations (`no-transform`) and
is never compressed. Event streams and problem documents are not compressed either.
"""

from __future__ import annotations

import asyncio
import gzip

from starlette.datastructures import Headers

COMPRESS_MIN_BYTES = 1024
THREAD_MIN_BYTES = 128 * 1024  # larger content is compressed in a thread, or the event loop would stall
GZIP_LEVEL = 6
_COMPRESSIBLE_TYPES = frozenset(
    {
        "application/json",
        "application/schema+json",
        "image/svg+xml",
        "text/css",
        "text/csv",
        "text/html",
        "text/javascript",
        "text/plain",
    }
)


def may_be_compressed(request_headers: Headers, response_headers: Headers, size: int) -> bool:
    """Returns whether a response of `size` bytes may be compressed, if the client accepts gzip."""
    control = response_headers.get("cache-control", "")
    media = response_headers.get("content-type", "").partition(";")[0]
    is_safe = "public" in control or "cookie" not in request_headers
    return size >= COMPRESS_MIN_BYTES and media in _COMPRESSIBLE_TYPES and is_safe and "no-transform" not in control


def accepts_gzip(request_headers: Headers) -> bool:
    """Returns whether Accept-Encoding names gzip, or any coding, with a weight above 0."""
    weights = {}
    for coding in ",".join(request_headers.getlist("accept-encoding")).split(","):
        name, _, weight = coding.partition(";")
        weights[name.strip().lower()] = weight.replace(" ", "").removeprefix("q=").rstrip("0.") != "" or not weight
    return weights.get("gzip", weights.get("*", False))


async def compress(content: bytes) -> bytes:
    """Returns the content as gzip, without a time: equal content gives equal bytes."""
    if len(content) > THREAD_MIN_BYTES:
        return await asyncio.to_thread(_gzip, content)
    return _gzip(content)


def _gzip(content: bytes) -> bytes:
    return gzip.compress(content, GZIP_LEVEL, mtime=0)
