"""The web application of analytics over facts that a test projects itself, and requests of its members.

Members are named by role and site: `investigator`, `site@rome`. The study's today is fixed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx

from infra.issuer import Issuer
from infra.reference.study import OPENING_DATA
from services.analytics.app import create_app
from services.analytics.deriver.deriver import Deriver
from shared.contracts.event import Event
from shared.contracts.study import StudyOpened
from shared.kernel.clock import Clock
from shared.kernel.fact import Fact
from shared.settings import Settings
from shared.terminology.ctcae import TermNames
from shared.testing.builders.events import EventStream
from shared.testing.builders.facts import member_granted, site_activated
from shared.testing.builders.messages import as_messages
from shared.testing.builders.participant_history import ParticipantHistory
from tests.conftest import Database
from tests.integration.support.analytics_database import project_messages

TODAY = "2025-01-31"
SITES = ("rome", "milan")
ZONES: Mapping[str, str] = MappingProxyType(dict.fromkeys(SITES, "Europe/Rome"))
STUDY_WIDE_ROLES = ("administrator", "investigator", "coordinator", "monitor", "auditor", "reader")
_NO_SETTINGS: Mapping[str, Any] = MappingProxyType({})
SITE_USERS = tuple(f"{role}@{site}" for site in SITES for role in ("site", "coordinator"))


@dataclass
class AnalyticsStudy:
    """A study that analytics has projected, and its web application."""

    study_id: str
    http: httpx.AsyncClient
    issuer: Issuer
    database: Database
    study: EventStream
    position: int = 0

    async def project(self, events: Iterable[Event]) -> None:
        new_events = list(events)
        result = await project_messages(self.database.system, as_messages(new_events))
        assert not result.parked
        self.position += len(new_events)
        await Deriver(self.database.system, TermNames(), Clock()).derive_study(self.study_id)

    async def add_participant(self, site: str, *facts: Fact) -> ParticipantHistory:
        """Adds a participant at a site, with these facts, and projects them."""
        history = ParticipantHistory(self.study_id, site_id=site)
        history.record(*facts)
        await self.project(history.events)
        return history

    def authorization(self, user: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.issuer.token(f'{user}.{self.study_id}', now=Clock().now())}"}

    async def get(self, path: str, user: str = "investigator", **params: Any) -> httpx.Response:
        address = f"/analytics/v1/studies/{self.study_id}/{path}"
        return await self.http.get(address, params=params, headers=self.authorization(user))

    async def get_page(self, path: str, user: str = "investigator", **params: Any) -> httpx.Response:
        address = f"/analytics/studies/{self.study_id}/{path}"
        return await self.http.get(address, params=params, headers=self.authorization(user))


@asynccontextmanager
async def open_analytics_study(
    database: Database,
    folder: Path,
    study_id: str,
    *,
    clock: str = TODAY,
    zones: Mapping[str, str] = ZONES,
    opened: StudyOpened | None = None,
    settings: Mapping[str, Any] = _NO_SETTINGS,
) -> AsyncIterator[AnalyticsStudy]:
    """Opens a study with sites and a member in every role.

    `zones`: the time zone of each site. `settings`: more settings of the application.
    """
    issuer = Issuer.load(folder / "issuer")
    urls: dict[str, Any] = {f"analytics_{role}_url": database.urls[role] for role in ("app", "system")}
    app = create_app(Settings(jwks=str(issuer.jwks), clock=clock, plain_http=True, **urls, **settings))
    study = EventStream(study_id, study_id)
    sites = [site_activated(site, zone=zone) for site, zone in zones.items()]
    study.record(opened or StudyOpened.model_validate(OPENING_DATA), *sites)
    for user in (*STUDY_WIDE_ROLES, *SITE_USERS):
        role, _, site = user.partition("@")
        study.record(member_granted(f"{user}.{study_id}", role, site or None))
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://x") as http:
        analytics_study = AnalyticsStudy(study_id, http, issuer, database, study)
        await analytics_study.project(study.events)
        yield analytics_study
