"""Commands of a service's process: `python -m services.<name> api | worker | migrate`."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import uvloop

from shared.contracts.cloudevents import topic
from shared.inbox.consumer import consume
from shared.inbox.lag import monitor_lag
from shared.inbox.participant_registry.projector import apply_enrollment_events
from shared.outbox.confirmation import compare_and_confirm
from shared.outbox.lease import RestoredDatabase
from shared.outbox.publisher import KafkaPublisher, ensure_topics
from shared.outbox.relay import Relay
from shared.postgres.migrations import Migrations
from shared.postgres.migrations import migrate as apply_migrations
from shared.postgres.tenancy import open_pool
from shared.runtime.startup import start_process
from shared.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI

SHARED = Path(__file__).parents[1]
EVENT_STORE = Migrations("eventstore", SHARED / "eventstore" / "migrations")
INBOX = Migrations("inbox", SHARED / "inbox" / "migrations")
PARTICIPANT_REGISTRY = Migrations("registry", SHARED / "inbox" / "participant_registry" / "migrations")
RELAY_LEASE_SECONDS = 3.0  # other relays wait this long for a relay that was killed
_log = logging.getLogger(__name__)
_PUBLISHER_CLOSE_TIMEOUT_SECONDS = 5
_STOP_TIMEOUT_SECONDS = 6.0
WorkerTask = Callable[[Settings, asyncio.Event], Coroutine[Any, Any, None]]


async def migrate(service: str, settings: Settings, parts: Iterable[Migrations]) -> list[str]:
    """Applies the new migrations to a service's database; returns the names of the files applied."""
    roles = {role: unquote(urlsplit(settings.database_url(service, role)).username or "") for role in ("app", "system")}
    return await apply_migrations(settings.database_url(service, "owner"), parts, roles)


def relay_task(service: str, source: str = "") -> WorkerTask:
    """Returns the task that publishes the service's events until it is stopped.

    `source`: the name of its streams, and of their topic, if it is another than the service's.
    """
    source = source or service

    async def relay(settings: Settings, stop: asyncio.Event) -> None:
        await ensure_topics(settings.kafka_bootstrap, [topic(source)])
        pool = await open_pool(settings.database_url(service, "system"), max_size=settings.relay_shards + 3)
        publisher = KafkaPublisher(settings.kafka_bootstrap)
        restore_check = partial(compare_and_confirm, pool, settings.kafka_bootstrap, topic(source))
        relay = Relay(
            pool,
            publisher,
            source,
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
            with suppress(TimeoutError):  # unacknowledged events are published again
                await asyncio.wait_for(publisher.close(), _PUBLISHER_CLOSE_TIMEOUT_SECONDS)
            await pool.close()

    return relay


def inbox_task(service: str, topics: Sequence[str]) -> WorkerTask:
    """Returns the task that applies other services' events from the topics until it is stopped."""

    async def inbox(settings: Settings, stop: asyncio.Event) -> None:
        pool = await open_pool(settings.database_url(service, "system"))
        try:
            async with asyncio.TaskGroup() as group:
                lag_monitor = group.create_task(monitor_lag(pool, settings.kafka_bootstrap, topics))
                await consume(
                    pool,
                    bootstrap=settings.kafka_bootstrap,
                    group=f"quartal-{service}",
                    topics=topics,
                    handler=apply_enrollment_events,
                    stop=stop,
                )
                lag_monitor.cancel()
        finally:
            await pool.close()

    return inbox


def run_until_signal(settings: Settings, *worker_tasks: WorkerTask) -> None:
    """Runs the tasks until SIGTERM or SIGINT. An error in one ends the process, which its supervisor restarts.

    Tasks that do not end in time after the signal, as they wait for an unavailable server, are cancelled.
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

    uvloop.run(run())


async def _run_uncancelled(coroutine: Coroutine[Any, Any, None]) -> None:
    """Turns a cancellation from within into an error, since a task group ignores tasks that were cancelled."""
    try:
        await coroutine
    except asyncio.CancelledError as cancellation:
        if (task := asyncio.current_task()) and not task.cancelling():
            raise RuntimeError("a task was cancelled from within") from cancellation
        raise


@dataclass(frozen=True)
class ServiceProcess:
    """The commands of one service. `run_worker` runs its worker until a signal, `more_commands` its other processes.

    `app_module` has `create_app`. Only the command `api` imports it, since it is most of what there is to import.
    """

    name: str
    app_module: str
    run_worker: Callable[[Settings], None]
    migrations: Sequence[Migrations]
    more_commands: Mapping[str, Callable[[Settings], None]] = field(default_factory=dict)

    def create_app(self, settings: Settings, **options: Any) -> FastAPI:
        app: FastAPI = import_module(self.app_module).create_app(settings, **options)
        return app

    def main(self) -> None:
        """Runs the command that the arguments name."""
        commands: Mapping[str, Callable[[Settings], Any]] = {
            "api": self._serve,
            "worker": self.run_worker,
            **self.more_commands,
            "migrate": lambda settings: asyncio.run(migrate(self.name, settings, self.migrations)),
        }
        command = commands.get(sys.argv[1] if len(sys.argv) == 2 else "")
        if command is None:
            sys.exit(f"usage: python -m services.{self.name} {' | '.join(commands)}")
        command(start_process(f"{self.name}-{sys.argv[1]}"))

    def _serve(self, settings: Settings) -> None:
        from shared.runtime.server import serve
        from shared.web.container import container_of

        app = self.create_app(settings)
        serve(app, settings, "0.0.0.0", streams=container_of(app).streams)  # noqa: S104 - in its own container


def participant_service_process(name: str) -> ServiceProcess:
    """Returns the commands of a service that records facts about participants that enrollment registers.

    Its worker publishes the facts of the service, and applies those of enrollment.
    """

    def run_worker(settings: Settings) -> None:
        run_until_signal(settings, relay_task(name), inbox_task(name, [topic("enrollment")]))

    return ServiceProcess(name, f"services.{name}.app", run_worker, (EVENT_STORE, INBOX, PARTICIPANT_REGISTRY))
