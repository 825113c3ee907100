"""Subscriptions in the database. A member's own transaction sees the member's rows only."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from services.analytics.reminders.subscriptions.subscription import (
    Recipient,
    SubscribedMember,
    Subscription,
    SubscriptionChoice,
    list_recipients,
    subscription_end,
)
from shared.inbox.participant_registry.repository import load_study
from shared.postgres.named_queries import load_queries
from shared.postgres.tenancy import PooledConnection, Tenant, set_tenant

SQL = load_queries(Path(__file__).with_suffix(".sql"))
_NO_SITE = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmationRequest:
    """A request to confirm an address, which the link of a mail names."""

    request_id: UUID
    study_id: str
    member: str
    address: str
    requested_at: datetime
    expires_at: datetime


@asynccontextmanager
async def own_transaction(pool: asyncpg.Pool[Any], study_id: str, member: str) -> AsyncIterator[PooledConnection]:
    """Opens a transaction that sees and changes what belongs to the member."""
    async with pool.acquire() as connection, connection.transaction():
        await set_tenant(connection, Tenant(study_id, _NO_SITE))
        await connection.execute("select set_config('quartal.member', $1, true)", member)
        yield connection


async def load_subscription(connection: PooledConnection, study_id: str, member: str) -> Subscription | None:
    row = await connection.fetchrow(SQL["load"], study_id, member)
    if row is None:
        return None
    choice = SubscriptionChoice(
        email=row["email"],
        digest=row["digest"],
        calendar=row["calendar"],
        away_until=row["away_until"],
        site_id=row["site_id"],
    )
    return Subscription(
        choice=choice, address=row["address"], confirmed_at=row["confirmed_at"], renewed_at=row["renewed_at"]
    )


async def save_choice(
    connection: PooledConnection, study_id: str, member: str, choice: SubscriptionChoice, now: datetime
) -> None:
    """Writes the choice and renews the subscription. The confirmed address stays until another one is confirmed."""
    await connection.execute(
        SQL["save"],
        study_id,
        member,
        choice.email,
        choice.digest,
        choice.calendar,
        choice.away_until,
        choice.site_id,
        now,
    )


async def delete_subscription(connection: PooledConnection, study_id: str, member: str) -> None:
    """Ends the subscription, and makes the links void that were mailed to the member."""
    await connection.execute(SQL["void_confirmations"], study_id, member)
    await connection.execute(SQL["delete"], study_id, member)


async def count_recent_confirmations(
    connection: PooledConnection, member: str, address: str, since: datetime
) -> tuple[int, int]:
    """Returns the number of confirmation mails for the member and to the address, as the system sees them.

    Other transactions wait until this one ends, so that no two count the same mails.
    """
    await connection.execute("lock table address_confirmation in share row exclusive mode")
    row = await connection.fetchrow(SQL["recent_confirmations"], member, address, since)
    return (row["of_member"], row["to_address"]) if row else (0, 0)


async def request_confirmation(connection: PooledConnection, request: ConfirmationRequest) -> None:
    """Keeps the request; the links that were mailed to the member before are void."""
    await connection.execute(SQL["void_confirmations"], request.study_id, request.member)
    await connection.execute(SQL["remove_expired_confirmations"], request.requested_at)
    await connection.execute(
        SQL["request_confirmation"],
        request.request_id,
        request.study_id,
        request.member,
        request.address,
        request.requested_at,
        request.expires_at,
    )


async def find_confirmation(
    connection: PooledConnection, request_id: UUID, member: str, now: datetime
) -> tuple[str, str] | None:
    """Returns the study and the address of the member's unused request, as the system sees it; None without one."""
    row = await connection.fetchrow(SQL["find_confirmation"], request_id, member, now)
    return (row["study_id"], row["address"]) if row else None


async def confirm_address(
    connection: PooledConnection, request_id: UUID, study_id: str, member: str, now: datetime
) -> bool:
    """Uses the request of the member. Returns whether messages go to its address from now on."""
    address = await connection.fetchval(SQL["use_confirmation"], request_id, study_id, member, now)
    if address is None:
        return False
    return await connection.fetchval(SQL["confirm"], study_id, member, address, now) is not None


async def unconfirm_address(connection: PooledConnection, study_id: str, member: str) -> None:
    """Sends nothing more to the member until the address is confirmed again."""
    await connection.execute(SQL["unconfirm"], study_id, member)


async def subscribed_studies(connection: PooledConnection) -> list[str]:
    """Returns the studies with subscriptions, as the system sees them."""
    return [row["study_id"] for row in await connection.fetch(SQL["studies"])]


async def load_renewals(connection: PooledConnection, study_id: str) -> list[tuple[str, datetime]]:
    """Returns the members of a study with subscriptions, and when each was renewed last."""
    return [(row["member"], row["renewed_at"]) for row in await connection.fetch(SQL["members"], study_id)]


async def recipients(connection: PooledConnection, study_id: str, now: datetime) -> list[Recipient]:
    """Returns the recipients of the study's digests by the grants that stand, as the system sees them."""
    rows = await connection.fetch(SQL["subscribed_members"], study_id)
    members = [SubscribedMember(**row) for row in rows if subscription_end(row["renewed_at"]) > now]
    return list_recipients(members, await load_study(connection, study_id)) if members else []
