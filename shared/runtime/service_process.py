"""How a service's process is started: `python -m services.<name> api | worker | migrate`."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import uvloop

from shared.contracts.cloudevents import topic
from shared.gc_tuning import freeze_startup_objects
from shared.inbox.consumer import consume
from shared.inbox.lag import monitor_lag
from shared.inbox.participant_registry.projector import apply_enrollment_events
from shared.outbox.confirmation import compare_and_confirm
from shared.outbox.lease import RestoredDatabase
from shared.outbox.publisher import KafkaPublisher, ensure_topics
from shared.outbox.relay import Relay
from shared.postgres.migrations import Migrations
from shared.postgres.migrations import migrate as apply_migrations
from shared.runtime.logging import configure_logging
from shared.security.tenancy import open_pool
from shared.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI

SHARED = Path(__file__).parents[1]
EVENT_STORE = Migrations("eventstore", SHARED / "eventstore" / "migrations")
INBOX = Migrations("inbox", SHARED / "inbox" / "migrations")
PARTICIPANT_REGISTRY = Migrations("registry", SHARED / "inbox" / "participant_registry" / "migrations")
RELAY_LEASE_SECONDS = 3.0  # seconds that others wait for a relay that was killed
_log = logging.getLogger(__name__)
_PUBLISHER_CLOSE_TIMEOUT_SECONDS = 5  # seconds
_STOP_TIMEOUT_SECONDS = 6.0  # seconds
WorkerTask = Callable[[Settings, asyncio.Event], Coroutine[Any, Any, None]]


async def migrate(service: str, settings: Settings, parts: Iterable[Migrations]) -> list[str]:
    """Bring one service's database to today's schema; return the names of the files applied."""
    roles = {role: unquote(urlsplit(settings.database_url(service, role)).username or "") for role in ("app", "system")}
    return await apply_migrations(settings.database_url(service, "owner"), parts, roles)


def relay_task(service: str) -> WorkerTask:
    """Publishes what the service records, until told to stop."""

    async def relay(settings: Settings, stop: asyncio.Event) -> None:
        await ensure_topics(settings.kafka_bootstrap, [topic(service)])
        pool = await open_pool(settings.database_url(service, "system"), max_size=settings.relay_shards + 3)
        publisher = KafkaPublisher(settings.kafka_bootstrap)
        restore_check = partial(compare_and_confirm, pool, settings.kafka_bootstrap, topic(service))
        relay = Relay(
            pool,
            publisher,
            service,
            restore_check=restore_check,
            shards=settings.relay_shards,
            lease_seconds=RELAY_LEASE_SECONDS,
        )
        try:
            await relay.run(stop)
        except RestoredDatabase as error:
            _log.critical("nothing is published or recorded: %s", error)
            raise
        finally:
            with suppress(TimeoutError):  # what the broker did not acknowledge is published again
                await asyncio.wait_for(publisher.close(), _PUBLISHER_CLOSE_TIMEOUT_SECONDS)
            await pool.close()

    return relay


def inbox_task(service: str, topics: Sequence[str]) -> WorkerTask:
    """Takes in what other services publish, until told to stop."""

    async def inbox(settings: Settings, stop: asyncio.Event) -> None:
        pool = await open_pool(settings.database_url(service, "system"))
        try:
            async with asyncio.TaskGroup() as group:
                lag_monitor = group.create_task(monitor_lag(pool, settings.kafka_bootstrap, topics))
                await consume(
                    pool, settings.kafka_bootstrap, f"quartal-{service}", topics, apply_enrollment_events, stop
                )
                lag_monitor.cancel()
        finally:
            await pool.close()

    return inbox


def run_until_signal(settings: Settings, *worker_tasks: WorkerTask) -> None:
    """Run all of them until SIGTERM or SIGINT; an error in one ends the process, for its supervisor to start again.

    What does not end by itself when it is told to, because it waits for a server that is away, is cancelled.
    """

    async def run() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signal_number, stop.set)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_run_uncancelled(work(settings, stop))) for work in worker_tasks]
            await stop.wait()
            _, unfinished = await asyncio.wait(tasks, timeout=_STOP_TIMEOUT_SECONDS)
            for task in unfinished:
                task.cancel()

    freeze_startup_objects()
    uvloop.run(run())


async def _run_uncancelled(coroutine: Coroutine[Any, Any, None]) -> None:
    """A task group takes a cancelled task for one that was not wanted any more; only `until_stopped` cancels these."""
    try:
        await coroutine
    except asyncio.CancelledError as cancellation:
        if (task := asyncio.current_task()) and not task.cancelling():
            raise RuntimeError("a work was cancelled from within") from cancellation
        raise


@dataclass(frozen=True)
class ServiceProcess:
    """One service's commands. `work` runs its worker until the process is told to stop.

    `app` is the module with `create_app`: a worker has no use for it, and it is most of what there is to import.
    """

    name: str
    app_module: str
    run_worker: Callable[[Settings], None]
    migrations: Sequence[Migrations]

    def create_app(self, settings: Settings, **options: Any) -> FastAPI:
        app: FastAPI = import_module(self.app_module).create_app(settings, **options)
        return app

    def main(self) -> None:
        settings = Settings()
        commands: Mapping[str, Callable[[], Any]] = {
            "api": lambda: self._serve(settings),
            "worker": lambda: self.run_worker(settings),
            "migrate": lambda: asyncio.run(migrate(self.name, settings, self.migrations)),
        }
        command = commands.get(sys.argv[1] if len(sys.argv) == 2 else "")
        if command is None:
            sys.exit(f"usage: python -m services.{self.name} {' | '.join(commands)}")
        configure_logging(f"{self.name}-{sys.argv[1]}")
        command()

    def _serve(self, settings: Settings) -> None:
        from shared.runtime.server import serve
        from shared.web.container import container_of

        app = self.create_app(settings)
        serve(app, settings, "0.0.0.0", streams=container_of(app).streams)  # noqa: S104 - in its own container
