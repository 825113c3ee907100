"""Why a request was not done: one tree, from which every problem document is made.

Refusal
├── Malformed               400  the body is not JSON, or has characters that no text can hold
├── Unrecognised            401  no token, or an invalid one
├── NotYourRole             403  the caller's role does not allow it
├── CrossSite               403  a page of another site made the browser send it
├── NotFound                404  unknown, or invisible to the caller
├── AlreadyRegistered       409  the site's own number is in use
├── NotKnownYet             409  another service has not heard of it yet
├── TooSlow                 408  the headers or the body took too long
├── PositionGone            410  the position belongs to an earlier epoch
├── VersionMismatch         412  the record is not at the version that If-Match names
├── TooLarge                413
├── UnsupportedMedia        415
├── WrongHost               421  the host name is not this server's
├── Unacceptable            422  schema, rule or gate object; or the key was used for another request
├── TooMany                 429
├── NotConfirmed            503  the database may be an earlier state than was published
└── Busy                    503  others were faster, or a database is away
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

MAX_FAULTS = 100
"""Faults that an answer lists; a last entry says that there are more."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: a stable code, a sentence, where in the body (JSON pointer), and which event objects."""

    code: str
    message: str
    pointer: str = ""
    because_of: str | None = None


class RequestError(Exception):
    """Base: a status, a stable code, one sentence for a person, and the faults. Never patient data."""

    status: ClassVar[int] = 500
    code: str = "refused"
    title: str = "The request was refused."
    retry_after: ClassVar[int | None] = None

    def __init__(self, title: str = "", *, code: str = "", faults: Sequence[Fault] = ()) -> None:
        self.title = title or self.title
        self.code = code or self.code
        self.faults = tuple(faults)
        super().__init__(self.title)


class MalformedBody(RequestError):
    status, code, title = (
        400,
        "malformed",
        "The body is not valid JSON. Send one JSON value in UTF-8, and name no member twice.",
    )


class Unauthenticated(RequestError):
    """`reason` is the sentence that says what is wrong with the token; empty where none was sent."""

    status, code, title = 401, "not-recognised", "The request has no valid access token. Send one."

    def __init__(self, code: str = "no-token", reason: str = "") -> None:
        self.reason = reason
        super().__init__(
            faults=[Fault(code, reason or "The request has no token. Send the header Authorization: Bearer <token>.")]
        )


class Forbidden(RequestError):
    status, code, title = (
        403,
        "not-your-role",
        "Your role in this study does not allow this. An administrator of the study grants roles.",
    )


class CrossSiteRequest(RequestError):
    status, code = 403, "cross-site"
    title = "This request did not come from a page of this Quartal. Open the page here and send it again."


class NotFound(RequestError):
    status, code, title = 404, "not-found", "This does not exist, or you may not see it."


class ReferenceInUse(RequestError):
    status, code = 409, "already-registered"
    title = "The site uses this reference for another participant. Search for that one, or give another reference."


class NotKnownYet(RequestError):
    status, code, retry_after = 409, "not-known-yet", 1
    title = "This is not known here yet, or it does not exist. Send the request again in a moment."


class RequestTooSlow(RequestError):
    status, code = 408, "too-slow"
    title = "The request took too long to arrive. Send it again, faster or in smaller parts."


class PositionGone(RequestError):
    status, code = 410, "position-gone"
    title = "This position belongs to an earlier epoch: positions were counted anew since. Read the present position."


class VersionMismatch(RequestError):
    """Says the present version: it is raised only for callers who may state facts of the record, and so may read it."""

    status, code = 412, "version-mismatch"
    title = "The record has changed since the version in If-Match. Read it again before you state the fact."

    def __init__(self, version: int) -> None:
        super().__init__(
            faults=[Fault(self.code, f"The record is at version {version}, which If-Match does not name.")]
        )


class BodyTooLarge(RequestError):
    status, code, title = 413, "too-large", "The body is too large. Send it in several parts."


class UnsupportedMediaType(RequestError):
    status, code, title = 415, "unsupported-media", "The body is not plain JSON. Send application/json, uncompressed."


class MisdirectedRequest(RequestError):
    status, code = 421, "wrong-host"
    title = "Quartal does not answer under this name. Use the loopback address that `quartal demo` prints."


class RequestRejected(RequestError):
    status, code, title = 422, "not-acceptable", "The request cannot be accepted. `errors` says what is wrong."


def parameter_error(parameter: str, message: str) -> RequestRejected:
    """A parameter of the query that does not fit what is asked."""
    return RequestRejected(message, code="parameter", faults=[Fault("parameter", f"{parameter}: {message}")])


class TooManyRequests(RequestError):
    status, code, title, retry_after = (
        429,
        "too-many-requests",
        "Too many requests are under way. Send this one again in a moment.",
        1,
    )


class DatabaseNotConfirmed(RequestError):
    status, code, retry_after = 503, "not-confirmed", 1
    title = (
        "Nothing can be recorded yet: since PostgreSQL started, the database was not compared with the published "
        "events. The worker of the service compares them within seconds. If it finds that the database was set back "
        "to an earlier state, its log says what to do."
    )


class ServiceUnavailable(RequestError):
    status, code, title, retry_after = 503, "busy", "The service is busy. Send the request again in a moment.", 1
