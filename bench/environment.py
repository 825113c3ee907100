"""The servers, databases and keys of one bench, and the programs that run on them; all are deleted afterwards."""

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

from infra.cli.settings_source import read_settings
from infra.cli.up import DEFAULTS, PROCESSES
from infra.issuer import Issuer
from infra.local.data_folder import DataFolder
from infra.local.ports import LOOPBACK, free_port
from infra.local.postgres import LocalPostgres
from infra.local.stack import Stack, service_command
from infra.local.supervisor import SupervisedCommand, Supervisor
from infra.reference.study import subject
from shared.kernel.clock import Clock
from shared.outbox.confirmation import confirm_database
from shared.postgres.tenancy import open_pool
from shared.runtime.service_process import migrate
from shared.settings import PRODUCERS

UNREACHABLE_BROKER = f"{LOOPBACK}:1"
TIMEOUT_SECONDS = 120.0  # for anything that a bench waits for
_POLL_INTERVAL_SECONDS = 0.05


@asynccontextmanager
async def bench_environment(*, broker: bool = True) -> AsyncIterator[Stack]:
    """Starts the servers that `quartal up` starts, without its services; without `broker`, Kafka is unreachable."""
    environment = {name: value for name, value in os.environ.items() if not _is_server_address(name)} | DEFAULTS
    if not broker:
        environment["KAFKA_BOOTSTRAP"] = UNREACHABLE_BROKER
    with tempfile.TemporaryDirectory(prefix="quartal-bench-") as scratch:
        folder, port = DataFolder(Path(scratch)), free_port()
        with folder.hold(port):
            async with Stack(folder, port, environment, lambda _: None) as stack:
                settings = read_settings(stack.environment)
                await asyncio.gather(*(migrate(process.name, settings, process.migrations) for process in PROCESSES))
                for producer in PRODUCERS:
                    async with await open_pool(settings.database_url(producer, "system")) as pool:
                        await confirm_database(pool)
                yield stack


def _is_server_address(name: str) -> bool:
    return name.startswith("QUARTAL_") or name in ("DATABASE_URL", "KAFKA_BOOTSTRAP")


def postgres_of(stack: Stack) -> LocalPostgres:
    if stack.postgres is None:
        raise RuntimeError("a bench measures a PostgreSQL of its own")
    return stack.postgres


def port_of(stack: Stack) -> int:
    return int(stack.environment["QUARTAL_PORT"])


def create_token(stack: Stack, study_id: str, role: str, site_id: str | None = None) -> str:
    issuer = Issuer.load(stack.folder.subfolder("issuer"))
    return issuer.token(subject(study_id, role, site_id), now=Clock().now())


@asynccontextmanager
async def run_programs(
    stack: Stack, commands: Mapping[str, Sequence[str]], extra_environment: Mapping[str, str] | None = None
) -> AsyncIterator[None]:
    """Runs commands (argument lists by name) in the stack's environment until the block ends.

    Raises RuntimeError, with the ends of their logs, if one of them ended earlier.
    """
    exits: list[str] = []
    supervisor = Supervisor(
        [
            _with_environment(service_command(stack, name, argv), extra_environment or {})
            for name, argv in commands.items()
        ],
        lambda change: exits.append(str(change)) if change.state == "exited" else None,
    )
    running = asyncio.create_task(supervisor.run())
    try:
        yield
    finally:
        supervisor.stop()
        await running
    if exits:
        raise RuntimeError(f"{'; '.join(exits)}\n{_logs(stack, commands)}")


def _with_environment(command: SupervisedCommand, extra_environment: Mapping[str, str]) -> SupervisedCommand:
    environment = {**command.program.environment, **extra_environment}
    return replace(command, program=replace(command.program, environment=environment))


def _logs(stack: Stack, commands: Mapping[str, Sequence[str]]) -> str:
    return "\n".join((stack.folder.path / "logs" / f"{name}.log").read_text()[-2000:] for name in commands)


async def wait_until(condition: Callable[[], Awaitable[bool]], description: str) -> None:
    """Returns when `condition` holds; raises TimeoutError, with the description, after TIMEOUT_SECONDS."""
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while True:
                if await condition():
                    return
                await asyncio.sleep(_POLL_INTERVAL_SECONDS)
    except TimeoutError:
        raise TimeoutError(f"{description}: not within {TIMEOUT_SECONDS:g} s") from None


async def wait_until_answering(port: int, path: str, bearer: str = "") -> None:
    """Returns when a GET of the path is answered with 200."""
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    async with httpx.AsyncClient(base_url=f"http://{LOOPBACK}:{port}", headers=headers, trust_env=False) as http:

        async def answers() -> bool:
            try:
                return (await http.get(path)).status_code == 200
            except httpx.TransportError:
                return False

        await wait_until(answers, f"a response at {path}")


async def run_concurrently(connections: int, act: Callable[[int], Awaitable[object]], times: int) -> float:
    """Calls `act` so many times, `connections` at once; returns the calls per second."""
    numbers = iter(range(times))
    started_at = perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(connections):
            tasks.create_task(_run_sequentially(numbers, act))
    return times / (perf_counter() - started_at)


async def _run_sequentially(numbers: Iterator[int], act: Callable[[int], Awaitable[object]]) -> None:
    for number in numbers:
        await act(number)
