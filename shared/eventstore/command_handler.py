"""The one command path of every fact of every service: authorize, load, decide, append."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar
from uuid import UUID

from shared.contracts.event import stated_facts
from shared.eventstore.append_builder import AppendBuilder
from shared.eventstore.command import RecordedFacts, RecordFacts, refuse_references, to_request_error
from shared.eventstore.idempotency import IdempotencyCheck
from shared.eventstore.request_key import RequestKey
from shared.eventstore.role_check import retry_while_unknown
from shared.eventstore.store import (
    AppendRequest,
    Conflict,
    LoadedStream,
    SearchKeyConflict,
    Store,
    StreamHead,
    StreamVersionConflict,
    StudyVersionConflict,
    UnitOfWork,
)
from shared.eventstore.stream_cache import CachedStream, StreamCache
from shared.eventstore.stream_policy import StreamPolicies
from shared.eventstore.study_cache import Studies, StudyState
from shared.kernel.clock import Clock
from shared.kernel.errors import (
    Fault,
    Forbidden,
    NotFound,
    NotKnownYet,
    ReferenceInUse,
    RequestError,
    RequestRejected,
    ServiceUnavailable,
    VersionMismatch,
)
from shared.kernel.fact import Fact, StatedFact
from shared.kernel.ids import new_participant_id
from shared.kernel.objection import RuleViolation
from shared.kernel.record import EvaluatedRecord, Record, current_record
from shared.offload import offload
from shared.security.event_key import EventKey
from shared.security.grants import EVERY_SITE
from shared.security.tenancy import Tenant
from shared.security.vault import Vault

T = TypeVar("T")
MAX_ATTEMPTS = 4
STANDING_FACTS_PER_ITEM = 10
"""Standing facts that are evaluated in the time that one proposed fact takes."""
EVENT_UUID_VERSIONS = {"5", "7", "8"}
"""Versions of the UUIDs that name events: the fifteenth character of the text."""


class _DryRunRollback(Exception):
    """Rolls the append of a dry run back."""


@dataclass(frozen=True)
class CommandHandler:
    """Records the facts of one service.

    `owns_participants`: studies, grants and participants are facts of this service. Other services receive them from
    enrollment, and a participant that they do not know may arrive later.
    """

    store: Store
    studies: Studies
    policies: StreamPolicies
    vault: Vault
    clock: Clock
    event_key: EventKey
    cache: StreamCache = field(default_factory=StreamCache)
    owns_participants: bool = True

    async def record(self, command: RecordFacts) -> RecordedFacts:
        """Record the facts, once for the same request under the same key. Raises RequestError."""

        async def attempt() -> RecordedFacts:
            async with self.cache.lock(command.study_id, command.stream_id):
                return await self._record_from_cache_or_store(command)

        return await retry_while_unknown(attempt, waits=command.after is not None)

    async def _record_from_cache_or_store(self, command: RecordFacts) -> RecordedFacts:
        study = await self.studies.current(command.study_id)
        if cached := self.cache.get(command.study_id, command.stream_id):
            try:
                return await _CommandAttempt(self, command, study).from_cache(cached)
            except (RequestError, Conflict, SearchKeyConflict):  # a cached stream may be old: it refuses nothing
                self.cache.remove(command.study_id, command.stream_id)
        try:
            return await self._record_from_store(command, study)
        except RequestError:
            reloaded = await self.studies.reload(command.study_id)
            if reloaded.version == study.version:
                raise
            return await self._record_from_store(command, reloaded)

    async def _record_from_store(self, command: RecordFacts, study: StudyState) -> RecordedFacts:
        for attempt in range(MAX_ATTEMPTS):
            try:
                return await _CommandAttempt(self, command, study).from_store()
            except SearchKeyConflict:
                raise ReferenceInUse from None
            except StreamVersionConflict:
                pass  # the next attempt compares If-Match again
            except Conflict:
                study = await self.studies.reload(command.study_id)
            await asyncio.sleep(random.uniform(0, 0.01 * 2**attempt))  # noqa: S311 - jitter
        raise ServiceUnavailable


class _CommandAttempt:
    """One attempt to decide and append a command, by the study's facts of one version."""

    def __init__(self, handler: CommandHandler, command: RecordFacts, study: StudyState) -> None:
        self._handler, self._command, self._study = handler, command, study
        self._policy = handler.policies.policy(is_study=command.stream_id == command.study_id)
        self._rights = study.rights(command.member)
        self._opens_study = command.opens_study and study.version == 0
        self._key = RequestKey(command, handler.store.service, handler.event_key)
        self._not_visible = NotFound if handler.owns_participants else NotKnownYet

    async def from_cache(self, cached: CachedStream) -> RecordedFacts:
        """Decide on the cached stream. Raises Conflict if the stream must be loaded or has changed."""
        site = cached.stream.head.site_id
        scopes = self._scopes()
        if not scopes & {EVERY_SITE, site}:
            raise self._not_visible
        if (
            self._may_be_repeat(cached)
            or self._lags_behind(cached.stream)
            or self._policy.other_streams(self._command.facts)
        ):
            raise Conflict  # only the store can tell
        tenant = Tenant(self._command.study_id, EVERY_SITE if EVERY_SITE in scopes else site or "")
        return await self._decide_and_append(
            tenant, cached.for_study_version(self._study.version), cached.stream.events[0].stream_id
        )

    def _may_be_repeat(self, cached: CachedStream) -> bool:
        """Return whether the key may be an event's own id, or another site's key from before a transfer."""
        if not (key := self._command.key):
            return False
        if cached.stating_sites - {cached.stream.head.site_id}:
            return True
        return key[14:15] in EVENT_UUID_VERSIONS and any(
            str(stated.event_id) == key.lower() for stated in cached.evaluated.history
        )

    async def from_store(self) -> RecordedFacts:
        """Decide on what is recorded now. The stream is looked up under each scope of the caller."""
        command = self._command
        stream_id = command.stream_id or new_participant_id()
        for tenant in [Tenant(command.study_id)] if self._opens_study else self._tenants():
            async with self._handler.store.unit(tenant) as unit:
                stream = await self._load_stream(unit, stream_id)
                if command.stream_id and not stream.head.exists and not self._opens_study:
                    continue
                if self._lags_behind(stream):
                    raise NotKnownYet
                site = self._policy.stating_site(stream.head, command.facts)
                self._authorize(site)
                if repeat := await IdempotencyCheck(command, self._rights, self._handler.vault).find_repeat(
                    unit, stream, site
                ):
                    return repeat
                stream = replace(stream, other_streams=await self._load_other_streams(unit))
            return await self._decide_and_append(tenant, await self._evaluate(stream), stream_id)
        raise self._not_visible

    async def _load_other_streams(self, unit: UnitOfWork) -> dict[str, Record]:
        """Load the visible participants that the facts name, and those that these name in turn."""
        records: dict[str, Record] = {}
        pending = set(self._policy.other_streams(self._command.facts))
        while pending:
            number = pending.pop()
            records[number] = current_record(stated_facts((await unit.load_stream(number)).events))
            pending |= (
                self._policy.other_streams([stated.fact for stated in records[number].stated_facts]) - records.keys()
            )
        return records

    def _lags_behind(self, stream: LoadedStream) -> bool:
        """Return whether this service has not yet received the version that the command comes after."""
        return not self._handler.owns_participants and stream.head.enrollment_version < (self._command.after or 0)

    async def _load_stream(self, unit: UnitOfWork, stream_id: str) -> LoadedStream:
        command = self._command
        site = self._policy.stating_site(StreamHead(), command.facts) if command.stream_id is None else None
        stream = await unit.load_stream(
            stream_id, key=self._key.stored_key(), clear_key=command.key, key_site=site or EVERY_SITE
        )
        if stream.study_version != self._study.version:
            raise StudyVersionConflict
        return stream

    def _scopes(self) -> frozenset[str]:
        """Return the sites at which the caller may see the stream or state the facts; '*' is every site."""
        if not self._rights.grants and self._command.opens_study:
            message = "There is a study with this study_id already. Give another one."
            raise RequestRejected(message, code="study-exists", faults=[Fault("study-exists", message, "/study_id")])
        if not self._rights.grants:
            raise self._not_visible
        stating_scopes = [self._rights.sites_with_role(fact.stated_by_roles) for fact in self._command.facts]
        if not all(stating_scopes):
            raise Forbidden
        return frozenset.union(self._rights.visible_sites, *stating_scopes)

    def _tenants(self) -> list[Tenant]:
        scopes = self._scopes()
        if self._command.stream_id is None:
            scopes &= {EVERY_SITE, self._policy.stating_site(StreamHead(), self._command.facts)}
            if not scopes:
                raise Forbidden
        return [
            Tenant(self._command.study_id, site) for site in ([EVERY_SITE] if EVERY_SITE in scopes else sorted(scopes))
        ]

    def _authorize(self, site: str | None) -> None:
        if not self._opens_study and not all(
            self._rights.has_role_at(site, fact.stated_by_roles) for fact in self._command.facts
        ):
            raise Forbidden
        if not self._rights.is_site_staff(site or ""):
            refuse_references(self._command.facts, self._command.pointers)

    async def _decide_and_append(self, tenant: Tenant, cached: CachedStream, stream_id: str) -> RecordedFacts:
        """Decide, seal the texts, append, and cache the stream as it is afterwards."""
        command, stream = self._command, cached.stream
        site = self._policy.stating_site(stream.head, command.facts)
        self._authorize(site)
        if command.if_match and not command.if_match.allows(stream.head.version, stream.head.exists):
            raise VersionMismatch(stream.head.version)
        event_ids = self._key.event_ids(site)
        evaluated_count = len(command.facts) + len(cached.evaluated.record.stated_facts) // STANDING_FACTS_PER_ITEM
        evaluated = await self._offload(evaluated_count, lambda: self._decide(cached, event_ids, site))
        version = stream.head.version + len(command.facts)
        recorded_facts = RecordedFacts(
            study_id=command.study_id,
            stream_id=stream_id,
            version=version,
            event_ids=event_ids,
            recorded_at=self._handler.clock.now(),
        )
        builder = AppendBuilder(
            store=self._handler.store,
            vault=self._handler.vault,
            command=command,
            study=self._study,
            policy=self._policy,
            rights=self._rights,
        )
        append_request, data_key = await builder.build(tenant, cached, evaluated, recorded_facts, site)
        append_request = self._key.with_result(append_request, recorded_facts, self._handler.vault, site)
        if command.dry_run:
            await self._append_and_roll_back(tenant, append_request)
            return recorded_facts
        await self._handler.store.append(tenant, append_request)
        if append_request.drops_search_key_if_taken:  # only the store knows whether it was dropped
            self._handler.cache.remove(command.study_id, stream_id)
        elif stream_id != command.study_id:
            cached_after = await self._offload(
                len(command.facts), lambda: cached.with_append(append_request, evaluated, data_key)
            )
            self._handler.cache.put(command.study_id, stream_id, cached_after)
        return recorded_facts

    async def _evaluate(self, stream: LoadedStream) -> CachedStream:
        return await self._offload(len(stream.events), lambda: CachedStream.from_stream(stream, self._policy.rules))

    async def _offload(self, item_count: int, work: Callable[[], T]) -> T:
        return await offload(self._command.member, work, item_count=item_count)

    async def _append_and_roll_back(self, tenant: Tenant, append_request: AppendRequest) -> None:
        """Find the conflicts that only the store can tell, and record nothing."""
        try:
            async with self._handler.store.unit(tenant) as unit:
                await unit.append(append_request)
                raise _DryRunRollback
        except _DryRunRollback:
            return

    def _decide(self, cached: CachedStream, event_ids: Sequence[UUID], site: str | None) -> EvaluatedRecord:
        command = self._command
        proposed: list[StatedFact[Fact]] = [StatedFact(*pair) for pair in zip(event_ids, command.facts, strict=True)]
        gate = self._policy.gate(command.study_id, self._study.record, cached.stream, site)
        try:
            return cached.evaluated.accept(proposed, self._policy.rules, gate)
        except RuleViolation as violation:
            may_be_on_its_way = not self._handler.owns_participants and command.after is None
            raise to_request_error(violation, proposed, command.pointers, may_be_on_its_way=may_be_on_its_way) from None
