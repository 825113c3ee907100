"""The single command path of every fact of every service: who may, what is there, does it stand, keep it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NoReturn, Protocol
from uuid import UUID

from shared.contracts.event import Event, history
from shared.eventstore.statement import Recording, Statement, unacceptable
from shared.eventstore.store import (
    Append,
    Head,
    Moved,
    Outcome,
    Recalled,
    SearchKeyTaken,
    Store,
    StreamMoved,
    StudyMoved,
    Unit,
)
from shared.eventstore.studies import Studies, StudyState
from shared.kernel.clock import Clock
from shared.kernel.fact import Corrected, Fact, Stated
from shared.kernel.ids import event_id_for, new_event_id, new_participant_id
from shared.kernel.record import Gate, Record, Refused, Rules, decide
from shared.kernel.refusal import (
    AlreadyRegistered,
    Busy,
    NotFound,
    NotYourRole,
    Refusal,
    Unacceptable,
    VersionMismatch,
)
from shared.kernel.sealed import texts
from shared.security.grants import EVERY_SITE, Rights, rights
from shared.security.tenancy import Tenant
from shared.security.vault import Vault

ATTEMPTS = 4


Open = Callable[[Event], Mapping[str, str]]


class Judgement(Protocol):
    """What a service knows of one kind of stream: its rules, its gate, and the view that it keeps of it."""

    @property
    def rules(self) -> Rules: ...

    def site(self, head: Head, facts: Sequence[Fact]) -> str | None:
        """The site that states: that of the stream, or, for a new one, the one its first fact names."""
        ...

    def gate(self, study_id: str, study: Record, recalled: Recalled, site_id: str | None) -> Gate: ...

    def head(self, recalled: Recalled, record: Record, events: Sequence[Event], opened: Open) -> Head:
        """Site, search key and summary after the events; the version is the recorder's to fill in."""
        ...


class Recorder:
    def __init__(
        self, store: Store, studies: Studies, judgements: Mapping[bool, Judgement], vault: Vault, clock: Clock
    ):
        """`judgements[True]` judges the study's own stream, `judgements[False]` a participant's."""
        self._store, self._studies, self._judgements = store, studies, judgements
        self._vault, self._clock = vault, clock

    async def record(self, statement: Statement) -> Recording:
        """Raise a Refusal, or the recording: the same one for the same request under the same key."""
        study = await self._studies.current(statement.study_id)
        try:
            return await self._attempts(statement, study)
        except Refusal:
            fresh = await self._studies.reload(statement.study_id)
            if fresh.version == study.version:
                raise
            return await self._attempts(statement, fresh)

    async def _attempts(self, statement: Statement, study: StudyState) -> Recording:
        for attempt in range(ATTEMPTS):
            try:
                return await _Attempt(self, statement, study).run()
            except SearchKeyTaken:
                raise AlreadyRegistered from None
            except StreamMoved:
                if statement.if_match is not None:
                    raise VersionMismatch from None
            except Moved:
                study = await self._studies.reload(statement.study_id)
            await asyncio.sleep(random.uniform(0, 0.01 * 2**attempt))  # noqa: S311 - jitter
        raise Busy


class _Attempt:
    """One pass over one statement, by the study's facts as they are known."""

    def __init__(self, recorder: Recorder, statement: Statement, study: StudyState) -> None:
        self._store, self._vault, self._clock = recorder._store, recorder._vault, recorder._clock
        self._said, self._study = statement, study
        self._judgement = recorder._judgements[statement.stream_id == statement.study_id]
        self._rights = rights(study.record, statement.by)

    async def run(self) -> Recording:
        if self._opens_the_study():
            return await self._under(Tenant(self._said.study_id)) or self._unseen()
        if not self._rights.grants:
            raise NotFound
        for site in self._tenants():
            recording = await self._under(Tenant(self._said.study_id, site))
            if recording:
                return recording
        return self._unseen()

    def _unseen(self) -> NoReturn:
        raise NotFound

    def _opens_the_study(self) -> bool:
        return self._said.opens_study and self._study.version == 0

    def _tenants(self) -> list[str]:
        """The scopes under which the stream is looked for: every site, or one after the other."""
        said = self._said
        stating = [self._rights.sites(fact.by) for fact in said.facts]
        if not all(stating):
            raise NotYourRole
        sites = frozenset.union(self._rights.visible, *stating)
        if said.stream_id is None:
            sites = sites & {EVERY_SITE, self._judgement.site(Head(), said.facts)}
            if not sites:
                raise NotYourRole
        return [EVERY_SITE] if EVERY_SITE in sites else sorted(sites)

    async def _under(self, tenant: Tenant) -> Recording | None:
        """None if this tenant does not see the stream."""
        said = self._said
        stream_id = said.stream_id or new_participant_id()
        async with self._store.unit(tenant) as unit:
            key_site = self._judgement.site(Head(), said.facts) if said.stream_id is None else None
            recalled = await unit.recall(stream_id, key=said.key, key_site=key_site or EVERY_SITE)
            if recalled.study_version != self._study.version:
                raise StudyMoved
            if said.stream_id is not None and not recalled.head.version and not self._opens_the_study():
                return None
            return await self._decided(unit, stream_id, recalled)

    async def _decided(self, unit: Unit, stream_id: str, recalled: Recalled) -> Recording:
        said, site = self._said, self._judgement.site(recalled.head, self._said.facts)
        if not self._opens_the_study():
            _authorise(self._rights, said.facts, site)
        fingerprint = self._vault.fingerprint(said.request)
        if known := await self._known(unit, recalled, fingerprint):
            return known
        if said.if_match is not None and said.if_match != recalled.head.version:
            raise VersionMismatch
        event_ids = self._event_ids(site)
        record = self._decide(recalled, event_ids, site)
        at, version = self._clock.now(), recalled.head.version + len(said.facts)
        recording = Recording(said.study_id, stream_id, version, event_ids, at)
        if not said.dry_run:
            await self._keep(unit, recalled, record, recording, site, fingerprint)
        return recording

    async def _known(self, unit: Unit, recalled: Recalled, fingerprint: bytes) -> Recording | None:
        """The stored outcome of this key, or the event that the key names, if this is the same statement again."""
        if recalled.outcome is None:
            return await self._exported(unit, recalled)
        if recalled.outcome.fingerprint != fingerprint:
            raise Unacceptable("The idempotency key was used for another request.", code="idempotency-key-reused")
        return Recording.of(self._said.study_id, recalled.outcome.answer)

    async def _exported(self, unit: Unit, recalled: Recalled) -> Recording | None:
        event = next((event for event in recalled.events if str(event.event_id) == self._said.key), None)
        if event is None:
            return None
        opened = await opener(unit, self._vault, [event])
        same = [(event.type, event.content, opened(event))] == [
            (fact.type_name, fact.model_dump(mode="json"), dict(texts(fact))) for fact in self._said.facts
        ]
        if not same:
            raise Unacceptable("The key is the id of an event that says something else.", code="idempotency-key-reused")
        return Recording(event.study_id, event.stream_id, event.version, (event.event_id,), event.recorded_at)

    def _event_ids(self, site: str | None) -> tuple[UUID, ...]:
        said = self._said
        if said.key is None:
            return tuple(new_event_id() for _ in said.facts)
        scope = f"{said.study_id}/{self._store.service}/{site or EVERY_SITE}/{said.key}"
        return tuple(event_id_for(scope, place) for place in range(len(said.facts)))

    def _decide(self, recalled: Recalled, event_ids: Sequence[UUID], site: str | None) -> Record:
        proposed = [Stated(event_id, fact) for event_id, fact in zip(event_ids, self._said.facts, strict=True)]
        gate = self._judgement.gate(self._said.study_id, self._study.record, recalled, site)
        try:
            return decide(history(recalled.events), proposed, self._judgement.rules, gate)
        except Refused as refused:
            raise unacceptable(refused, proposed, self._said.pointers) from None

    async def _keep(
        self, unit: Unit, recalled: Recalled, record: Record, recording: Recording, site: str | None, fingerprint: bytes
    ) -> None:
        said, data_key, wrapped = self._said, None, None
        if any(True for fact in said.facts for _ in texts(fact)):
            known = await unit.data_key(recording.stream_id)
            wrapped = None if known else self._vault.new_data_key()
            data_key = self._vault.unwrap(known or wrapped or b"")
        events = [self._event(recalled, recording, place, site) for place in range(len(said.facts))]
        if data_key:
            events = [self._sealed(event, fact, data_key) for event, fact in zip(events, said.facts, strict=True)]
        own = dict(zip((event.event_id for event in events), (dict(texts(fact)) for fact in said.facts), strict=True))
        opened = await opener(unit, self._vault, recalled.events)
        head = self._judgement.head(
            recalled, record, events, lambda event: own[event.event_id] if event.event_id in own else opened(event)
        )
        await unit.append(
            Append(
                recalled.head.version,
                None if recording.stream_id == said.study_id else self._study.version,
                replace(head, version=recording.version),
                events,
                wrapped,
                said.key,
                site or EVERY_SITE,
                Outcome(fingerprint, recording.answer()) if said.key else None,
            )
        )

    def _event(self, recalled: Recalled, recording: Recording, place: int, site: str | None) -> Event:
        said, fact = self._said, self._said.facts[place]
        meta: dict[str, Any] = {"recorded_by": said.by, "judged_by": {"study_version": self._study.version}}
        if said.traceparent:
            meta["traceparent"] = said.traceparent
        if isinstance(fact, Corrected):
            meta["corrects"] = _corrected(recalled, fact, said, recording)
        return Event(
            said.study_id, self._store.service, recording.stream_id, recalled.head.version + place + 1,
            recording.event_ids[place], fact.type_name, fact.schema_version, site, fact.model_dump_json(),
            recording.recorded_at, meta,
        )  # fmt: skip

    def _sealed(self, event: Event, fact: Fact, data_key: Any) -> Event:
        said = dict(texts(fact))
        if not said:
            return event
        sealed = self._vault.seal(
            data_key, said, study_id=event.study_id, stream_id=event.stream_id, version=event.version
        )
        return replace(event, sealed=sealed)


def _corrected(recalled: Recalled, fact: Corrected, said: Statement, recording: Recording) -> dict[str, Any]:
    """Type and version of the corrected event, which may be one of the same batch."""
    for event in recalled.events:
        if event.event_id == fact.event_id:
            return {"type": event.type, "version": event.version}
    place = recording.event_ids.index(fact.event_id)
    return {"type": said.facts[place].type_name, "version": recalled.head.version + place + 1}


def _authorise(holder: Rights, facts: Sequence[Fact], site: str | None) -> None:
    if not all(holder.at(site, fact.by) for fact in facts):
        raise NotYourRole


async def opener(unit: Unit, vault: Vault, events: Sequence[Event]) -> Open:
    """What opens the sealed texts of a stream's events; the data key is read only where there is something to open."""
    sealed = [event for event in events if event.sealed]
    wrapped = await unit.data_key(sealed[0].stream_id) if sealed else None
    key = vault.unwrap(wrapped) if wrapped else None

    def opened(event: Event) -> Mapping[str, str]:
        if key is None or event.sealed is None:
            return {}
        return vault.open(key, event.sealed, study_id=event.study_id, stream_id=event.stream_id, version=event.version)

    return opened
