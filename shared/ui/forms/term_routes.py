"""The terms for words that are typed in a form, as JSON for its script: those that the button "Find" would show.

Dictionaries are public, and the dictionary of a study is known to all its members. The session's cookie is enough.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from shared.kernel.errors import parameter_error
from shared.kernel.record import Record
from shared.kernel.text import is_showable
from shared.ui.forms.context import FormContext
from shared.ui.forms.requests import create_form_router
from shared.ui.forms.targets import parse_typed_date
from shared.ui.forms.terms import find_terms
from shared.web.container import get_container
from shared.web.fact_recording import StudyIdPath
from shared.web.read_access import load_caller_rights
from shared.web.read_logging import logs_reads, note_no_rows

_CACHE_CONTROL = "private, max-age=300"
"""Long enough for words that are typed again, short enough for an amendment with another dictionary."""


class TermWords(BaseModel):
    """The words, and what else of the form decides by which dictionary they are looked up.

    `on`: the day that the form gives, as it was typed. `today`: the day on which the form was opened. `dictionary`: the
    version of CTCAE that the form chooses.
    """

    model_config = ConfigDict(extra="forbid")

    q: Annotated[str, Field(max_length=200)]
    on: Annotated[str, Field(max_length=10)] = ""
    today: date
    dictionary: Annotated[str, Field(max_length=20)] = ""


def term_routes(service: str) -> APIRouter:
    """Returns the route that finds terms for the forms of a study."""
    routes = create_form_router(service)

    @routes.get("/{study_id}/terms")
    @logs_reads
    async def terms(request: Request, study: StudyIdPath, words: Annotated[TermWords, Query()]) -> JSONResponse:
        await get_container(request).authenticate(request)
        _, state = await load_caller_rights(request, study)
        note_no_rows(request)
        return terms_response(words, state.record)

    return routes


def terms_response(words: TermWords, study: Record) -> JSONResponse:
    """Returns the ids and names of at most 20 terms. Raises ParameterRejected for words that no page can show."""
    if not is_showable(words.q):
        raise parameter_error("q", "Leave out control characters.")
    context = FormContext(
        study=study,
        today=words.today,
        stated_on=parse_typed_date(words.on),
        chosen_dictionary=words.dictionary,
    )
    rows = [{"term": term.term_id, "name": term.name} for term in find_terms(context.dictionary, words.q)]
    return JSONResponse({"rows": rows}, headers={"Cache-Control": _CACHE_CONTROL})
