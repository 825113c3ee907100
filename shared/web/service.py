"""The resources of a service that records facts: its database, its keys, and the path of a command."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fastapi import Request

from shared.eventstore.command import RecordedFacts, RecordFacts
from shared.eventstore.command_handler import CommandHandler
from shared.eventstore.postgres_store import PostgresStore
from shared.eventstore.role_check import require_role
from shared.eventstore.stream_policy import StreamPolicies
from shared.eventstore.study_cache import OwnStudies, Studies
from shared.inbox.participant_registry.repository import ReplicatedStudies, load_participant
from shared.kernel.clock import Clock
from shared.outbox.append_notifier import AppendNotifier
from shared.postgres.tenancy import open_pool, require_event_key, require_safe_role
from shared.security.cursors import CursorCipher
from shared.security.event_key import EventKey
from shared.security.vault import KeyEncryptionKey, Vault
from shared.settings import Settings
from shared.web.authentication import create_verifier
from shared.web.container import OpenResources, Resources, get_container
from shared.web.metrics import collect_inbox_metrics, collect_relay_metrics


@dataclass(frozen=True, kw_only=True)
class Service(Resources):
    """The resources of a service that records facts."""

    name: str
    settings: Settings
    clock: Clock
    store: PostgresStore
    vault: Vault
    cursors: CursorCipher
    command_handler: CommandHandler
    notifier: AppendNotifier

    async def record(self, command: RecordFacts) -> RecordedFacts:
        recorded_facts = await self.command_handler.record(command)
        if not command.dry_run:
            self.notifier.notify(command.study_id)
        return recorded_facts

    async def require_role(self, study_id: str, member: str, roles: frozenset[str], *, waits: bool) -> None:
        """Raises what the command handler would raise for a member without one of the roles in the study."""
        await require_role(
            self.studies, study_id, member, roles, owns_participants=self.command_handler.owns_participants, waits=waits
        )


POOL_CLOSE_TIMEOUT_SECONDS = 3.0
StreamPolicyFactory = Callable[[Clock, Vault], StreamPolicies]


@asynccontextmanager
async def open_service(
    name: str, settings: Settings, policy_factory: StreamPolicyFactory, *, owns_participants: bool = False
) -> AsyncIterator[Service]:
    """Opens the components of a service. Raises UnsafeRole for a role that could bypass row-level security.

    `owns_participants`: the service registers studies and participants; other services receive them from Kafka.
    """
    clock = settings.study_clock()
    pool = await open_pool(settings.database_url(name, "app"), max_size=settings.pool_size)
    try:
        await require_safe_role(pool)
        store = PostgresStore(
            name,
            pool,
            shards=settings.relay_shards,
            foreign_facts_reader=None if owns_participants else load_participant,
        )
        studies: Studies = OwnStudies(store) if owns_participants else ReplicatedStudies(pool)
        key = KeyEncryptionKey.load(_kek_path(settings))
        vault, cursors = Vault(key), CursorCipher(key)
        event_key = EventKey.load(_event_key_path(settings))
        await require_event_key(pool, event_key.id)
        command_handler = CommandHandler(
            store=store,
            studies=studies,
            policies=policy_factory(clock, vault),
            vault=vault,
            clock=clock,
            event_key=event_key,
            owns_participants=owns_participants,
        )
        notifier = AppendNotifier(pool)
        try:
            yield Service(
                name=name,
                settings=settings,
                clock=clock,
                pool=pool,
                store=store,
                studies=studies,
                verifier=create_verifier(settings, clock),
                metrics_collectors=[
                    partial(collect_relay_metrics, name, pool),
                    *([] if owns_participants else [partial(collect_inbox_metrics, name, pool)]),
                ],
                vault=vault,
                cursors=cursors,
                command_handler=command_handler,
                notifier=notifier,
            )
        finally:
            await notifier.close()
    finally:
        with suppress(TimeoutError):  # a query that waits for a lock must not keep the process alive
            await asyncio.wait_for(pool.close(), POOL_CLOSE_TIMEOUT_SECONDS)


def _kek_path(settings: Settings) -> Path:
    if settings.kek is None:
        raise ValueError("QUARTAL_KEK is not set. It names the file of the key-encryption key.")
    return settings.kek


def _event_key_path(settings: Settings) -> Path:
    if settings.event_key is None:
        raise ValueError("QUARTAL_EVENT_KEY is not set. It names the file of the key for event ids.")
    return settings.event_key


def service_resources(
    name: str, settings: Settings, policy_factory: StreamPolicyFactory, *, owns_participants: bool = False
) -> OpenResources:
    """Returns the function that opens a service for its app."""
    return partial(open_service, name, settings, policy_factory, owns_participants=owns_participants)


def get_service(request: Request) -> Service:
    return get_container(request).get_resources(Service)
