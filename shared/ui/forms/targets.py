"""Targets of forms: the fact, the record that it is added to, and the facts that are known when the form is made."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fastapi import Request
from pydantic import BaseModel

from shared.contracts.event import Event, stated_facts
from shared.eventstore.role_check import retry_while_unknown
from shared.eventstore.store import LoadedStream
from shared.eventstore.study_cache import StudyState
from shared.gate.study_timeline import find_site, study_day
from shared.kernel.errors import Fault, Forbidden, NotFound, NotKnownYet
from shared.kernel.fact import Correction, Fact
from shared.kernel.partial_date import PartialDate
from shared.kernel.record import Record, current_record
from shared.postgres.tenancy import EVERY_SITE
from shared.security.grants import Rights
from shared.ui.forms.context import FormContext
from shared.ui.forms.current_values import current_values
from shared.ui.forms.entries import Entries, Pair
from shared.ui.forms.fields import Group, fact_fields
from shared.ui.forms.presets import Preset
from shared.ui.forms.suggestions import suggestions
from shared.ui.forms.words import FactLine
from shared.web.read_access import TextsByVersion, load_caller_rights, load_visible_stream
from shared.web.service import get_service

POSSIBLE_DUPLICATE = Fault(
    "recorded-already", "An equal fact stands already. Record it again only if it happened twice."
)
_SENTENCE_END = re.compile(r"(?<=[.]) ")
_CLAUSE_END = re.compile(r"[.:,] ")
FactsOf = Callable[[Any], Sequence[Fact]]
"""Returns the facts that a validated body states."""
FindEffects = Callable[[Mapping[str, Any]], Awaitable[Sequence[FactLine]]]
"""Returns what a fact with these members stops, in words."""
FindDuplicates = Callable[[Mapping[str, Any]], Awaitable[Sequence[Fact]]]
"""Returns the facts that one with these members may repeat."""


def _single_fact(fact: Any) -> Sequence[Fact]:
    return [fact]


@dataclass(frozen=True, kw_only=True)
class FactForm:
    """The form of one class: the fields of its body, and the heading and explanation above them.

    `requires_check`: it records only after a page that shows what the fact stops. `date_name`: the name of the field of
    its clinical date; an empty text if there is none.
    """

    model: type[Any]
    fields: Group
    heading: str
    explanation: str = ""
    requires_check: bool = False
    date_name: str = ""


def fact_form(fact: type[Fact], model: type[BaseModel] | None = None) -> FactForm:
    """Returns the form of a fact. `model`: the class of the body, where that is not the fact alone."""
    body: type[BaseModel] = model or fact
    return FactForm(
        model=body,
        fields=fact_fields(body),
        heading=fact_heading(fact),
        explanation=fact_explanation(fact),
        requires_check=fact.requires_check,
        date_name=fact.date_field or "",
    )


@dataclass(frozen=True, kw_only=True)
class FormTarget:
    """The fact that a form states, and where.

    `rights`: those of the caller in the study; none in a study that the form opens. `stream_id` is None for a new
    participant. `json_path`: the JSON route that states the same. `constants`: values
    that are shown and not asked for. `base`: what the form adds to the body. `prefilled`: names and values of its
    fields. `replacement`: type and version of the fact that the form corrects; None for other forms. `is_void`: that
    fact is void now. `content_before`: its content. `duplicate_members`: members by which an earlier fact may be the
    same one, so that the form asks `possible_duplicate`; None: all members. `find_duplicates`: finds such facts
    outside of the record. `presets`:
    choices that fill all its fields. `find_effects`: counts what the fact stops, for its check.
    """

    service: str
    study_id: str
    stream_id: str | None
    rights: Rights
    form: FactForm
    json_path: str
    context: FormContext
    version: int | None = None
    events: Sequence[Event] = ()
    presets: Sequence[Preset] = ()
    find_effects: FindEffects | None = None
    duplicate_members: frozenset[str] | None = None
    find_duplicates: FindDuplicates | None = None
    possible_duplicate: Fault = POSSIBLE_DUPLICATE
    constants: Mapping[str, str] = field(default_factory=dict)
    base: Mapping[str, Any] = field(default_factory=dict)
    prefilled: Sequence[Pair] = ()
    replacement: Mapping[str, Any] | None = None
    is_void: bool = False
    content_before: Mapping[str, Any] = field(default_factory=dict)
    facts_of: FactsOf = _single_fact
    opens_study: bool = False

    @property
    def participant_id(self) -> str:
        """Number of the participant; an empty text for a study's fact and for a new participant."""
        return self.stream_id if self.stream_id and self.stream_id != self.study_id else ""

    def earlier_facts(self, fact: type[Fact]) -> Sequence[Fact]:
        """Returns the facts of this kind that stand in the record that the form adds to."""
        return (self.context.own if self.participant_id else self.context.study).facts_of(fact)


def fact_heading(fact: type[Fact]) -> str:
    """Returns the heading of a fact, or else the first words of its description, such as "Closure of a site"."""
    return fact.heading or _CLAUSE_END.split(" ".join((fact.__doc__ or fact.type_name).split()), maxsplit=1)[0].rstrip(
        "."
    )


def fact_explanation(fact: type[Fact]) -> str:
    """Returns the description of a fact without its heading and without sentences about codes of the interface."""
    text = " ".join((fact.__doc__ or "").split())
    sentences = [sentence for sentence in _SENTENCE_END.split(text) if "`" not in sentence]
    return "" if sentences[:1] == [f"{fact_heading(fact)}."] and len(sentences) == 1 else " ".join(sentences)


def require_role_in_study(rights: Rights, fact: type[Fact]) -> frozenset[str]:
    """Returns the sites at which the member may state the fact; `*` is every one. Raises Forbidden."""
    sites = rights.sites_with_role(fact.stated_by_roles)
    if not sites:
        raise Forbidden
    return sites


@dataclass(frozen=True, kw_only=True)
class ParticipantState:
    """A participant as the service knows it, and the caller's rights."""

    rights: Rights
    study: StudyState
    stream: LoadedStream
    texts: TextsByVersion
    own: Record

    @property
    def site_id(self) -> str:
        return self.stream.head.site_id or ""

    @property
    def reads_texts(self) -> bool:
        """True if the caller reads the sealed texts of the participant's site."""
        return self.rights.is_site_staff(self.site_id)

    @property
    def may_correct(self) -> bool:
        """True if the caller may correct facts of the participant."""
        return self.rights.has_role_at(self.site_id, Correction.stated_by_roles)

    def require_role_at_site(self, fact: type[Fact]) -> None:
        """Raises Forbidden unless the caller may state the fact at the participant's site."""
        if not self.rights.has_role_at(self.site_id, fact.stated_by_roles):
            raise Forbidden

    @property
    def enrollment(self) -> Record:
        return self.own if self.stream.foreign_facts is None else self.stream.foreign_facts


async def load_participant_state(request: Request, study_id: str, participant_id: str, after: str) -> ParticipantState:
    """Loads a participant, and waits on request until this service knows the version that `after` names.

    Raises NotFound alike for what does not exist, what the caller may not see, and what has not arrived.
    """
    wanted = int(after.rpartition("=")[2] or 0)

    async def attempt() -> ParticipantState:
        try:
            rights, study = await load_caller_rights(request, study_id)
            stream, texts = await load_visible_stream(request, study_id, participant_id)
        except NotFound:
            raise NotKnownYet from None
        if stream.head.enrollment_version < wanted and stream.foreign_facts is not None:
            raise NotKnownYet
        own = current_record(stated_facts(stream.events))
        return ParticipantState(rights=rights, study=study, stream=stream, texts=texts, own=own)

    try:
        return await retry_while_unknown(attempt, waits=bool(wanted))
    except NotKnownYet:
        message = "Not here, not yours, or not here yet: if it was recorded a moment ago, try again."
        raise NotFound(message) from None


def zone_of_site(study: Record, site_id: str | None) -> str:
    """Returns the time zone of a site; UTC for facts of the study, which has no clock of its own."""
    site = find_site(study, site_id) if site_id else None
    return site.time_zone if site else "UTC"


def participant_context(request: Request, study_id: str, state: ParticipantState) -> FormContext:
    """Returns what the forms of a participant offer."""
    clock = get_service(request).clock
    return FormContext(
        study=state.study.record,
        enrollment=state.enrollment,
        own=state.own,
        today=study_day(clock, study_id, state.study.record, state.site_id, clock.now()),
        zone=zone_of_site(state.study.record, state.site_id),
        site_id=state.site_id,
    )


def study_context(request: Request, study_id: str, study: Record, sites: frozenset[str]) -> FormContext:
    """Returns what the forms of a study, and of a new participant, offer."""
    clock = get_service(request).clock
    return FormContext(
        study=study,
        today=study_day(clock, study_id, study, None, clock.now()),
        sites=None if EVERY_SITE in sites else sites,
    )


def with_typed_day(context: FormContext, fact: type[Fact], entries: Entries) -> FormContext:
    """Returns what is offered for the day, the course and whatever else the form gives."""
    toxicity = entries.within("protocol").within("toxicity")
    return replace(
        context,
        stated_on=parse_typed_date(entries.last_value(fact.date_field or "")),
        course_id=entries.last_value("course_id"),
        country=entries.last_value("country"),
        chosen_dictionary=toxicity.last_value("dictionary"),
        current_values=current_values(context.own, fact, entries.last_value("serious_event_id")),
        suggestions=suggestions(context, fact),
    )


def parse_typed_date(text: str) -> PartialDate | None:
    """Returns a date as it was typed; None for a text that is none."""
    try:
        return PartialDate.parse(text)
    except ValueError:
        return None
