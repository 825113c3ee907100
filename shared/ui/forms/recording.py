"""Records what a form says, exactly as the JSON route would: the same body, gate, rules, key and version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from fastapi import Request
from pydantic import TypeAdapter

from shared.contracts.event import Event
from shared.eventstore.command import RecordedFacts, RecordFacts, VersionGuard
from shared.eventstore.request_key import RequestKey
from shared.eventstore.role_check import retry_while_unknown
from shared.kernel.errors import (
    DatabaseNotConfirmed,
    FormRejected,
    NotKnownYet,
    ReferenceInUse,
    RequestError,
    RequestRejected,
    ServiceUnavailable,
    TooManyRequests,
    VersionMismatch,
)
from shared.kernel.fact import Correction, Fact
from shared.ui.forms.entries import PostedForm
from shared.ui.forms.faults import validation_faults
from shared.ui.forms.reading import FormReading
from shared.ui.forms.targets import FormTarget
from shared.validation.json_parsing import canonical_json
from shared.web.container import get_container
from shared.web.entity_tags import version_tag
from shared.web.fact_recording import request_identity
from shared.web.request_body import BodyReader, ParsedBody, declared_members
from shared.web.service import get_service

SHOWN_REFUSALS = (
    RequestRejected,
    VersionMismatch,
    NotKnownYet,
    ReferenceInUse,
    ServiceUnavailable,
    TooManyRequests,
    DatabaseNotConfirmed,
)
"""Refusals that are shown in the form, with everything that was typed. Others have pages of their own."""


def read_facts(request: Request, target: FormTarget, reading: FormReading) -> tuple[Sequence[Fact], ParsedBody]:
    """Validates the body of a form as the JSON route does. Raises RequestError with every fault."""
    model: Any = target.form.model
    reader = BodyReader(_adapter(model), _member_names(model), get_container(request).limits, lambda: ({}, {}))
    try:
        parsed = reader.read(canonical_json(reading.body), with_canonical=True)
    except FormRejected as refusal:
        raise FormRejected(faults=validation_faults(target.form.model, reading) or refusal.faults) from None
    if reading.faults:
        raise FormRejected(faults=reading.faults)
    return target.facts_of(parsed.value), parsed


@cache
def _adapter(model: Any) -> TypeAdapter[Any]:
    return TypeAdapter(model)


@cache
def _member_names(model: Any) -> frozenset[str]:
    return frozenset(declared_members(model, set()))


async def check_form(
    request: Request, target: FormTarget, form: PostedForm, reading: FormReading
) -> list[RequestError]:
    """Returns everything that stands against the answers of a form, and records nothing."""
    try:
        facts, parsed = read_facts(request, target, reading)
    except SHOWN_REFUSALS as refusal:
        return [refusal]
    return await dry_run_refusals(request, form_command(request, target, form, facts, parsed), waits=False)


async def record_form(
    request: Request, target: FormTarget, form: PostedForm, reading: FormReading, *, dry_run: bool
) -> RecordedFacts:
    """Records the facts of a form, once for its key. Raises RequestError, also for a dry run, which records nothing."""
    facts, parsed = read_facts(request, target, reading)
    command = form_command(request, target, form, facts, parsed)
    if not form.again and not dry_run and await _stands_already(request, target, command):
        raise FormRejected(target.doubt.message, faults=[target.doubt])
    service, waits_by_itself = get_service(request), command.after is not None
    return await retry_while_unknown(
        lambda: service.record(replace(command, dry_run=dry_run)), waits=not dry_run and not waits_by_itself
    )


def form_command(
    request: Request, target: FormTarget, form: PostedForm, facts: Sequence[Fact], parsed: ParsedBody
) -> RecordFacts:
    """Returns the command of a form, which is that of the JSON route."""
    version = int(form.version) if form.version else None
    if_match = "" if version is None else version_tag(version)
    return RecordFacts(
        study_id=target.study_id,
        stream_id=target.stream_id,
        facts=tuple(facts),
        pointers=("",) * len(facts),
        member=request.state.caller.subject,
        request=request_identity(target.json_path, if_match, parsed.canonical_json or b""),
        key=form.key,
        if_match=None if version is None else VersionGuard(frozenset({version})),
        opens_study=target.opens_study,
        after=int(form.after.rpartition("=")[2]) if form.after else None,
    )


def recorded_under_key(
    request: Request, command: RecordFacts, events: Sequence[Event], site_id: str | None
) -> Event | None:
    """Returns the first event that a form with this key recorded; None if it recorded none."""
    service = get_service(request)
    key = RequestKey(command, service.name, service.command_handler.event_key)
    event_ids = set(key.event_ids(site_id))
    return next((event for event in events if event.event_id in event_ids), None)


async def dry_run_refusals(request: Request, command: RecordFacts, *, waits: bool) -> list[RequestError]:
    """Returns why a command would be refused: that its record has changed, and what else is wrong with it.

    `waits`: for what another service has just published. Raises the refusals that have pages of their own.
    """
    trial = replace(command, dry_run=True, key=None)
    try:
        await retry_while_unknown(lambda: get_service(request).record(trial), waits=waits)
    except VersionMismatch as refusal:
        return [refusal, *await dry_run_refusals(request, replace(command, if_match=None), waits=waits)]
    except SHOWN_REFUSALS as refusal:
        return [refusal]
    return []


async def _stands_already(request: Request, target: FormTarget, command: RecordFacts) -> bool:
    """Returns whether a fact that is alike stands, which another form recorded. Sealed texts are not compared."""
    fact = command.facts[0]
    if isinstance(fact, Correction) or recorded_under_key(request, command, target.events, target.context.site_id):
        return False
    members = set(target.alike_by) if target.alike_by else None
    stated = fact.model_dump(mode="json", include=members)
    earlier_facts = await target.find_alike(stated) if target.find_alike else target.earlier_facts(type(fact))
    return any(earlier.model_dump(mode="json", include=members) == stated for earlier in earlier_facts)
