"""The facts that one page states about several visits: the visits, the commands, and what stands against them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import groupby

from fastapi import Request

from shared.contracts.event import Event
from shared.contracts.follow_up import ReminderAcknowledged, ReminderSnoozed
from shared.contracts.toxicity import VISIT_NUMBER
from shared.eventstore.command import RecordFacts, VersionGuard
from shared.eventstore.role_check import retry_while_unknown
from shared.kernel.errors import Fault, FormRejected, NotFound, RequestError, VersionMismatch, parameter_error
from shared.kernel.ids import LOCAL_ID, normalize_participant_id
from shared.ui.forms import addresses
from shared.ui.forms.confirmation import answers_digest, is_confirmed
from shared.ui.forms.entries import PostedForm
from shared.ui.forms.faults import validation_faults
from shared.ui.forms.reading import FormReading
from shared.ui.forms.recording import dry_run_refusals, find_events_of_key, is_repeat
from shared.ui.forms.targets import POSSIBLE_DUPLICATE, ParticipantState, load_participant_state
from shared.validation.json_parsing import canonical_json
from shared.web.entity_tags import version_tag
from shared.web.fact_recording import request_identity
from shared.web.service import get_service

SERVICE = "followup"
ReminderFact = ReminderAcknowledged | ReminderSnoozed
_WRONG_VISIT = "Give a participant and the number of a visit, such as K7F2-9QXA-3.1; of a course K7F2-9QXA-3.1.RT2."
_CHANGED = (
    "The participant's record has changed since you opened this page. Record again only if yours is another fact."
)
_VISIT = re.compile(rf"([0-9A-Z-]{{9,11}})\.({VISIT_NUMBER})(?:\.({LOCAL_ID}))?")
Refusals = Mapping[str, Sequence[RequestError]]
"""Reasons why nothing can be recorded about participants, by their numbers."""
KeyEvents = Mapping[str, Sequence[Event]]
"""Events that a page has recorded under its key, by participant."""


@dataclass(frozen=True, slots=True, order=True)
class ChosenVisit:
    """A visit by its participant, its number, and its course in a study that follows each course."""

    participant_id: str
    number: int
    course_id: str = ""

    @classmethod
    def parse(cls, text: str) -> ChosenVisit:
        """Reads a visit as `<participant>.<number>` or `<participant>.<number>.<course>`. Raises ParameterRejected."""
        match = _VISIT.fullmatch(text)
        try:
            if match is None:
                raise ValueError(_WRONG_VISIT)
            return cls(normalize_participant_id(match[1]), int(match[2]), match[3] or "")
        except ValueError:
            raise parameter_error("visit", _WRONG_VISIT) from None

    def __str__(self) -> str:
        return f"{self.participant_id}.{self.number}{f'.{self.course_id}' if self.course_id else ''}"

    @property
    def label(self) -> str:
        """The visit in words."""
        course = f" of course {self.course_id}" if self.course_id else ""
        return f"{self.participant_id}, visit {self.number}{course}"

    def body(self, until: str) -> dict[str, object]:
        """Returns the body of a fact about the visit."""
        values = {"visit": self.number, "course_id": self.course_id, "until": until}
        return {name: value for name, value in values.items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitStatement:
    """A fact that is stated about the chosen visits, in order. `until`: the text of its day.

    `versions`: the versions of the participants' records when the page was made.
    """

    study_id: str
    fact: type[ReminderFact]
    chosen: Sequence[ChosenVisit]
    until: str
    form: PostedForm
    states: Mapping[str, ParticipantState]
    versions: Mapping[str, int]

    def wrong_answers(self) -> dict[str, list[RequestError]]:
        """Returns what the fact's class objects to, by participant."""
        refusals = dict[str, list[RequestError]]()
        for visit in self.chosen:
            for fault in validation_faults(self.fact, FormReading(body=visit.body(self.until))):
                at_visit = Fault(fault.code, fault.message, f"/{visit}{fault.pointer}")
                refusals.setdefault(visit.participant_id, []).append(FormRejected(faults=[at_visit]))
        return refusals

    @property
    def answers(self) -> Mapping[str, object]:
        """Everything that the page says. It identifies the request of each participant: another list is another one."""
        return {"visits": [str(visit) for visit in self.chosen], "until": self.until}

    def digest(self, versions: Mapping[str, int]) -> str:
        """Returns the digest of the answers and of the versions of the records, which a confirmation is about."""
        present = [f"{visit.participant_id}.{versions.get(visit.participant_id, '')}" for visit in self.chosen]
        return answers_digest(self.form, self.answers, present)

    def key_of(self, participant_id: str) -> str | None:
        """Returns the idempotency key of a participant's facts; None for a page that has lost its key."""
        return f"{self.form.key}.{participant_id}" if self.form.key else None

    def commands(self, member: str) -> Iterator[RecordFacts]:
        """Yields one command per participant. The answers must be valid: call `wrong_answers` first."""
        answers = canonical_json(self.answers)
        for participant_id, group in groupby(self.chosen, key=lambda visit: visit.participant_id):
            visits = list(group)
            facts = tuple(self.fact.model_validate_json(json.dumps(visit.body(self.until))) for visit in visits)
            version = self.versions.get(participant_id)
            path = addresses.json_path(SERVICE, self.study_id, self.fact.type_name, participant_id)
            yield RecordFacts(
                study_id=self.study_id,
                stream_id=participant_id,
                facts=facts,
                pointers=tuple(f"/{visit}" for visit in visits),
                member=member,
                request=request_identity(path, "" if version is None else version_tag(version), answers),
                key=self.key_of(participant_id),
                if_match=None if version is None else VersionGuard(frozenset({version})),
            )

    def possible_duplicates(self, command: RecordFacts) -> list[Fault]:
        """Returns a question for each fact that equals one that stands."""
        standing = self.states[command.stream_id or ""].own.facts_of(self.fact)
        pairs = zip(command.facts, command.pointers, strict=True)
        return [
            Fault(POSSIBLE_DUPLICATE.code, POSSIBLE_DUPLICATE.message, pointer)
            for stated, pointer in pairs
            if stated in standing
        ]


async def find_refusals(
    request: Request, statement: VisitStatement, commands: Sequence[RecordFacts], recorded: KeyEvents
) -> Refusals:
    """Returns why commands would be refused. Skips participants about whom this page has recorded already, so that a
    double click is no error.

    On the button `record`, an equal fact that stands asks for one more click.
    """
    refusals = dict[str, Sequence[RequestError]]()
    is_record = statement.form.button[0] == "record"
    asks = is_record and not is_confirmed(statement.form, statement.digest(statement.versions))
    for command in commands:
        if command.stream_id in recorded:
            continue
        reasons = await dry_run_refusals(request, command, waits=is_record)
        if asks and (questions := statement.possible_duplicates(command)):
            reasons.append(FormRejected(POSSIBLE_DUPLICATE.message, faults=questions))
        if reasons:
            refusals[command.stream_id or ""] = reasons
    return refusals


def find_recorded(request: Request, statement: VisitStatement, visits: Sequence[ChosenVisit]) -> KeyEvents:
    """Returns what the key of the page has recorded. `visits`: all visits of the page, ticked or not."""
    recorded = dict[str, Sequence[Event]]()
    for participant_id, state in statement.states.items():
        if key := statement.key_of(participant_id):
            keyed = RecordFacts(
                study_id=statement.study_id,
                stream_id=participant_id,
                facts=(statement.fact.model_construct(visit=1),) * len(visits),
                pointers=(),
                member=request.state.caller.subject,
                key=key,
            )
            events = find_events_of_key(request, keyed, state.stream.events, state.site_id)
            if stated := [event for event in events if event.type == statement.fact.type_name]:
                recorded[participant_id] = stated
    return recorded


async def is_same_page(request: Request, recorded: KeyEvents, commands: Sequence[RecordFacts]) -> bool:
    """Returns whether the answers are those under which the page has recorded what it did."""
    by_participant = {command.stream_id: command for command in commands}
    if not recorded.keys() <= by_participant.keys():
        return False
    return all([await is_repeat(request, by_participant[participant_id]) for participant_id in recorded])


async def record_each(request: Request, commands: Sequence[RecordFacts]) -> Refusals:
    """Records the facts of each participant. Returns the refusals: nothing is recorded about these participants."""
    refusals = dict[str, Sequence[RequestError]]()
    for command in commands:
        try:
            await _record(request, command)
        except RequestError as refusal:
            refusals[command.stream_id or ""] = [refusal]
    return refusals


async def _record(request: Request, command: RecordFacts) -> None:
    await retry_while_unknown(lambda: get_service(request).record(command), waits=True)


async def with_changed_records(request: Request, statement: VisitStatement, refusals: Refusals) -> VisitStatement:
    """Returns the statement with the records that changed after the page was made, as they are now."""
    states = dict(statement.states)
    for participant_id, reasons in refusals.items():
        if any(isinstance(reason, VersionMismatch) for reason in reasons):
            with suppress(NotFound):  # transferred to another site at this moment: the record as it was known here
                states[participant_id] = await load_participant_state(request, statement.study_id, participant_id, "")
    return replace(statement, states=states)


def faults_at(visit: ChosenVisit, refusals: Refusals) -> Iterator[Fault]:
    """Yields what stands against a visit: the pointers begin at its fact."""
    for refusal in refusals.get(visit.participant_id, ()):
        for fault in _faults_in_words(refusal):
            first, _, pointer = fault.pointer.removeprefix("/").partition("/")
            if first in ("", str(visit)):
                yield Fault(fault.code, fault.message, pointer)


def _faults_in_words(refusal: RequestError) -> Sequence[Fault]:
    if isinstance(refusal, VersionMismatch):
        return [Fault(refusal.code, _CHANGED)]
    return refusal.faults or [Fault(refusal.code, refusal.title)]
