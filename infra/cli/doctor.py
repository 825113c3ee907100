"""`quartal doctor`: what this installation was told, and whether it holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import asyncpg
import typer
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.table import Table

from infra.cli.environment import environment, settings_of
from shared.outbox.confirmation import is_confirmed
from shared.outbox.publisher import NotPublished, WrongTopic, check_topics
from shared.security.event_key import EventKey
from shared.security.tenancy import UnsafeRole, open_pool, refuse_unsafe_role
from shared.security.vault import BadKeyFile, KeyEncryptionKey
from shared.settings import PRODUCERS, SERVICES, Settings

TOPICS = tuple(f"quartal.{service}.v1" for service in PRODUCERS)


def command() -> None:
    """Print every setting with secrets masked, and check databases, roles and topics. Exit code 1: a check failed."""
    settings = settings_of(environment())
    shown = Table("setting", "value", "means")
    for name, value in settings:
        shown.add_row(name, str(value), Settings.model_fields[name].description or "")
    Console().print(shown)
    wrong = asyncio.run(_checked(settings))
    raise typer.Exit(1 if wrong else 0)


async def _checked(settings: Settings) -> int:
    wrong = 0
    async for what, fault in _checks(settings):
        typer.echo(f"{'failed' if fault else 'ok    '}  {what}" + (f": {fault}" if fault else ""))
        wrong += bool(fault)
    return wrong


async def _checks(settings: Settings) -> AsyncIterator[tuple[str, str]]:
    for name, load in (("QUARTAL_KEK", KeyEncryptionKey.load), ("QUARTAL_EVENT_KEY", EventKey.load)):
        yield f"{name} names a key file", _key_file(getattr(settings, name.removeprefix("QUARTAL_").lower()), load)
    for service in SERVICES:
        yield (
            f"{service}: the database answers and restricts the service by row-level security",
            await _database(settings, service),
        )
    for service in PRODUCERS:
        yield (
            f"{service}: the database was compared with what was published, so facts can be recorded",
            await _confirmed(settings, service),
        )
    yield "Kafka answers and the topics have the right number of partitions", await _topics(settings)


def _key_file(path: Path | None, load: Callable[[Path], object]) -> str:
    if path is None:
        return "it is not set"
    try:
        load(path)
    except BadKeyFile as fault:
        return str(fault)
    return ""


async def _database(settings: Settings, service: str) -> str:
    try:
        async with await open_pool(settings.database(service, "app")) as pool:
            await refuse_unsafe_role(pool)
    except (OSError, ValueError, asyncpg.PostgresError, UnsafeRole) as fault:
        return str(fault) or type(fault).__name__
    return ""


async def _confirmed(settings: Settings, service: str) -> str:
    try:
        async with await open_pool(settings.database(service, "app")) as pool:
            if not await is_confirmed(pool):
                return "not since the server started, so nothing is recorded; see the log of the service's worker"
    except (OSError, ValueError, asyncpg.PostgresError) as fault:
        return str(fault) or type(fault).__name__
    return ""


async def _topics(settings: Settings) -> str:
    try:
        await check_topics(settings.kafka_bootstrap, TOPICS)
    except (OSError, KafkaError, NotPublished, WrongTopic) as fault:
        return str(fault) or type(fault).__name__
    return ""
