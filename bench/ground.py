"""What a bench stands on: a durable PostgreSQL, a Kafka, migrated databases, keys: all of its own, and thrown away."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import httpx

from infra.cli.environment import settings_of
from infra.cli.up import DEFAULTS, SERVICES
from infra.issuer import Issuer
from infra.local.folder import DataFolder
from infra.local.ports import LOOPBACK, free_port
from infra.local.postgres import LocalPostgres
from infra.local.stack import Stack, service
from infra.local.supervisor import Command, Supervisor
from infra.reference.study import subject
from shared.kernel.clock import Clock
from shared.outbox.confirmation import confirm
from shared.process import migrate
from shared.security.tenancy import open_pool
from shared.settings import PRODUCERS

NOWHERE = f"{LOOPBACK}:1"
PATIENCE = 120.0  # seconds for whatever a bench waits for
_LOOKS_EVERY = 0.05


@asynccontextmanager
async def ground(*, broker: bool = True) -> AsyncIterator[Stack]:
    """The servers that `quartal up` starts, without its commands."""
    environment = {name: value for name, value in os.environ.items() if not _says_where(name)} | DEFAULTS
    if not broker:
        environment["KAFKA_BOOTSTRAP"] = NOWHERE
    with tempfile.TemporaryDirectory(prefix="quartal-bench-") as scratch:
        folder, port = DataFolder(Path(scratch)), free_port()
        with folder.held(port):
            async with Stack(folder, port, environment, lambda _: None) as stack:
                settings = settings_of(stack.environment)
                await asyncio.gather(*(migrate(each.name, settings, each.migrations) for each in SERVICES))
                for producer in PRODUCERS:
                    async with await open_pool(settings.database(producer, "system")) as pool:
                        await confirm(pool)
                yield stack


def _says_where(name: str) -> bool:
    return name.startswith("QUARTAL_") or name in ("DATABASE_URL", "KAFKA_BOOTSTRAP")


def server(stack: Stack) -> LocalPostgres:
    if stack.postgres is None:
        raise RuntimeError("a bench measures a PostgreSQL of its own")
    return stack.postgres


def port_of(stack: Stack) -> int:
    return int(stack.environment["QUARTAL_PORT"])


def token(stack: Stack, study_id: str, role: str, site_id: str | None = None) -> str:
    issuer = Issuer.load(stack.folder.subfolder("issuer"))
    return issuer.token(subject(study_id, role, site_id), now=Clock().now())


@asynccontextmanager
async def programs(
    stack: Stack, commands: Mapping[str, Sequence[str]], told: Mapping[str, str] | None = None
) -> AsyncIterator[None]:
    """Argument lists by name, run in the stack's environment, and what else they are told, until the block ends.

    RuntimeError, with the ends of their logs, when one of them ended before.
    """
    ended: list[str] = []
    supervisor = Supervisor(
        [_told(service(stack, name, argv), told or {}) for name, argv in commands.items()],
        lambda change: ended.append(str(change)) if change.state == "exited" else None,
    )
    running = asyncio.create_task(supervisor.run())
    try:
        yield
    finally:
        supervisor.stop()
        await running
    if ended:
        raise RuntimeError(f"{'; '.join(ended)}\n{_logs(stack, commands)}")


def _told(command: Command, settings: Mapping[str, str]) -> Command:
    environment = {**command.program.environment, **settings}
    return replace(command, program=replace(command.program, environment=environment))


def _logs(stack: Stack, commands: Mapping[str, Sequence[str]]) -> str:
    return "\n".join((stack.folder.path / "logs" / f"{name}.log").read_text()[-2000:] for name in commands)


async def until(true: Callable[[], Awaitable[bool]], what: str) -> None:
    """TimeoutError, saying what was waited for, after PATIENCE."""
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                if await true():
                    return
                await asyncio.sleep(_LOOKS_EVERY)
    except TimeoutError:
        raise TimeoutError(f"{what}: not within {PATIENCE:g} s") from None


async def answering(port: int, path: str, bearer: str = "") -> None:
    """Returns when a GET of the path is answered by 200."""
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    async with httpx.AsyncClient(base_url=f"http://{LOOPBACK}:{port}", headers=headers, trust_env=False) as http:

        async def answers() -> bool:
            try:
                return (await http.get(path)).status_code == 200
            except httpx.TransportError:
                return False

        await until(answers, f"an answer at {path}")


async def spread(connections: int, act: Callable[[int], Awaitable[object]], times: int) -> float:
    """Do it so many times, so many at once; how many a second."""
    numbers = iter(range(times))
    began = perf_counter()
    async with asyncio.TaskGroup() as together:
        for _ in range(connections):
            together.create_task(_one_after_the_other(numbers, act))
    return times / (perf_counter() - began)


async def _one_after_the_other(numbers: Iterator[int], act: Callable[[int], Awaitable[object]]) -> None:
    for number in numbers:
        await act(number)
