"""The one command path of every fact of every service: authorize, load, decide, append."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from shared.contracts.event import stated_facts
from shared.eventstore.append_builder import AppendBuilder
from shared.eventstore.command import RecordedFacts, RecordFacts, to_request_error
from shared.eventstore.command_context import CommandContext
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
from shared.eventstore.stream_policy import StreamPolicies, StreamPolicy
from shared.eventstore.study_cache import Studies, StudyState
from shared.kernel.clock import Clock
from shared.kernel.errors import (
    KeyReused,
    NotKnownYet,
    ReferenceInUse,
    RequestError,
    ServiceUnavailable,
    VersionMismatch,
)
from shared.kernel.fact import Fact, StatedFact
from shared.kernel.ids import new_participant_id
from shared.kernel.objection import RuleViolation
from shared.kernel.record import EvaluatedRecord, Record, current_record
from shared.offload import offload
from shared.postgres.tenancy import EVERY_SITE, Tenant
from shared.retry import Backoff
from shared.security.event_key import EventKey
from shared.security.vault import Vault

MAX_ATTEMPTS = 4
RETRY_MIN_SECONDS, RETRY_MAX_SECONDS = 0.01, 0.08
STANDING_FACTS_PER_ITEM = 10
"""Current facts that are evaluated in the time that one proposed fact takes."""
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
        """Records the facts, once for the same request under the same key. Raises RequestError."""

        async def attempt() -> RecordedFacts:
            async with self.cache.lock(command.study_id, command.stream_id):
                return await self._record_from_cache_or_store(command)

        return await retry_while_unknown(attempt, waits=command.after is not None)

    async def _record_from_cache_or_store(self, command: RecordFacts) -> RecordedFacts:
        study = await self.studies.current(command.study_id)
        if cached := self.cache.get(command.study_id, command.stream_id):
            try:
                return await self._try_cached(self._context(command, study), cached)
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
        backoff = Backoff(RETRY_MIN_SECONDS, RETRY_MAX_SECONDS, jitter=True)
        for _ in range(MAX_ATTEMPTS):
            try:
                return await self._try_stored(self._context(command, study))
            except SearchKeyConflict:
                raise ReferenceInUse from None
            except StreamVersionConflict:
                pass  # the next attempt compares If-Match again
            except Conflict:
                study = await self.studies.reload(command.study_id)
            await backoff.wait()
        raise ServiceUnavailable

    def _context(self, command: RecordFacts, study: StudyState) -> CommandContext:
        policy = self.policies.policy(is_study=command.stream_id == command.study_id)
        return CommandContext(command=command, study=study, policy=policy, owns_participants=self.owns_participants)

    def _request_key(self, command: RecordFacts) -> RequestKey:
        return RequestKey(command, self.store.service, self.event_key)

    async def _try_cached(self, context: CommandContext, cached: CachedStream) -> RecordedFacts:
        """Decides on the cached stream. Raises Conflict if the stream must be loaded or has changed."""
        command, site = context.command, cached.stream.head.site_id
        scopes = context.scopes()
        if not scopes & {EVERY_SITE, site}:
            raise context.not_visible
        if (
            _may_be_repeat(command, cached)
            or _lags_behind(context, cached.stream)
            or context.policy.other_streams(command.facts)
        ):
            raise Conflict  # only the store knows
        tenant = Tenant(command.study_id, EVERY_SITE if EVERY_SITE in scopes else site or "")
        current = cached.for_study_version(context.study.version)
        return await self._decide_and_append(context, tenant, current, cached.stream.events[0].stream_id)

    async def _try_stored(self, context: CommandContext) -> RecordedFacts:
        """Decides on what is recorded now. The stream is looked up under each scope of the caller."""
        command = context.command
        stream_id = command.stream_id or new_participant_id()
        for tenant in context.tenants():
            async with self.store.unit(tenant) as unit:
                stream = await self._load_stream(context, unit, stream_id)
                if command.stream_id and not stream.head.exists and not context.opens_study:
                    continue
                if _lags_behind(context, stream):
                    raise NotKnownYet
                site = context.stating_site(stream.head)
                context.authorize(site)
                idempotency = IdempotencyCheck(context, self.vault)
                if repeat := await idempotency.find_repeat(unit, stream, site):
                    return repeat
                if context.opens_study:
                    await self._refuse_key_of_another_study(command, unit)
                stream = replace(stream, other_streams=await _load_other_streams(unit, context.policy, command.facts))
            cached = await _evaluate(context, stream)
            return await self._decide_and_append(context, tenant, cached, stream_id)
        raise context.not_visible

    async def _load_stream(self, context: CommandContext, unit: UnitOfWork, stream_id: str) -> LoadedStream:
        command = context.command
        site = context.stating_site(StreamHead()) if command.stream_id is None else None
        key = self._request_key(command).stored_key()
        stream = await unit.load_stream(stream_id, key=key, clear_key=command.key, key_site=site or EVERY_SITE)
        if stream.study_version != context.study.version:
            raise StudyVersionConflict
        return stream

    async def _refuse_key_of_another_study(self, command: RecordFacts, unit: UnitOfWork) -> None:
        """Raises KeyReused if the member has opened a study under the command's key, which is another one then."""
        key = self._request_key(command).opening_key()
        study_id = key and await unit.find_opened_study(key)
        if study_id:
            raise KeyReused(f"The idempotency key was used to open the study {study_id}. Use a new key.")

    async def _decide_and_append(
        self, context: CommandContext, tenant: Tenant, cached: CachedStream, stream_id: str
    ) -> RecordedFacts:
        """Decides, seals the texts, appends, and caches the stream as it is afterwards."""
        command, head = context.command, cached.stream.head
        site = context.stating_site(head)
        context.authorize(site)
        if command.if_match and not command.if_match.allows(head.version, head.exists):
            raise VersionMismatch(head.version)
        request_key = self._request_key(command)
        event_ids = request_key.event_ids(site)
        evaluated = await _decide(context, cached, event_ids, site)
        recorded_facts = RecordedFacts(
            study_id=command.study_id,
            stream_id=stream_id,
            version=head.version + len(command.facts),
            event_ids=event_ids,
            recorded_at=self.clock.now(),
        )
        builder = AppendBuilder(store=self.store, vault=self.vault, clock=self.clock, context=context)
        append_request, data_key = await builder.build(tenant, cached, evaluated, recorded_facts, site)
        append_request = request_key.with_result(append_request, recorded_facts, self.vault, site)
        if command.dry_run:
            await self._append_and_roll_back(tenant, append_request)
            return recorded_facts
        await self.store.append(tenant, append_request)
        if stream_id == command.study_id:
            self.studies.forget(stream_id)
        elif append_request.drops_search_key_if_taken:  # only the store knows whether it was dropped
            self.cache.remove(command.study_id, stream_id)
        else:
            cached_after = await offload(
                command.member,
                lambda: cached.with_append(append_request, evaluated, data_key),
                item_count=len(command.facts),
            )
            self.cache.put(command.study_id, stream_id, cached_after)
        return recorded_facts

    async def _append_and_roll_back(self, tenant: Tenant, append_request: AppendRequest) -> None:
        """Detects the conflicts that only the store knows, and records nothing."""
        try:
            async with self.store.unit(tenant) as unit:
                await unit.append(append_request)
                raise _DryRunRollback
        except _DryRunRollback:
            return


def _may_be_repeat(command: RecordFacts, cached: CachedStream) -> bool:
    """Returns whether the key may be an event's own id, or another site's key from before a transfer."""
    if not (key := command.key):
        return False
    if cached.stating_sites - {cached.stream.head.site_id}:
        return True
    return key[14:15] in EVENT_UUID_VERSIONS and any(
        str(stated.event_id) == key.lower() for stated in cached.evaluated.history
    )


def _lags_behind(context: CommandContext, stream: LoadedStream) -> bool:
    """Returns whether this service has not yet received the version that the command comes after."""
    return not context.owns_participants and stream.head.enrollment_version < (context.command.after or 0)


async def _evaluate(context: CommandContext, stream: LoadedStream) -> CachedStream:
    rules = context.policy.rules
    return await offload(
        context.command.member, lambda: CachedStream.from_stream(stream, rules), item_count=len(stream.events)
    )


async def _load_other_streams(unit: UnitOfWork, policy: StreamPolicy, facts: Sequence[Fact]) -> dict[str, Record]:
    """Loads the visible participants that the facts name, and those that these name in turn."""
    records: dict[str, Record] = {}
    pending = set(policy.other_streams(facts))
    while pending:
        number = pending.pop()
        records[number] = current_record(stated_facts((await unit.load_stream(number)).events))
        pending |= policy.other_streams([stated.fact for stated in records[number].stated_facts]) - records.keys()
    return records


async def _decide(
    context: CommandContext, cached: CachedStream, event_ids: Sequence[UUID], site: str | None
) -> EvaluatedRecord:
    """Returns the record with the command's facts. Raises RequestError for the objections of rules and gate."""
    command, policy = context.command, context.policy
    proposed: list[StatedFact[Fact]] = [StatedFact(*pair) for pair in zip(event_ids, command.facts, strict=True)]

    def accept() -> EvaluatedRecord:
        gate = policy.gate(command.study_id, context.study.record, cached.stream, site)
        return cached.evaluated.accept(proposed, policy.rules, gate)

    item_count = len(command.facts) + len(cached.evaluated.record.stated_facts) // STANDING_FACTS_PER_ITEM
    try:
        return await offload(command.member, accept, item_count=item_count)
    except RuleViolation as violation:
        may_be_on_its_way = not context.owns_participants and command.after is None
        raise to_request_error(violation, proposed, command.pointers, may_be_on_its_way=may_be_on_its_way) from None
