"""Subscribes the coordinators of the demo, as they would: by the API, and by the link in the mail that confirms it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import httpx

from infra.callbacks import TokenFor
from infra.local.outbox.kept_mails import KeptMails
from services.analytics.urls import confirmation_url
from shared.retry import poll_until

MAIL_TIMEOUT_SECONDS, _POLL_INTERVAL_SECONDS = 30.0, 0.2
_CONFIRMATION_PATH = confirmation_url("").partition("?")[0]
_LINK_TOKEN = re.compile(re.escape(f"{_CONFIRMATION_PATH}?token=") + r"(\S+)")
_FORM_TOKEN = re.compile(r'name="form:csrf" value="([^"]+)"')
_SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin", "Accept": "text/html"}


@dataclass(frozen=True, slots=True)
class Coordinator:
    """A coordinator of a study: of one site, or with `site_id` None of all."""

    study_id: str
    site_id: str | None

    @property
    def address(self) -> str:
        return f"coordinator.{self.site_id or 'study-wide'}@{self.study_id}.localhost"

    def authorization(self, token_source: Callable[[str], TokenFor]) -> dict[str, str]:
        return {"Authorization": f"Bearer {token_source(self.study_id)('coordinator', self.site_id)}"}


async def subscribe_coordinators(
    http: httpx.AsyncClient,
    coordinators: Sequence[Coordinator],
    token_source: Callable[[str], TokenFor],
    mails: KeptMails,
) -> None:
    """Subscribes the coordinators who have no confirmed subscription yet.

    Raises httpx.HTTPStatusError for a refusal, TimeoutError for a mail that does not come.
    """
    new = [c for c in coordinators if await _subscribe(http, c, c.authorization(token_source))]
    for coordinator in new:
        token = await _wait_for_token(mails, coordinator.address)
        await _confirm(http, token, coordinator.authorization(token_source))


async def _subscribe(http: httpx.AsyncClient, coordinator: Coordinator, authorization: dict[str, str]) -> bool:
    """Returns whether the address has to be confirmed."""
    path = f"/analytics/v1/studies/{coordinator.study_id}/subscription"
    current = await http.get(path, headers=authorization)
    if current.status_code == 200 and current.json()["confirmed"]:
        return False
    choice = {"email": coordinator.address, "digest": True, "calendar": False}
    (await http.put(path, json=choice, headers=authorization)).raise_for_status()
    return True


async def _wait_for_token(mails: KeptMails, address: str) -> str:
    """Returns the token in the newest mail to the address."""
    tokens = list[str]()

    async def has_come() -> bool:
        texts = [mail.text for mail in mails.newest_first() if mail.recipient == address]
        tokens[:] = [link[1] for text in texts if (link := _LINK_TOKEN.search(text))]
        return bool(tokens)

    await poll_until(has_come, interval_seconds=_POLL_INTERVAL_SECONDS, timeout_seconds=MAIL_TIMEOUT_SECONDS)
    return tokens[0]


async def _confirm(http: httpx.AsyncClient, token: str, authorization: dict[str, str]) -> None:
    """Opens the page of the link and presses its button."""
    page = await http.get(_CONFIRMATION_PATH, params={"token": token}, headers=authorization)
    form_token = _FORM_TOKEN.search(page.raise_for_status().text)
    fields = {"form:csrf": form_token[1] if form_token else "", "token": token}
    answer = await http.post(_CONFIRMATION_PATH, data=fields, headers={**authorization, **_SAME_ORIGIN})
    if answer.status_code != 303:
        answer.raise_for_status()
