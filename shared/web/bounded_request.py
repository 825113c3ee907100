"""Requests whose body is read once, within limits, and parsed before a handler runs."""

from __future__ import annotations

from typing import Any

from fastapi import Request

from shared.kernel.errors import BodyTooLarge, Fault, FormRejected, ParameterRejected, UnsupportedMediaType
from shared.offload import offload
from shared.settings import MIB, Limits
from shared.web.container import get_container
from shared.web.request_body import BodyReader, ParsedBody

_INLINE_MAX_BYTES = 4096
"""Size up to which a body is parsed on the event loop."""
_LARGE_BODY_MIN_BYTES = 64 * 1024
"""Size above which bodies count as uploads, of which a caller may have few at once."""
_SINGLE_HEADERS = ("idempotency-key", "quartal-after")
"""Headers that a request may have only once, because a second one could mean another request."""


class BoundedRequest(Request):
    """A request whose body may have `max_bytes`: the size of a page's form, unless a subclass allows more."""

    async def body(self) -> bytes:
        """Returns the body, read once. Raises BodyTooLarge."""
        if not hasattr(self, "_body"):
            max_bytes = self.max_bytes
            if _content_length(self.headers.get("content-length", "")) > max_bytes:
                raise BodyTooLarge(_too_large_message(max_bytes))
            chunks, size = [], 0
            async for chunk in self.stream():
                size += len(chunk)
                if size > max_bytes:
                    raise BodyTooLarge(_too_large_message(max_bytes))
                chunks.append(chunk)
            self._body = b"".join(chunks)
        return self._body

    @property
    def max_bytes(self) -> int:
        """Largest allowed size of the body, in bytes."""
        return self.limits.max_form_bytes

    @property
    def limits(self) -> Limits:
        return get_container(self).limits


def refuse_long_query(request: BoundedRequest) -> None:
    """Raises RequestRejected for more parameters than any route has, since each costs a check and a fault."""
    max_parameters = request.limits.max_parameters
    if request.scope["query_string"].count(b"&") >= max_parameters:
        message = f"The address has too many parameters. Give at most {max_parameters}."
        raise ParameterRejected(message, faults=[Fault(ParameterRejected.code, message)])


def _content_length(header: str) -> int:
    return int(header) if header.isdecimal() and len(header) < 20 else 0


def _too_large_message(max_bytes: int) -> str:
    return (
        f"The body is too large. Send at most {max_bytes:,} bytes."
        if max_bytes % MIB
        else f"The body is too large. Send at most {max_bytes // MIB} MiB."
    )


class CheckedRequest(BoundedRequest):
    """A request of an authenticated caller, with a parsed body."""

    parsed_body: ParsedBody

    @property
    def max_bytes(self) -> int:
        return self.limits.max_body_bytes

    async def json(self) -> Any:
        """Returns the validated body, which FastAPI takes as it is."""
        return self.parsed_body.value

    @property
    def has_body(self) -> bool:
        return self.method in ("POST", "PUT")

    @property
    def is_large(self) -> bool:
        """True if the declared length is large or no length is declared."""
        return (
            self.has_body and not 0 < _content_length(self.headers.get("content-length", "")) <= _LARGE_BODY_MIN_BYTES
        )

    def check(self) -> None:
        """Checks the headers before the body is read. Raises RequestRejected, UnsupportedMediaType."""
        for name in _SINGLE_HEADERS:
            if len(self.headers.getlist(name)) > 1:
                message = f"header {name}: This header is sent more than once. Send it once."
                raise FormRejected(message, faults=[Fault("schema-too-long", message)])
        media = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media != "application/json" or self.headers.get("content-encoding", "identity") != "identity":
            raise UnsupportedMediaType

    async def read_body(self, reader: BodyReader) -> None:
        """Parses and validate the body, a large one in a thread. Raises MalformedBody, RequestRejected."""
        body, with_canonical = await self.body(), "idempotency-key" in self.headers

        def parse() -> ParsedBody:
            return reader.read(body, with_canonical=with_canonical)

        self.parsed_body = (
            parse() if len(body) <= _INLINE_MAX_BYTES else await offload(self.state.caller.subject, parse)
        )
