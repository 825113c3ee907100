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

from services.analytics.projection.journal import project
from shared.contracts.event import Event
from shared.inbox.apply import Connection, Poison, apply_messages
from shared.inbox.parked import NotParked, discard, unreadable_messages
from shared.security.tenancy import Tenant, transaction
from tests.conftest import ROOT, Database, PostgresServer
from tests.integration.analytics import analytics_of_its_own, apply, journal, lines
from tests.integration.stated import Telling, arrived, as_received, enrolled, lesion, participant

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
PATIENCE = 40.0  # seconds until a promise counts as broken


async def refuses_lesions(connection: Connection, events: Sequence[Event]) -> None:
    """What a worker of yesterday's version did: it could make nothing of lesions."""
    if any(event.type == "lesion.registered" for event in events):
        raise Poison("no-lesions-here")
    await project(connection, events)


@dataclass(frozen=True)
class Desk:
    """A terminal at which the database is known."""

    database: Database
    folder: Path

    async def type(self, *arguments: str, answer: str = "") -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(self._type, arguments, answer)

    def _type(self, arguments: Sequence[str], answer: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "infra.cli", "parked", *arguments]
        return subprocess.run(
            command, cwd=ROOT, env=self._told, input=answer, capture_output=True, text=True, timeout=PATIENCE,
            check=False,
        )  # fmt: skip

    @property
    def _told(self) -> dict[str, str]:
        url = self.database.urls["system"]
        return {**os.environ, "QUARTAL_DATA": str(self.folder), "QUARTAL_ANALYTICS_SYSTEM_URL": url}

    async def listed(self) -> list[list[str]]:
        """The lines, without the times."""
        said = await self.type("list", "--service", "analytics")
        assert said.returncode == 0, said.stderr
        return [[cell for cell in line.split("\t") if not TIME.fullmatch(cell)] for line in said.stdout.splitlines()]

    def seen(self, *arguments: str) -> str:
        """What a terminal of 200 columns shows."""
        ours, theirs = pty.openpty()
        told = {**self._told, "COLUMNS": "200", "TERM": "xterm"}
        command = [sys.executable, "-m", "infra.cli", "parked", *arguments]
        with open(ours, encoding="utf-8", errors="replace") as screen:
            subprocess.run(command, cwd=ROOT, env=told, stdout=theirs, timeout=PATIENCE, check=True)
            os.write(theirs, b"\n--\n")
            shown = "".join(iter(screen.readline, "--\n"))
            os.close(theirs)
        return shown


@pytest.fixture
async def desk(postgres: PostgresServer, databases: Mapping[str, str], tmp_path: Path) -> AsyncIterator[Desk]:
    async with analytics_of_its_own(postgres) as database:
        yield Desk(database, tmp_path)


async def parked(desk: Desk, study_id: str) -> Telling:
    """A stream that stands still before a lesion, with what comes behind it."""
    telling = participant(study_id, lesion(), enrolled())
    await apply(desk.database.system, arrived(telling.events), refuses_lesions)
    return telling


async def test_what_stands_still_is_listed_a_line_each(desk: Desk, study_id: str) -> None:
    empty = await desk.type("list", "--service", "analytics")
    assert (empty.returncode, empty.stdout, empty.stderr) == (
        0,
        "",
        "There are no parked streams and no unreadable messages.\n",
    )
    telling = await parked(desk, study_id)
    await apply(desk.database.system, [replace(as_received(telling.events[0], 77), headers=())])
    stream, message = await desk.listed()
    assert stream == ["analytics", telling.source, telling.stream_id, "2", "no-lesions-here", "2"]
    assert message[2:] == ["quartal.enrollment.v1", "0", "77", "ce_dataschema-missing"]


async def test_a_terminal_shows_a_table_with_headings(desk: Desk, study_id: str) -> None:
    telling = await parked(desk, study_id)
    shown = await asyncio.to_thread(desk.seen, "list", "--service", "analytics")
    assert all(word in shown for word in ("Parked streams", "applied up to", telling.stream_id, "no-lesions-here"))


async def test_a_stream_goes_on_when_it_is_tried_again_after_its_cause_has_gone(desk: Desk, study_id: str) -> None:
    telling = await parked(desk, study_id)
    heard: list[str] = []
    listener = await asyncpg.connect(desk.database.superuser_url)
    await listener.add_listener("quartal_live", lambda *said: heard.append(str(said[3])))
    went_on = await desk.type("retry", "analytics", telling.source, telling.stream_id)
    assert (went_on.returncode, went_on.stdout) == (0, "events applied: 2\n")
    assert [row["position"] for row in await journal(desk.database.system, study_id)] == [1, 2, 3, 4]
    await listener.execute("select")
    await listener.close()
    assert heard == [f"{study_id}:4:0"]
    again = await desk.type("retry", "analytics", telling.source, telling.stream_id)
    assert (again.returncode, again.stdout) == (1, "")
    assert "This stream or message is not parked." in again.stderr


async def test_a_stream_whose_cause_has_not_gone_stands_still_and_the_code_says_so(desk: Desk, study_id: str) -> None:
    telling, foreign = participant(study_id), participant(study_id)
    telling.correct(foreign.events[0], None)
    await apply(desk.database.system, arrived(telling.events))
    still = await desk.type("retry", "analytics", telling.source, telling.stream_id)
    assert still.returncode == 1
    assert still.stdout.splitlines() == [
        f"{telling.source} {telling.stream_id}: still parked after version 2: no-such-event", "events applied: 0"
    ]  # fmt: skip


async def test_all_are_tried_again_at_once(desk: Desk, study_id: str) -> None:
    tellings = [await parked(desk, study_id) for _ in range(3)]
    gapped = participant(study_id, lesion())
    await apply(desk.database.system, [as_received(gapped.events[0]), as_received(gapped.events[2])])
    done = await desk.type("retry", "analytics", "--all")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, "events applied: 6")
    ends: dict[str, Any] = {telling.stream_id: (4, None) for telling in tellings}
    assert await lines(desk.database.system, study_id) == {**ends, gapped.stream_id: (1, "version-missing")}


async def test_discarding_asks_first_and_keeps_who_decided_and_why(desk: Desk, study_id: str) -> None:
    telling = await parked(desk, study_id)
    said = "discard", "analytics", telling.source, telling.stream_id, "--reason", "sent in error", "--by", "ada"
    refused = await desk.type(*said, answer="n\n")
    assert refused.returncode == 1
    assert f"Discard version 3 of {telling.source} {telling.stream_id}" in refused.stdout
    assert await lines(desk.database.system, study_id) == {telling.stream_id: (2, "no-lesions-here")}
    done = await desk.type(*said, "--yes")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "events applied: 1")
    assert await lines(desk.database.system, study_id) == {telling.stream_id: (4, None)}
    kept = await desk.database.system.fetch("select subject, version, discarded_by, reason from inbox_discarded")
    assert kept == [(telling.stream_id, 3, "ada", "sent in error")]


async def test_a_version_that_nobody_decided_on_is_not_passed_over(desk: Desk, study_id: str) -> None:
    telling = await parked(desk, study_id)
    async with transaction(desk.database.system, Tenant(study_id)) as connection:
        with pytest.raises(NotParked):
            await discard(
                connection, telling.source, telling.stream_id, by="ada", reason="late", effect=project, version=2
            )
    assert await lines(desk.database.system, study_id) == {telling.stream_id: (2, "no-lesions-here")}
    assert await desk.database.system.fetch("select from inbox_discarded") == []


async def test_an_unreadable_message_is_tried_again_or_dropped_by_its_number(desk: Desk, study_id: str) -> None:
    await apply(desk.database.system, [replace(as_received(participant(study_id).events[0], 77), headers=())])
    ((_, number, *_),) = await desk.listed()
    still = await desk.type("retry", "analytics", "--message", number)
    assert (still.returncode, still.stdout.splitlines()[0]) == (
        1, "a message is still unreadable: ce_dataschema-missing"
    )  # fmt: skip
    ((_, number, *_),) = await desk.listed()
    dropped = await desk.type("discard", "analytics", "--message", number, "--reason", "not ours", "--yes")
    assert (dropped.returncode, dropped.stdout) == (0, f"message {number}: discarded\n")
    assert await desk.listed() == []
    async with transaction(desk.database.system, Tenant(study_id)) as connection:
        assert await unreadable_messages(connection) == []


async def test_a_stream_that_the_worker_mends_meanwhile_is_left_to_it(desk: Desk, study_id: str) -> None:
    telling = participant(study_id, lesion())
    messages = arrived(telling.events)
    await apply(desk.database.system, [messages[0], messages[2]])
    async with transaction(desk.database.system, Tenant(study_id)) as worker:
        await apply_messages(worker, [messages[1]], project)
        trying = asyncio.create_task(desk.type("retry", "analytics", telling.source, telling.stream_id))
        await _somebody_waits(desk.database)
    ended = await trying
    assert (ended.returncode, "This stream or message is not parked." in ended.stderr) == (1, True)
    assert [row["version"] for row in await journal(desk.database.system, study_id)] == [1, 2, 3]


async def _somebody_waits(database: Database) -> None:
    """Until another connection to the database waits for a lock."""
    waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    superuser = await asyncpg.connect(database.superuser_url)
    try:
        async with asyncio.timeout(PATIENCE):
            while not await superuser.fetchval(waiting):  # noqa: ASYNC110 - another process, without an event
                await asyncio.sleep(0.02)
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
async def test_what_names_nothing_is_refused_with_a_sentence(
    desk: Desk, arguments: tuple[str, ...], sentence: str
) -> None:
    ended = await desk.type(*arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert sentence in ended.stderr


async def test_a_database_that_nobody_named_is_said_to_be_so(desk: Desk) -> None:
    ended = await desk.type("list", "--service", "followup")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("QUARTAL_FOLLOWUP_SYSTEM_URL is not set")
