"""Runs the servers of one data folder, and the services with settings that name these servers."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from infra.callbacks import Report
from infra.issuer import Issuer
from infra.local.child_process import Program
from infra.local.data_folder import DataFolder
from infra.local.kafka import LocalKafka, install_kafka
from infra.local.ports import LOOPBACK, persistent_port
from infra.local.postgres import LocalPostgres
from infra.local.supervisor import StateChange, SupervisedCommand, Supervisor, call_on_signals
from infra.postgres.roles import ROLES, URL_SETTINGS, ensure_databases
from shared.retry import wait_for_event
from shared.security.vault import make_key_file

CHECKOUT = Path(__file__).resolve().parents[2]
Step = Callable[["Stack"], Coroutine[Any, Any, None]]
_POLL_INTERVAL_SECONDS = 0.5  # between two checks for a crashed server


class Stack:
    """The servers of a data folder: PostgreSQL and Kafka with databases and roles; `environment` has their addresses.

    DATABASE_URL or KAFKA_BOOTSTRAP in the given environment name running servers, which are used instead. The caller
    must hold the folder. A crashed server is started again. `run_stack` starts the services.
    """

    def __init__(self, folder: DataFolder, port: int, environment: Mapping[str, str], report: Report) -> None:
        self.folder = folder
        self.environment = dict(environment)
        self._own_settings = {
            "QUARTAL_DATA": str(folder.path),
            "QUARTAL_PORT": str(port),
            "QUARTAL_CLOCK_FILE": str(folder.clock_file),
        }
        self._settings = dict(self._own_settings)
        self._report = report
        has_external_server = environment.get("DATABASE_URL") or all(
            environment.get(setting) for setting in URL_SETTINGS.values()
        )
        self.postgres = None if has_external_server else LocalPostgres(folder.path / "postgres")
        self.kafka: LocalKafka | None = None
        self._is_ending = asyncio.Event()
        self._watch_task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Stack:
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        self._watch_task = asyncio.create_task(self._restart_crashed_servers())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._stop()

    async def _start(self) -> None:
        starts = [asyncio.create_task(start) for start in (self._start_databases(), self._start_broker())]
        try:
            await asyncio.wait(starts)
        except asyncio.CancelledError:  # a thread cannot be interrupted, and its server must be stopped
            await asyncio.wait(starts)
            raise
        for start in starts:
            self._settings |= start.result()
        self._settings |= self._key_settings() | self._mail_settings()
        self.environment |= {name: value for name, value in self._settings.items() if not self.environment.get(name)}
        self.environment |= {
            name: self._settings[name] for name in ("QUARTAL_DATA", "QUARTAL_PORT", "QUARTAL_CLOCK_FILE")
        }

    async def _start_databases(self) -> dict[str, str]:
        server = self.environment.get("DATABASE_URL", "")
        if self.postgres:
            await asyncio.to_thread(self.postgres.start)
            server = self.postgres.url()
            self._report("PostgreSQL is up")
        if not server:
            return {}
        passwords = {role: self.folder.secret(role, lambda: secrets.token_urlsafe(24)) for role in ROLES}
        return await ensure_databases(server, passwords)

    async def _start_broker(self) -> dict[str, str]:
        if self.environment.get("KAFKA_BOOTSTRAP"):
            return {}
        await asyncio.to_thread(self._start_kafka)
        self._report("Kafka is up")
        return {"KAFKA_BOOTSTRAP": self.kafka.bootstrap} if self.kafka else {}

    def _start_kafka(self) -> None:
        home = install_kafka(self._report)
        self.kafka = LocalKafka(self.folder.path / "kafka", home=home)
        self.kafka.start()

    def _key_settings(self) -> dict[str, str]:
        """Returns the settings that name the issuer's public keys and the services' keys, made if absent."""
        names = ("kek", "event_key", "links_key")
        files = {f"QUARTAL_{name.upper()}": self.folder.subfolder("secrets") / name for name in names}
        for file in files.values():
            if not file.exists():
                make_key_file(file)
        jwks = Issuer.load(self.folder.subfolder("issuer")).jwks
        return {"QUARTAL_JWKS": str(jwks), **{setting: str(file) for setting, file in files.items()}}

    def _mail_settings(self) -> dict[str, str]:
        """Returns the settings of a mail server of our own; none where the environment names a server."""
        if self.environment.get("QUARTAL_SMTP_URL"):
            return {}
        port = persistent_port(self.folder.path / "smtp.port")
        return {
            "QUARTAL_SMTP_URL": f"smtp://{LOOPBACK}:{port}",
            "QUARTAL_OUTBOX_PORT": str(port),
            "QUARTAL_MAIL_FROM": "quartal@localhost",
        }

    async def _restart_crashed_servers(self) -> None:
        while not self._is_ending.is_set():
            await wait_for_event(self._is_ending, _POLL_INTERVAL_SECONDS)
            for server in (self.postgres, self.kafka):
                if server and server.has_crashed and not self._is_ending.is_set():
                    name = {self.postgres: "PostgreSQL", self.kafka: "Kafka"}[server]
                    self._report(f"{name} crashed and is started again. Its log is {server.log}")
                    with suppress(RuntimeError):  # the next check tries again
                        await asyncio.to_thread(server.start)

    async def _stop(self) -> None:
        self._is_ending.set()
        if self._watch_task:
            await asyncio.wait([self._watch_task])
        await asyncio.gather(*(asyncio.to_thread(server.stop) for server in (self.kafka, self.postgres) if server))


def service_command(stack: Stack, name: str, argv: Sequence[str]) -> SupervisedCommand:
    """Returns a command in the environment of the stack; its log is `logs/<name>.log` in the data folder."""
    log = stack.folder.subfolder("logs") / f"{name}.log"
    return SupervisedCommand(name, Program(argv, log, stack.environment, folder=CHECKOUT))


async def _do_nothing(_: Stack) -> None:
    """The default step of a run."""


async def run_stack(
    stack: Stack,
    commands: Mapping[str, Sequence[str]],
    report: Callable[[StateChange], None],
    prepare: Step = _do_nothing,
    while_running: Step = _do_nothing,
) -> None:
    """Runs the stack and, in it, the commands (argument lists by name, in order of start) until a signal ends all.

    `prepare` runs when the servers are up, before any command; `while_running` when the commands are started, and its
    failure ends the run. A signal during the start stops what has started; one during the stop has no effect.
    """
    starting, stop_requested = asyncio.create_task(_start_and_prepare(stack, prepare)), asyncio.Event()

    def request_stop() -> None:
        stop_requested.set()
        starting.cancel()

    with call_on_signals(request_stop):
        await asyncio.wait([starting])
        if starting.cancelled():
            return
        starting.result()
        try:
            if not stop_requested.is_set():
                await _supervise(stack, commands, report, while_running)
        finally:
            await stack.__aexit__(None, None, None)


async def _start_and_prepare(stack: Stack, prepare: Step) -> None:
    await stack.__aenter__()
    try:
        await prepare(stack)
    except BaseException:
        await stack.__aexit__(None, None, None)
        raise


async def _supervise(
    stack: Stack, commands: Mapping[str, Sequence[str]], report: Callable[[StateChange], None], while_running: Step
) -> None:
    supervisor = Supervisor([service_command(stack, name, argv) for name, argv in commands.items()], report)
    companion = asyncio.create_task(while_running(stack))
    companion.add_done_callback(lambda done: supervisor.stop() if not done.cancelled() and done.exception() else None)
    await supervisor.run()
    companion.cancel()
    with suppress(asyncio.CancelledError):
        await companion
