from __future__ import annotations

import asyncio
import os
import signal
import stat
import sys
from pathlib import Path

import asyncpg
import pytest

from infra.local.data_folder import DataFolder, FolderInUse
from infra.local.folder_lock import hold_lock
from infra.local.stack import Stack, run_stack
from tests.integration.support.servers import (
    TIMEOUT_SECONDS,
    create_topic,
    query_value,
    read_messages,
    start_parent_process,
)


def is_filled(path: str) -> bool:
    return Path(path).stat().st_size > 0


async def query_eventually(url: str) -> object:
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while True:
            try:
                return await query_value(url, "select 7")
            except (OSError, asyncpg.PostgresError):
                await asyncio.sleep(0.1)


async def test_second_start_on_a_folder_is_refused_and_leaves_the_first_running(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    with folder.hold(8123):
        expected = rf"process {os.getpid()} at http://127\.0\.0\.1:8123"
        with pytest.raises(FolderInUse, match=expected), DataFolder(tmp_path / "data").hold(9000):
            pass
        assert folder.holder_notes() == {"pid": os.getpid(), "port": 8123}
    assert folder.holder_notes() is None
    with DataFolder(tmp_path / "data").hold(9000):
        assert (folder.holder_notes() or {})["port"] == 9000


async def test_folder_of_a_killed_holder_is_free_at_once(tmp_path: Path) -> None:
    holder = await start_parent_process(f"""
        from pathlib import Path
        from infra.local.data_folder import DataFolder
        hold = DataFolder(Path({str(tmp_path)!r})).hold(8123)
        hold.__enter__()
    """)
    assert (DataFolder(tmp_path).holder_notes() or {})["pid"] == holder.pid
    holder.kill()
    await holder.wait()
    assert DataFolder(tmp_path).holder_notes() is None
    with DataFolder(tmp_path).hold(8124) as folder:
        assert (folder.holder_notes() or {})["port"] == 8124


def test_secret_is_created_once_with_private_permissions(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    values = iter("abc")
    assert [folder.secret("key", lambda: next(values)) for _ in range(3)] == ["a", "a", "a"]
    private_paths = (folder.path, folder.path / "secrets", folder.path / "secrets" / "key")
    assert [stat.S_IMODE(path.stat().st_mode) for path in private_paths] == [0o700, 0o700, 0o600]


def key_file(path: str) -> bytes:
    return Path(path).read_bytes()


async def test_stack_environment_is_complete_and_stable_over_restarts(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    environments = []
    for _ in range(2):
        async with Stack(folder, 8123, {"QUARTAL_CLOCK": "+1"}, print) as stack:
            environments.append(stack.environment)
            assert await query_value(stack.environment["QUARTAL_FOLLOWUP_APP_URL"], "select 7") == 7
            await (create_topic if len(environments) == 1 else read_messages)(stack.environment["KAFKA_BOOTSTRAP"])
    assert environments[0] == environments[1]
    assert {"QUARTAL_DATA": str(tmp_path), "QUARTAL_PORT": "8123", "QUARTAL_CLOCK": "+1"}.items() <= environments[
        0
    ].items()
    keys = (environments[0]["QUARTAL_KEK"], environments[0]["QUARTAL_EVENT_KEY"])
    assert all(map(is_filled, (environments[0]["QUARTAL_JWKS"], *keys)))
    assert len({key_file(key) for key in keys}) == 2


async def test_data_folder_without_an_event_key_gets_one_and_keeps_other_keys(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    external_servers = {"DATABASE_URL": "", "KAFKA_BOOTSTRAP": "127.0.0.1:1"}
    async with Stack(folder, 8123, external_servers, print) as stack:
        before = {name: key_file(stack.environment[name]) for name in ("QUARTAL_KEK", "QUARTAL_EVENT_KEY")}
    (folder.path / "secrets" / "event_key").unlink()  # as the version before left it
    async with Stack(folder, 8123, external_servers, print) as stack:
        after = {name: key_file(stack.environment[name]) for name in before}
    assert after["QUARTAL_KEK"] == before["QUARTAL_KEK"]
    assert after["QUARTAL_EVENT_KEY"] != before["QUARTAL_EVENT_KEY"]


async def test_crashed_server_is_restarted_at_the_same_address(tmp_path: Path) -> None:
    restarted = asyncio.Event()
    loop = asyncio.get_running_loop()

    def listen(line: str) -> None:
        if "crashed" in line:
            loop.call_soon_threadsafe(restarted.set)

    async with Stack(DataFolder(tmp_path), 8123, {}, listen) as stack:
        url = stack.environment["QUARTAL_FOLLOWUP_APP_URL"]
        assert stack.postgres
        os.kill(int((stack.postgres.cluster / "postmaster.pid").read_text().split()[0]), 9)
        await asyncio.wait_for(restarted.wait(), TIMEOUT_SECONDS)
        assert await query_eventually(url) == 7


@pytest.mark.parametrize("moment", ["PostgreSQL is up", "Kafka is up", "steady: started"])
async def test_signal_at_any_moment_ends_a_running_stack(tmp_path: Path, moment: str) -> None:
    log_lines: list[str] = []
    loop = asyncio.get_running_loop()

    def listen(line: object) -> None:
        log_lines.append(str(line))
        if moment in str(line):
            loop.call_soon_threadsafe(os.kill, os.getpid(), signal.SIGTERM)

    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    stack = Stack(DataFolder(tmp_path), 8123, {}, listen)
    await asyncio.wait_for(run_stack(stack, {"steady": command}, listen), TIMEOUT_SECONDS)
    assert any(moment in line for line in log_lines)
    for lock in ("postgres", "kafka"):
        with hold_lock(tmp_path / lock / "lock", timeout_seconds=1.0):  # the guard of a server ends a moment after it
            pass
