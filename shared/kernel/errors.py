"""Errors of requests: one tree of exceptions, from which every problem document is built.

RequestError
├── MalformedBody           400  the body is not JSON, or has characters that no text can hold
├── Unauthenticated         401  the token is missing or invalid
├── Forbidden               403  the caller's role does not allow the request
│   ├── ReadersSeeCuts      403  a reader asked for what is not in a publication
│   └── SmallGroups         403  a reader asked for groups of which one is too small
├── CrossSiteRequest        403  a page of another web site made the browser send the request
├── NotFound                404  the resource does not exist, or the caller may not see it
│   └── NothingPublished    404  a reader asked before the study's first named data cut
├── MethodNotAllowed        405  the address does not have the method
├── RequestTooSlow          408  the headers or the body took too long to arrive
├── ReferenceInUse          409  the site uses the local reference for another participant
├── NotKnownYet             409  this service has not yet received what the request refers to
├── NoDigest                409  no visit at the member's sites needs a reminder today
├── PositionGone            410  the position belongs to an earlier epoch
├── VersionMismatch         412  the record is not at the version that If-Match names
├── BodyTooLarge            413  the body has too many bytes
├── UnsupportedMediaType    415  the body is not plain JSON
├── MisdirectedRequest      421  the host name is not this server's
├── RequestRejected         422  a rule or the gate objects
│   ├── FormRejected             the schema objects
│   ├── ParameterRejected        a parameter of the address cannot be accepted
│   ├── TooManyItems             a list or an object has too many members
│   ├── MistypedParticipant      the address has no participant number where one belongs
│   ├── StudyExists              the study_id belongs to another study
│   ├── KeyReused                the idempotency key belongs to another request
│   ├── TextMissing              a correction keeps a text, and none is recorded that it may keep
│   ├── MailDomainRefused        the mail address is in a domain that the installation does not allow
│   ├── NotStudyWide             only members of the whole study choose the site whose hour counts
│   └── ForeignReference         the caller is not of the site that states the local reference
├── TooManyRequests         429  too many requests are under way
├── TooManyMails            429  three such mails were sent within an hour
├── InternalError           500  the service failed
├── UnreadableFacts         500  this version cannot read facts that the answer needs
├── BeingPrepared           503  what is asked for is not computed yet, such as rows after an upgrade
├── DatabaseNotConfirmed    503  the database may be in an earlier state than what was published
├── NoMailServer            503  the installation sends no mail
└── ServiceUnavailable      503  other requests were faster, or a database is unavailable

`code` and `title` of a class are a published problem type; those of the base are for refusals of the web framework.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

MAX_FAULTS = 100
"""Number of faults that a response lists. A last entry says that there are more."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One entry of `errors` in a problem document: one thing that is wrong with a request.

    An objection of a rule or gate becomes a fault, as does a value of the wrong type.
    `code` is stable, for programs. `pointer` is the JSON pointer to the value in the body. `because_of` is the id of
    the event that the request conflicts with.
    """

    code: str
    message: str
    pointer: str = ""
    because_of: str | None = None


class RequestError(Exception):
    """Base of the errors: an HTTP status, a stable code, a sentence for people, and the faults.

    Titles and faults never contain patient data. `retry_after` is in seconds.
    """

    status: ClassVar[int] = 500
    code: str = "refused"
    title: str = "The request was refused before its content was read."
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
    """The caller is unknown. `reason` says what is wrong with the token; it is empty if the request has none."""

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


class ReadersSeeCuts(Forbidden):
    code = "readers-see-cuts"
    title = (
        "Readers see what the study has published: its figures of counts as of a named data cut. Ask for a figure with "
        "at=cut:<name>, or without `at` for the last data cut."
    )


class SmallGroups(Forbidden):
    code = "small-groups"
    title = "Readers see no part of this figure, because a group is too small or would become known. Ask for all of it."


class CrossSiteRequest(RequestError):
    status, code = 403, "cross-site"
    title = "This request did not come from a page of this Quartal. Open the page here and send it again."


class NotFound(RequestError):
    status, code, title = 404, "not-found", "This does not exist, or you may not see it."


class NothingPublished(NotFound):
    code = "nothing-published"
    title = "Nothing of this study has been published yet. Readers see its figures once it has a named data cut."


class MethodNotAllowed(RequestError):
    status, code = 405, "method-not-allowed"
    title = "This address does not have that method. The header Allow lists its methods."


class ReferenceInUse(RequestError):
    status, code = 409, "already-registered"
    title = "The site uses this reference for another participant. Search for that one, or give another reference."


class NotKnownYet(RequestError):
    status, code, retry_after = 409, "not-known-yet", 1
    title = "This is not known here yet, or it does not exist. Send the request again in a moment."


class NoDigest(RequestError):
    status, code, title = 409, "no-digest", "No message is sent: no visit at your sites needs a reminder today."


class RequestTooSlow(RequestError):
    status, code = 408, "too-slow"
    title = "The request took too long to arrive. Send it again, faster or in smaller parts."


class PositionGone(RequestError):
    status, code = 410, "position-gone"
    title = "This position belongs to an earlier epoch: positions were reset since. Read the present position."


class VersionMismatch(RequestError):
    """The record has another version, which the fault names.

    Raise it only for callers who may state facts of the record, for they may read the version.
    """

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


class FormRejected(RequestRejected):
    code, title = "schema", "The request does not have the required form. `errors` says what is wrong, and where."


class ParameterRejected(RequestRejected):
    code = "parameter"
    title = "A parameter of the address cannot be accepted. `errors` says which, and why."


class TooManyItems(RequestRejected):
    code = "too-many-items"
    title = "A body, a fact, a list or an object has too many members. `errors` says where."


class MistypedParticipant(RequestRejected):
    code, title = "bad-participant-number", "This is not a participant number. Look for typing errors."


class StudyExists(RequestRejected):
    code, title = "study-exists", "There is a study with this study_id already. Give another one."


class KeyReused(RequestRejected):
    code = "idempotency-key-reused"
    title = "The idempotency key was used for another request or event. Use a new key."


class TextMissing(RequestRejected):
    code = "text-missing"
    title = "The text is missing, and no recorded text can be kept in its place. Give the text."


class ForeignReference(RequestRejected):
    code = "local-reference"
    title = "Only the site states its own reference. Others leave it out: their corrections keep it."


class MailDomainRefused(RequestRejected):
    code, title = "mail-domain", "Messages go to addresses of certain domains only. Give your address at work."


class NotStudyWide(RequestRejected):
    code = "not-study-wide"
    title = "Only a coordinator of the whole study chooses the site whose hour counts. Leave the site out."


def parameter_error(parameter: str, message: str) -> ParameterRejected:
    """Builds the error for a query parameter that cannot be accepted."""
    return ParameterRejected(message, faults=[Fault(ParameterRejected.code, f"{parameter}: {message}")])


class TooManyRequests(RequestError):
    status, code, retry_after = 429, "too-many-requests", 1
    title = "Too many requests are under way. Send this one again in a moment."


class TooManyMails(RequestError):
    status, code, retry_after = 429, "too-many-mails", 3600
    title = "Three such mails were sent within an hour. Look for them, or try again in an hour."


class InternalError(RequestError):
    status, code, title = 500, "unforeseen", "The service failed, and recorded nothing. Its log says where it failed."


class UnreadableFacts(RequestError):
    status, code = 500, "unreadable-facts"
    title = (
        "This version of Quartal cannot read a fact that this answer needs, so it gives none rather than a wrong one. "
        "The page of operations counts such facts; the log of the service names them."
    )


class BeingPrepared(RequestError):
    status, code, retry_after = 503, "being-prepared", 10
    title = (
        "This list is being prepared: since an upgrade of Quartal visits are computed again from recorded facts. "
        "It comes back by itself, after minutes at most. Nothing is lost, and facts can be recorded meanwhile."
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


class NoMailServer(RequestError):
    status, code = 503, "no-mail-server"
    title = "This installation sends no mail. Its administrator has to set a mail server."
