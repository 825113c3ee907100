"""What a service's process holds while it serves: its database, who calls, and the command path."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from fastapi import FastAPI, Request
from prometheus_client import Counter

from shared.collector import walk_seldom
from shared.eventstore.entitlement import require_role
from shared.eventstore.judgement import Judgement
from shared.eventstore.recorder import Recorder
from shared.eventstore.statement import Recording, Statement
from shared.eventstore.store import PostgresStore
from shared.eventstore.studies import StoredStudies, Studies
from shared.inbox.registry.reading import KnownStudies, participant
from shared.kernel.clock import Clock
from shared.kernel.refusal import Busy, Unrecognised
from shared.outbox.bell import Bell
from shared.security.cursors import Cursors
from shared.security.event_key import EventKey
from shared.security.tenancy import open_pool, refuse_other_event_key, refuse_unsafe_role
from shared.security.token_reasons import refused_token
from shared.security.tokens import BadToken, FileKeys, HttpKeys, KeysUnavailable, Reason, Verifier
from shared.security.vault import KeyEncryptionKey, Vault
from shared.settings import Settings


@dataclass
class Service:
    name: str
    settings: Settings
    clock: Clock
    pool: asyncpg.Pool[Any]
    store: PostgresStore
    studies: Studies
    vault: Vault
    cursors: Cursors
    recorder: Recorder
    bell: Bell

    async def record(self, statement: Statement) -> Recording:
        recording = await self.recorder.record(statement)
        if not statement.dry_run:
            self.bell.ring(statement.study_id)
        return recording

    async def require_role(self, study_id: str, member: str, roles: frozenset[str], *, waits: bool) -> None:
        """Refuse who may state nothing of that kind in the study, as the recorder would refuse them."""
        await require_role(self.studies, study_id, member, roles, registers=self.recorder.registers, waits=waits)


CLOSES_WITHIN = 3.0  # seconds
REFUSED_TOKENS = Counter("quartal_tokens_refused", "Tokens that were refused", ["service", "reason"])
_log = logging.getLogger(__name__)
Start = Callable[[FastAPI], Any]
Judgements = Callable[[Clock, Vault], Mapping[bool, Judgement]]


def verifier(settings: Settings, clock: Clock) -> Verifier:
    source = HttpKeys(settings.jwks) if settings.jwks.startswith("http") else FileKeys(Path(settings.jwks))
    return Verifier(source, settings.issuer, settings.audience, now=clock.now)


def admission(check: Verifier, *, cookie: str = "") -> Callable[[Request], Any]:
    """Puts the caller into the request's state, or refuses: the token says who, and nothing else.

    A page's reads may carry the token in a cookie; what changes something never does.
    """

    async def admit(request: Request) -> None:
        if len(request.headers.getlist("authorization")) > 1:
            raise _refused(request.app.state.service, "several")
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if not scheme and cookie and request.method == "GET":
            scheme, token = "bearer", request.cookies.get(cookie, "")
        if scheme.lower() != "bearer" or not token:
            raise Unrecognised
        try:
            request.state.caller = await check.verify(token.strip())
        except BadToken as bad:
            raise _refused(request.app.state.service, bad.reason) from None
        except KeysUnavailable:
            raise Busy from None

    return admit


def _refused(service: str, reason: Reason) -> Unrecognised:
    """Count and log the reason, which is a code: no token and no subject."""
    REFUSED_TOKENS.labels(service, reason).inc()
    _log.info("token refused: %s", reason)
    return Unrecognised(*refused_token(reason))


@asynccontextmanager
async def running(
    name: str, settings: Settings, judgements: Judgements, *, registers: bool = False
) -> AsyncIterator[Service]:
    """Open what the service needs; refuse to start under a role that could see past row-level security.

    `registers`: studies and participants are its own facts; otherwise it has them from Kafka.
    """
    clock = settings.study_clock()
    pool = await open_pool(settings.database(name, "app"), largest=settings.pool_size)
    try:
        await refuse_unsafe_role(pool)
        store = PostgresStore(name, pool, shards=settings.relay_shards, elsewhere=None if registers else participant)
        studies: Studies = StoredStudies(store) if registers else KnownStudies(pool)
        key = KeyEncryptionKey.load(_kek(settings))
        vault, cursors = Vault(key), Cursors(key)
        event_key = EventKey.load(_event_key(settings))
        await refuse_other_event_key(pool, event_key.id)
        recorder = Recorder(store, studies, judgements(clock, vault), vault, clock, event_key, registers=registers)
        bell = Bell(pool)
        walk_seldom()
        yield Service(name, settings, clock, pool, store, studies, vault, cursors, recorder, bell)
        await bell.close()
    finally:
        with suppress(TimeoutError):  # what waits for a lock that others hold does not keep the process
            await asyncio.wait_for(pool.close(), CLOSES_WITHIN)


def _kek(settings: Settings) -> Path:
    if settings.kek is None:
        raise ValueError("QUARTAL_KEK is not set. It names the file of the key-encryption key.")
    return settings.kek


def _event_key(settings: Settings) -> Path:
    if settings.event_key is None:
        raise ValueError("QUARTAL_EVENT_KEY is not set. It names the file of the key for event ids.")
    return settings.event_key


def service_start(name: str, settings: Settings, judgements: Judgements, *, registers: bool = False) -> Start:
    """The life of a service's application: what its handlers find in `app.state`."""

    @asynccontextmanager
    async def start(app: FastAPI) -> AsyncIterator[None]:
        async with running(name, settings, judgements, registers=registers) as service:
            app.state.running, app.state.pool, app.state.record = service, service.pool, service.record
            app.state.studies = service.studies
            app.state.require_role = service.require_role
            app.state.admit = admission(verifier(settings, service.clock))
            yield

    return start
