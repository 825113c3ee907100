"""Mails about an address: the link that confirms it, and the notice to the address before. Pure.

They name the study by its id. No text that anybody typed is in them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.analytics import urls
from services.analytics.reminders.digest import MailSettings
from services.analytics.reminders.message import Block, Envelope, compose_message, make_message_id

_NO_ANSWERS = "Nobody reads answers to this message."


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressMail:
    """A mail to one address about a subscription. `message_id` has its angle brackets."""

    address: str
    message_id: str
    message: bytes
    composed_at: datetime


def compose_confirmation(
    settings: MailSettings, study_id: str, address: str, request_id: UUID, token: str, now: datetime
) -> AddressMail:
    """Returns the mail with the link that confirms an address."""
    blocks = [
        Block("paragraph", f"A member of the study {study_id} wants Quartal to send messages to this address."),
        Block(
            "paragraph",
            "If this was you, open the link within 7 days, signed in as that member, and confirm:",
            settings.url + urls.confirmation_url(token),
        ),
        Block("paragraph", "If it was not you, do nothing: no further message comes."),
        Block("paragraph", _NO_ANSWERS),
    ]
    return _compose(settings, study_id, address, ("c", request_id), "confirm this address", blocks, now)


def compose_notice(
    settings: MailSettings, study_id: str, old_address: str, request_id: UUID, now: datetime
) -> AddressMail:
    """Returns the notice to the confirmed address that another one was given."""
    blocks = [
        Block(
            "paragraph",
            f"Another address was given for your messages of the study {study_id}. Once it is confirmed, messages go "
            "there and no longer here.",
        ),
        Block(
            "paragraph",
            "If this was not you, change it back and tell the administrator of your Quartal:",
            settings.url + urls.subscription_url(study_id),
        ),
        Block("paragraph", _NO_ANSWERS),
    ]
    return _compose(settings, study_id, old_address, ("n", request_id), "another address was given", blocks, now)


def _compose(
    settings: MailSettings,
    study_id: str,
    address: str,
    key: tuple[str, UUID],
    subject: str,
    blocks: list[Block],
    now: datetime,
) -> AddressMail:
    envelope = Envelope(
        sender=settings.mail_from,
        address=address,
        subject=f"Quartal {study_id}: {subject}",
        composed_at=now,
        message_id=make_message_id(key[0], (key[1].hex,), settings.host),
        unsubscribe_url=settings.url + urls.subscription_url(study_id),
    )
    message = compose_message(envelope, blocks)
    return AddressMail(address=address, message_id=envelope.message_id, message=message, composed_at=now)
