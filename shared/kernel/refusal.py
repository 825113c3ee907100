"""Why a request was not done: one tree, from which every problem document is made.

Refusal
├── Malformed               400  the body is not JSON, or JSON that no text can hold
├── Unrecognised            401  no token, or one that does not hold
├── NotYourRole             403  seen, but not yours to state or read
├── CrossSite               403  a page of another site made the browser send it
├── NotFound                404  unknown, or not yours to see
├── AlreadyRegistered       409  the site's own number is in use
├── NotKnownYet             409  another service has not heard of it yet
├── TooSlow                 408  the headers or the body took too long
├── PositionGone            410  the journal began anew since
├── VersionMismatch         412  the record is not at the version that If-Match names
├── TooLarge                413
├── UnsupportedMedia        415
├── WrongHost               421  asked for under a name that is not this server's
├── Unacceptable            422  schema, rule or gate object; or a key used for something else
├── TooMany                 429
├── NotConfirmed            503  the database may be an earlier state than was published
└── Busy                    503  try again: others were faster, or a database is away
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

MOST_FAULTS = 100
"""Faults that an answer lists; a last entry says that there are more."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: a stable code, a sentence, where in the body (JSON pointer), and which event objects."""

    code: str
    message: str
    pointer: str = ""
    because_of: str | None = None


class Refusal(Exception):
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


class Malformed(Refusal):
    status, code, title = 400, "malformed", "The body is not JSON."


class Unrecognised(Refusal):
    """`reason` is the sentence that says what is wrong with the token; empty where none was sent."""

    status, code, title = 401, "not-recognised", "Send a valid bearer token."

    def __init__(self, code: str = "no-token", reason: str = "") -> None:
        self.reason = reason
        super().__init__(faults=[Fault(code, reason or "Send the header Authorization: Bearer, and a token.")])


class NotYourRole(Refusal):
    status, code, title = 403, "not-your-role", "Your role in this study does not include this."


class CrossSite(Refusal):
    status, code = 403, "cross-site"
    title = "This request did not come from a page of this Quartal. Open the page here and send it again."


class NotFound(Refusal):
    status, code, title = 404, "not-found", "There is no such thing, or it is not yours to see."


class AlreadyRegistered(Refusal):
    status, code = 409, "already-registered"
    title = "The site uses that reference for another participant."


class NotKnownYet(Refusal):
    status, code, title, retry_after = 409, "not-known-yet", "That is not known here yet.", 1


class TooSlow(Refusal):
    status, code = 408, "too-slow"
    title = "The request took too long to arrive. Send it again, faster or in smaller parts."


class PositionGone(Refusal):
    status, code, title = 410, "position-gone", "That position belongs to a journal that is gone."


class VersionMismatch(Refusal):
    """Says the present version: it is raised only for callers who may state facts of the record, and so may read it."""

    status, code, title = 412, "version-mismatch", "The record has moved on since the version in If-Match."

    def __init__(self, version: int) -> None:
        super().__init__(faults=[Fault(self.code, f"The record is at version {version}; If-Match does not name it.")])


class TooLarge(Refusal):
    status, code, title = 413, "too-large", "A body has at most 1 MiB."


class UnsupportedMedia(Refusal):
    status, code, title = 415, "unsupported-media", "Send application/json."


class WrongHost(Refusal):
    status, code = 421, "wrong-host"
    title = "This Quartal answers only under its own loopback address, as `quartal demo` prints it."


class Unacceptable(Refusal):
    status, code, title = 422, "not-acceptable", "What was stated cannot stand."


def wrong_parameter(parameter: str, message: str) -> Unacceptable:
    """A parameter of the query that does not fit what is asked."""
    return Unacceptable(message, code="parameter", faults=[Fault("parameter", f"{parameter}: {message}")])


class TooMany(Refusal):
    status, code, title, retry_after = 429, "too-many-requests", "Too many requests.", 1


class NotConfirmed(Refusal):
    status, code, retry_after = 503, "not-confirmed", 1
    title = (
        "Nothing can be recorded yet: the database was not compared with the published events since PostgreSQL "
        "started. The worker of the service does so in a few seconds. If it finds an earlier state, its log says "
        "what to do."
    )


class Busy(Refusal):
    status, code, title, retry_after = 503, "busy", "Try again in a moment.", 1
