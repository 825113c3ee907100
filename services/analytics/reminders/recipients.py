"""The recipients of digests: those of each site, and those who coordinate the whole study. Pure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from services.analytics.reminders.log import STUDY_ADDRESSEE, Reach
from services.analytics.reminders.repository import SiteDay
from services.analytics.reminders.subscriptions.subscription import Recipient
from shared.postgres.tenancy import PooledConnection
from shared.protocol.protocol import ReminderPlan
from shared.protocol.reminder_steps import Audience

LoadRecipients = Callable[[PooledConnection, str, datetime], Awaitable[Sequence[Recipient]]]
"""Returns the recipients of a study's digests at an instant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientGroup:
    """The recipients of one addressee whose digests go by the hour and the holidays of one site."""

    addressee: str
    hour_site: SiteDay
    recipients: Sequence[Recipient]


def group_recipients(recipients: Sequence[Recipient], sites: Sequence[SiteDay]) -> list[RecipientGroup]:
    """Returns the recipients of each site, and those of the whole study by the site whose hour they chose.

    Those who are away today are left out. Who chose none goes by the first of `sites`; its group exists without members
    too. `sites` are in the order of their activation.
    """
    groups = [_group(site.site_id, site, recipients) for site in sites]
    by_id, study_wide = {site.site_id: site for site in sites}, [r for r in recipients if r.site_id is None]
    hours = {recipient.member: by_id.get(recipient.hour_of_site or "", sites[0]) for recipient in study_wide}
    for site in sites:
        members = [recipient for recipient in study_wide if hours[recipient.member] is site]
        if members or site is sites[0]:
            groups.append(_group(STUDY_ADDRESSEE, site, members))
    return groups


def find_reach(site: SiteDay, groups: Sequence[RecipientGroup], open_sites: Collection[str]) -> Reach:
    """Returns which audiences of a site's visits have a recipient, and whose digests are composed now."""
    own = [group for group in groups if group.addressee in (site.site_id, STUDY_ADDRESSEE)]
    return Reach(
        audiences=frozenset(_audience(group) for group in own if group.recipients),
        open_audiences=frozenset(_audience(group) for group in own if group.hour_site.site_id in open_sites),
    )


def plan_of_study(groups: Sequence[RecipientGroup], open_sites: Collection[str]) -> ReminderPlan:
    """Returns the plan on the day of the study-wide digest: the earliest day on which one is composed now.

    If none is, it is the earliest of those with recipients. `groups` has one of the whole study at least.
    """
    study_wide = [group for group in groups if group.addressee == STUDY_ADDRESSEE]
    weightiest = min(
        study_wide,
        key=lambda group: (not group.recipients, group.hour_site.site_id not in open_sites, group.hour_site.today),
    )
    return weightiest.hour_site.plan


def is_recipient(recipient: Recipient, member: str, addressee: str, address: str) -> bool:
    """Returns whether a recipient is this member, receives the addressee's digests, and does so at this address."""
    own_addressee = recipient.site_id or STUDY_ADDRESSEE
    return (recipient.member, own_addressee, recipient.address) == (member, addressee, address)


def _group(addressee: str, site: SiteDay, recipients: Sequence[Recipient]) -> RecipientGroup:
    site_id = None if addressee == STUDY_ADDRESSEE else addressee
    members = [r for r in recipients if r.site_id == site_id and not _is_away(r, site.today)]
    return RecipientGroup(addressee=addressee, hour_site=site, recipients=members)


def _is_away(recipient: Recipient, today: date) -> bool:
    return recipient.away_until is not None and recipient.away_until > today


def _audience(group: RecipientGroup) -> Audience:
    return "study" if group.addressee == STUDY_ADDRESSEE else "site"
