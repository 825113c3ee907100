"""Composes the digests of a site's day, and fixes them in the transaction that plans the reminders in them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby

from services.analytics.reminders import deliveries
from services.analytics.reminders.deliveries import DigestVisit, OpenCounts
from services.analytics.reminders.digest import (
    ComposedDigest,
    Digest,
    DigestState,
    MailSettings,
    SiteInDigest,
    VisitInDigest,
    compose_digest,
)
from services.analytics.reminders.repository import SiteDay
from services.analytics.reminders.subscriptions.subscription import Recipient
from shared.postgres.tenancy import PooledConnection
from shared.protocol.protocol import ReminderPlan
from shared.protocol.schedule import INDEX_SCHEDULE

ClaimDigest = Callable[[PooledConnection, Digest, ComposedDigest, datetime], Awaitable[bool]]
"""Fixes a digest, to be sent before an instant. Returns whether its member had none yet for the site and day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestRound:
    """The digests of one addressee and day.

    `sites`: the sites whose visits they have. `plan`: the reminders of the protocol in force on the day. `recipients`:
    those who get one.
    """

    study_id: str
    addressee: str
    day: date
    sites: Sequence[SiteDay]
    plan: ReminderPlan
    recipients: Sequence[Recipient]
    now: datetime
    expires_at: datetime


async def compose_rounds(
    connection: PooledConnection, rounds: Sequence[DigestRound], settings: MailSettings, claim: ClaimDigest
) -> None:
    """Composes and fixes the digests of a study. Only rounds that may have something are looked at one by one."""
    if not rounds:
        return
    days = [(digests.addressee, digests.day) for digests in rounds]
    addressees = await deliveries.load_addressees_with_digests(connection, rounds[0].study_id, days)
    for digests in rounds:
        if digests.addressee in addressees:
            await compose_digests(connection, digests, settings, claim)


async def compose_digests(
    connection: PooledConnection, digests: DigestRound, settings: MailSettings, claim: ClaimDigest
) -> None:
    """Composes and fixes the digest of each recipient who has none for the day yet, unless it would be empty.

    A digest that is composed later than others of its day repeats them, without what is not sent any more by then, and
    has what was planned since.
    """
    composed = await deliveries.load_composed_members(connection, digests.study_id, digests.addressee, digests.day)
    recipients = [recipient for recipient in digests.recipients if recipient.member not in composed]
    if not recipients:
        return
    visits = await deliveries.load_digest_visits(
        connection,
        digests.study_id,
        digests.addressee,
        digests.sites,
        digests.plan,
        digests.day,
    )
    if not visits:
        return
    named = {visit.occasion.site_id for visit in visits}
    own_sites = [site for site in digests.sites if site.site_id in named]
    counts = await deliveries.load_open_counts(connection, digests.study_id, own_sites)
    parts = _parts(visits, counts)
    for recipient in recipients:
        digest = Digest(
            study_id=digests.study_id,
            member=recipient.member,
            site_id=digests.addressee,
            day=digests.day,
            sites=parts,
        )
        message = compose_digest(digest, recipient.address, settings, digests.now, ends_on=recipient.ends_on)
        if await claim(connection, digest, message, digests.expires_at):
            ids = [visit.reminder.reminder_id for visit in visits]
            await deliveries.add_deliveries(connection, ids, digest, message.message_id, digests.now)


def _parts(visits: Sequence[DigestVisit], counts: Mapping[str, OpenCounts]) -> tuple[SiteInDigest, ...]:
    """Returns the part of each site. `visits` are in the order of sites."""
    return tuple(
        _part(counts[site_id], list(of_site))
        for site_id, of_site in groupby(visits, key=lambda visit: visit.occasion.site_id)
    )


def _part(counts: OpenCounts, visits: Sequence[DigestVisit]) -> SiteInDigest:
    open_in_digest = {
        (reminder.participant_id, reminder.schedule, reminder.visit)
        for reminder, occasion in visits
        if occasion.state in ("due", "overdue")
    }
    return SiteInDigest(
        site_id=counts.site_id,
        visits=tuple(_visit_in_digest(visit) for visit in visits),
        open_visits=max(0, counts.open_visits - len(open_in_digest)),
        open_queries=counts.open_queries,
        without_schedule=counts.without_schedule,
        longest_without_schedule_days=counts.longest_days,
    )


def _visit_in_digest(visit: DigestVisit) -> VisitInDigest:
    reminder, planned = visit.reminder, visit.occasion.visit
    return VisitInDigest(
        participant_id=reminder.participant_id,
        number=reminder.visit,
        course_id=None if reminder.schedule == INDEX_SCHEDULE else reminder.schedule,
        step=reminder.step,
        state=_digest_state(visit),
        target=planned.target,
        opens=planned.opens,
        closes=planned.closes,
        slot_ends=planned.slot_ends,
    )


def _digest_state(visit: DigestVisit) -> DigestState:
    if visit.reminder.step == "missed":
        return "missed"
    if visit.occasion.state == "overdue":
        return "overdue"
    return "opening" if visit.reminder.step == "open" else "due"
