"""The page of a study's queries, by the site that can answer them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from services.analytics.api_queries import Narrowed
from services.analytics.figures import spoken
from services.analytics.pages.answering import in_words, pages
from services.analytics.pages.heads import head
from services.analytics.pages.render import ROWS_SHOWN, Way
from services.analytics.queries import Listed
from services.analytics.questions import Queries
from shared.contracts.study import SiteActivated
from shared.kernel.record import Record
from shared.web.reads import logs_reads, note_rows
from shared.web.routes import StudyOf
from shared.web.same_origin import PageRoute

routes = APIRouter(include_in_schema=False, route_class=PageRoute)
STATES = {"open": "Open", "explained": "Explained", "all": "All"}


@dataclass(frozen=True, slots=True)
class OfSite:
    """The queries of participants that are at one site now."""

    site_id: str
    name: str
    address: str
    rows: Sequence[Listed]


@dataclass(frozen=True, slots=True)
class QueriesPage:
    """`source` is the page's own address, `count` how many there are, of which `sites` shows the first `ROWS_SHOWN`.
    `narrowed` says to what, `whole` leads to all of the study."""

    source: str
    narrowed: Sequence[str]
    whole: str
    state: str
    states: Sequence[Way]
    count: int
    sites: Sequence[OfSite]

    @property
    def shown(self) -> int:
        return sum(len(site.rows) for site in self.sites)


@routes.get("/analytics/studies/{study_id}/queries")
@logs_reads
async def queries(request: Request, study: StudyOf, narrowed: Annotated[Narrowed, Query()]) -> Response:
    return await in_words(request, _queries(request, study, narrowed))


async def _queries(request: Request, study: str, narrowed: Narrowed) -> str:
    await request.app.state.admit(request)
    asked: Queries = request.app.state.queries
    frontier, rows = await asked.seen(study, request.state.caller.subject, narrowed.wanted())
    note_rows(
        request, study, "queries", min(len(rows), ROWS_SHOWN), site=narrowed.site, participant=narrowed.participant
    )
    record = (await request.app.state.figures.studies.current(study)).record
    query = narrowed.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    shown = QueriesPage(
        source=_address(study, query),
        narrowed=[
            f"{member} {spoken(value) if member == 'rule' else value}"
            for member, value in query.items()
            if member != "state"
        ],
        whole=_address(study, {"state": narrowed.state} if "state" in query else {}),
        state=narrowed.state,
        states=[
            Way(_address(study, {**query, "state": name}), label, name == narrowed.state)
            for name, label in STATES.items()
        ],
        count=len(rows),
        sites=_by_site(study, record, rows, query),
    )
    recorded_at = frontier.recorded_at.isoformat() if frontier.recorded_at else ""
    return pages.queries(await head(request, study, "queries", frontier.position, recorded_at), shown)


def _by_site(study: str, record: Record, rows: Sequence[Listed], query: dict[str, str]) -> list[OfSite]:
    names = {site.site_id: site.name for site in record.facts(SiteActivated)}
    ordered = sorted(rows, key=lambda row: (row.site_id, row.participant_id, row.since, row.key))[:ROWS_SHOWN]
    return [
        OfSite(site, names.get(site, site), _address(study, {**query, "site": site}), list(of_site))
        for site, of_site in groupby(ordered, key=lambda row: row.site_id)
    ]


def _address(study: str, query: dict[str, str]) -> str:
    return f"/analytics/studies/{study}/queries{'?' if query else ''}{urlencode(query)}"
