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

SMALLEST = 1024  # bytes of an answer that is worth compressing
LARGE = 128 * 1024  # bytes that are compressed in a thread: more would keep others waiting
LEVEL = 6
_MEDIA = frozenset({
    "application/json", "application/schema+json", "image/svg+xml", "text/css", "text/csv", "text/html",
    "text/javascript", "text/plain",
})  # fmt: skip


def may_be_compressed(asked: Headers, answered: Headers, size: int) -> bool:
    """Would an answer to this request be compressed, if the client takes gzip?"""
    control = answered.get("cache-control", "")
    media = answered.get("content-type", "").partition(";")[0]
    is_safe = "public" in control or "cookie" not in asked
    return size >= SMALLEST and media in _MEDIA and is_safe and "no-transform" not in control


def accepts_gzip(asked: Headers) -> bool:
    """Read Accept-Encoding: gzip, or any coding, with a weight that is not 0."""
    weights = {}
    for each in ",".join(asked.getlist("accept-encoding")).split(","):
        name, _, weight = each.partition(";")
        weights[name.strip().lower()] = weight.replace(" ", "").removeprefix("q=").rstrip("0.") != "" or not weight
    return weights.get("gzip", weights.get("*", False))


async def compressed(content: bytes) -> bytes:
    """Return the same bytes for the same content: the time of day is left out."""
    if len(content) > LARGE:
        return await asyncio.to_thread(_gzip, content)
    return _gzip(content)


def _gzip(content: bytes) -> bytes:
    return gzip.compress(content, LEVEL, mtime=0)
