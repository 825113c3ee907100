"""Answers to a form that was sent: the form again, what it recorded, or why it recorded nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar
from uuid import UUID

from fastapi import Request
from fastapi.responses import RedirectResponse, Response

from shared.contracts.enrollment import ParticipantTransferred
from shared.eventstore.command import RecordedFacts
from shared.kernel.errors import (
    CrossSiteRequest,
    Fault,
    KeyReused,
    MalformedBody,
    NotKnownYet,
    ReferenceInUse,
    RequestError,
    RequestRejected,
    VersionMismatch,
)
from shared.offload import offload
from shared.ui.forms import addresses
from shared.ui.forms.changed_record import RECORDED_MEANWHILE, links_since
from shared.ui.forms.confirmation import NOT_RECORDED, answers_digest, lacks_check
from shared.ui.forms.entries import PostedForm
from shared.ui.forms.faults import unanswered_rows, with_unanswered
from shared.ui.forms.fields import Leaf, Member, replaced_fields
from shared.ui.forms.offers import no_longer_asked, worded_offers
from shared.ui.forms.pages import NO_FAULT, FormNotice, FormReply, render_form
from shared.ui.forms.reading import FormReading, keep_line_breaks, read_form, read_value, single_text
from shared.ui.forms.recording import (
    SHOWN_REFUSALS,
    check_form,
    has_possible_duplicate,
    record_form,
    try_form,
)
from shared.ui.forms.reference_links import links_to_reference
from shared.ui.forms.sample_visits import with_rows
from shared.ui.forms.site_time import resolve_time
from shared.ui.forms.targets import FormTarget
from shared.ui.forms.terms import TERM_OFFERS, resolve_term
from shared.ui.forms.used_key import find_used_key, used_key_reply
from shared.ui.forms.words import FactChange, describe_changes
from shared.ui.navigation import Link
from shared.ui.pages import Pages
from shared.web.container import get_container
from shared.web.fact_recording import IDEMPOTENCY_KEY

T = TypeVar("T")
FIELDS_PER_ITEM = 5
"""Fields of a form that are read or shown in the time that one fact takes."""
CHOOSE_ONE = Fault("schema-missing", "Choose one of these.", "/form:preset")
_NOT_HERE = "Not here, not yours, or not here yet: if it was recorded a moment ago, try again."
_IN_USE = "The site uses this reference for another participant."


@dataclass(frozen=True, slots=True)
class FormAnswers:
    """Answers to the forms of one service."""

    pages: Pages

    async def answer(self, request: Request, target: FormTarget, form: PostedForm) -> Response:
        """Does what the button says. Only `record` records.

        Raises VersionMismatch if the record has changed since `target` was loaded: load it again.
        """
        require_same_person(request, form)
        require_key(form)
        form.refuse_long_lists(get_container(request).limits.max_list_items)
        reply = await self._reply(request, target, form)
        if isinstance(reply, Response):
            return reply
        return await in_turn(request, reply.form, lambda: render_form(self.pages, request, target, reply))

    async def _reply(self, request: Request, target: FormTarget, form: PostedForm) -> FormReply | Response:
        button, value = form.button
        if button == "add":
            longer_form = with_rows(form, value)
            return FormReply(form=longer_form, focus=longer_form.pairs[-1][0])
        if button == "remove":
            return FormReply(form=form.without_row(value))
        action = value if button == "record" else ""
        reading = await in_turn(request, form, lambda: self._read(target, form, action))
        if button == "find":
            return FormReply(form=form, reading=reading, focus=value)
        answer = self._record if button == "record" else self._check
        return await answer(request, target, form, reading)

    def _read(self, target: FormTarget, form: PostedForm, action: str) -> FormReading:
        def resolve(member: Member, texts: list[str]) -> str | Fault:
            if member.presentation.offers in TERM_OFFERS:
                return resolve_term(target.context.dictionary, texts)
            is_time = member.node == Leaf("time")
            return resolve_time(texts, target.context.zone) if is_time else single_text(member, texts)

        reading = read_form(target.form.fields, form, resolve, keeps_texts=target.context.hides_texts)
        drop_unasked(target, reading)
        reading.body = complete_body(target, reading.body, voids=action == "void")
        if target.replacement and action == "void":
            drop_content(reading)
        return reading

    async def _record(
        self, request: Request, target: FormTarget, form: PostedForm, reading: FormReading
    ) -> FormReply | Response:
        used_key = await find_used_key(request, target, form, reading)
        if used_key and not used_key.is_repeat:
            return used_key_reply(target, form, reading, used_key, status=409)
        try:
            if lacks_check(target, form, reading):
                await try_form(request, target, form, reading)
                return await check_reply(request, target, form, reading, status=422)
            recorded = await record_form(request, target, form, reading)
        except KeyReused:
            return used_key_reply(target, form, reading, None, status=409)
        except SHOWN_REFUSALS as refusal:
            if isinstance(refusal, VersionMismatch) and form.version == str(target.version):
                raise  # the change is not in `target`, so the page could not show it
            links = await _links_out(request, target, form, reading, [refusal])
            return refusal_reply(target, form, reading, [refusal], links=links, status=refusal.status)
        return RedirectResponse(recorded_url(target, recorded), 303)

    async def _check(self, request: Request, target: FormTarget, form: PostedForm, reading: FormReading) -> FormReply:
        """Returns the form with everything that stands against its answers, in whatever state the record is."""
        if used_key := await find_used_key(request, target, form, reading):
            return used_key_reply(target, form, reading, used_key, status=200)
        if refusals := await check_form(request, target, form, reading):
            links = await _links_out(request, target, form, reading, refusals)
            return refusal_reply(target, form, reading, refusals, links=links, status=200)
        return await check_reply(request, target, form, reading, status=200)


def require_same_person(request: Request, form: PostedForm) -> None:
    """Raises CrossSiteRequest if another person opened the form."""
    if form.member and form.member != request.state.caller.subject:
        raise CrossSiteRequest("Another person opened this form. Open it yourself.")


def require_key(form: PostedForm) -> None:
    """Raises MalformedBody if a form that records has no key."""
    if form.button[0] == "record" and not IDEMPOTENCY_KEY.fullmatch(form.key):
        raise MalformedBody("The form has lost its key, under which it is recorded once. Open it again.")


async def in_turn(request: Request, form: PostedForm, work: Callable[[], T]) -> T:
    """Runs `work` on the fields of a form, in a thread if they are many, so that other requests need not wait."""
    return await offload(request.state.caller.subject, work, item_count=len(form.pairs) // FIELDS_PER_ITEM)


async def check_reply(
    request: Request, target: FormTarget, form: PostedForm, reading: FormReading, *, status: int
) -> FormReply:
    """Returns the form with what recording it would change or stop. `status`: 422 if the person meant to record."""
    effects = await target.find_effects(reading.body) if target.find_effects else ()
    notice = FormNotice(
        text=NOT_RECORDED if target.form.requires_check else NO_FAULT,
        changes=content_changes(target, reading),
        lines=effects,
    )
    if not target.form.requires_check:
        return FormReply(form=form, reading=reading, notice=notice, status=status)
    is_duplicate = await has_possible_duplicate(request, target, form, reading)
    return FormReply(
        form=replace(form, checked_digest=answers_digest(form, reading.body)),
        reading=reading,
        faults=[target.possible_duplicate] if is_duplicate else [],
        notice=notice,
        status=status,
    )


def refusal_reply(
    target: FormTarget,
    form: PostedForm,
    reading: FormReading,
    refusals: Sequence[RequestError],
    *,
    links: Sequence[Link],
    status: int,
) -> FormReply:
    """Returns the form again, with what stands against it. `links`: to what was recorded meanwhile, or before."""
    notice, faults = None, [fault for refusal in refusals for fault in _faults_in_form(target, form, refusal)]
    if target.presets and not form.preset:
        faults = [CHOOSE_ONE]
    if any(isinstance(refusal, VersionMismatch) for refusal in refusals):
        notice = FormNotice(text=RECORDED_MEANWHILE, links=links)
        form = replace(form, version=str(target.version))
    if any(isinstance(refusal, ReferenceInUse) for refusal in refusals):
        notice = FormNotice(text=_IN_USE, links=links)
    if target.possible_duplicate in faults:
        form = replace(form, checked_digest=answers_digest(form, reading.body))
    return FormReply(form=form, reading=reading, faults=faults, notice=notice, status=status)


def _faults_in_form(target: FormTarget, form: PostedForm, refusal: RequestError) -> list[Fault]:
    faults = list(refusal.faults) or [Fault(refusal.code, refusal.title)]
    match refusal:
        case VersionMismatch():
            return []
        case NotKnownYet():
            return [Fault(refusal.code, _NOT_HERE), *refusal.faults]
        case ReferenceInUse():
            content = "/replacement/data" if target.replacement else ""
            return [Fault(refusal.code, refusal.title, f"{content}/local_reference")]
        case RequestRejected() if not target.replacement:
            return with_unanswered(faults, unanswered_rows(target.form.fields, form.entries, target.context))
    return faults


async def _links_out(
    request: Request, target: FormTarget, form: PostedForm, reading: FormReading, refusals: Sequence[RequestError]
) -> list[Link]:
    """Returns links to what was recorded since the form was opened, or to the participant whose reference it gives."""
    for refusal in refusals:
        if isinstance(refusal, VersionMismatch):
            version, zone = int(form.version or 0), target.context.zone
            return list(links_since(target.service, target.study_id, target.events, version, zone))
        if isinstance(refusal, ReferenceInUse):
            return await links_to_reference(request, target, reading.body.get("local_reference"))
    return []


def drop_unasked(target: FormTarget, reading: FormReading) -> None:
    """Leaves out answers to questions of another day's protocol: the form keeps them in case the day is changed back.

    Not those of a correction, which may have been stated under an earlier amendment of that day's protocol.
    """
    for member in () if target.replacement else target.form.fields.members:
        presentation = member.presentation
        unasked = no_longer_asked(target.context, "criteria" if presentation.beside else presentation.offers)
        if unasked and member.name in reading.body:
            answers = reading.body[member.name]
            reading.body[member.name] = {key: text for key, text in answers.items() if key not in unasked}


def complete_body(target: FormTarget, body: dict[str, object], *, voids: bool) -> dict[str, object]:
    """Returns the body with what the form knows by itself: fixed values, and the event that a correction is of.

    A text of which a browser wrote the line breaks in its way stays as it was recorded.
    """
    members = {member.name: member for member in target.form.fields.members}
    fixed = {name: read_value(members[name], text) for name, text in target.constants.items() if name in members}
    completed = {**body, **fixed, **target.base}
    content = body.get("replacement")
    if target.replacement is None or not isinstance(content, dict):
        return completed
    content = keep_line_breaks(content, {"data": target.content_before})
    return {**completed, "replacement": None if voids else {**target.replacement, **content}}


def content_changes(target: FormTarget, reading: FormReading) -> list[FactChange]:
    """Returns the members that a correction or an amendment changes; an empty list for other forms."""
    before, fields, after = dict(target.content_before), target.form.fields, reading.body
    if target.replacement:
        fields, replacement = replaced_fields(fields), reading.body.get("replacement")
        after = replacement["data"] if isinstance(replacement, dict) else before
    compared = {name: value for name, value in after.items() if name in before or target.replacement}
    return describe_changes(fields, before, compared, target.context.zone, worded_offers(target.context))


def drop_content(reading: FormReading) -> None:
    """Drops what was read of the content of a fact that is voided."""
    reading.faults = [fault for fault in reading.faults if not fault.pointer.startswith("/replacement")]
    reading.options = []


def recorded_url(target: FormTarget, recorded: RecordedFacts) -> str:
    """Returns the address of the page of what was recorded: a correction's is that of the fact.

    A site that has transferred a participant no longer sees the record, so it returns to its list.
    """
    if target.form.model is ParticipantTransferred:
        return addresses.participants_url(target.study_id)
    participant = recorded.stream_id if recorded.stream_id != recorded.study_id else ""
    event: UUID | str = str(target.base.get("event_id") or recorded.event_ids[0])
    return addresses.event_url(target.service, target.study_id, event, participant)
