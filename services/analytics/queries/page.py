"""The page of a study's data queries, grouped by the site that can resolve them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query, Request
from fastapi.responses import Response

from services.analytics import urls
from services.analytics.queries.api import QueryFilterParameters, QueryResources
from services.analytics.queries.derive import QueryWithStatus
from services.analytics.snapshot.access import may_see_participants
from services.analytics.snapshot.api import StudyResources
from services.analytics.study_header import StudyPage, build_study_header
from services.analytics.wording.phrasing import humanize
from shared.contracts.follow_up import QueryExplained
from shared.contracts.study import SiteActivated
from shared.kernel.record import Record
from shared.security.grants import Rights
from shared.ui.forms import addresses
from shared.ui.html_errors import html_or_error
from shared.ui.navigation import NavLink
from shared.ui.pages import MAX_TABLE_ROWS, Pages, create_page_router
from shared.web.container import get_container
from shared.web.fact_recording import StudyIdPath
from shared.web.read_logging import logs_reads, note_rows

STATE_LABELS = {"open": "Open", "explained": "Explained", "all": "All"}
PAGE = StudyPage(
    route=urls.queries_url("{study_id}"), nav_label="Data queries", may_see=may_see_participants, is_live=True
)
routes = create_page_router()


def _explanation_url(study: str, participant_id: str, key: str) -> str:
    """Returns the address of the form that answers a data query."""
    url = addresses.form_url("followup", study, QueryExplained.type_name, participant_id)
    return f"{url}?{urlencode({'query_key': key})}"


pages = Pages(
    "analytics",
    Path(__file__).with_name("templates"),
    filters={"humanize": humanize},
    functions={
        "participant_url": urls.participant_url,
        "fact_url": urls.fact_url,
        "queries_file_url": urls.queries_file_url,
        "explanation_url": _explanation_url,
        "facts_url": partial(addresses.participant_base, "enrollment"),
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteQueries:
    """The data queries of the participants that one site follows now; `url` leads to them alone.

    `may_explain`: the reader of the page may explain them.
    """

    site_id: str
    name: str
    url: str
    may_explain: bool
    rows: Sequence[QueryWithStatus]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryPageView:
    """The data queries that match the filters: `count` of them, of which `sites` has at most `MAX_TABLE_ROWS`.

    `source` is the address of the page, and `unfiltered_url` that of the page without its filters.
    """

    source: str
    active_filters: Sequence[str]
    unfiltered_url: str
    state: str
    states: Sequence[NavLink]
    count: int
    sites: Sequence[SiteQueries]

    @property
    def rows_shown(self) -> int:
        return sum(len(site.rows) for site in self.sites)


@routes.get(PAGE.route)
@logs_reads
async def queries_page(
    request: Request, study: StudyIdPath, parameters: Annotated[QueryFilterParameters, Query()]
) -> Response:
    return await html_or_error(request, pages, _render_queries(request, study, parameters))


async def _render_queries(request: Request, study: str, parameters: QueryFilterParameters) -> str:
    container = get_container(request)
    await container.authenticate(request)
    service = container.get_resources(QueryResources).queries
    current, rows = await service.visible_queries(study, request.state.caller.subject, parameters.to_filter())
    row_count = min(len(rows), MAX_TABLE_ROWS)
    note_rows(request, study, "queries", row_count, site=parameters.site, participant=parameters.participant)
    state = await container.get_resources(StudyResources).studies.current(study)
    rights = state.rights(request.state.caller.subject)
    header = await build_study_header(
        request,
        study,
        PAGE,
        heading="Data queries",
        position=current.position,
        recorded_at=current.recorded_at,
    )
    return pages.render_study("queries.html", header, view=_build_view(study, state.record, rights, rows, parameters))


def _build_view(
    study: str,
    record: Record,
    rights: Rights,
    rows: Sequence[QueryWithStatus],
    parameters: QueryFilterParameters,
) -> QueryPageView:
    query: dict[str, str] = parameters.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    return QueryPageView(
        source=urls.queries_url(study, query),
        active_filters=[
            f"{name} {humanize(value) if name == 'rule' else value}" for name, value in query.items() if name != "state"
        ],
        unfiltered_url=urls.queries_url(study, {"state": parameters.state} if "state" in query else {}),
        state=parameters.state,
        states=[
            NavLink(urls.queries_url(study, {**query, "state": state}), label, state == parameters.state)
            for state, label in STATE_LABELS.items()
        ],
        count=len(rows),
        sites=_group_by_site(study, record, rights, rows, query),
    )


def _group_by_site(
    study: str, record: Record, rights: Rights, rows: Sequence[QueryWithStatus], query: Mapping[str, str]
) -> list[SiteQueries]:
    names = {site.site_id: site.name for site in record.facts_of(SiteActivated)}
    ordered = sorted(rows, key=lambda row: (row.site_id, row.participant_id, row.since, row.key))[:MAX_TABLE_ROWS]
    return [
        SiteQueries(
            site_id=site,
            name=names.get(site, site),
            url=urls.queries_url(study, {**query, "site": site}),
            may_explain=rights.has_role_at(site, QueryExplained.stated_by_roles),
            rows=list(of_site),
        )
        for site, of_site in groupby(ordered, key=lambda row: row.site_id)
    ]
