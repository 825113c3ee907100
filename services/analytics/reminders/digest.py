"""The digest of a day: what it holds, and the message that is composed from it.

Pure: equal content gives equal bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal
from urllib.parse import urlsplit

from services.analytics import urls
from services.analytics.reminders.message import Block, Envelope, compose_message, make_message_id
from services.analytics.wording.phrasing import count_noun, describe_days, join_words, non_empty

ALL_SITES = "*"
DigestState = Literal["missed", "overdue", "due", "opening"]
MailDetail = Literal["numbers", "counts"]
_TITLES: dict[DigestState, str] = {"missed": "Missed", "overdue": "Overdue", "due": "Due", "opening": "Opening"}
_ASKS_TO_RENEW = timedelta(days=30)
_NO_ANSWERS = "Nobody reads answers to this message."


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitInDigest:
    """A visit with the step that is current on the digest's day. `course_id`: None for the study's own schedule."""

    participant_id: str
    number: int
    course_id: str | None
    step: str
    state: DigestState
    target: date
    opens: date
    closes: date
    slot_ends: date


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteInDigest:
    """The part of one site.

    `open_visits`: due and overdue visits that are not among `visits`. `without_schedule`: enrolled participants for
    whom no end of radiotherapy is recorded.
    """

    site_id: str
    visits: tuple[VisitInDigest, ...]
    open_visits: int
    open_queries: int
    without_schedule: int
    longest_without_schedule_days: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """The content of one recipient's digest. `day`: the local day at the site; `site_id`: `*` for all sites."""

    study_id: str
    member: str
    site_id: str
    day: date
    sites: tuple[SiteInDigest, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MailSettings:
    """The sender of messages and the address that people reach, without a path.

    `detail`: `counts` leaves the participants out of messages.
    """

    mail_from: str
    url: str
    detail: MailDetail = "numbers"

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or "localhost"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposedDigest:
    """A message as every attempt sends it. `message_id` has its angle brackets."""

    message_id: str
    message: bytes
    address: str
    composed_at: datetime


def compose_digest(
    digest: Digest, address: str, settings: MailSettings, composed_at: datetime, *, ends_on: date | None = None
) -> ComposedDigest:
    """Returns the message to an address.

    `ends_on`: the day on which the subscription ends; in its last 30 days the message asks to renew it. Raises
    ValueError if a header would not be one line of printable ASCII.
    """
    site = "" if digest.site_id == ALL_SITES else f" {digest.site_id}"
    parts = (digest.study_id, digest.member, digest.site_id, digest.day.isoformat())
    envelope = Envelope(
        sender=settings.mail_from,
        address=address,
        subject=f"Quartal {digest.study_id}{site}: {_count_states(v for part in digest.sites for v in part.visits)}",
        composed_at=composed_at,
        message_id=make_message_id("d", parts, settings.host),
        unsubscribe_url=settings.url + urls.subscription_url(digest.study_id),
    )
    message = compose_message(envelope, [*_blocks(digest, settings), *_foot(digest, settings, ends_on)])
    return ComposedDigest(message_id=envelope.message_id, message=message, address=address, composed_at=composed_at)


def _count_states(visits: Iterable[VisitInDigest]) -> str:
    """Returns `2 overdue, 3 due, 1 opening`; a state without visits is left out."""
    counts = Counter(visit.state for visit in visits)
    return ", ".join(f"{counts[state]} {state}" for state in _TITLES if counts[state]) or "no visit"


def _blocks(digest: Digest, settings: MailSettings) -> Iterator[Block]:
    yield Block("paragraph", f"Visits of the study {digest.study_id} on {digest.day}.")
    for part in digest.sites:
        yield Block("heading", f"Site {part.site_id}: {_count_states(part.visits)}")
        if settings.detail == "numbers":
            yield from _visit_blocks(digest, part, settings.url)
        yield Block("paragraph", _also_open(part))
        worklist = urls.worklist_url(digest.study_id, {"site": part.site_id})
        yield Block("paragraph", "Worklist:", settings.url + worklist)


def _foot(digest: Digest, settings: MailSettings, ends_on: date | None) -> Iterator[Block]:
    subscription = settings.url + urls.subscription_url(digest.study_id)
    if ends_on is not None and ends_on - digest.day <= _ASKS_TO_RENEW:
        yield Block(
            "paragraph", f"Your subscription ends on {ends_on}. Save it again to keep these messages:", subscription
        )
    yield Block("paragraph", f"{_NO_ANSWERS} Change or end these messages:", subscription)


def _visit_blocks(digest: Digest, part: SiteInDigest, base_url: str) -> Iterator[Block]:
    for state, title in _TITLES.items():
        visits = [visit for visit in part.visits if visit.state == state]
        if visits:
            yield Block("subheading", title)
        for visit in sorted(visits, key=lambda visit: (visit.target, visit.participant_id, visit.number)):
            link = base_url + urls.participant_url(digest.study_id, visit.participant_id)
            yield Block("entry", _describe_visit(visit, digest.day), link)


def _describe_visit(visit: VisitInDigest, today: date) -> str:
    course = f" of course {visit.course_id}" if visit.course_id else ""
    return (
        f"{visit.participant_id}, visit {visit.number}{course}: "
        f"target {visit.target} ({describe_days((visit.target - today).days)}), "
        f"window {visit.opens} to {visit.closes}"
    )


def _also_open(part: SiteInDigest) -> str:
    queries = f"{part.open_queries} data {'query' if part.open_queries == 1 else 'queries'}"
    waiting = f"{count_noun(part.without_schedule, 'participant')} without a schedule"
    longest = part.longest_without_schedule_days
    return (
        "Also open: "
        + join_words(
            non_empty(
                count_noun(part.open_visits, "visit"),
                queries,
                waiting if part.without_schedule else "",
                f"the longest for {count_noun(longest, 'day')}"
                if part.without_schedule and longest is not None
                else "",
            ),
            ", ",
        )
        + "."
    )
