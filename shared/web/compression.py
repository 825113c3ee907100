"""gzip for answers that are large, and for none that an attacker could guess from by its size.

BREACH guesses a secret from the length of compressed answers that hold both the secret and what the attacker sent. It
takes an attacker who makes the victim's browser ask, again and again, with the victim's own credentials. A browser can
be made to send a cookie, never a bearer token: so what is asked with a cookie is compressed only where it is public.
Sealed texts are a secret of their site beside texts of others, whoever asks: an answer that shows one forbids any
change on its way (`no-transform`) and is never compressed. Event streams and refusals are not compressed either.
"""

from __future__ import annotations

import asyncio
import gzip

from starlette.datastructures import Headers

COMPRESS_MIN_BYTES = 1024  # bytes of an answer that is worth compressing
THREAD_MIN_BYTES = 128 * 1024  # bytes that are compressed in a thread: more would keep others waiting
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
    """Would an answer to this request be compressed, if the client takes gzip?"""
    control = response_headers.get("cache-control", "")
    media = response_headers.get("content-type", "").partition(";")[0]
    is_safe = "public" in control or "cookie" not in request_headers
    return size >= COMPRESS_MIN_BYTES and media in _COMPRESSIBLE_TYPES and is_safe and "no-transform" not in control


def accepts_gzip(request_headers: Headers) -> bool:
    """Read Accept-Encoding: gzip, or any coding, with a weight that is not 0."""
    weights = {}
    for coding in ",".join(request_headers.getlist("accept-encoding")).split(","):
        name, _, weight = coding.partition(";")
        weights[name.strip().lower()] = weight.replace(" ", "").removeprefix("q=").rstrip("0.") != "" or not weight
    return weights.get("gzip", weights.get("*", False))


async def compress(content: bytes) -> bytes:
    """Return the same bytes for the same content: the time of day is left out."""
    if len(content) > THREAD_MIN_BYTES:
        return await asyncio.to_thread(_gzip, content)
    return _gzip(content)


def _gzip(content: bytes) -> bytes:
    return gzip.compress(content, GZIP_LEVEL, mtime=0)
