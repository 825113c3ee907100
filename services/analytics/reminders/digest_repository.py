"""Mails that are to be sent, in the database: digests, of which a member has one for each site and day, and others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Literal
from uuid import UUID, uuid4

from services.analytics.reminders.digest import ComposedDigest, Digest
from shared.postgres.named_queries import load_queries
from shared.postgres.tenancy import PooledConnection

SQL = load_queries(Path(__file__).with_suffix(".sql"))
CLAIM_LIFETIME = timedelta(minutes=5)
"""Time after which another process takes a mail again: the one that sent it was killed."""
MailKind = Literal["digest", "repeat", "confirmation", "notice"]
"""`repeat`: a digest that its member asked for again."""
MailState = Literal["sent", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMail:
    """A mail that waits to be sent until `expires_at`."""

    study_id: str
    member: str
    kind: MailKind
    address: str
    message_id: str
    message: bytes
    composed_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedMail:
    """A mail that the caller sends. `attempts`: how often it has been tried, this attempt included."""

    mail_id: UUID
    study_id: str
    member: str
    kind: MailKind
    address: str
    message: bytes
    expires_at: datetime
    attempts: int
    claimed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestMail:
    """The mail of a digest. `address`: None once it was removed, with the message."""

    site_id: str
    mail_id: UUID
    state: MailState | Literal["waiting"]
    address: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestKey:
    """The recipient and day of a digest. `site_id`: `*` for all sites."""

    study_id: str
    member: str
    site_id: str
    day: date


async def claim(connection: PooledConnection, digest: Digest, composed: ComposedDigest, expires_at: datetime) -> bool:
    """Fixes the digest of a member, site and day, and has it sent. Returns whether it had none yet."""
    mail_id = await connection.fetchval(SQL["claim_digest"], digest.study_id, digest.member, digest.site_id, digest.day)
    if mail_id is None:
        return False
    mail = NewMail(
        study_id=digest.study_id,
        member=digest.member,
        kind="digest",
        address=composed.address,
        message_id=composed.message_id,
        message=composed.message,
        composed_at=composed.composed_at,
        expires_at=expires_at,
    )
    await _insert(connection, mail_id, mail)
    return True


async def add_mail(connection: PooledConnection, mail: NewMail) -> None:
    """Has a mail sent that is no digest."""
    await _insert(connection, uuid4(), mail)


async def load_digest_mails(
    connection: PooledConnection, study_id: str, member: str, days: Mapping[str, date]
) -> dict[str, DigestMail]:
    """Returns the mails of a member's digests by addressee. `days`: the day of each addressee."""
    rows = await connection.fetch(SQL["digest_mails"], study_id, member, list(days), list(days.values()))
    return {row["site_id"]: DigestMail(**row) for row in rows}


async def repeat_mail(connection: PooledConnection, mail_id: UUID, now: datetime, expires_at: datetime) -> None:
    """Has the bytes of a mail sent once more."""
    await connection.execute(SQL["repeat_mail"], mail_id, uuid4(), now, expires_at)


async def count_recent_digests(connection: PooledConnection, study_id: str, member: str, since: datetime) -> int:
    """Returns how often digests were composed for a member, or repeated, since a time."""
    count: int = await connection.fetchval(SQL["recent_digests"], study_id, member, since)
    return count


async def take_mails(connection: PooledConnection, now: datetime, limit: int) -> list[ClaimedMail]:
    """Claims mails whose attempt has come, the oldest first."""
    rows = await connection.fetch(SQL["take_mails"], now, now - CLAIM_LIFETIME, limit)
    return [ClaimedMail(**row) for row in rows]


async def postpone(connection: PooledConnection, mail: ClaimedMail, attempt_at: datetime) -> None:
    await connection.execute(SQL["postpone"], mail.mail_id, mail.claimed_at, attempt_at)


async def end_mail(
    connection: PooledConnection, mail: ClaimedMail, state: MailState, code: str | None, now: datetime
) -> bool:
    """Writes the outcome of a mail. Returns False if another process has taken it in the meantime."""
    row = await connection.fetchval(SQL["end_mail"], mail.mail_id, mail.claimed_at, state, code, now)
    return row is not None


async def find_digest(connection: PooledConnection, mail_id: UUID) -> DigestKey | None:
    """Returns the digest that a mail is; None for another mail."""
    row = await connection.fetchrow(SQL["digest_of_mail"], mail_id)
    return DigestKey(**row) if row else None


async def find_addressee(connection: PooledConnection, mail: ClaimedMail) -> str | None:
    """Returns the site of the digest that a mail is or repeats, `*` for all sites; None for another mail."""
    site_id: str | None = await connection.fetchval(SQL["addressee_of_mail"], mail.mail_id, mail.study_id, mail.member)
    return site_id


async def count_refusal(connection: PooledConnection, mail: ClaimedMail) -> int:
    """Returns the number of digests in a row that were refused for the member's address, this one included."""
    count: int | None = await connection.fetchval(SQL["count_refusal"], mail.study_id, mail.member, mail.address)
    return count or 0


async def clear_refusals(connection: PooledConnection, mail: ClaimedMail) -> None:
    await connection.execute(SQL["clear_refusals"], mail.study_id, mail.member, mail.address)


async def next_attempt(connection: PooledConnection) -> datetime | None:
    """Returns the time at which the next mail is to be sent; None if none waits."""
    at: datetime | None = await connection.fetchval(SQL["next_attempt"], CLAIM_LIFETIME)
    return at


async def empty_old_mails(connection: PooledConnection, before: datetime) -> None:
    """Removes address and message of mails that ended before a time. Digests stay claimed."""
    await connection.execute(SQL["empty_old_mails"], before)


async def _insert(connection: PooledConnection, mail_id: UUID, mail: NewMail) -> None:
    await connection.execute(
        SQL["add_mail"],
        mail_id,
        mail.study_id,
        mail.member,
        mail.kind,
        mail.address,
        mail.message_id,
        mail.message,
        mail.composed_at,
        mail.expires_at,
    )
