from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from infra.local.claim import InUse, claimed
from infra.local.folder import DataFolder, FolderInUse
from infra.local.kafka import LocalKafka, install
from infra.local.kafka_home import KafkaHome, KafkaMissing, locked_jars
from infra.local.ports import LOOPBACK, is_free
from infra.local.postgres import LocalPostgres
from infra.local.stack import Stack, run
from infra.postgres.roles import ROLES, RoleTooMighty, ensure_databases

PATIENCE = 60.0  # seconds until a promise counts as broken
PASSWORDS = {role: f"p/:@% {role}" for role in ROLES}


@pytest.fixture(scope="module")
def home() -> KafkaHome:
    return install(print)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPostgres]:
    with LocalPostgres(tmp_path_factory.mktemp("shared"), fast=True) as server:
        yield server


async def sql(url: str, *statements: str) -> object:
    """The first value that the last statement yields."""
    connection = await asyncpg.connect(url)
    try:
        for statement in statements[:-1]:
            await connection.execute(statement)
        return await connection.fetchval(statements[-1])
    finally:
        await connection.close()


async def say(bootstrap: str, text: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        await producer.send_and_wait("said", text, partition=0)


async def said(bootstrap: str) -> list[bytes]:
    partition = TopicPartition("said", 0)
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        return [(await asyncio.wait_for(consumer.getone(), PATIENCE)).value for _ in range(end)]


def is_filled(path: str) -> bool:
    return Path(path).stat().st_size > 0


async def make_topic(bootstrap: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        answer = await admin.create_topics([NewTopic("said", 1, 1)])
        assert [error[1] for error in answer.topic_errors] == [0]
    finally:
        await admin.close()


async def parent_that_starts(code: str) -> asyncio.subprocess.Process:
    """A Python process that runs `code`, prints a line, and stays."""
    script = textwrap.dedent(code) + "\nprint('started', flush=True)\ninput()"
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert parent.stdout
    assert await asyncio.wait_for(parent.stdout.readline(), PATIENCE) == b"started\n"
    return parent


async def test_postgres_keeps_data_and_port_over_a_clean_restart(tmp_path: Path) -> None:
    with LocalPostgres(tmp_path) as first:
        await sql(first.url(), "create table kept (n int)", "insert into kept values (7) returning n")
    with LocalPostgres(tmp_path) as second:
        assert await sql(second.url(), "select n from kept") == 7
        assert second.port == first.port


async def test_postgres_recovers_what_was_committed_when_all_its_processes_are_killed(tmp_path: Path) -> None:
    with LocalPostgres(tmp_path) as server:
        for _ in range(3):
            await sql(server.url(), "create table if not exists kept (n int)", "insert into kept values (7)")
            server.kill()
            server.start()
        assert await sql(server.url(), "select count(*) from kept") == 3


async def test_postgres_ends_with_a_parent_that_is_killed_and_the_next_start_goes_on(tmp_path: Path) -> None:
    parent = await parent_that_starts(f"""
        from pathlib import Path
        from infra.local.postgres import LocalPostgres
        server = LocalPostgres(Path({str(tmp_path)!r})).start()
    """)
    port = int((tmp_path / "port").read_text())
    address = LocalPostgres(tmp_path)
    address.port = port
    await sql(address.url(), "create table kept (n int)", "insert into kept values (7)")
    parent.kill()
    await parent.wait()
    with LocalPostgres(tmp_path) as server:
        assert await sql(server.url(), "select n from kept") == 7
        assert server.port == port


async def test_postgres_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    server = LocalPostgres(tmp_path, fast=True)
    starter = threading.Thread(target=server.start)
    starter.start()
    await asyncio.to_thread(starter.join)
    try:
        assert await sql(server.url(), "select 7") == 7
    finally:
        server.stop()


async def test_postgres_asks_for_a_password_and_listens_on_loopback_only(server: LocalPostgres) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await sql(server.url(password="guessed"), "select 7")
    assert await sql(server.url(), "show listen_addresses") == LOOPBACK
    assert await sql(server.url(), "show unix_socket_directories") == ""


async def test_postgres_sorts_text_alike_everywhere(server: LocalPostgres) -> None:
    order = "select string_agg(word, '' order by word) from unnest(array['b', 'ä', 'B', 'a']) word"
    assert await sql(server.url(), order) == "Babä"


async def test_postgres_can_do_without_a_port_however_deep_its_folder(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    with LocalPostgres(deep, tcp=False, fast=True) as server:
        assert await sql(server.url(), "select 7") == 7
        assert await sql(server.url(), "show listen_addresses") == ""


def test_postgres_leaves_the_modes_of_the_folders_above_alone(tmp_path: Path) -> None:
    above = tmp_path / "above"
    above.mkdir(mode=0o700)
    with LocalPostgres(above / "postgres", fast=True) as server:
        modes = [stat.S_IMODE(path.stat().st_mode) for path in (above, server.folder, server.folder / "password")]
    assert modes == [0o700, 0o700, 0o600]


def test_a_killed_initdb_leaves_no_half_a_cluster(tmp_path: Path) -> None:
    half = tmp_path / "data.part"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    with LocalPostgres(tmp_path, fast=True) as server:
        assert server.cluster.is_dir()
    assert not half.exists()


async def test_an_absent_user_namespace_is_made_up_for(tmp_path_factory: pytest.TempPathFactory) -> None:
    """As root: by an account that exists. As anybody else there is nothing to make up for."""
    folder = Path("/tmp", tmp_path_factory.mktemp("open").name + f"-{os.getpid()}")  # noqa: S108 - others must reach it
    try:
        with LocalPostgres(folder, fast=True, user_namespace=False) as server:
            assert await sql(server.url(), "select 7") == 7
    finally:
        shutil.rmtree(folder)


async def test_a_port_that_somebody_took_is_given_up(tmp_path: Path) -> None:
    with LocalPostgres(tmp_path, fast=True) as server:
        before = server.port
    with socket.create_server((LOOPBACK, before)):
        server.start()
        try:
            assert server.port != before
            assert await sql(server.url(), "select 7") == 7
        finally:
            server.stop()
    assert is_free(before)


async def test_databases_and_roles_can_be_ensured_again_and_at_once(server: LocalPostgres) -> None:
    first, *others = await asyncio.gather(*(ensure_databases(server.url(), PASSWORDS) for _ in range(3)))
    assert others == [first, first]
    assert len(first) == 12
    for setting, url in first.items():
        service = re.fullmatch(r"QUARTAL_(\w+)_(OWNER|APP|SYSTEM)_URL", setting)
        assert service
        assert await sql(url, "select current_database()") == f"quartal_{service[1].lower()}"


async def test_owners_create_and_the_others_may_only_connect(server: LocalPostgres) -> None:
    urls = await ensure_databases(server.url(), PASSWORDS)
    await sql(urls["QUARTAL_TOXICITY_OWNER_URL"], "create table own (n int)", "select count(*) from own")
    for purpose in ("APP", "SYSTEM"):
        url = urls[f"QUARTAL_TOXICITY_{purpose}_URL"]
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await sql(url, "create table other (n int)")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await sql(url, "select n from own")


async def test_no_role_enters_the_database_of_another_service(server: LocalPostgres) -> None:
    urls = await ensure_databases(server.url(), PASSWORDS)
    for setting, url in urls.items():
        foreign = "quartal_toxicity" if "TOXICITY" not in setting else "quartal_followup"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await sql(url.rpartition("/")[0] + f"/{foreign}", "select 7")


async def test_a_role_that_could_bypass_row_level_security_is_refused(server: LocalPostgres) -> None:
    await ensure_databases(server.url(), PASSWORDS)
    await sql(server.url(), "alter role quartal_followup_app bypassrls", "select 7")
    try:
        with pytest.raises(RoleTooMighty, match="quartal_followup_app"):
            await ensure_databases(server.url(), PASSWORDS)
    finally:
        await sql(server.url(), "alter role quartal_followup_app nobypassrls", "select 7")


async def test_databases_can_be_made_by_who_is_no_superuser(tmp_path: Path) -> None:
    with LocalPostgres(tmp_path, fast=True) as server:
        await sql(server.url(), "create role boss login createdb createrole password 'boss'", "select 7")
        boss = server.url(user="boss", password="boss")
        await ensure_databases(boss, PASSWORDS)
        urls = await ensure_databases(boss, PASSWORDS)
        assert await sql(urls["QUARTAL_ANALYTICS_OWNER_URL"], "create table own (n int)", "select 7") == 7


async def test_kafka_keeps_messages_and_port_over_clean_ends_and_kills(home: KafkaHome, tmp_path: Path) -> None:
    with LocalKafka(tmp_path, home=home) as broker:
        await make_topic(broker.bootstrap)
        for end in (broker.stop, broker.kill):
            before = broker.bootstrap
            await say(broker.bootstrap, end.__name__.encode())
            await asyncio.to_thread(end)
            await asyncio.to_thread(broker.start)
            assert broker.bootstrap == before
        assert await said(broker.bootstrap) == [b"stop", b"kill"]


async def test_kafka_ends_with_a_parent_that_is_killed_and_the_next_start_goes_on(
    home: KafkaHome, tmp_path: Path
) -> None:
    parent = await parent_that_starts(f"""
        from pathlib import Path
        from infra.local.kafka import LocalKafka
        broker = LocalKafka(Path({str(tmp_path)!r})).start()
    """)
    bootstrap = f"{LOOPBACK}:{int((tmp_path / 'port').read_text())}"
    await make_topic(bootstrap)
    await say(bootstrap, b"kept")
    parent.kill()
    await parent.wait()
    with LocalKafka(tmp_path, home=home) as broker:
        assert await said(broker.bootstrap) == [b"kept"]


def test_a_jar_that_differs_from_the_lock_is_neither_started_nor_kept(home: KafkaHome, tmp_path: Path) -> None:
    other = KafkaHome(tmp_path / "home")
    shutil.copytree(home.jars, other.jars)
    other.install(print)
    (other.jars / "kafka-clients-4.4.0.jar").write_bytes(b"tampered")
    with pytest.raises(KafkaMissing, match=r"kafka-clients-4\.4\.0\.jar"):
        LocalKafka(tmp_path / "kafka", home=other).start()


def test_what_is_fetched_is_rejected_unless_it_is_what_the_lock_says(tmp_path: Path) -> None:
    lock = tmp_path / "kafka.lock"
    smallest = "org.jspecify:jspecify:1.0.0"
    lock.write_text(f"{'0' * 64}  {smallest}\n")
    home = KafkaHome(tmp_path / "home", lock)
    with pytest.raises(KafkaMissing, match=r"Rejected.*jspecify"):
        home.install(print)
    assert not home.jars.exists()
    lock.write_text(f"{locked_jars()[smallest]}  {smallest}\n")
    home.install(print)
    assert home.differences(home.jars) == []


async def test_installs_at_once_fetch_once_and_a_killed_one_leaves_nothing_half_done(tmp_path: Path) -> None:
    lock = tmp_path / "kafka.lock"
    lock.write_text(f"{locked_jars()['org.jspecify:jspecify:1.0.0']}  org.jspecify:jspecify:1.0.0\n")
    left = tmp_path / "home" / "fetch-killed"
    left.mkdir(parents=True)
    reports: list[str] = []
    homes = [KafkaHome(tmp_path / "home", lock) for _ in range(3)]
    await asyncio.gather(*(asyncio.to_thread(home.install, reports.append) for home in homes))
    assert len([line for line in reports if line.startswith("Fetching")]) == 1
    assert not left.exists()


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


async def test_a_server_that_is_still_in_use_is_not_started_twice(tmp_path: Path) -> None:
    with LocalPostgres(tmp_path, fast=True) as server:
        with pytest.raises(InUse):
            LocalPostgres(tmp_path, fast=True, patience=0.2).start()
        assert await sql(server.url(), "select 7") == 7


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
    assert all(map(is_filled, (seen[0]["QUARTAL_JWKS"], seen[0]["QUARTAL_KEK"])))


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


async def eventually(url: str) -> object:
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await sql(url, "select 7")
            except (OSError, asyncpg.PostgresError):
                await asyncio.sleep(0.1)
