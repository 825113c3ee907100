from __future__ import annotations

import asyncio
import os
import signal
import stat
import sys
from pathlib import Path

import asyncpg
import pytest

from infra.local.claim import claimed
from infra.local.folder import DataFolder, FolderInUse
from infra.local.stack import Stack, run
from tests.integration.asking import PATIENCE, make_topic, parent_that_starts, said, sql


def is_filled(path: str) -> bool:
    return Path(path).stat().st_size > 0


async def eventually(url: str) -> object:
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await sql(url, "select 7")
            except (OSError, asyncpg.PostgresError):
                await asyncio.sleep(0.1)


async def test_a_second_start_on_a_folder_is_refused_and_leaves_the_first_alone(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    with folder.held(8123):
        expected = rf"process {os.getpid()} at http://127\.0\.0\.1:8123"
        with pytest.raises(FolderInUse, match=expected), DataFolder(tmp_path / "data").held(9000):
            pass
        assert folder.running() == {"pid": os.getpid(), "port": 8123}
    assert folder.running() is None
    with DataFolder(tmp_path / "data").held(9000):
        assert (folder.running() or {})["port"] == 9000


async def test_a_folder_whose_holder_was_killed_is_free_at_once(tmp_path: Path) -> None:
    holder = await parent_that_starts(f"""
        from pathlib import Path
        from infra.local.folder import DataFolder
        hold = DataFolder(Path({str(tmp_path)!r})).held(8123)
        hold.__enter__()
    """)
    assert (DataFolder(tmp_path).running() or {})["pid"] == holder.pid
    holder.kill()
    await holder.wait()
    assert DataFolder(tmp_path).running() is None
    with DataFolder(tmp_path).held(8124) as folder:
        assert (folder.running() or {})["port"] == 8124


def test_a_secret_is_made_once_and_is_for_our_eyes_only(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    made = iter("abc")
    assert [folder.secret("key", lambda: next(made)) for _ in range(3)] == ["a", "a", "a"]
    places = (folder.path, folder.path / "secrets", folder.path / "secrets" / "key")
    assert [stat.S_IMODE(path.stat().st_mode) for path in places] == [0o700, 0o700, 0o600]


def key_file(path: str) -> bytes:
    return Path(path).read_bytes()


async def test_a_stack_says_where_all_is_and_says_the_same_after_a_restart(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    seen = []
    for _ in range(2):
        async with Stack(folder, 8123, {"QUARTAL_CLOCK": "+1"}, print) as stack:
            seen.append(stack.environment)
            assert await sql(stack.environment["QUARTAL_FOLLOWUP_APP_URL"], "select 7") == 7
            await (make_topic if len(seen) == 1 else said)(stack.environment["KAFKA_BOOTSTRAP"])
    assert seen[0] == seen[1]
    assert {"QUARTAL_DATA": str(tmp_path), "QUARTAL_PORT": "8123", "QUARTAL_CLOCK": "+1"}.items() <= seen[0].items()
    keys = (seen[0]["QUARTAL_KEK"], seen[0]["QUARTAL_EVENT_KEY"])
    assert all(map(is_filled, (seen[0]["QUARTAL_JWKS"], *keys)))
    assert len({key_file(key) for key in keys}) == 2


async def test_a_data_folder_without_the_key_for_event_ids_gets_one_and_keeps_its_other_keys(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    elsewhere = {"DATABASE_URL": "", "KAFKA_BOOTSTRAP": "127.0.0.1:1"}
    async with Stack(folder, 8123, elsewhere, print) as stack:
        before = {name: key_file(stack.environment[name]) for name in ("QUARTAL_KEK", "QUARTAL_EVENT_KEY")}
    (folder.path / "secrets" / "event_key").unlink()  # as the version before left it
    async with Stack(folder, 8123, elsewhere, print) as stack:
        after = {name: key_file(stack.environment[name]) for name in before}
    assert after["QUARTAL_KEK"] == before["QUARTAL_KEK"]
    assert after["QUARTAL_EVENT_KEY"] != before["QUARTAL_EVENT_KEY"]


async def test_a_stack_starts_a_crashed_server_again_at_the_same_address(tmp_path: Path) -> None:
    restarted = asyncio.Event()
    loop = asyncio.get_running_loop()

    def listen(line: str) -> None:
        if "crashed" in line:
            loop.call_soon_threadsafe(restarted.set)

    async with Stack(DataFolder(tmp_path), 8123, {}, listen) as stack:
        url = stack.environment["QUARTAL_FOLLOWUP_APP_URL"]
        assert stack.postgres
        os.kill(int((stack.postgres.cluster / "postmaster.pid").read_text().split()[0]), 9)
        await asyncio.wait_for(restarted.wait(), PATIENCE)
        assert await eventually(url) == 7


@pytest.mark.parametrize("moment", ["PostgreSQL is up", "Kafka is up", "steady: started"])
async def test_a_signal_at_any_moment_ends_a_running_stack(tmp_path: Path, moment: str) -> None:
    told: list[str] = []
    loop = asyncio.get_running_loop()

    def listen(line: object) -> None:
        told.append(str(line))
        if moment in str(line):
            loop.call_soon_threadsafe(os.kill, os.getpid(), signal.SIGTERM)

    steady = [sys.executable, "-c", "import time; time.sleep(600)"]
    stack = Stack(DataFolder(tmp_path), 8123, {}, listen)
    await asyncio.wait_for(run(stack, {"steady": steady}, listen), PATIENCE)
    assert any(moment in line for line in told)
    for lock in ("postgres", "kafka"):
        with claimed(tmp_path / lock / "lock", wait=1.0):  # the guard of a server ends a moment after it
            pass
