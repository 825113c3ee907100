"""The page of a study's reminders: what was sent, to which member, when, and why something was not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import Query, Request
from fastapi.responses import Response
from pydantic import Field, field_validator

from services.analytics import urls
from services.analytics.reminders.listing.api import ReminderPageParameters, read_reminders
from services.analytics.reminders.listing.service import PAGE_SIZE, ReminderEntry, ReminderPage
from services.analytics.reminders.listing.wording import STATE_LABELS, describe_reason
from services.analytics.reminders.log import ReminderState
from services.analytics.snapshot.access import may_see_participants
from services.analytics.study_header import StudyPage, build_study_header
from services.analytics.wording.reminder_steps import describe_step
from shared.protocol.schedule import INDEX_SCHEDULE
from shared.ui.html_errors import html_or_error
from shared.ui.navigation import Link, NavLink
from shared.ui.pages import MAX_TABLE_ROWS, Pages, create_page_router
from shared.web.container import get_container
from shared.web.fact_recording import StudyIdPath
from shared.web.read_logging import logs_reads

PAGE = StudyPage(route=urls.reminders_url("{study_id}"), nav_label="Reminders", may_see=may_see_participants)
routes = create_page_router()
pages = Pages(
    "analytics",
    Path(__file__).with_name("templates"),
    filters={"step": describe_step, "reason": describe_reason},
    functions={"participant_url": urls.participant_url},
)


class ReminderFilterParameters(ReminderPageParameters):
    """The filters of the page. A form sends empty fields as well: they filter nothing."""

    limit: Annotated[int, Field(ge=1, le=MAX_TABLE_ROWS)] = PAGE_SIZE

    @field_validator("site", "participant", mode="before")
    @classmethod
    def _read_empty_field(cls, value: Any) -> Any:
        return None if value == "" else value


@dataclass(frozen=True, slots=True, kw_only=True)
class RemindersView:
    """A page of the log, and the filters that lead to it. `next_url`: the next page; "" on the last."""

    parameters: ReminderFilterParameters
    views: Sequence[NavLink]
    rows: Sequence[ReminderEntry]
    labels: Mapping[ReminderState, str]
    index_schedule: str
    next_url: str
    downloads: Sequence[Link]


@routes.get(PAGE.route)
@logs_reads
async def reminders_page(
    request: Request, study: StudyIdPath, parameters: Annotated[ReminderFilterParameters, Query()]
) -> Response:
    return await html_or_error(request, pages, _render_reminders(request, study, parameters))


async def _render_reminders(request: Request, study: str, parameters: ReminderFilterParameters) -> str:
    await get_container(request).authenticate(request)
    page = await read_reminders(request, study, parameters, parameters.key, parameters.limit)
    header = await build_study_header(
        request, study, PAGE, heading="Reminders", position=page.current.position, recorded_at=page.current.recorded_at
    )
    return pages.render_study("reminders.html", header, view=_build_view(study, page, parameters))


def _build_view(study: str, page: ReminderPage, parameters: ReminderFilterParameters) -> RemindersView:
    query: dict[str, Any] = parameters.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    filters = {name: value for name, value in query.items() if name not in ("after", "limit")}
    others = {name: value for name, value in filters.items() if name != "state"}
    choices = {"All": [], **{label: [state] for state, label in STATE_LABELS.items()}}
    return RemindersView(
        parameters=parameters,
        views=[
            NavLink(
                urls.reminders_url(study, {**others, **({"state": states} if states else {})}),
                label,
                set(parameters.state) == set(states),
            )
            for label, states in choices.items()
        ],
        rows=page.rows,
        labels=STATE_LABELS,
        index_schedule=INDEX_SCHEDULE,
        next_url=urls.reminders_url(study, query | {"after": str(page.next)}) if page.next else "",
        downloads=[
            Link(urls.reminders_file_url(study, ".csv", filters), "Table (CSV)"),
            Link(urls.reminders_file_url(study, ".json", filters), "JSON"),
        ],
    )
