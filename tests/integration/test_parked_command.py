"""`quartal parked`, as an operator types it, on an analytics database of the test's own."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from services.analytics.projection.projector import apply_events
from shared.contracts.event import Event
from shared.inbox.batch import PoisonEvent, apply_messages
from shared.inbox.parked import ParkedItemNotFound, discard, unreadable_messages
from shared.inbox.repository import Connection
from shared.postgres.tenancy import Tenant, transaction
from shared.testing.builders.events import EventStream
from shared.testing.builders.facts import lesion_registered, participant_enrolled
from shared.testing.builders.messages import as_message, as_messages
from shared.testing.builders.participant_history import participant_stream
from tests.conftest import ROOT, Database, PostgresServer
from tests.integration.support.analytics_database import (
    journal_rows,
    own_analytics_database,
    project_messages,
    stream_states,
)
from tests.polling import wait_until
from tests.quartal_command import run_quartal

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
TIMEOUT_SECONDS = 40.0  # seconds until a promise counts as broken


async def reject_lesions(connection: Connection, events: Sequence[Event]) -> None:
    """A handler of an earlier version, which cannot apply lesions."""
    if any(event.type == "lesion.registered" for event in events):
        raise PoisonEvent("no-lesions-here")
    await apply_events(connection, events)


@dataclass(frozen=True)
class CliTerminal:
    """A terminal at which the database is known."""

    database: Database
    folder: Path

    async def run(self, *arguments: str, answer: str = "") -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(run_quartal, ["parked", *arguments], self._environment, answer)

    @property
    def _environment(self) -> dict[str, str]:
        url = self.database.urls["system"]
        return {**os.environ, "QUARTAL_DATA": str(self.folder), "QUARTAL_ANALYTICS_SYSTEM_URL": url}

    async def list_parked(self) -> list[list[str]]:
        """The lines, without the times."""
        result = await self.run("list", "--service", "analytics")
        assert result.returncode == 0, result.stderr
        return [[cell for cell in line.split("\t") if not TIME.fullmatch(cell)] for line in result.stdout.splitlines()]

    def screen_output(self, *arguments: str) -> str:
        """Returns the output in a terminal of 200 columns."""
        master, slave = pty.openpty()
        environment = {**self._environment, "COLUMNS": "200", "TERM": "xterm"}
        command = [sys.executable, "-m", "infra.cli", "parked", *arguments]
        with open(master, encoding="utf-8", errors="replace") as screen:
            subprocess.run(command, cwd=ROOT, env=environment, stdout=slave, timeout=TIMEOUT_SECONDS, check=True)
            os.write(slave, b"\n--\n")
            output = "".join(iter(screen.readline, "--\n"))
            os.close(slave)
        return output


@pytest.fixture
async def terminal(
    postgres: PostgresServer, databases: Mapping[str, str], tmp_path: Path
) -> AsyncIterator[CliTerminal]:
    async with own_analytics_database(postgres) as database:
        yield CliTerminal(database, tmp_path)


async def park_stream(terminal: CliTerminal, study_id: str) -> EventStream:
    """A stream that is parked before a lesion, with the events after it."""
    stream = participant_stream(study_id, lesion_registered(), participant_enrolled())
    await project_messages(terminal.database.system, as_messages(stream.events), reject_lesions)
    return stream


async def test_parked_streams_and_unreadable_messages_are_listed_one_per_line(
    terminal: CliTerminal, study_id: str
) -> None:
    empty = await terminal.run("list", "--service", "analytics")
    assert (empty.returncode, empty.stdout, empty.stderr) == (
        0,
        "",
        "There are no parked streams and no unreadable messages.\n",
    )
    parked_events = await park_stream(terminal, study_id)
    await project_messages(terminal.database.system, [replace(as_message(parked_events.events[0], 77), headers=())])
    stream_row, unreadable_row = await terminal.list_parked()
    assert stream_row == ["analytics", parked_events.source, parked_events.stream_id, "2", "no-lesions-here", "2"]
    assert unreadable_row[2:] == ["quartal.enrollment.v1", "0", "77", "ce_dataschema-missing"]


async def test_terminal_output_is_a_table_with_headings(terminal: CliTerminal, study_id: str) -> None:
    stream = await park_stream(terminal, study_id)
    output = await asyncio.to_thread(terminal.screen_output, "list", "--service", "analytics")
    assert all(word in output for word in ("Parked streams", "applied up to", stream.stream_id, "no-lesions-here"))


async def test_parked_stream_continues_when_retried_after_its_cause_is_gone(
    terminal: CliTerminal, study_id: str
) -> None:
    stream = await park_stream(terminal, study_id)
    notifications: list[str] = []
    listener = await asyncpg.connect(terminal.database.superuser_url)
    await listener.add_listener("quartal_projected", lambda *arguments: notifications.append(str(arguments[3])))
    result = await terminal.run("retry", "analytics", stream.source, stream.stream_id)
    assert (result.returncode, result.stdout) == (0, "events applied: 2\n")
    assert [row["position"] for row in await journal_rows(terminal.database.system, study_id)] == [1, 2, 3, 4]
    await listener.execute("select")
    await listener.close()
    assert notifications == [f"{study_id}:4:0"]
    repeated = await terminal.run("retry", "analytics", stream.source, stream.stream_id)
    assert (repeated.returncode, repeated.stdout) == (1, "")
    assert "This stream or message is not parked." in repeated.stderr


async def test_retry_fails_with_exit_code_1_while_the_cause_remains(terminal: CliTerminal, study_id: str) -> None:
    stream, foreign = participant_stream(study_id), participant_stream(study_id)
    stream.correct(foreign.events[0], None)
    await project_messages(terminal.database.system, as_messages(stream.events))
    result = await terminal.run("retry", "analytics", stream.source, stream.stream_id)
    assert result.returncode == 1
    assert result.stdout.splitlines() == [
        f"{stream.source} {stream.stream_id}: still parked after version 2: no-such-event",
        "events applied: 0",
    ]


async def test_retry_all_retries_every_parked_stream(terminal: CliTerminal, study_id: str) -> None:
    streams = [await park_stream(terminal, study_id) for _ in range(3)]
    gapped = participant_stream(study_id, lesion_registered())
    await project_messages(terminal.database.system, [as_message(gapped.events[0]), as_message(gapped.events[2])])
    result = await terminal.run("retry", "analytics", "--all")
    assert (result.returncode, result.stdout.splitlines()[-1]) == (1, "events applied: 6")
    expected: dict[str, Any] = {stream.stream_id: (4, None) for stream in streams}
    assert await stream_states(terminal.database.system, study_id) == {
        **expected,
        gapped.stream_id: (1, "version-missing"),
    }


async def test_discard_asks_for_confirmation_and_records_user_and_reason(terminal: CliTerminal, study_id: str) -> None:
    stream = await park_stream(terminal, study_id)
    arguments = "discard", "analytics", stream.source, stream.stream_id, "--reason", "sent in error", "--by", "ada"
    declined = await terminal.run(*arguments, answer="n\n")
    assert declined.returncode == 1
    assert f"Discard version 3 of {stream.source} {stream.stream_id}" in declined.stdout
    assert await stream_states(terminal.database.system, study_id) == {stream.stream_id: (2, "no-lesions-here")}
    result = await terminal.run(*arguments, "--yes")
    assert (result.returncode, result.stdout.splitlines()[-1]) == (0, "events applied: 1")
    assert await stream_states(terminal.database.system, study_id) == {stream.stream_id: (4, None)}
    discarded = await terminal.database.system.fetch(
        "select subject, version, discarded_by, reason from inbox_discarded"
    )
    assert discarded == [(stream.stream_id, 3, "ada", "sent in error")]


async def test_discard_skips_no_version_other_than_the_one_confirmed(terminal: CliTerminal, study_id: str) -> None:
    stream = await park_stream(terminal, study_id)
    async with transaction(terminal.database.system, Tenant(study_id)) as connection:
        with pytest.raises(ParkedItemNotFound):
            await discard(
                connection,
                stream.source,
                stream.stream_id,
                discarded_by="ada",
                reason="late",
                handler=apply_events,
                version=2,
            )
    assert await stream_states(terminal.database.system, study_id) == {stream.stream_id: (2, "no-lesions-here")}
    assert await terminal.database.system.fetch("select from inbox_discarded") == []


async def test_unreadable_message_is_retried_or_discarded_by_its_number(terminal: CliTerminal, study_id: str) -> None:
    await project_messages(
        terminal.database.system, [replace(as_message(participant_stream(study_id).events[0], 77), headers=())]
    )
    ((_, number, *_),) = await terminal.list_parked()
    result = await terminal.run("retry", "analytics", "--message", number)
    assert (result.returncode, result.stdout.splitlines()[0]) == (
        1,
        "a message is still unreadable: ce_dataschema-missing",
    )
    ((_, number, *_),) = await terminal.list_parked()
    discarded = await terminal.run("discard", "analytics", "--message", number, "--reason", "not ours", "--yes")
    assert (discarded.returncode, discarded.stdout) == (0, f"message {number}: discarded\n")
    assert await terminal.list_parked() == []
    async with transaction(terminal.database.system, Tenant(study_id)) as connection:
        assert await unreadable_messages(connection) == []


async def test_stream_repaired_by_the_worker_meanwhile_is_not_retried(terminal: CliTerminal, study_id: str) -> None:
    stream = participant_stream(study_id, lesion_registered())
    messages = as_messages(stream.events)
    await project_messages(terminal.database.system, [messages[0], messages[2]])
    async with transaction(terminal.database.system, Tenant(study_id)) as worker:
        await apply_messages(worker, [messages[1]], apply_events)
        retry_task = asyncio.create_task(terminal.run("retry", "analytics", stream.source, stream.stream_id))
        await _wait_for_lock_waiter(terminal.database)
    result = await retry_task
    assert (result.returncode, "This stream or message is not parked." in result.stderr) == (1, True)
    assert [row["version"] for row in await journal_rows(terminal.database.system, study_id)] == [1, 2, 3]


async def _wait_for_lock_waiter(database: Database) -> None:
    """Waits until another connection to the database waits for a lock."""
    waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    superuser = await asyncpg.connect(database.superuser_url)
    try:
        await wait_until(lambda: superuser.fetchval(waiting))
    finally:
        await superuser.close()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("list", "--service", "enrollment"), "no consumer 'enrollment'. Use one of: toxicity, followup, analytics."),
        (("retry", "analytics"), "Give either SOURCE and SUBJECT of one stream"),
        (("retry", "analytics", "--all", "--message", "7"), "Give either SOURCE and SUBJECT of one stream"),
        (("discard", "analytics", "--message", "7", "--reason", " "), "The reason and the name"),
    ],
)
async def test_incomplete_arguments_are_rejected_with_a_sentence(
    terminal: CliTerminal, arguments: tuple[str, ...], sentence: str
) -> None:
    result = await terminal.run(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert sentence in result.stderr


async def test_missing_database_url_is_reported_by_name(terminal: CliTerminal) -> None:
    result = await terminal.run("list", "--service", "followup")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("QUARTAL_FOLLOWUP_SYSTEM_URL is not set")
