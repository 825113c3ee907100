"""The single command path of every fact of every service: who may, what is there, does it stand, keep it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar
from uuid import UUID

from shared.apart import apart
from shared.contracts.event import history
from shared.eventstore.entitlement import once_known
from shared.eventstore.judgement import Judgement
from shared.eventstore.known import Known, Memory
from shared.eventstore.repeats import Repeats
from shared.eventstore.sealing import Sealing
from shared.eventstore.statement import Recording, Statement, refuse_references, unacceptable
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
from shared.kernel.fact import Fact, Stated
from shared.kernel.ids import new_event_id, new_participant_id
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
from shared.security.event_key import EventKey
from shared.security.grants import EVERY_SITE
from shared.security.tenancy import Tenant
from shared.security.vault import Vault

T = TypeVar("T")
ATTEMPTS = 4
OWN_VERSIONS = {"5", "7", "8"}
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
    event_key: EventKey
    memory: Memory = field(default_factory=Memory)
    registers: bool = True

    async def record(self, statement: Statement) -> Recording:
        """Raise a Refusal, or the recording: the same one for the same request under the same key."""

        async def attempt() -> Recording:
            async with self.memory.turn(statement.study_id, statement.stream_id):
                return await self._recorded(statement)

        return await once_known(attempt, waits=statement.after is not None)

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
        return key[14:15] in OWN_VERSIONS and any(
            str(stated.event_id) == key.lower() for stated in known.judged.history
        )

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
                site = self._judgement.site(recalled.head, said.facts)
                self._authorise(site)
                if before := await Repeats(said, self._rights, self._by.vault).find(unit, recalled, site):
                    return before
                recalled = replace(recalled, others=await self._others(unit))
            return await self._settled(tenant, await self._evaluate(recalled), stream_id)
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
        recalled = await unit.recall(stream_id, key=self._stored_key(), clear_key=said.key, key_site=site or EVERY_SITE)
        if recalled.study_version != self._study.version:
            raise StudyMoved
        return recalled

    def _scopes(self) -> frozenset[str]:
        """Sites at which the caller may see the stream or state the facts; '*' is every site."""
        if not self._rights.grants and self._said.opens_study:
            taken = "There is a study with this study_id already. Give another one."
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
        if not self._rights.has_site(site or ""):
            refuse_references(self._said.facts, self._said.pointers)

    async def _settled(self, tenant: Tenant, known: Known, stream_id: str) -> Recording:
        """Decided, sealed and kept."""
        said, recalled = self._said, known.recalled
        site = self._judgement.site(recalled.head, said.facts)
        self._authorise(site)
        if said.if_match and not said.if_match.allows(recalled.head.version, recalled.head.is_there):
            raise VersionMismatch(recalled.head.version)
        event_ids = self._event_ids(site)
        many = len(said.facts)
        judged = await self._apart(many, lambda: self._decided(known, event_ids, site))
        version = recalled.head.version + len(said.facts)
        recording = Recording(said.study_id, stream_id, version, event_ids, self._by.clock.now())
        sealing = Sealing(self._by, said, self._study, self._judgement, self._rights)
        proposal, data_key = await sealing.proposal(tenant, known, judged, recording, site)
        proposal = replace(proposal, **self._keyed(recording, site))
        if said.dry_run:
            await self._tried(tenant, proposal)
            return recording
        await self._by.store.append(tenant, proposal)
        if proposal.yields:  # what became of the search key, only the store knows
            self._by.memory.forget(said.study_id, stream_id)
        elif stream_id != said.study_id:
            after = await self._apart(many, lambda: known.after(proposal, judged, data_key))
            self._by.memory.remember(said.study_id, stream_id, after)
        return recording

    async def _evaluate(self, recalled: Recalled) -> Known:
        return await self._apart(len(recalled.events), lambda: Known.of(recalled, self._judgement.rules))

    async def _apart(self, many: int, work: Callable[[], T]) -> T:
        return await apart(self._said.by, work, if_large=many)

    async def _tried(self, tenant: Tenant, proposal: Append) -> None:
        """A dry run meets what only the store knows, and leaves nothing."""
        try:
            async with self._by.store.unit(tenant) as unit:
                await unit.append(proposal)
                raise _OnlyTried
        except _OnlyTried:
            return

    def _keyed(self, recording: Recording, site: str | None) -> dict[str, Any]:
        """Return what is kept with the append, so that the request is recognized when it comes again."""
        if self._said.key is None:
            return {}
        outcome = Outcome(self._by.vault.fingerprint(self._said.request), recording.answer())
        keys = {"key": self._stored_key(), "clear_key": self._said.key, "key_site": site or EVERY_SITE}
        return {**keys, "outcome": outcome}

    def _event_ids(self, site: str | None) -> tuple[UUID, ...]:
        said = self._said
        if said.key is None:
            return tuple(new_event_id() for _ in said.facts)
        scope = f"{said.study_id}/{self._by.store.service}/{site or EVERY_SITE}/{said.key}"
        return tuple(self._by.event_key.event_id(scope, place) for place in range(len(said.facts)))

    def _stored_key(self) -> str | None:
        said = self._said
        return said.key and self._by.event_key.stored(self._by.store.service, said.study_id, said.key)

    def _decided(self, known: Known, event_ids: Sequence[UUID], site: str | None) -> Judged:
        said = self._said
        proposed: list[Stated[Fact]] = [Stated(*pair) for pair in zip(event_ids, said.facts, strict=True)]
        gate = self._judgement.gate(said.study_id, self._study.record, known.recalled, site)
        try:
            return known.judged.with_all(proposed, self._judgement.rules, gate)
        except Refused as refused:
            early = not self._by.registers and said.after is None
            raise unacceptable(refused, proposed, said.pointers, may_be_on_its_way=early) from None
