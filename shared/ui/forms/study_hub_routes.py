"""The page of a study in the service that records it: the forms of the study's own facts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import Response

from shared.contracts.study import StudyOpened
from shared.kernel.fact import Fact, Stream
from shared.ui.forms.next_steps import study_form_links
from shared.ui.forms.pages import crumbs
from shared.ui.forms.requests import create_form_router
from shared.ui.forms.routes import Forms
from shared.ui.navigation import Link
from shared.ui.pages import html_response
from shared.web.container import get_container
from shared.web.fact_recording import StudyIdPath
from shared.web.read_access import load_caller_rights


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyHubPage:
    """The page of a study: its title, and links to the forms that the caller may use."""

    study_id: str
    title: str
    crumbs: Sequence[Link]
    form_links: Sequence[Link]


def study_hub_routes(forms: Forms, stream: Stream, *, excluded: type[Fact] | None) -> APIRouter:
    """Returns the page of a study. Members without a form learn that their role has none."""
    routes = create_form_router(forms.service)
    facts = [fact for fact in stream.declared_facts.values() if fact is not excluded]

    @routes.get("/{study_id}")
    async def study_hub(request: Request, study: StudyIdPath) -> Response:
        await get_container(request).authenticate(request)
        rights, state = await load_caller_rights(request, study)
        title = next((opened.title for opened in state.record.facts_of(StudyOpened)), study)
        page = StudyHubPage(
            study_id=study,
            title=title,
            crumbs=crumbs(forms.service, study, rights),
            form_links=study_form_links(study, facts, rights),
        )
        return html_response(forms.pages.render("study_hub.html", page=page, member=request.state.caller.subject))

    return routes
