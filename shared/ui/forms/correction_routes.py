"""The form that corrects a recorded fact: it restates the whole fact, voids it, or re-instates a void one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response

from shared.kernel.errors import Forbidden, NotFound
from shared.kernel.fact import Correction, Stream
from shared.ui.forms import addresses
from shared.ui.forms.current_content import current_content, find_event
from shared.ui.forms.entries import Entries, Pair, PostedForm
from shared.ui.forms.fields import correction_fields
from shared.ui.forms.prefills import corrected_constants
from shared.ui.forms.requests import create_form_router
from shared.ui.forms.routes import Forms, LoadTarget
from shared.ui.forms.targets import (
    FactForm,
    FormTarget,
    fact_heading,
    load_participant_state,
    participant_context,
    with_typed_day,
)
from shared.ui.forms.writing import write_fields
from shared.web.fact_recording import ParticipantIdPath, StudyIdPath
from shared.web.read_logging import logs_reads

_EXPLANATION = "The form has the fact as it stands: change what is wrong. The audit trail keeps what was there."
_VOID_EXPLANATION = "This fact is void. The form has its last content: re-instate it as it was, or change it first."


def correction_form_routes(forms: Forms, stream: Stream) -> APIRouter:
    """Returns the forms that correct the facts of participants."""
    routes = create_form_router(forms.service)
    path = "/{study_id}/participants/{participant_id}/corrections/{event_id}"

    @routes.get(path)
    @logs_reads
    async def correction_form(
        request: Request, study: StudyIdPath, participant_id: ParticipantIdPath, event_id: UUID
    ) -> Response:
        return await forms.show(request, _loader(request, forms.service, stream, study, participant_id, event_id))

    @routes.post(path)
    @logs_reads
    async def record_correction_form(
        request: Request, study: StudyIdPath, participant_id: ParticipantIdPath, event_id: UUID
    ) -> Response:
        return await forms.answer(request, _loader(request, forms.service, stream, study, participant_id, event_id))

    return routes


def _loader(
    request: Request, service: str, stream: Stream, study: str, participant_id: str, event_id: UUID
) -> LoadTarget:
    async def load(form: PostedForm) -> FormTarget:
        return await load_correction_target(request, service, stream, study, participant_id, event_id, form)

    return load


async def load_correction_target(
    request: Request, service: str, stream: Stream, study: str, participant_id: str, event_id: UUID, form: PostedForm
) -> FormTarget:
    """Loads the fact that a form corrects. Raises NotFound, Forbidden."""
    state = await load_participant_state(request, study, participant_id, "")
    if not state.may_correct:
        raise Forbidden
    event = find_event(state.stream.events, event_id)
    if event.type == Correction.type_name:
        raise NotFound
    fact, correction = stream.facts[event.type], stream.facts[Correction.type_name]
    fields, content = correction_fields(correction, fact), current_content(state, event)
    context = participant_context(request, study, state)
    body = {"replacement": {"data": content.body}}
    pairs = tuple(write_fields(fields, body, with_kept_texts=not state.reads_texts))
    kept_texts = {name for name, _ in pairs} - {name for name, _ in write_fields(fields, body)}
    entries = form.entries.children.get("replacement", Entries()).children.get("data", Entries())
    return FormTarget(
        service=service,
        study_id=study,
        stream_id=participant_id,
        rights=state.rights,
        form=FactForm(
            model=correction,
            fields=fields,
            heading=f"Correction: {fact_heading(fact)}",
            explanation=_EXPLANATION if content.is_standing else _VOID_EXPLANATION,
            date_name=f"replacement.data.{fact.date_field or ''}",
        ),
        json_path=addresses.json_path(service, study, Correction.type_name, participant_id),
        context=replace(
            with_typed_day(context, fact, entries),
            hides_texts=not state.reads_texts,
            kept_texts=frozenset(kept_texts),
            standing_values=_values_by_name(pairs),
        ),
        version=state.stream.head.version,
        events=state.stream.events,
        constants=corrected_constants(fact, content.body),
        base={"event_id": str(event_id)},
        replacement={"type": event.type, "schema_version": fact.schema_version},
        is_void=not content.is_standing,
        content_before=content.body,
        prefilled=pairs,
    )


def _values_by_name(pairs: Sequence[Pair]) -> dict[str, list[str]]:
    """Returns the values by the name of their field; those of a list's items by the name of the list."""
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        list_name, _, step = name.rpartition(".")
        values.setdefault(list_name if Entries.is_number(step) else name, []).append(value)
    return values
