"""`quartal up`: runs the servers and services of a data folder until a signal ends them."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from errno import EIO

import httpx
import typer

from infra.cli.installation import configured_port, data_folder, http_client
from infra.cli.settings_source import read_settings
from infra.local.data_folder import DataFolder
from infra.local.folder_lock import LockHeld
from infra.local.kafka import KafkaFailed
from infra.local.kafka_home import KafkaMissing
from infra.local.ports import is_free
from infra.local.postgres import PostgresFailed
from infra.local.stack import Stack, Step, run_stack
from infra.local.supervisor import StateChange, python_module
from services.analytics.__main__ import SERVICE_PROCESS as ANALYTICS
from services.enrollment.__main__ import SERVICE_PROCESS as ENROLLMENT
from services.followup.__main__ import SERVICE_PROCESS as FOLLOWUP
from services.toxicity.__main__ import SERVICE_PROCESS as TOXICITY
from shared.postgres.migrations import ChangedMigration
from shared.retry import poll_until
from shared.runtime.service_process import migrate

PROCESSES = (ENROLLMENT, TOXICITY, FOLLOWUP, ANALYTICS)
COMMANDS: Mapping[str, Sequence[str]] = {
    "web": python_module("infra.local.single_port_app"),
    "enrollment": python_module("services.enrollment", "worker"),
    "toxicity": python_module("services.toxicity", "worker"),
    "followup": python_module("services.followup", "worker"),
    "analytics": python_module("services.analytics", "worker"),
    "deriver": python_module("services.analytics", "deriver"),
}
DEFAULTS = {"QUARTAL_ADMINISTRATORS": "administrator@study-wide.{study}", "QUARTAL_PLAIN_HTTP": "true"}
READY_TIMEOUT_SECONDS, _POLL_INTERVAL_SECONDS = 60.0, 0.1
TAKEOVER_TIMEOUT_SECONDS = 10.0  # for the web process of a killed predecessor to end


class PortTaken(RuntimeError):
    """Another process listens on our port."""


class NotReady(RuntimeError):
    """The services do not answer or cannot record facts; the message has the last response."""


START_ERRORS = (LockHeld, PortTaken, NotReady, PostgresFailed, KafkaFailed, KafkaMissing, ChangedMigration)


def command() -> None:
    """Start PostgreSQL, Kafka and all services on the data folder QUARTAL_DATA, and run until Ctrl-C."""
    start(COMMANDS, _report_ready, DEFAULTS)


def start(commands: Mapping[str, Sequence[str]], while_running: Step, defaults: Mapping[str, str]) -> None:
    """Locks the folder and runs the stack; ends with a message and exit code 1 if it cannot start, 2 if a setting is
    wrong.
    """
    folder, environment = data_folder(), {**defaults, **os.environ}
    _require_one_sign_in(environment)
    try:
        with folder.hold(configured_port()):
            asyncio.run(_run_stack(folder, commands, while_running, environment))
    except START_ERRORS as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


def _require_one_sign_in(environment: Mapping[str, str]) -> None:
    """Ends the command if people sign in with a provider, and the development issuer would sign them in too."""
    if environment.get("QUARTAL_OIDC_ISSUER"):
        read_settings(environment)
        if not environment.get("QUARTAL_JWKS"):
            typer.echo(
                "QUARTAL_OIDC_ISSUER names an OpenID provider. Set QUARTAL_JWKS to the keys of its access tokens, or "
                "those of the development issuer would be trusted.",
                err=True,
            )
            raise typer.Exit(2)


async def _run_stack(
    folder: DataFolder, commands: Mapping[str, Sequence[str]], while_running: Step, environment: Mapping[str, str]
) -> None:
    await _wait_for_free_port(configured_port())
    stack = Stack(folder, configured_port(), environment, print_line)
    await run_stack(stack, commands, _print_change, prepare=_migrate_databases, while_running=while_running)


async def _wait_for_free_port(number: int) -> None:
    """Waits until no other process listens on the port: it would answer in our place."""

    async def port_is_free() -> bool:
        return is_free(number)

    if not is_free(number):
        typer.echo(f"Another process uses port {number}. Waiting for it to end.")
    try:
        await poll_until(
            port_is_free, interval_seconds=_POLL_INTERVAL_SECONDS, timeout_seconds=TAKEOVER_TIMEOUT_SECONDS
        )
    except TimeoutError:
        raise PortTaken(f"Another process uses port {number}. Stop it, or set QUARTAL_PORT to another port.") from None


async def _migrate_databases(stack: Stack) -> None:
    """Migrates every database to the present schema."""
    settings = read_settings(stack.environment)
    stack.folder.add_notes(environment={name: stack.environment[name] for name in stack.environment if _is_ours(name)})
    applied = await asyncio.gather(*(migrate(process.name, settings, process.migrations) for process in PROCESSES))
    if any(applied):
        typer.echo("The databases are migrated")


def _is_ours(setting: str) -> bool:
    return setting.startswith("QUARTAL_") or setting == "KAFKA_BOOTSTRAP"


def _print_change(change: StateChange) -> None:
    if change.state in ("exited", "killed"):
        print_line(str(change))


def print_line(line: str) -> None:
    """Prints a line. After the terminal was closed it prints nothing, since the services must end in order."""
    try:
        typer.echo(line)
    except OSError as error:
        if error.errno != EIO:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


async def _report_ready(stack: Stack) -> None:
    try:
        await wait_until_ready()
    except NotReady as error:  # the stack stays up, so that its data can be read and the fault be corrected
        typer.echo(str(error), err=True)
        return
    typer.echo(f"Ready: http://127.0.0.1:{configured_port()}")


async def wait_until_ready() -> None:
    """Returns when the web process answers and facts may be stated. Raises NotReady after a minute."""
    last_answer = "The web process does not answer."

    async def is_ready() -> bool:
        nonlocal last_answer
        with suppress(httpx.TransportError):
            response = await http.get("/health/ready")
            if response.status_code == 200:
                return True
            last_answer = response.json()["title"]
        return False

    try:
        async with http_client(f"http://127.0.0.1:{configured_port()}") as http:
            await poll_until(is_ready, interval_seconds=_POLL_INTERVAL_SECONDS, timeout_seconds=READY_TIMEOUT_SECONDS)
    except TimeoutError:
        raise NotReady(
            f"Not ready after {READY_TIMEOUT_SECONDS:g} s. {last_answer} The logs are in {data_folder().path / 'logs'}."
        ) from None
