"""Analytics' own web application over facts that a test projects itself, and people who ask it.

People are named by role and site: `investigator`, `site@north`. The study's today is fixed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from infra.issuer import Issuer
from infra.reference import published_cases
from infra.reference.study import OPENING_DATA
from services.analytics.app import create_app
from shared.contracts import catalogue
from shared.contracts.event import Event
from shared.contracts.study import MemberGranted, StudyOpened
from shared.kernel.clock import Clock
from shared.kernel.fact import Fact
from shared.kernel.ids import new_participant_id
from shared.settings import Settings
from shared.testing.builders.messages import StreamBuilder, as_messages, site_activated
from tests.conftest import Database
from tests.integration.support.analytics_database import project_messages

TODAY = "2025-01-31"
SITES = ("north", "south")
STUDY_WIDE_ROLES = ("administrator", "investigator", "coordinator", "monitor", "auditor", "reader")
SITE_USERS = tuple(f"{role}@{site}" for site in SITES for role in ("site", "coordinator"))


def make_fact(service: str, name: str, **data: Any) -> Fact:
    return catalogue.fact_class(service, name).model_validate(data)


def published_case_facts(number: int, site: str = "north") -> list[Fact]:
    """All that the reference file states of a published case, as that site's."""
    (case,) = [each for each in published_cases.cases() if each["case"] == number]
    screening, *later_facts = case["facts"]
    facts = [make_fact("enrollment", screening["type"], **{**screening["data"], "site_id": site})]
    facts += [make_fact("enrollment", each["type"], **each["data"]) for each in later_facts]
    return facts + [make_fact(each["service"], each["type"], **each["data"]) for each in case["later"]]


@dataclass
class ParticipantStreams:
    """The streams of one participant, by service."""

    study_id: str
    site: str
    number: str = field(default_factory=new_participant_id)
    streams: dict[str, StreamBuilder] = field(default_factory=dict)

    def add(self, *facts: Fact) -> Event:
        for fact in facts:
            service = next(each.service for each in catalogue.STREAMS if fact.type_name in each.declared_facts)
            last_event = self.stream(service).add(fact)
        return last_event

    def stream(self, service: str) -> StreamBuilder:
        return self.streams.setdefault(service, StreamBuilder(self.study_id, self.number, service, self.site))


@dataclass
class AnalyticsStudy:
    """A study that analytics was told of, and its web application."""

    study_id: str
    http: httpx.AsyncClient
    issuer: Issuer
    database: Database
    study: StreamBuilder
    position: int = 0

    async def project(self, events: Iterable[Event]) -> None:
        new_events = list(events)
        result = await project_messages(self.database.system, as_messages(new_events))
        assert not result.parked
        self.position += len(new_events)

    async def add_participant(self, site: str, *facts: Fact) -> ParticipantStreams:
        """Record and project facts of a new participant at the site."""
        participant = ParticipantStreams(self.study_id, site)
        participant.add(*facts)
        await self.project(event for stream in participant.streams.values() for event in stream.events)
        return participant

    def authorization(self, user: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.issuer.token(f'{user}.{self.study_id}', now=Clock().now())}"}

    async def get(self, path: str, user: str = "investigator", **params: Any) -> httpx.Response:
        address = f"/analytics/v1/studies/{self.study_id}/{path}"
        return await self.http.get(address, params=params, headers=self.authorization(user))

    async def get_page(self, path: str, user: str = "investigator", **params: Any) -> httpx.Response:
        address = f"/analytics/studies/{self.study_id}/{path}"
        return await self.http.get(address, params=params, headers=self.authorization(user))


@asynccontextmanager
async def open_analytics_study(database: Database, folder: Path, study_id: str) -> AsyncIterator[AnalyticsStudy]:
    """Opened, with two sites and somebody in every role."""
    issuer = Issuer.load(folder / "issuer")
    urls = {f"analytics_{role}_url": database.urls[role] for role in ("app", "system")}
    app = create_app(Settings(jwks=str(issuer.jwks), clock=TODAY, plain_http=True, **urls))  # type: ignore[arg-type] # URLs are secrets
    study = StreamBuilder(study_id, study_id, site=None)
    study.add(StudyOpened.model_validate(OPENING_DATA), *(site_activated(site) for site in SITES))
    for user in (*STUDY_WIDE_ROLES, *SITE_USERS):
        role, _, site = user.partition("@")
        grant = {"member": f"{user}.{study_id}", "role": role, "site_id": site or None}
        study.add(MemberGranted.model_validate(grant))
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://x") as http:
        analytics_study = AnalyticsStudy(study_id, http, issuer, database, study)
        await analytics_study.project(study.events)
        yield analytics_study
