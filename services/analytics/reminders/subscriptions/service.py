"""Subscriptions on request: a member reads, changes and ends the own one, and confirms its address."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from services.analytics.reminders.digest import MailDetail, MailSettings
from services.analytics.reminders.digest_repository import MailKind, NewMail, add_mail
from services.analytics.reminders.links import LinksKey
from services.analytics.reminders.subscriptions import repository
from services.analytics.reminders.subscriptions.confirmation_mail import (
    AddressMail,
    compose_confirmation,
    compose_notice,
)
from services.analytics.reminders.subscriptions.repository import ConfirmationRequest, own_transaction
from services.analytics.reminders.subscriptions.subscription import (
    Subscription,
    SubscriptionChoice,
    is_study_wide,
    may_subscribe,
)
from shared.eventstore.study_cache import Studies, StudyState, load_rights
from shared.gate.study_timeline import find_site
from shared.kernel.errors import (
    Fault,
    Forbidden,
    MailDomainRefused,
    NoMailServer,
    NotFound,
    NotStudyWide,
    RequestRejected,
    TooManyMails,
)
from shared.postgres.tenancy import PooledConnection, Tenant, transaction
from shared.security.grants import Rights

LINK_LIFETIME = timedelta(days=7)
MAILS_AN_HOUR = 3
VOID_LINK = (
    "This link confirms nothing: it was used already, is older than 7 days, was replaced by a later one, or is meant "
    "for another member. Save your address again on the page Digest of the study, and open the new link."
)
_MAIL_LIFETIME = timedelta(hours=10)
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailing:
    """The means by which an installation sends mail. `domains`: the allowed ones of addresses; empty: any."""

    settings: MailSettings
    links: LinksKey
    domains: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingConfirmation:
    """An address that a member may confirm."""

    study_id: str
    address: str


class SubscriptionService:
    """Reads and changes the subscriptions of members.

    `pool` sees a member's own rows; `system_pool` counts mails over all members and has mails sent. `mailing`: None in
    an installation that sends no mail.
    """

    def __init__(
        self,
        pool: asyncpg.Pool[Any],
        system_pool: asyncpg.Pool[Any],
        studies: Studies,
        mailing: Mailing | None,
        now: Callable[[], datetime],
    ) -> None:
        self._pool, self._system_pool, self._studies = pool, system_pool, studies
        self._mailing, self._now = mailing, now

    @property
    def detail(self) -> MailDetail | None:
        """The detail of messages; None in an installation that sends no mail."""
        return self._mailing.settings.detail if self._mailing else None

    async def load(self, study_id: str, member: str) -> Subscription | None:
        """Returns the member's subscription; None without one. Raises NotFound, Forbidden."""
        await self.authorize(study_id, member)
        async with own_transaction(self._pool, study_id, member) as connection:
            return await repository.load_subscription(connection, study_id, member)

    async def write(self, study_id: str, member: str, choice: SubscriptionChoice) -> Subscription:
        """Writes the member's choice, and has an address mailed that must be confirmed.

        Raises NotFound, Forbidden, NoMailServer, MailDomainRefused, NotStudyWide, RequestRejected, TooManyMails.
        """
        rights, study = await self.authorize(study_id, member)
        mailing = self._require_mailing()
        _check_choice(choice, mailing.domains, rights, study)
        async with own_transaction(self._pool, study_id, member) as connection:
            before = await repository.load_subscription(connection, study_id, member)
        is_known = before is not None and before.choice.email == choice.email
        if not (before and before.is_confirmed and is_known):
            with suppress(TooManyMails) if is_known else nullcontext():  # the rest of the choice may change
                async with transaction(self._system_pool, Tenant(study_id)) as connection:
                    await self._request_confirmation(connection, mailing, study_id, member, choice.email, before)
        async with own_transaction(self._pool, study_id, member) as connection:
            await repository.save_choice(connection, study_id, member, choice, self._now())
            subscription = await repository.load_subscription(connection, study_id, member)
        if subscription is None:
            raise NotFound
        return subscription

    async def end(self, study_id: str, member: str) -> None:
        """Ends the member's subscription, if there is one. Raises NotFound, Forbidden."""
        await self.authorize(study_id, member)
        async with own_transaction(self._pool, study_id, member) as connection:
            await repository.delete_subscription(connection, study_id, member)

    async def find_confirmation(self, member: str, token: str) -> PendingConfirmation:
        """Returns what the link confirms for the member who is signed in. Raises NotFound for everybody else."""
        request_id = self._read_token(token)
        async with self._system_pool.acquire() as connection:
            pending = await repository.find_confirmation(connection, request_id, member, self._now())
        if pending is None:
            raise NotFound(VOID_LINK)
        return PendingConfirmation(study_id=pending[0], address=pending[1])

    async def confirm(self, member: str, token: str) -> PendingConfirmation:
        """Sends messages to the address from now on. Raises NotFound as `find_confirmation` does, and when used."""
        pending = await self.find_confirmation(member, token)
        await self.authorize(pending.study_id, member)
        async with own_transaction(self._pool, pending.study_id, member) as connection:
            request_id = self._read_token(token)
            if not await repository.confirm_address(connection, request_id, pending.study_id, member, self._now()):
                raise NotFound(VOID_LINK)
        return pending

    async def mark_dead(self, study_id: str, administrator: str, member: str) -> None:
        """Sends nothing more to a member's address until the member confirms one again.

        The administrator does not learn whether there is an address. Raises NotFound, Forbidden.
        """
        await self.require_administrator(study_id, administrator)
        async with transaction(self._system_pool, Tenant(study_id)) as connection:
            await repository.unconfirm_address(connection, study_id, member)

    async def authorize(self, study_id: str, member: str) -> tuple[Rights, StudyState]:
        """Returns the rights of a member who may subscribe, and the study. Raises NotFound, Forbidden."""
        rights, study = await load_rights(self._studies, study_id, member)
        if not may_subscribe(rights):
            raise rights.refuse_reading()
        return rights, study

    async def require_administrator(self, study_id: str, member: str) -> None:
        """Raises NotFound, Forbidden for a member who is no administrator of the study."""
        rights, _ = await load_rights(self._studies, study_id, member)
        if not rights.has_role_at(None, frozenset({"administrator"})):
            raise Forbidden

    def _require_mailing(self) -> Mailing:
        if self._mailing is None:
            raise NoMailServer
        return self._mailing

    def _read_token(self, token: str) -> UUID:
        request_id = self._mailing.links.read_confirmation(token, self._now()) if self._mailing else None
        if request_id is None:
            raise NotFound(VOID_LINK)
        return request_id

    async def _request_confirmation(
        self,
        connection: PooledConnection,
        mailing: Mailing,
        study_id: str,
        member: str,
        address: str,
        before: Subscription | None,
    ) -> None:
        """Has the address mailed a link, and the confirmed one a notice. Raises TooManyMails."""
        now = self._now()
        of_member, to_address = await repository.count_recent_confirmations(connection, member, address, now - _HOUR)
        if max(of_member, to_address) >= MAILS_AN_HOUR:
            raise TooManyMails
        request = ConfirmationRequest(
            request_id=uuid4(),
            study_id=study_id,
            member=member,
            address=address,
            requested_at=now,
            expires_at=now + LINK_LIFETIME,
        )
        await repository.request_confirmation(connection, request)
        token = mailing.links.confirmation_token(request.request_id, request.expires_at)
        mail = compose_confirmation(mailing.settings, study_id, address, request.request_id, token, now)
        await add_mail(connection, _to_send(study_id, member, "confirmation", mail))
        old_address = before.confirmed_address if before else None
        if old_address and old_address != address:
            notice = compose_notice(mailing.settings, study_id, old_address, request.request_id, now)
            await add_mail(connection, _to_send(study_id, member, "notice", notice))


def _to_send(study_id: str, member: str, kind: MailKind, mail: AddressMail) -> NewMail:
    return NewMail(
        study_id=study_id,
        member=member,
        kind=kind,
        address=mail.address,
        message_id=mail.message_id,
        message=mail.message,
        composed_at=mail.composed_at,
        expires_at=mail.composed_at + _MAIL_LIFETIME,
    )


def _check_choice(choice: SubscriptionChoice, domains: Sequence[str], rights: Rights, study: StudyState) -> None:
    domain = choice.email.rpartition("@")[2].lower()
    if domains and domain not in domains:
        message = f"Give an address at one of: {', '.join(domains)}."
        raise MailDomainRefused(faults=[Fault(MailDomainRefused.code, message, "/email")])
    if choice.site_id is None:
        return
    if not is_study_wide(rights):
        raise NotStudyWide(faults=[Fault(NotStudyWide.code, NotStudyWide.title, "/site_id")])
    if find_site(study.record, choice.site_id) is None:
        message = "The study has no site of this id."
        raise RequestRejected(message, faults=[Fault(RequestRejected.code, message, "/site_id")])
