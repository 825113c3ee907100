"""Requests of members about their subscriptions, and the mails that come of them."""

from __future__ import annotations

import email
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any

import httpx

from services.analytics.reminders.subscriptions.repository import recipients
from services.analytics.reminders.subscriptions.subscription import Recipient
from shared.security.vault import make_key_file
from tests.conftest import Database
from tests.integration.support.analytics_app import TODAY, AnalyticsStudy, open_analytics_study

CHOICE = {"digest": True, "calendar": False}
NURSE = "site@rome"
BROWSER = {"Sec-Fetch-Site": "same-origin", "Accept": "text/html"}


@asynccontextmanager
async def open_study_with_mail(
    database: Database, folder: Path, study_id: str, *, clock: str = TODAY
) -> AsyncIterator[AnalyticsStudy]:
    """Opens a study in an installation that sends mail, to addresses of two domains."""
    make_key_file(folder / "links_key")
    settings = {
        "smtp_url": "smtp://127.0.0.1:1",
        "mail_from": "quartal@hospital.example",
        "links_key": folder / "links_key",
        "mail_domains": "hospital.example,elsewhere.example",
    }
    async with open_analytics_study(database, folder, study_id, clock=clock, settings=settings) as study:
        yield study


def address_of(study: AnalyticsStudy) -> str:
    """Returns an address that no other test uses: mails to an address are counted over all studies."""
    return f"nurse-{study.study_id}@hospital.example"


async def call(study: AnalyticsStudy, method: str, path: str, user: str = NURSE, body: Any = None) -> httpx.Response:
    address = f"/analytics/v1/studies/{study.study_id}/{path}"
    return await study.http.request(method, address, json=body, headers=study.authorization(user))


async def subscribe(study: AnalyticsStudy, user: str = NURSE, **changes: Any) -> httpx.Response:
    return await call(study, "PUT", "subscription", user, {**CHOICE, "email": address_of(study), **changes})


async def mails(study: AnalyticsStudy) -> list[tuple[str, EmailMessage]]:
    """Returns the mails of the study, in the order of writing, with their addresses."""
    rows = await study.database.system.fetch(
        "select address, message from mail where study_id = $1 order by composed_at, kind", study.study_id
    )
    parsed = [(row["address"], email.message_from_bytes(row["message"], policy=SMTP)) for row in rows]
    return [(address, message) for address, message in parsed if isinstance(message, EmailMessage)]


async def link_token(study: AnalyticsStudy, address: str = "") -> str:
    """Returns the token of the last link that was mailed to the address."""
    texts = []
    for to, message in await mails(study):
        body = message.get_body(("plain",))
        texts += [body.get_content()] if to == (address or address_of(study)) and body else []
    tokens = re.findall(r"/analytics/subscriptions/confirm\?token=(\S+)", texts[-1])
    assert len(tokens) == 1
    token: str = tokens[0]
    return token


async def open_confirmation(study: AnalyticsStudy, token: str, user: str = NURSE) -> httpx.Response:
    address = "/analytics/subscriptions/confirm"
    return await study.http.get(address, params={"token": token}, headers=study.authorization(user))


async def confirm(study: AnalyticsStudy, token: str, user: str = NURSE) -> httpx.Response:
    """Opens the page of the link and presses its button."""
    page = await open_confirmation(study, token, user)
    csrf = re.findall(r'name="form:csrf" value="([^"]+)"', page.text)
    fields = {"form:csrf": csrf[0] if csrf else "none", "token": token, "record": "address"}
    return await study.http.post(
        "/analytics/subscriptions/confirm", data=fields, headers={**study.authorization(user), **BROWSER}
    )


async def post_page(study: AnalyticsStudy, user: str = NURSE, **fields: str) -> httpx.Response:
    page = await study.get_page("subscription", user)
    (csrf,) = re.findall(r'name="form:csrf" value="([^"]+)"', page.text)
    return await study.http.post(
        f"/analytics/studies/{study.study_id}/subscription",
        data={"form:csrf": csrf, **fields},
        headers={**study.authorization(user), **BROWSER},
    )


async def load_recipients(study: AnalyticsStudy, now: datetime | None = None) -> list[Recipient]:
    async with study.database.system.acquire() as connection:
        return await recipients(connection, study.study_id, now or datetime.now(UTC))


async def subscribed(study: AnalyticsStudy) -> list[str]:
    rows = await study.database.system.fetch("select member from subscription where study_id = $1", study.study_id)
    return [row["member"] for row in rows]


async def addresses_of_recipients(study: AnalyticsStudy, now: datetime | None = None) -> list[tuple[str, str | None]]:
    return [(recipient.address, recipient.site_id) for recipient in await load_recipients(study, now)]
