"""`quartal doctor`: prints the settings of this installation, and checks what they name."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import typer
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.table import Table

from infra.cli.settings_source import command_environment, read_settings
from services.analytics.operations.repository import counts_by_study
from services.analytics.reminders.links import LinksKey
from shared.outbox.confirmation import is_confirmed
from shared.outbox.publisher import PublishError, WrongTopic, check_topics
from shared.postgres.errors import FAILED_QUERY
from shared.postgres.tenancy import UnsafeRole, open_pool, require_safe_role
from shared.security.event_key import EventKey
from shared.security.vault import BadKeyFile, KeyEncryptionKey
from shared.settings import PRODUCERS, SERVICES, Settings

DERIVER_TIMEOUT_SECONDS, DERIVER_INTERVAL_SECONDS = 10.0, 0.2
TOPICS = tuple(f"quartal.{name}.v1" for name in (*PRODUCERS, "reminders"))


def command() -> None:
    """Print every setting, secrets masked, and check databases, roles and topics. Exit code 1: a check failed."""
    settings = read_settings(command_environment())
    table = Table("setting", "value", "means")
    for name, value in settings:
        table.add_row(name, str(value), Settings.model_fields[name].description or "")
    Console().print(table)
    failures = asyncio.run(_run_checks(settings))
    raise typer.Exit(1 if failures else 0)


async def _run_checks(settings: Settings) -> int:
    failures = 0
    async for check, fault in _checks(settings):
        typer.echo(f"{'failed' if fault else 'ok    '}  {check}" + (f": {fault}" if fault else ""))
        failures += bool(fault)
    return failures


async def _checks(settings: Settings) -> AsyncIterator[tuple[str, str]]:
    keys: tuple[tuple[str, Callable[[Path], object]], ...] = (
        ("QUARTAL_KEK", KeyEncryptionKey.load),
        ("QUARTAL_EVENT_KEY", EventKey.load),
        ("QUARTAL_LINKS_KEY", LinksKey.load),
    )
    for name, load in keys:
        yield (
            f"{name} names a key file",
            _check_key_file(getattr(settings, name.removeprefix("QUARTAL_").lower()), load),
        )
    for service in SERVICES:
        yield (
            f"{service}: the database answers and restricts the service by row-level security",
            await _check_database(settings, service),
        )
    for service in PRODUCERS:
        yield (
            f"{service}: the database was compared with what was published, so facts can be recorded",
            await _check_confirmed(settings, service),
        )
    yield (
        "analytics: the database was compared with what was published, so reminders can be sent",
        await _check_confirmed(settings, "analytics"),
    )
    yield "analytics: the deriver follows the applied facts", await _check_deriver(settings)
    yield "Kafka answers and the topics have the right number of partitions", await _check_broker(settings)


def _check_key_file(path: Path | None, load: Callable[[Path], object]) -> str:
    if path is None:
        return "it is not set"
    try:
        load(path)
    except BadKeyFile as fault:
        return str(fault)
    return ""


async def _check_database(settings: Settings, service: str) -> str:
    try:
        async with await open_pool(settings.database_url(service, "app")) as pool:
            await require_safe_role(pool)
    except (*FAILED_QUERY, ValueError, UnsafeRole) as fault:
        return str(fault) or type(fault).__name__
    return ""


async def _check_confirmed(settings: Settings, service: str) -> str:
    try:
        async with await open_pool(settings.database_url(service, "app")) as pool:
            if not await is_confirmed(pool):
                return "not since the server started, so nothing is recorded; see the log of the process that publishes"
    except (*FAILED_QUERY, ValueError) as fault:
        return str(fault) or type(fault).__name__
    return ""


async def _check_deriver(settings: Settings) -> str:
    """Returns a fault if rows do not reach, within some seconds, the facts that have been applied by now."""
    try:
        async with await open_pool(settings.database_url("analytics", "system"), max_size=1) as pool:
            applied = {counts.study_id: counts.position + counts.behind for counts in await counts_by_study(pool)}
            deadline = time.monotonic() + DERIVER_TIMEOUT_SECONDS
            while any(counts.position < applied.get(counts.study_id, 0) for counts in await counts_by_study(pool)):
                if time.monotonic() > deadline:
                    return f"rows are behind the facts for {DERIVER_TIMEOUT_SECONDS:g} s; see the log of the deriver"
                await asyncio.sleep(DERIVER_INTERVAL_SECONDS)
    except (*FAILED_QUERY, ValueError) as fault:
        return str(fault) or type(fault).__name__
    return ""


async def _check_broker(settings: Settings) -> str:
    try:
        await check_topics(settings.kafka_bootstrap, TOPICS)
    except (OSError, KafkaError, PublishError, WrongTopic) as fault:
        return str(fault) or type(fault).__name__
    return ""
