"""Pages of single participants: who there is, and one of them from the first day to the last."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from services.analytics.api import WhenShown
from services.analytics.figures import timeline as drawn
from services.analytics.pages.render import Link, Problem, Study
from services.analytics.pages.routes import pages, shown
from services.analytics.participants import Participants
from shared.contracts.study import Opened
from shared.kernel.refusal import Refusal, Unrecognised
from shared.web.body import BoundedRoute
from shared.web.routes import ParticipantOf, StudyOf

routes = APIRouter(include_in_schema=False, route_class=BoundedRoute)
After = Annotated[str, Query(max_length=16)]


@routes.get("/analytics/studies/{study_id}/participants")
async def participants(request: Request, study: StudyOf, after: After = "") -> Response:
    async def made(member: str) -> str:
        listed = await _people(request).listed(study, member, after)
        head = await _study(request, study, {}, cohort="Cohort", queries="Queries")
        return pages.participants(head, {"rows": listed.rows, "next": listed.next, "after": after})

    return await _answered(request, made)


@routes.get("/analytics/studies/{study_id}/participants/{participant_id}")
async def participant(request: Request, study: StudyOf, number: ParticipantOf, past: WhenShown) -> Response:
    async def made(member: str) -> str:
        answer = await _people(request).timeline(study, number, member, past.asked())
        head = await _study(request, study, answer, cohort="Cohort", participants="Participants", queries="Queries")
        return pages.participant(head, _part(request, answer))

    return await _answered(request, made)


@routes.get("/analytics/studies/{study_id}/participants/{participant_id}/timeline")
async def fragment(request: Request, study: StudyOf, number: ParticipantOf, past: WhenShown) -> Response:
    """The timeline of the page, as the page has it."""
    await request.app.state.admit(request)
    answer = await _people(request).timeline(study, number, request.state.caller.subject, past.asked())
    return shown(pages.timeline(_part(request, answer)))


async def _answered(request: Request, made: Callable[[str], Awaitable[str]]) -> Response:
    """The page for who is signed in; the way to sign in, or why not, for others."""
    try:
        await request.app.state.admit(request)
        return shown(await made(request.state.caller.subject))
    except Unrecognised:
        return RedirectResponse(f"/session?{urlencode({'next': request.url.path})}", 303)
    except Refusal as refusal:
        return shown(pages.problem(Problem(refusal.status, refusal.title)), refusal.status)


async def _study(request: Request, study: str, answer: Mapping[str, Any], **ways: str) -> Study:
    known = (await request.app.state.figures.studies.current(study)).record.facts(Opened)
    base = f"/analytics/studies/{study}"
    links = [Link(base if way == "cohort" else f"{base}/{way}", label) for way, label in ways.items()]
    return Study(
        study, known[0].title if known else study, answer.get("position", 0), answer.get("recorded_at") or "",
        answer.get("today", ""), f"/analytics/v1/studies/{study}/live", links=links,
    )  # fmt: skip


def _part(request: Request, answer: Mapping[str, Any]) -> dict[str, Any]:
    """What the template shows of a timeline's `.json` answer."""
    of = f"studies/{answer['study_id']}/participants/{answer['participant_id']}/timeline"
    asked = f"?{urlencode(dict(request.query_params))}" if request.query_params else ""
    kinds = {".json": "every fact with its members", ".svg": "the picture"}
    return {
        **{name: answer[name] for name in ("participant_id", "site_id", "status", "entries")},
        "version": answer["position"],
        "recorded_at": answer["recorded_at"] or "",
        "source": f"/analytics/{of}{asked}",
        "picture": drawn.draw(answer),
        "caption": drawn.caption(answer),
        "downloads": [Link(f"/analytics/v1/{of}{kind}{asked}", kind, said) for kind, said in kinds.items()],
    }


def _people(request: Request) -> Participants:
    held: Participants = request.app.state.participants
    return held
