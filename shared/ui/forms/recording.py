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
from shared.ui.forms.confirmation import answers_digest, is_confirmed
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


async def try_form(request: Request, target: FormTarget, form: PostedForm, reading: FormReading) -> None:
    """Raises what `record_form` would raise, but for the question about a possible duplicate. Records nothing."""
    facts, parsed = read_facts(request, target, reading)
    command = form_command(request, target, form, facts, parsed)
    await get_service(request).record(replace(command, dry_run=True))


async def record_form(request: Request, target: FormTarget, form: PostedForm, reading: FormReading) -> RecordedFacts:
    """Records the facts of a form, once for its key. Raises RequestError."""
    facts, parsed = read_facts(request, target, reading)
    command = form_command(request, target, form, facts, parsed)
    is_asked = is_confirmed(form, answers_digest(form, reading.body))
    waits = command.after is None  # else the command waits by itself
    if not is_asked and await _has_possible_duplicate(request, target, command):
        trial = replace(command, dry_run=True)  # nobody is asked about a fact that is refused, whatever they answer
        outcome = await retry_while_unknown(lambda: get_service(request).record(trial), waits=waits)
        if not outcome.replayed:  # else it was recorded by another click after `target` was loaded
            raise FormRejected(target.possible_duplicate.message, faults=[target.possible_duplicate])
    return await retry_while_unknown(lambda: get_service(request).record(command), waits=waits)


async def has_possible_duplicate(request: Request, target: FormTarget, form: PostedForm, reading: FormReading) -> bool:
    """Returns whether a fact stands that may be the one of the form. Raises RequestError for wrong answers."""
    facts, parsed = read_facts(request, target, reading)
    return await _has_possible_duplicate(request, target, form_command(request, target, form, facts, parsed))


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


def find_events_of_key(
    request: Request, command: RecordFacts, events: Sequence[Event], site_id: str | None
) -> list[Event]:
    """Returns the events that a form with the key of the command recorded, at whatever site.

    `site_id`: the present site of the participant; None for facts of the study.
    """
    service = get_service(request)
    if events:  # a key that has opened another study
        command = replace(command, study_id=events[0].study_id)
    key = RequestKey(command, service.name, service.command_handler.event_key)
    sites = {site_id, *(event.site_id for event in events)}
    event_ids = {event_id for site in sites for event_id in key.event_ids(site)}
    return [event for event in events if event.event_id in event_ids]


def find_event_of_key(
    request: Request, command: RecordFacts, events: Sequence[Event], site_id: str | None
) -> Event | None:
    """Returns the first event that a form with the key of the command recorded; None if it recorded none."""
    return next(iter(find_events_of_key(request, command, events, site_id)), None)


async def is_repeat(request: Request, command: RecordFacts) -> bool:
    """Returns whether the command is the one that was recorded under its key."""
    try:
        return (await get_service(request).record(replace(command, dry_run=True))).replayed
    except SHOWN_REFUSALS:
        return False


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


async def _has_possible_duplicate(request: Request, target: FormTarget, command: RecordFacts) -> bool:
    """Returns whether a fact that may be the same stands, which another form recorded. Compares no sealed texts."""
    fact = command.facts[0]
    if isinstance(fact, Correction) or find_event_of_key(request, command, target.events, target.context.site_id):
        return False
    members = set(target.duplicate_members) if target.duplicate_members else None
    stated = fact.model_dump(mode="json", include=members)
    earlier_facts = await target.find_duplicates(stated) if target.find_duplicates else target.earlier_facts(type(fact))
    return any(earlier.model_dump(mode="json", include=members) == stated for earlier in earlier_facts)
