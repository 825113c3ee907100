"""The single command path of every fact of every service: who may, what is there, does it stand, keep it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from shared.contracts.event import Event, history
from shared.eventstore.judgement import Judgement
from shared.eventstore.known import Known, Memory
from shared.eventstore.sealing import Sealing, opener
from shared.eventstore.statement import Recording, Statement, unacceptable
from shared.eventstore.store import Append, Head, Moved, Recalled, SearchKeyTaken, Store, StreamMoved, StudyMoved, Unit
from shared.eventstore.studies import Studies, StudyState
from shared.kernel.clock import Clock
from shared.kernel.fact import Fact, Stated
from shared.kernel.ids import event_id_for, new_event_id, new_participant_id
from shared.kernel.record import Judged, Record, Refused, standing
from shared.kernel.refusal import (
    AlreadyRegistered,
    Busy,
    Fault,
    NotFound,
    NotKnownYet,
    NotYourRole,
    Refusal,
    Unacceptable,
    VersionMismatch,
)
from shared.kernel.sealed import texts
from shared.security.grants import EVERY_SITE
from shared.security.tenancy import Tenant
from shared.security.vault import Vault

ATTEMPTS = 4
WAITS_FOR_OTHERS = 2.0
"""Seconds that a statement waits, if it asks for it, until this service knows what another one published."""
OWN_VERSIONS = {"5", "7"}
"""Of the UUIDs that name events, as their fifteenth character tells."""


class _OnlyTried(Exception):
    """Undoes the append of a dry run."""


@dataclass(frozen=True)
class Recorder:
    """`judgements[True]` judges the study's own stream, `judgements[False]` a participant's.

    `registers`: studies, grants and participants are this service's own facts; elsewhere it has them from another,
    and what it does not know may be on its way.
    """

    store: Store
    studies: Studies
    judgements: Mapping[bool, Judgement]
    vault: Vault
    clock: Clock
    memory: Memory = field(default_factory=Memory)
    registers: bool = True

    async def record(self, statement: Statement) -> Recording:
        """Raise a Refusal, or the recording: the same one for the same request under the same key."""
        waited, pause = 0.0, 0.01
        while True:
            try:
                async with self.memory.turn(statement.study_id, statement.stream_id):
                    return await self._recorded(statement)
            except NotKnownYet:
                if statement.after is None or waited >= WAITS_FOR_OTHERS:
                    raise
            await asyncio.sleep(pause)
            waited, pause = waited + pause, min(2 * pause, 0.1)

    async def _recorded(self, statement: Statement) -> Recording:
        study = await self.studies.current(statement.study_id)
        if known := self.memory.recall(statement.study_id, statement.stream_id):
            try:
                return await _Attempt(self, statement, study).on(known)
            except (Refusal, Moved, SearchKeyTaken):  # by memory nothing is refused
                self.memory.forget(statement.study_id, statement.stream_id)
        try:
            return await self._attempts(statement, study)
        except Refusal:
            fresh = await self.studies.reload(statement.study_id)
            if fresh.version == study.version:
                raise
            return await self._attempts(statement, fresh)

    async def _attempts(self, statement: Statement, study: StudyState) -> Recording:
        for attempt in range(ATTEMPTS):
            try:
                return await _Attempt(self, statement, study).anew()
            except SearchKeyTaken:
                raise AlreadyRegistered from None
            except StreamMoved:
                pass  # whether If-Match still allows it, the next attempt finds out
            except Moved:
                study = await self.studies.reload(statement.study_id)
            await asyncio.sleep(random.uniform(0, 0.01 * 2**attempt))  # noqa: S311 - jitter
        raise Busy


class _Attempt:
    """One pass over one statement, by the study's facts as they are known."""

    def __init__(self, recorder: Recorder, statement: Statement, study: StudyState) -> None:
        self._by, self._said, self._study = recorder, statement, study
        self._judgement = recorder.judgements[statement.stream_id == statement.study_id]
        self._rights = study.rights(statement.by)
        self._opens_study = statement.opens_study and study.version == 0
        self._unseen = NotFound if recorder.registers else NotKnownYet

    async def on(self, known: Known) -> Recording:
        """By memory: the stream is where it was, or the append finds that it is not."""
        site = known.recalled.head.site_id
        scopes = self._scopes()
        if not scopes & {EVERY_SITE, site}:
            raise self._unseen
        if self._may_be_known(known) or self._is_behind(known.recalled) or self._judgement.others(self._said.facts):
            raise Moved  # it is looked into
        tenant = Tenant(self._said.study_id, EVERY_SITE if EVERY_SITE in scopes else site or "")
        return await self._settled(tenant, known.at(self._study.version), known.recalled.events[0].stream_id)

    def _may_be_known(self, known: Known) -> bool:
        """Said before, under an event's own id, or under a key that was another site's before a transfer?"""
        if not (key := self._said.key):
            return False
        if known.stated_at - {known.recalled.head.site_id}:
            return True
        return key[14:15] in OWN_VERSIONS and any(str(stated.event_id) == key for stated in known.judged.history)

    async def anew(self) -> Recording:
        """By what is recorded now, looked for under each scope of the caller's."""
        said = self._said
        stream_id = said.stream_id or new_participant_id()
        for tenant in [Tenant(said.study_id)] if self._opens_study else self._tenants():
            async with self._by.store.unit(tenant) as unit:
                recalled = await self._recalled(unit, stream_id)
                if said.stream_id and not recalled.head.is_there and not self._opens_study:
                    continue
                if self._is_behind(recalled):
                    raise NotKnownYet
                self._authorise(self._judgement.site(recalled.head, said.facts))
                if before := await self._recorded_before(unit, recalled):
                    return before
                recalled = replace(recalled, others=await self._others(unit))
            return await self._settled(tenant, Known.of(recalled, self._judgement.rules), stream_id)
        raise self._unseen

    async def _others(self, unit: Unit) -> dict[str, Record]:
        """Participants whom the statement names, and whom these name in turn, as far as the tenant sees them."""
        records: dict[str, Record] = {}
        named = set(self._judgement.others(self._said.facts))
        while named:
            number = named.pop()
            records[number] = standing(history((await unit.recall(number)).events))
            named |= self._judgement.others([stated.fact for stated in records[number].stated]) - records.keys()
        return records

    def _is_behind(self, recalled: Recalled) -> bool:
        """Has this service yet to hear of what the statement comes after?"""
        return not self._by.registers and recalled.head.known < (self._said.after or 0)

    async def _recalled(self, unit: Unit, stream_id: str) -> Recalled:
        said = self._said
        site = self._judgement.site(Head(), said.facts) if said.stream_id is None else None
        recalled = await unit.recall(stream_id, key=said.key, key_site=site or EVERY_SITE)
        if recalled.study_version != self._study.version:
            raise StudyMoved
        return recalled

    def _scopes(self) -> frozenset[str]:
        """Sites at which the caller may see the stream or state the facts; '*' is every site."""
        if not self._rights.grants and self._said.opens_study:
            taken = "There is a study of that id."
            raise Unacceptable(taken, code="study-exists", faults=[Fault("study-exists", taken, "/study_id")])
        if not self._rights.grants:
            raise self._unseen
        stating = [self._rights.sites(fact.by) for fact in self._said.facts]
        if not all(stating):
            raise NotYourRole
        return frozenset.union(self._rights.visible, *stating)

    def _tenants(self) -> list[Tenant]:
        scopes = self._scopes()
        if self._said.stream_id is None:
            scopes &= {EVERY_SITE, self._judgement.site(Head(), self._said.facts)}
            if not scopes:
                raise NotYourRole
        return [
            Tenant(self._said.study_id, site) for site in ([EVERY_SITE] if EVERY_SITE in scopes else sorted(scopes))
        ]

    def _authorise(self, site: str | None) -> None:
        if not self._opens_study and not all(self._rights.at(site, fact.by) for fact in self._said.facts):
            raise NotYourRole

    async def _recorded_before(self, unit: Unit, recalled: Recalled) -> Recording | None:
        """The stored outcome of this key, or the event that the key names, if this is the same statement again."""
        if recalled.outcome is None:
            return await self._exported(unit, recalled)
        if recalled.outcome.fingerprint != self._fingerprint():
            raise Unacceptable("The idempotency key was used for another request.", code="idempotency-key-reused")
        return Recording.of(self._said.study_id, recalled.outcome.answer)

    async def _exported(self, unit: Unit, recalled: Recalled) -> Recording | None:
        event = next((event for event in recalled.events if str(event.event_id) == self._said.key), None)
        if event is None:
            return None
        opened = opener(self._by.vault, await self._own_key(unit, event))
        facts = [(fact.type_name, fact.model_dump(mode="json"), dict(texts(fact))) for fact in self._said.facts]
        if facts != [(event.type, event.content, dict(opened(event)))]:
            raise Unacceptable("The key is the id of an event that says something else.", code="idempotency-key-reused")
        return Recording(
            event.study_id, event.stream_id, event.version, (event.event_id,), event.recorded_at, replayed=True
        )

    async def _own_key(self, unit: Unit, event: Event) -> bytes | None:
        """None for who may not read the event's texts: whether they guessed them they are not told either."""
        return await unit.data_key(event.stream_id) if self._rights.has_site(event.site_id or "") else None

    async def _settled(self, tenant: Tenant, known: Known, stream_id: str) -> Recording:
        """Decided, sealed and kept."""
        said, recalled = self._said, known.recalled
        site = self._judgement.site(recalled.head, said.facts)
        self._authorise(site)
        if said.if_match and not said.if_match.allows(recalled.head.version, recalled.head.is_there):
            raise VersionMismatch(recalled.head.version)
        event_ids = self._event_ids(site)
        judged = self._decided(known, event_ids, site)
        version = recalled.head.version + len(said.facts)
        recording = Recording(said.study_id, stream_id, version, event_ids, self._by.clock.now())
        sealing = Sealing(self._by, said, self._study, self._judgement, self._rights)
        proposal, data_key = await sealing.proposal(tenant, known, judged, recording, site, self._fingerprint)
        if said.dry_run:
            await self._tried(tenant, proposal)
            return recording
        await self._by.store.append(tenant, proposal)
        if stream_id != said.study_id:
            self._by.memory.remember(said.study_id, stream_id, known.after(proposal, judged, data_key))
        return recording

    async def _tried(self, tenant: Tenant, proposal: Append) -> None:
        """A dry run meets what only the store knows, and leaves nothing."""
        try:
            async with self._by.store.unit(tenant) as unit:
                await unit.append(proposal)
                raise _OnlyTried
        except _OnlyTried:
            return

    def _fingerprint(self) -> bytes:
        return self._by.vault.fingerprint(self._said.request)

    def _event_ids(self, site: str | None) -> tuple[UUID, ...]:
        said = self._said
        if said.key is None:
            return tuple(new_event_id() for _ in said.facts)
        scope = f"{said.study_id}/{self._by.store.service}/{site or EVERY_SITE}/{said.key}"
        return tuple(event_id_for(scope, place) for place in range(len(said.facts)))

    def _decided(self, known: Known, event_ids: Sequence[UUID], site: str | None) -> Judged:
        said = self._said
        proposed: list[Stated[Fact]] = [Stated(*pair) for pair in zip(event_ids, said.facts, strict=True)]
        gate = self._judgement.gate(said.study_id, self._study.record, known.recalled, site)
        try:
            return known.judged.with_all(proposed, self._judgement.rules, gate)
        except Refused as refused:
            early = not self._by.registers and said.after is None
            raise unacceptable(refused, proposed, said.pointers, may_be_on_its_way=early) from None
