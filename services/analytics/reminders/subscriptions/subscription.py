"""Subscriptions of members to messages of a study: who may have one, and to whom digests go. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime

from shared.kernel.record import Record
from shared.postgres.tenancy import EVERY_SITE
from shared.protocol.schedule import add_months
from shared.security.grants import Rights, rights_from_record

SUBSCRIBER_ROLES = frozenset({"site", "coordinator"})
"""Roles whose members may subscribe."""
LIFETIME_MONTHS = 12
"""Calendar months after which a subscription ends that was not renewed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionChoice:
    """A member's choice.

    `away_until`: no digest goes before this day. `site_id`: the site whose hour and holidays count for the digest of a
    study-wide member; None for the one that was activated first.
    """

    email: str
    digest: bool
    calendar: bool
    away_until: date | None = None
    site_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A member's subscription. `address`: the confirmed one, to which messages go; None for none."""

    choice: SubscriptionChoice
    address: str | None
    confirmed_at: datetime | None
    renewed_at: datetime

    @property
    def is_confirmed(self) -> bool:
        """Returns whether messages go to the address that the member gave last."""
        return self.confirmed_at is not None and self.address == self.choice.email

    @property
    def is_dead(self) -> bool:
        """Returns whether the address was confirmed once, and messages to it were refused or stopped since."""
        return self.confirmed_at is None and self.address == self.choice.email

    @property
    def confirmed_address(self) -> str | None:
        """The address to which messages go; None while they go nowhere."""
        return self.address if self.confirmed_at else None

    @property
    def ends_at(self) -> datetime:
        return subscription_end(self.renewed_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscribedMember:
    """A member with a confirmed address who wants digests."""

    member: str
    address: str
    hour_of_site: str | None
    away_until: date | None
    renewed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """A recipient of digests: of one site, or of the study with `site_id` None.

    `hour_of_site`: the site that a study-wide member chose for the hour; None for the one that was activated first.
    `away_until`: no digest before this day. `ends_on`: the day on which the subscription ends.
    """

    member: str
    site_id: str | None
    address: str
    hour_of_site: str | None
    away_until: date | None
    ends_on: date


def subscription_end(renewed_at: datetime) -> datetime:
    """Returns the instant at which a subscription ends that is not renewed again.

    It is at the same time in UTC 12 months later, or on February 28 if it was renewed on February 29.
    """
    utc = renewed_at.astimezone(UTC)
    return datetime.combine(add_months(utc.date(), LIFETIME_MONTHS), utc.timetz())


def may_subscribe(rights: Rights) -> bool:
    return bool(rights.sites_with_role(SUBSCRIBER_ROLES))


def is_study_wide(rights: Rights) -> bool:
    return EVERY_SITE in rights.sites_with_role(SUBSCRIBER_ROLES)


def list_recipients(members: Iterable[SubscribedMember], study: Record) -> list[Recipient]:
    """Returns the recipients by what the members' grants are now: one for each site, and one for the whole study."""
    return [recipient for member in members for recipient in _recipients_of(member, study)]


def _recipients_of(member: SubscribedMember, study: Record) -> Iterator[Recipient]:
    for site in sorted(rights_from_record(study, member.member).sites_with_role(SUBSCRIBER_ROLES)):
        yield Recipient(
            member=member.member,
            site_id=None if site == EVERY_SITE else site,
            address=member.address,
            hour_of_site=member.hour_of_site if site == EVERY_SITE else None,
            away_until=member.away_until,
            ends_on=subscription_end(member.renewed_at).date(),
        )
