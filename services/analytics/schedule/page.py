"""The page of a study's worklist: what is overdue, due and opening, and participants without visits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import Query, Request
from fastapi.responses import Response
from pydantic import Field, field_validator

from services.analytics import urls
from services.analytics.schedule.api import WorklistPageParameters, WorklistResources
from services.analytics.schedule.service import PAGE_SIZE, WorklistPage, WorklistRow
from services.analytics.schedule.visit_links import (
    chosen_visit,
    end_of_treatment_url,
    may_choose,
    several_visits_links,
    site_numbers_url,
    visit_links,
)
from services.analytics.schedule.wording import EMPTY_LISTS, GROUP_LEADS, GROUP_TITLES, describe_reason
from services.analytics.schedule.worklist import GROUPS, VISIT_STATES, UnscheduledParticipant
from services.analytics.snapshot.access import may_see_participants
from services.analytics.snapshot.api import StudyResources
from services.analytics.study_header import StudyPage, build_study_header
from services.analytics.wording.phrasing import describe_days
from services.analytics.wording.reminder_steps import describe_step
from shared.contracts.study import SiteActivated
from shared.eventstore.study_cache import StudyState
from shared.postgres.tenancy import EVERY_SITE
from shared.protocol.visit_status import VisitState
from shared.security.grants import Rights
from shared.ui.html_errors import html_or_error
from shared.ui.navigation import Link, NavLink
from shared.ui.pages import MAX_TABLE_ROWS, Pages, create_page_router
from shared.web.container import get_container
from shared.web.fact_recording import StudyIdPath
from shared.web.read_logging import logs_reads, note_rows

PAGE = StudyPage(
    route=urls.worklist_url("{study_id}"), nav_label="Worklist", may_see=may_see_participants, is_live=True
)
routes = create_page_router()
pages = Pages(
    "analytics",
    Path(__file__).with_name("templates"),
    filters={"days": describe_days, "reason": describe_reason, "step": describe_step},
    functions={"participant_url": urls.participant_url, "queries_url": urls.queries_url},
)
VIEWS: Mapping[str, Sequence[VisitState]] = {
    "To do": (),
    "Missed": ("missed",),
    "Reported": ("done_late", "done"),
    "Not applicable": ("not_applicable",),
    "All visits": VISIT_STATES,
}
"""The states of each view of the list."""


class WorklistFilterParameters(WorklistPageParameters):
    """The filters of the page. A form sends empty fields as well: they filter nothing."""

    limit: Annotated[int, Field(ge=1, le=MAX_TABLE_ROWS)] = PAGE_SIZE

    @field_validator("site", "participant", "on", mode="before")
    @classmethod
    def _read_empty_field(cls, value: Any) -> Any:
        return None if value == "" else value


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitEntry:
    """A visit on the page, with links to its forms. `choice`: its value in a list of chosen visits; "" without one."""

    row: WorklistRow
    links: Sequence[Link]
    choice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitSection:
    """The visits of one state on the page."""

    state: VisitState
    title: str
    lead: str
    entries: Sequence[VisitEntry]

    @property
    def has_links(self) -> bool:
        return any(entry.links for entry in self.entries)

    @property
    def has_choices(self) -> bool:
        return any(entry.choice for entry in self.entries)


@dataclass(frozen=True, slots=True)
class UnscheduledEntry:
    """A participant without visits. `form_url`: the form of the end of radiotherapy; "" for who may not record it."""

    participant: UnscheduledParticipant
    form_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorklistView:
    """A page of the list, and the filters that lead to it.

    `source` is its address. `choice_links`: pages that state a fact about all chosen visits; empty where none can be
    chosen. `numbers_url`: the list of participants with the site's own numbers; "" for others. `sites`: the names of
    the sites that the member sees. `next_url`: the next page; "" on the last. `missed_count`: the number of visits that
    were missed within the last 14 days. `empty`: the sentence of a page without entries; "" on others.
    """

    parameters: WorklistFilterParameters
    source: str
    today_url: str
    missed_url: str
    next_url: str
    views: Sequence[NavLink]
    sites: Mapping[str, str]
    on: str
    missed_count: int
    sections: Sequence[VisitSection]
    no_schedule: Sequence[UnscheduledEntry]
    choice_links: Sequence[Link]
    numbers_url: str
    empty: str
    downloads: Sequence[Link]


@routes.get(PAGE.route)
@logs_reads
async def worklist_page(
    request: Request, study: StudyIdPath, parameters: Annotated[WorklistFilterParameters, Query()]
) -> Response:
    return await html_or_error(request, pages, _render_worklist(request, study, parameters))


async def _render_worklist(request: Request, study: str, parameters: WorklistFilterParameters) -> str:
    container = get_container(request)
    await container.authenticate(request)
    service, member = container.get_resources(WorklistResources).worklist, request.state.caller.subject
    filters = parameters.to_request()
    page = await service.list_page(study, member, filters, parameters.key, parameters.limit)
    missed_count = await service.count_recently_missed(study, member, filters)
    rows = len(page.rows) + len(page.no_schedule)
    note_rows(request, study, "worklist", rows, site=parameters.site, participant=parameters.participant)
    state = await container.get_resources(StudyResources).studies.current(study)
    header = await build_study_header(
        request, study, PAGE, heading="Worklist", position=page.current.position, recorded_at=page.current.recorded_at
    )
    view = _build_view(study, page, parameters, state.rights(member), _visible_sites(state, member), missed_count)
    return pages.render_study("worklist.html", header, view=view)


def _visible_sites(study: StudyState, member: str) -> dict[str, str]:
    """Returns the names of the sites whose participants the member sees, by their ids."""
    visible = study.rights(member).visible_sites
    return {
        site.site_id: site.name
        for site in sorted(study.record.facts_of(SiteActivated), key=lambda site: site.name)
        if EVERY_SITE in visible or site.site_id in visible
    }


def _build_view(
    study: str,
    page: WorklistPage,
    parameters: WorklistFilterParameters,
    rights: Rights,
    sites: Mapping[str, str],
    missed_count: int,
) -> WorklistView:
    query: dict[str, Any] = parameters.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    filters = {name: value for name, value in query.items() if name not in ("after", "limit")}
    whole = {name: value for name, value in filters.items() if name != "state"}
    views = [
        NavLink(urls.worklist_url(study, whole | {"state": states}), label, set(parameters.state) == set(states))
        for label, states in VIEWS.items()
    ]
    sections = _sections(study, rights, page, is_default=not parameters.state)
    return WorklistView(
        parameters=parameters,
        source=urls.worklist_url(study, query),
        today_url=urls.worklist_url(study, {name: value for name, value in filters.items() if name != "on"}),
        missed_url=urls.worklist_url(study, whole | {"state": VIEWS["Missed"]}),
        next_url=urls.worklist_url(study, query | {"after": str(page.next)}) if page.next else "",
        views=views,
        sites=sites,
        on=page.on.isoformat(),
        missed_count=missed_count,
        sections=sections,
        no_schedule=[
            UnscheduledEntry(participant, end_of_treatment_url(study, rights, participant))
            for participant in page.no_schedule
        ],
        choice_links=several_visits_links(study) if any(section.has_choices for section in sections) else (),
        numbers_url=site_numbers_url(study, rights),
        empty="" if page.rows or page.no_schedule else _empty_sentence(parameters),
        downloads=[
            Link(urls.worklist_file_url(study, ".csv", filters), "Table (CSV)"),
            Link(urls.worklist_file_url(study, ".ics", filters), "Calendar file (iCalendar)"),
            Link(urls.worklist_file_url(study, ".json", filters), "JSON"),
        ],
    )


def _sections(study: str, rights: Rights, page: WorklistPage, *, is_default: bool) -> list[VisitSection]:
    rows_by_state = {group: [row for row in page.rows if row.visit.state == group] for group in GROUPS}
    return [
        VisitSection(
            state=rows[0].visit.state,
            title="Opening within 14 days" if group == "planned" and is_default else GROUP_TITLES[rows[0].visit.state],
            lead=GROUP_LEADS[rows[0].visit.state],
            entries=[_entry(study, rights, row) for row in rows],
        )
        for group, rows in rows_by_state.items()
        if rows
    ]


def _entry(study: str, rights: Rights, row: WorklistRow) -> VisitEntry:
    choice = chosen_visit(row) if may_choose(rights, row) else ""
    return VisitEntry(row=row, links=list(visit_links(study, rights, row)), choice=choice)


def _empty_sentence(parameters: WorklistFilterParameters) -> str:
    if parameters.after:
        return EMPTY_LISTS["end"]
    if parameters.state:
        return EMPTY_LISTS["states"]
    return EMPTY_LISTS["default"]
