"""Forms whose key has recorded something already: what it recorded, and where to correct that."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fastapi import Request

from shared.contracts.event import Event
from shared.kernel.fact import Correction, Fact
from shared.postgres.tenancy import EVERY_SITE, Tenant
from shared.ui.forms import addresses
from shared.ui.forms.entries import PostedForm
from shared.ui.forms.offers import worded_offers
from shared.ui.forms.pages import FormNotice, FormReply
from shared.ui.forms.reading import FormReading
from shared.ui.forms.recorded_values import describe_recorded
from shared.ui.forms.recording import SHOWN_REFUSALS, find_event_of_key, form_command, is_repeat, read_facts
from shared.ui.forms.targets import FormTarget
from shared.ui.navigation import Link
from shared.web.service import get_service

RECORDED_ALREADY = "This form was recorded already."
IS_CORRECTION = "What you changed since then is a correction."
IS_PARTIAL = "The other visits are not recorded yet."
IS_REPEAT = "To record it again records nothing more."


@dataclass(frozen=True, slots=True)
class UsedKey:
    """The event that the key of a form recorded; None where the caller no longer sees it.

    `stated`: the fact that the form states now. `is_repeat`: the answers are those that were recorded.
    """

    event: Event | None
    stated: Fact
    is_repeat: bool = False


async def load_key_events(request: Request, study_id: str, key: str, sites: Iterable[str | None]) -> Sequence[Event]:
    """Returns the events of the participant or study about which the key of a form recorded something.

    `sites`: those at which the caller may state the fact; None for facts of the study.
    """
    service = get_service(request)
    stored_key = service.command_handler.event_key.stored_key(service.name, study_id, key)
    for site in sites if key else ():
        async with service.store.unit(Tenant(study_id, site) if site else Tenant(study_id)) as unit:
            names = {"key": stored_key, "clear_key": key, "key_site": site or EVERY_SITE}
            outcome = (await unit.load_stream(study_id, **names)).outcome
            if outcome:
                return (await unit.load_stream(outcome.answer["stream_id"])).events
    return ()


async def load_opening_events(request: Request, study_id: str, key: str) -> Sequence[Event]:
    """Returns the events of the study that the caller opened under the key of a form.

    This may be another study than the one that the form names now, `study_id`.
    """
    service = get_service(request)
    opening_key = service.command_handler.event_key.opening_key(service.name, request.state.caller.subject, key)
    async with service.store.unit(Tenant(study_id)) as unit:
        opened = await unit.find_opened_study(opening_key)
    return await load_key_events(request, opened or study_id, key, [None])


async def find_used_key(request: Request, target: FormTarget, form: PostedForm, reading: FormReading) -> UsedKey | None:
    """Returns what the key of a form recorded; None if it recorded nothing, or if the answers are not valid."""
    try:
        facts, parsed = read_facts(request, target, reading)
    except SHOWN_REFUSALS:
        return None
    command = form_command(request, target, form, facts, parsed)
    event = find_event_of_key(request, command, target.events, target.context.site_id)
    return UsedKey(event, facts[0], await is_repeat(request, command)) if event else None


def used_key_reply(
    target: FormTarget, form: PostedForm, reading: FormReading, used_key: UsedKey | None, *, status: int
) -> FormReply:
    """Returns the form with links to what its key recorded, and to the correction of that."""
    links, text = list[Link](), RECORDED_ALREADY
    if used_key and used_key.event:
        links = recorded_links(target.service, used_key.event.study_id, used_key.event)
        fields = target.form.fields if target.replacement else None
        offers = worded_offers(target.context)
        text = (
            f"This form was {describe_recorded(used_key.event, used_key.stated, target.context.zone, fields, offers)}."
        )
    ending = IS_REPEAT if used_key and used_key.is_repeat else IS_CORRECTION
    return FormReply(form=form, reading=reading, notice=FormNotice(text=f"{text} {ending}", links=links), status=status)


def recorded_links(service: str, study_id: str, event: Event, subject: str = "") -> list[Link]:
    """Returns links to what a form recorded and, of a participant's fact, to its correction.

    `subject`: what the fact is about, for a page with several.
    """
    event_id = event.content["event_id"] if event.type == Correction.type_name else event.event_id
    participant = "" if event.is_study_event else event.stream_id
    ending = f": {subject}" if subject else ""
    links = [Link(addresses.event_url(service, study_id, event_id, participant), f"What this form recorded{ending}")]
    if participant:
        url = addresses.correction_url(service, study_id, participant, event_id)
        links.append(Link(url, f"Correct it{ending}"))
    return links
