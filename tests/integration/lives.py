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
from infra.reference import published
from infra.reference.study import OPENED
from services.analytics.app import create_app
from shared.contracts import catalogue
from shared.contracts.event import Event
from shared.contracts.study import MemberGranted, Opened
from shared.kernel.clock import Clock
from shared.kernel.fact import Fact
from shared.kernel.ids import new_participant_id
from shared.settings import Settings
from tests.conftest import Database
from tests.integration.analytics import apply
from tests.integration.stated import Telling, arrived, site_activated

TODAY = "2025-01-31"
SITES = ("north", "south")
WIDE = ("administrator", "investigator", "coordinator", "monitor", "auditor", "reader")
STAFF = tuple(f"{role}@{site}" for site in SITES for role in ("site", "coordinator"))


def stated(service: str, name: str, **data: Any) -> Fact:
    return catalogue.fact_class(service, name).model_validate(data)


def published_case(number: int, site: str = "north") -> list[Fact]:
    """All that the reference file states of a published case, as that site's."""
    (told,) = [each for each in published.cases() if each["case"] == number]
    screening, *others = told["facts"]
    facts = [stated("enrollment", screening["type"], **{**screening["data"], "site_id": site})]
    facts += [stated("enrollment", each["type"], **each["data"]) for each in others]
    return facts + [stated(each["service"], each["type"], **each["data"]) for each in told["later"]]


@dataclass
class Life:
    """The streams of one participant, by service."""

    study_id: str
    site: str
    number: str = field(default_factory=new_participant_id)
    streams: dict[str, Telling] = field(default_factory=dict)

    def tell(self, *facts: Fact) -> Event:
        for fact in facts:
            service = next(each.service for each in catalogue.STREAMS if fact.type_name in each.declared)
            last = self.stream(service).tell(fact)
        return last

    def stream(self, service: str) -> Telling:
        return self.streams.setdefault(service, Telling(self.study_id, self.number, service, self.site))


@dataclass
class Told:
    """A study that analytics was told of, and its web application."""

    study_id: str
    http: httpx.AsyncClient
    issuer: Issuer
    database: Database
    study: Telling
    projected: int = 0

    async def project(self, events: Iterable[Event]) -> None:
        known = list(events)
        applied = await apply(self.database.system, arrived(known))
        assert not applied.parked
        self.projected += len(known)

    async def life(self, site: str, *facts: Fact) -> Life:
        """Of somebody at that site."""
        life = Life(self.study_id, site)
        life.tell(*facts)
        await self.project(event for stream in life.streams.values() for event in stream.events)
        return life

    def bearer(self, who: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.issuer.token(f'{who}.{self.study_id}', now=Clock().now())}"}

    async def read(self, path: str, who: str = "investigator", **asked: Any) -> httpx.Response:
        address = f"/analytics/v1/studies/{self.study_id}/{path}"
        return await self.http.get(address, params=asked, headers=self.bearer(who))

    async def page(self, path: str, who: str = "investigator", **asked: Any) -> httpx.Response:
        address = f"/analytics/studies/{self.study_id}/{path}"
        return await self.http.get(address, params=asked, headers=self.bearer(who))


@asynccontextmanager
async def told_study(database: Database, folder: Path, study_id: str) -> AsyncIterator[Told]:
    """Opened, with two sites and somebody in every role."""
    issuer = Issuer.load(folder / "issuer")
    urls = {f"analytics_{role}_url": database.urls[role] for role in ("app", "system")}
    app = create_app(Settings(jwks=str(issuer.jwks), clock=TODAY, plain_http=True, **urls))  # type: ignore[arg-type] # URLs are secrets
    study = Telling(study_id, study_id, site=None)
    study.tell(Opened.model_validate(OPENED), *(site_activated(site) for site in SITES))
    for who in (*WIDE, *STAFF):
        role, _, site = who.partition("@")
        said = {"member": f"{who}.{study_id}", "role": role, "site_id": site or None}
        study.tell(MemberGranted.model_validate(said))
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://x") as http:
        told = Told(study_id, http, issuer, database, study)
        await told.project(study.events)
        yield told
