"""`quartal relay`: shows the state of publication to Kafka, and publishes again after a database was restored."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import asyncpg
import typer
from rich.console import Console
from rich.table import Table

from infra.cli.settings_source import command_environment, read_settings
from services.analytics.reminders.restore import restore_reminders
from shared.contracts.cloudevents import topic
from shared.outbox.confirmation import compare_and_confirm
from shared.outbox.lease import RestoredDatabase
from shared.outbox.maintenance import RelayRunning, count_events, load_shard_status, require_no_running_relay, resync
from shared.outbox.publisher import KafkaPublisher, PublishError, ensure_topics
from shared.postgres.tenancy import open_pool
from shared.runtime.service_process import RELAY_LEASE_SECONDS
from shared.settings import PRODUCERS, Settings

PUBLISHED = {**{service: service for service in PRODUCERS}, "analytics": "reminders"}
"""The services that publish events, with the names of their topics."""
ServiceOption = Annotated[str | None, typer.Option(help=f"{' | '.join(PUBLISHED)}; without it, all")]
app = typer.Typer(
    no_args_is_help=True, help="Show how far events are published to Kafka, and publish them again after a restore."
)


@app.command("status")
def status_command() -> None:
    """Show for each service how many events are not published yet, how old they are, and who publishes them."""
    table = Table("service", "shard", "owner", "epoch", "to publish", "oldest (s)")
    for service, shard in asyncio.run(_shard_statuses(read_settings(command_environment()))):
        owner = shard.owner if shard.is_leased else "no worker"
        oldest = "" if shard.oldest is None else f"{shard.oldest:.1f}"
        table.add_row(service, str(shard.shard), owner, str(shard.epoch), str(shard.lag), oldest)
    Console().print(table)


async def _shard_statuses(settings: Settings) -> list[tuple[str, Any]]:
    statuses = []
    for service in PUBLISHED:
        async with await open_pool(settings.database_url(service, "system")) as pool:
            statuses += [(service, shard) for shard in await load_shard_status(pool)]
    return statuses


@app.command("resync")
def resync_command(
    service: ServiceOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask for confirmation")] = False,
) -> None:
    """Publish every event of a service again, in order, after its database was restored. Stop its worker first.

    Consumers ignore duplicates. Refused if the database lacks a published event: then restore a later state. Analytics
    reads back the reminders that its database lacks, so that none is sent twice.
    """
    if service not in (None, *PUBLISHED):
        typer.echo(f"There is no service {service!r}. Use one of: {', '.join(PUBLISHED)}.", err=True)
        raise typer.Exit(2)
    settings = read_settings(command_environment())
    for producer in [service] if service else PUBLISHED:
        _resync(settings, producer, yes=yes)


def _resync(settings: Settings, service: str, *, yes: bool) -> None:
    """Asks for confirmation and publishes again; ends the command with a message if that is refused."""
    try:
        events = asyncio.run(_count_without_relay(settings, service))
        if not yes:
            typer.confirm(f"{service}: publish all {events} events again to {topic(PUBLISHED[service])}?", abort=True)
        published = asyncio.run(republish(settings, service))
    except (RestoredDatabase, PublishError, RelayRunning) as refused:
        typer.echo(f"{service}: the events were not published again: {refused}.", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{service}: {published} events published again. Its worker publishes later events as soon as it runs.")


async def _count_without_relay(settings: Settings, service: str) -> int:
    """Returns the number of events. Raises RelayRunning if a worker still publishes after the time of a lease."""
    async with await open_pool(settings.database_url(service, "system")) as pool:
        await require_no_running_relay(pool, timeout_seconds=2 * RELAY_LEASE_SECONDS)
        return await count_events(pool)


async def republish(settings: Settings, service: str) -> int:
    """Publishes all events again and returns their number.

    A database of analytics first reads back what it lacks: the reminders that were sent. Raises RestoredDatabase if the
    database of another service lacks a published event.
    """
    name = topic(PUBLISHED[service])
    await ensure_topics(settings.kafka_bootstrap, [name])
    publisher = KafkaPublisher(settings.kafka_bootstrap)
    pool: asyncpg.Pool[Any]
    async with await open_pool(settings.database_url(service, "system")) as pool:
        try:
            await require_no_running_relay(pool, timeout_seconds=2 * RELAY_LEASE_SECONDS)
            if service == "analytics":
                await restore_reminders(pool, settings.kafka_bootstrap, name)
            await compare_and_confirm(pool, settings.kafka_bootstrap, name, tail=None)
            return await resync(pool, publisher, PUBLISHED[service], shards=settings.relay_shards)
        finally:
            await publisher.close()
