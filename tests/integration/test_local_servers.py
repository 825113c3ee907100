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

from infra.local.claim import InUse
from infra.local.kafka import LocalKafka, install
from infra.local.kafka_home import KafkaHome, KafkaMissing, locked_jars
from infra.local.ports import LOOPBACK, is_free
from infra.local.postgres import LocalPostgres
from tests.integration.asking import make_topic, parent_that_starts, said, say, sql


@pytest.fixture(scope="module")
def home() -> KafkaHome:
    return install(print)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPostgres]:
    with LocalPostgres(tmp_path_factory.mktemp("shared"), fast=True) as server:
        yield server


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
    with pytest.raises(KafkaMissing, match="rejected: jspecify"):
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
    assert len([line for line in reports if line.startswith("Downloading")]) == 1
    assert not left.exists()


async def test_a_server_that_is_still_in_use_is_not_started_twice(tmp_path: Path) -> None:
    with LocalPostgres(tmp_path, fast=True) as server:
        with pytest.raises(InUse):
            LocalPostgres(tmp_path, fast=True, patience=0.2).start()
        assert await sql(server.url(), "select 7") == 7
