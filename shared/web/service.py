"""The components of a service while it runs: database pool, authentication, and the command path."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from fastapi import FastAPI, Request
from prometheus_client import Counter

from shared.eventstore.command import RecordedFacts, RecordFacts
from shared.eventstore.command_handler import CommandHandler
from shared.eventstore.postgres_store import PostgresStore
from shared.eventstore.role_check import require_role
from shared.eventstore.stream_policy import StreamPolicies
from shared.eventstore.study_cache import OwnStudies, Studies
from shared.gc_tuning import collect_rarely
from shared.inbox.participant_registry.repository import ReplicatedStudies, load_participant
from shared.kernel.clock import Clock
from shared.kernel.errors import ServiceUnavailable, Unauthenticated
from shared.outbox.append_notifier import AppendNotifier
from shared.security.cursors import CursorCipher
from shared.security.event_key import EventKey
from shared.security.issuer_keys import FileKeys, HttpKeys, KeysUnavailable
from shared.security.tenancy import open_pool, require_event_key, require_safe_role
from shared.security.token_reasons import describe_refusal
from shared.security.tokens import BadToken, TokenRefusalReason, Verifier
from shared.security.vault import KeyEncryptionKey, Vault
from shared.settings import Settings
from shared.web.app import LifespanFactory


@dataclass
class Service:
    """Components that the handlers of one service use."""

    name: str
    settings: Settings
    clock: Clock
    pool: asyncpg.Pool[Any]
    store: PostgresStore
    studies: Studies
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
        """Raise what the command handler would raise for a member without one of the roles in the study."""
        await require_role(
            self.studies, study_id, member, roles, owns_participants=self.command_handler.owns_participants, waits=waits
        )


POOL_CLOSE_TIMEOUT_SECONDS = 3.0
REFUSED_TOKENS = Counter("quartal_tokens_refused", "Tokens that were refused", ["service", "reason"])
_log = logging.getLogger(__name__)
StreamPolicyFactory = Callable[[Clock, Vault], StreamPolicies]


def create_verifier(settings: Settings, clock: Clock) -> Verifier:
    source = HttpKeys(settings.jwks) if settings.jwks.startswith("http") else FileKeys(Path(settings.jwks))
    return Verifier(source, settings.issuer, settings.audience, now=clock.now)


def authentication(token_verifier: Verifier, *, cookie: str = "") -> Callable[[Request], Any]:
    """Return a check that puts the token's subject into the state of a request as its caller, or refuses the request.

    GET requests may carry the token in the cookie of that name, other requests only in the header.
    """

    async def authenticate(request: Request) -> None:
        if len(request.headers.getlist("authorization")) > 1:
            raise _count_refusal(request.app.state.service, "several")
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if not scheme and cookie and request.method == "GET":
            scheme, token = "bearer", request.cookies.get(cookie, "")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated
        try:
            request.state.caller = await token_verifier.verify(token.strip())
        except BadToken as error:
            raise _count_refusal(request.app.state.service, error.reason) from None
        except KeysUnavailable:
            raise ServiceUnavailable from None

    return authenticate


def _count_refusal(service: str, reason: TokenRefusalReason) -> Unauthenticated:
    """Count and log the reason, which is a code, without token and subject; return the refusal."""
    REFUSED_TOKENS.labels(service, reason).inc()
    _log.info("token refused: %s", reason)
    return Unauthenticated(*describe_refusal(reason))


@asynccontextmanager
async def open_service(
    name: str, settings: Settings, policy_factory: StreamPolicyFactory, *, owns_participants: bool = False
) -> AsyncIterator[Service]:
    """Open the components of a service. Raises UnsafeRole for a role that could bypass row-level security.

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
            store, studies, policy_factory(clock, vault), vault, clock, event_key, owns_participants=owns_participants
        )
        notifier = AppendNotifier(pool)
        collect_rarely()
        try:
            yield Service(name, settings, clock, pool, store, studies, vault, cursors, command_handler, notifier)
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


def service_lifespan(
    name: str, settings: Settings, policy_factory: StreamPolicyFactory, *, owns_participants: bool = False
) -> LifespanFactory:
    """Return the lifespan of a service's app, which puts the components into `app.state`."""

    @asynccontextmanager
    async def start(app: FastAPI) -> AsyncIterator[None]:
        async with open_service(name, settings, policy_factory, owns_participants=owns_participants) as service:
            app.state.running, app.state.pool, app.state.record = service, service.pool, service.record
            app.state.studies = service.studies
            app.state.require_role = service.require_role
            app.state.admit = authentication(create_verifier(settings, service.clock))
            yield

    return start
