"""Pages of single participants: who there is, and one of them from the first day to the last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from services.analytics.api import WhenShown
from services.analytics.asking import Asked
from services.analytics.figures import timeline as drawn
from services.analytics.pages.answering import in_words, pages, shown
from services.analytics.pages.heads import head
from services.analytics.pages.render import Link
from services.analytics.participants import Participants
from services.analytics.projection.reading import Frontier
from shared.web.reads import logs_reads, note_rows
from shared.web.routes import ParticipantOf, StudyOf
from shared.web.same_origin import PageRoute

routes = APIRouter(include_in_schema=False, route_class=PageRoute)
After = Annotated[str, Query(max_length=16)]


@routes.get("/analytics/studies/{study_id}/participants")
@logs_reads
async def participants(request: Request, study: StudyOf, after: After = "") -> Response:
    return await in_words(request, _participants(request, study, after))


async def _participants(request: Request, study: str, after: str) -> str:
    await request.app.state.admit(request)
    listed = await _people(request).listed(study, request.state.caller.subject, after)
    note_rows(request, study, "participants", len(listed.rows))
    asked = f"?{urlencode({'after': after})}" if after else ""
    source = f"/analytics/studies/{study}/participants{asked}"
    shown = {"rows": listed.rows, "next": listed.next, "after": after, "source": source}
    return pages.participants(await head(request, study, "participants", *_at(listed.at)), shown)


@routes.get("/analytics/studies/{study_id}/participants/{participant_id}")
@logs_reads
async def participant(request: Request, study: StudyOf, number: ParticipantOf, past: WhenShown) -> Response:
    return await in_words(request, _participant(request, study, number, past.asked()))


async def _participant(request: Request, study: str, number: str, asked: Asked) -> str:
    await request.app.state.admit(request)
    answer = await _people(request).timeline(study, number, request.state.caller.subject, asked)
    at = answer["position"], answer["recorded_at"] or ""
    asked_now = None if asked != Asked() else await _questions(request, study, number)
    return pages.participant(await head(request, study, "participant", *at), _part(request, answer), asked_now)


@routes.get("/analytics/studies/{study_id}/participants/{participant_id}/queries")
@logs_reads
async def questions(request: Request, study: StudyOf, number: ParticipantOf) -> Response:
    """The open queries of the page, as the page has them."""
    await request.app.state.admit(request)
    return shown(pages.questions(await _questions(request, study, number)))


async def _questions(request: Request, study: str, number: str) -> dict[str, Any]:
    at, rows = await _people(request).queries(study, number, request.state.caller.subject)
    note_rows(request, study, "queries", len(rows), participant=number)
    position, recorded_at = _at(at)
    base = f"/analytics/studies/{study}"
    return {
        "rows": rows,
        "version": position,
        "recorded_at": recorded_at,
        "source": f"{base}/participants/{number}/queries",
        "everything": f"{base}/queries?{urlencode({'participant': number, 'state': 'all'})}",
    }


def _at(frontier: Frontier) -> tuple[int, str]:
    return frontier.position, frontier.recorded_at.isoformat() if frontier.recorded_at else ""


@routes.get("/analytics/studies/{study_id}/participants/{participant_id}/timeline")
@logs_reads
async def fragment(request: Request, study: StudyOf, number: ParticipantOf, past: WhenShown) -> Response:
    """The timeline of the page, as the page has it."""
    await request.app.state.admit(request)
    answer = await _people(request).timeline(study, number, request.state.caller.subject, past.asked())
    return shown(pages.timeline(_part(request, answer)))


def _part(request: Request, answer: Mapping[str, Any]) -> dict[str, Any]:
    """What the template shows of a timeline's `.json` answer, which is noted for the log of reads."""
    number = answer["participant_id"]
    note_rows(request, answer["study_id"], "timeline", len(answer["entries"]), participant=number)
    of = f"studies/{answer['study_id']}/participants/{answer['participant_id']}/timeline"
    asked = f"?{urlencode(dict(request.query_params))}" if request.query_params else ""
    kinds = {".json": "Facts", ".svg": "Picture"}
    return {
        **{name: answer[name] for name in ("participant_id", "site_id", "status", "entries")},
        "version": answer["position"],
        "recorded_at": answer["recorded_at"] or "",
        "source": f"/analytics/{of}{asked}",
        "picture": drawn.draw(answer),
        "caption": drawn.caption(answer),
        "downloads": [Link(f"/analytics/v1/{of}{kind}{asked}", f"{words} ({kind})") for kind, words in kinds.items()],
    }


def _people(request: Request) -> Participants:
    held: Participants = request.app.state.participants
    return held
