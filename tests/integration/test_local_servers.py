from __future__ import annotations

import asyncio
import os
import shutil
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from infra.local.folder_lock import LockHeld
from infra.local.kafka import LocalKafka, install_kafka
from infra.local.kafka_home import KafkaHome, KafkaMissing, locked_jars
from infra.local.ports import LOOPBACK, is_free
from infra.local.postgres import LocalPostgres
from tests.integration.support.servers import (
    create_topic,
    query_value,
    read_messages,
    send_message,
    start_parent_process,
)


@pytest.fixture(scope="module")
def kafka_home() -> KafkaHome:
    return install_kafka(print)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPostgres]:
    with LocalPostgres(tmp_path_factory.mktemp("shared"), fast=True) as server:
        yield server


async def test_postgres_keeps_data_and_port_over_a_clean_restart(tmp_path: Path) -> None:
    with LocalPostgres(tmp_path) as first:
        await query_value(first.url(), "create table kept (n int)", "insert into kept values (7) returning n")
    with LocalPostgres(tmp_path) as second:
        assert await query_value(second.url(), "select n from kept") == 7
        assert second.port == first.port


async def test_postgres_recovers_committed_rows_after_all_its_processes_are_killed(tmp_path: Path) -> None:
    with LocalPostgres(tmp_path) as server:
        for _ in range(3):
            await query_value(server.url(), "create table if not exists kept (n int)", "insert into kept values (7)")
            server.kill()
            server.start()
        assert await query_value(server.url(), "select count(*) from kept") == 3


async def test_postgres_ends_with_its_killed_parent_and_restarts_with_its_data(tmp_path: Path) -> None:
    parent = await start_parent_process(f"""
        from pathlib import Path
        from infra.local.postgres import LocalPostgres
        server = LocalPostgres(Path({str(tmp_path)!r})).start()
    """)
    port = int((tmp_path / "port").read_text())
    connection = LocalPostgres(tmp_path)
    connection.port = port
    await query_value(connection.url(), "create table kept (n int)", "insert into kept values (7)")
    parent.kill()
    await parent.wait()
    with LocalPostgres(tmp_path) as server:
        assert await query_value(server.url(), "select n from kept") == 7
        assert server.port == port


async def test_postgres_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    server = LocalPostgres(tmp_path, fast=True)
    starter = threading.Thread(target=server.start)
    starter.start()
    await asyncio.to_thread(starter.join)
    try:
        assert await query_value(server.url(), "select 7") == 7
    finally:
        server.stop()


async def test_postgres_asks_for_a_password_and_listens_on_loopback_only(server: LocalPostgres) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await query_value(server.url(password="guessed"), "select 7")
    assert await query_value(server.url(), "show listen_addresses") == LOOPBACK
    assert await query_value(server.url(), "show unix_socket_directories") == ""


async def test_postgres_collation_does_not_depend_on_the_machine(server: LocalPostgres) -> None:
    order = "select string_agg(word, '' order by word) from unnest(array['b', 'ä', 'B', 'a']) word"
    assert await query_value(server.url(), order) == "Babä"


async def test_postgres_runs_without_a_port_in_a_deeply_nested_folder(tmp_path: Path) -> None:
    deep_folder = tmp_path / ("d" * 100)
    deep_folder.mkdir()
    with LocalPostgres(deep_folder, tcp=False, fast=True) as server:
        assert await query_value(server.url(), "select 7") == 7
        assert await query_value(server.url(), "show listen_addresses") == ""


def test_postgres_leaves_modes_of_parent_folders_unchanged(tmp_path: Path) -> None:
    parent_folder = tmp_path / "above"
    parent_folder.mkdir(mode=0o700)
    with LocalPostgres(parent_folder / "postgres", fast=True) as server:
        modes = [
            stat.S_IMODE(path.stat().st_mode) for path in (parent_folder, server.folder, server.folder / "password")
        ]
    assert modes == [0o700, 0o700, 0o600]


def test_interrupted_initdb_leaves_no_partial_cluster(tmp_path: Path) -> None:
    partial_cluster = tmp_path / "data.part"
    partial_cluster.mkdir()
    (partial_cluster / "PG_VERSION").write_text("18\n")
    with LocalPostgres(tmp_path, fast=True) as server:
        assert server.cluster.is_dir()
    assert not partial_cluster.exists()


async def test_postgres_runs_where_user_namespaces_are_unavailable(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Root starts the server with an existing account. Other users need no such account."""
    folder = Path("/tmp", tmp_path_factory.mktemp("open").name + f"-{os.getpid()}")  # noqa: S108 - others must reach it
    try:
        with LocalPostgres(folder, fast=True, user_namespace=False) as server:
            assert await query_value(server.url(), "select 7") == 7
    finally:
        shutil.rmtree(folder)


async def test_postgres_takes_another_port_when_its_own_is_in_use(tmp_path: Path) -> None:
    with LocalPostgres(tmp_path, fast=True) as server:
        first_port = server.port
    with socket.create_server((LOOPBACK, first_port)):
        server.start()
        try:
            assert server.port != first_port
            assert await query_value(server.url(), "select 7") == 7
        finally:
            server.stop()
    assert is_free(first_port)


async def test_kafka_keeps_messages_and_address_over_stops_and_kills(kafka_home: KafkaHome, tmp_path: Path) -> None:
    with LocalKafka(tmp_path, home=kafka_home) as broker:
        await create_topic(broker.bootstrap)
        for end_broker in (broker.stop, broker.kill):
            address = broker.bootstrap
            await send_message(broker.bootstrap, end_broker.__name__.encode())
            await asyncio.to_thread(end_broker)
            await asyncio.to_thread(broker.start)
            assert broker.bootstrap == address
        assert await read_messages(broker.bootstrap) == [b"stop", b"kill"]


async def test_kafka_ends_with_its_killed_parent_and_restarts_with_its_data(
    kafka_home: KafkaHome, tmp_path: Path
) -> None:
    parent = await start_parent_process(f"""
        from pathlib import Path
        from infra.local.kafka import LocalKafka
        broker = LocalKafka(Path({str(tmp_path)!r})).start()
    """)
    bootstrap = f"{LOOPBACK}:{int((tmp_path / 'port').read_text())}"
    await create_topic(bootstrap)
    await send_message(bootstrap, b"kept")
    parent.kill()
    await parent.wait()
    with LocalKafka(tmp_path, home=kafka_home) as broker:
        assert await read_messages(broker.bootstrap) == [b"kept"]


def test_jar_that_differs_from_the_lock_is_neither_started_nor_kept(kafka_home: KafkaHome, tmp_path: Path) -> None:
    other_home = KafkaHome(tmp_path / "home")
    shutil.copytree(kafka_home.jars, other_home.jars)
    other_home.install(print)
    (other_home.jars / "kafka-clients-4.4.0.jar").write_bytes(b"tampered")
    with pytest.raises(KafkaMissing, match=r"kafka-clients-4\.4\.0\.jar"):
        LocalKafka(tmp_path / "kafka", home=other_home).start()


def test_download_that_differs_from_the_lock_is_rejected(tmp_path: Path) -> None:
    lock = tmp_path / "kafka.lock"
    artifact = "org.jspecify:jspecify:1.0.0"
    lock.write_text(f"{'0' * 64}  {artifact}\n")
    home = KafkaHome(tmp_path / "home", lock)
    with pytest.raises(KafkaMissing, match="rejected: jspecify"):
        home.install(print)
    assert not home.jars.exists()
    lock.write_text(f"{locked_jars()[artifact]}  {artifact}\n")
    home.install(print)
    assert home.differences(home.jars) == []


async def test_concurrent_installs_download_once_and_clean_up_after_a_killed_one(tmp_path: Path) -> None:
    lock = tmp_path / "kafka.lock"
    lock.write_text(f"{locked_jars()['org.jspecify:jspecify:1.0.0']}  org.jspecify:jspecify:1.0.0\n")
    stale_download = tmp_path / "home" / "fetch-killed"
    stale_download.mkdir(parents=True)
    reports: list[str] = []
    homes = [KafkaHome(tmp_path / "home", lock) for _ in range(3)]
    await asyncio.gather(*(asyncio.to_thread(home.install, reports.append) for home in homes))
    assert len([line for line in reports if line.startswith("Downloading")]) == 1
    assert not stale_download.exists()


async def test_server_in_use_is_not_started_twice(tmp_path: Path) -> None:
    with LocalPostgres(tmp_path, fast=True) as server:
        with pytest.raises(LockHeld):
            LocalPostgres(tmp_path, fast=True, lock_timeout_seconds=0.2).start()
        assert await query_value(server.url(), "select 7") == 7
