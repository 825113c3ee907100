"""`quartal up`: the servers and services of a data folder, until a signal ends them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence

import httpx
import typer

from infra.cli.environment import settings_of
from infra.cli.running import client, data_folder, port
from infra.local.claim import InUse
from infra.local.folder import DataFolder
from infra.local.kafka import KafkaFailed
from infra.local.kafka_home import KafkaMissing
from infra.local.ports import is_free
from infra.local.postgres import PostgresFailed
from infra.local.stack import Stack, Step, run
from infra.local.supervisor import Change, python_module
from services.analytics.__main__ import PROCESS as ANALYTICS
from services.enrollment.__main__ import PROCESS as ENROLLMENT
from services.followup.__main__ import PROCESS as FOLLOWUP
from services.toxicity.__main__ import PROCESS as TOXICITY
from shared.eventstore.migrate import ChangedMigration
from shared.process import migrate

SERVICES = (ENROLLMENT, TOXICITY, FOLLOWUP, ANALYTICS)
COMMANDS: Mapping[str, Sequence[str]] = {
    "web": python_module("infra.local.web"),
    "enrollment": python_module("services.enrollment", "worker"),
    "toxicity": python_module("services.toxicity", "worker"),
    "followup": python_module("services.followup", "worker"),
    "analytics": python_module("services.analytics", "worker"),
}
DEFAULTS = {"QUARTAL_ADMINISTRATORS": "administrator@study-wide.{study}", "QUARTAL_PLAIN_HTTP": "true"}
READY_WITHIN, _LOOKS_EVERY = 60.0, 0.1
TAKES_OVER_WITHIN = 10.0  # seconds in which the web process of a killed predecessor ends


class PortTaken(RuntimeError):
    """Something else listens where we are to listen."""


class NotReady(RuntimeError):
    """Something does not answer, or nothing can be stated; the message says what was answered last."""


CANNOT_START = (InUse, PortTaken, NotReady, PostgresFailed, KafkaFailed, KafkaMissing, ChangedMigration)


def command() -> None:
    """Start PostgreSQL, Kafka and all services on the data folder QUARTAL_DATA, and run until Ctrl-C."""
    start(COMMANDS, _ready, DEFAULTS)


def start(commands: Mapping[str, Sequence[str]], meanwhile: Step, defaults: Mapping[str, str]) -> None:
    """Hold the folder, run the stack; end with a sentence and code 1 where that cannot be."""
    folder = data_folder()
    try:
        with folder.held(port()):
            asyncio.run(_up(folder, commands, meanwhile, {**defaults, **os.environ}))
    except CANNOT_START as why:
        typer.echo(str(why), err=True)
        raise typer.Exit(1) from None


async def _up(
    folder: DataFolder, commands: Mapping[str, Sequence[str]], meanwhile: Step, environment: Mapping[str, str]
) -> None:
    await _port_is_free(port())
    stack = Stack(folder, port(), environment, typer.echo)
    await run(stack, commands, _tell, prepare=_migrated, meanwhile=meanwhile)


async def _port_is_free(number: int) -> None:
    """Otherwise the one who has it would answer in our place."""
    deadline = asyncio.get_running_loop().time() + TAKES_OVER_WITHIN
    if not is_free(number):
        typer.echo(f"Another process uses port {number}. Waiting for it to end.")
    while not is_free(number):
        if asyncio.get_running_loop().time() > deadline:
            raise PortTaken(f"Another process uses port {number}. Stop it, or set QUARTAL_PORT to another port.")
        await asyncio.sleep(_LOOKS_EVERY)


async def _migrated(stack: Stack) -> None:
    """Every database at today's schema."""
    settings = settings_of(stack.environment)
    stack.folder.note(environment={name: stack.environment[name] for name in stack.environment if _is_ours(name)})
    applied = await asyncio.gather(*(migrate(each.name, settings, each.migrations) for each in SERVICES))
    if any(applied):
        typer.echo("The databases are migrated")


def _is_ours(setting: str) -> bool:
    return setting.startswith("QUARTAL_") or setting == "KAFKA_BOOTSTRAP"


def _tell(change: Change) -> None:
    if change.state in ("exited", "killed"):
        typer.echo(str(change))


async def _ready(stack: Stack) -> None:
    try:
        await answering()
    except NotReady as why:  # it stays up: what is there can be read, and what is wrong be mended
        typer.echo(str(why), err=True)
        return
    typer.echo(f"Ready: http://127.0.0.1:{port()}")


async def answering() -> None:
    """Return when the web process answers and facts may be stated. Raises NotReady after a minute."""
    loop = asyncio.get_running_loop()
    deadline, said = loop.time() + READY_WITHIN, "The web process does not answer."
    async with client(f"http://127.0.0.1:{port()}") as http:
        while loop.time() < deadline:
            try:
                answer = await http.get("/health/ready")
                if answer.status_code == 200:
                    return
                said = answer.json()["title"]
            except httpx.TransportError:
                pass
            await asyncio.sleep(_LOOKS_EVERY)
    raise NotReady(f"Not ready after {READY_WITHIN:g} s. {said} The logs are in {data_folder().path / 'logs'}.")
