"""Servers for the tests: a real PostgreSQL and a real Kafka, started once for all tests of a process.

Each test has its own study (`study_id`), and tables are never emptied; a test that needs its own database takes
`fresh_database`. QUARTAL_TEST_BACKEND=containers takes both servers from Docker instead of `infra.local`.
"""

from __future__ import annotations

import gc
import os
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer
from hypothesis import HealthCheck, settings

from infra.local.kafka import LocalKafka, install_kafka
from infra.local.kafka_home import KAFKA_VERSION
from infra.local.ports import LOOPBACK, free_port
from infra.local.postgres import LocalPostgres
from infra.postgres.init import PROCESSES
from infra.postgres.roles import ROLES, database_url, ensure_databases
from shared.eventstore.postgres_store import PostgresStore
from shared.outbox.confirmation import confirm_database
from shared.outbox.publisher import KafkaPublisher, ensure_topics
from shared.postgres.migrations import Migrations, migrate
from shared.postgres.tenancy import open_pool
from shared.runtime.service_process import EVENT_STORE
from tests.scheduling import FolderScheduling

pytest.register_assert_rewrite("shared.testing", "tests.browser.support")
# The time of an example depends on the machine and is not promised. `make test-unit` tries fewer examples.
settings.register_profile("quartal", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", settings.get_profile("quartal"), max_examples=15)
settings.load_profile("quartal")

ROOT = Path(__file__).parents[1]
TOPICS = tuple(f"quartal.{name}.v1" for name in ("enrollment", "toxicity", "followup", "reminders"))
MIGRATIONS: Mapping[str, Sequence[Migrations]] = {service.name: service.migrations for service in PROCESSES}
PASSWORDS = {role: secrets.token_urlsafe(12) for role in ROLES}


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FolderScheduling:
    return FolderScheduling(config, log)


def pytest_collection_finish() -> None:
    """Exempts modules and collected tests from collections, which otherwise take a third of a run (ADR 21)."""
    gc.freeze()


@pytest.fixture(autouse=True, scope="module")
def collect_garbage() -> Iterator[None]:
    """Collects garbage after each module, so that a resource left open fails a test of that module.

    What survives is a cache or belongs to the session; frozen, it is not traversed again after every later module.
    """
    yield
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """Lets pytest's last collection find what became garbage after it was frozen."""
    gc.unfreeze()


class PostgresServer(Protocol):
    def url(self, database: str = "postgres") -> str:
        """Returns the URL for the superuser."""
        ...


class KafkaServer(Protocol):
    @property
    def bootstrap(self) -> str: ...


@dataclass(frozen=True)
class ServerAddress:
    """A server that a container runs."""

    bootstrap: str = ""
    server: str = ""

    def url(self, database: str = "postgres") -> str:
        return database_url(self.server, database)


@dataclass(frozen=True)
class Database:
    """The database of one service: URLs by role (`owner`, `app`, `system`), and pools for `app` and `system`."""

    urls: Mapping[str, str]
    superuser_url: str
    app: asyncpg.Pool[Any]
    system: asyncpg.Pool[Any]

    @property
    def url(self) -> str:
        """URL for the role `owner`."""
        return self.urls["owner"]

    def store(self, service: str = "enrollment", *, shards: int = 1) -> PostgresStore:
        return PostgresStore(service, self.app, shards=shards)


@contextmanager
def postgres_container() -> Iterator[ServerAddress]:
    from testcontainers.community.postgres import PostgresContainer

    with PostgresContainer("postgres:18", driver=None) as container:
        yield ServerAddress(server=container.get_connection_url())


@contextmanager
def kafka_container() -> Iterator[ServerAddress]:
    """Starts a broker on a port chosen before, since it tells clients its own address."""
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy

    port = free_port()
    settings = {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://{LOOPBACK}:{port}",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
    }
    container = DockerContainer(f"apache/kafka:{KAFKA_VERSION}").with_envs(**settings).with_bind_ports(9092, port)
    with container.waiting_for(LogMessageWaitStrategy("Kafka Server started")):
        yield ServerAddress(bootstrap=f"{LOOPBACK}:{port}")


def use_containers() -> bool:
    return os.environ.get("QUARTAL_TEST_BACKEND") == "containers"


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    server: AbstractContextManager[PostgresServer] = (
        postgres_container() if use_containers() else LocalPostgres(tmp_path_factory.mktemp("postgres"), fast=True)
    )
    with server as running:
        yield running


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    server: AbstractContextManager[KafkaServer] = (
        kafka_container()
        if use_containers()
        else LocalKafka(tmp_path_factory.mktemp("kafka"), home=install_kafka(lambda _: None))
    )
    with server as running:
        yield running


@pytest.fixture(scope="session")
async def topics(kafka: KafkaServer) -> tuple[str, ...]:
    """Creates the topics of the product; returns their names."""
    await ensure_topics(kafka.bootstrap, TOPICS)
    return TOPICS


@pytest.fixture
async def publisher(kafka: KafkaServer, topics: tuple[str, ...]) -> AsyncIterator[KafkaPublisher]:
    publisher = KafkaPublisher(kafka.bootstrap)
    yield publisher
    await publisher.close()


@pytest.fixture(scope="session")
async def databases(postgres: PostgresServer) -> Mapping[str, str]:
    """Migrates the four databases; returns their URLs by setting (`QUARTAL_ENROLLMENT_APP_URL` …)."""
    urls = await ensure_databases(postgres.url(), PASSWORDS)
    for service in MIGRATIONS:
        await migrate(urls[f"QUARTAL_{service.upper()}_OWNER_URL"], MIGRATIONS[service], runtime_roles(service))
        if any(part.part == EVENT_STORE.part for part in MIGRATIONS[service]):
            async with await open_pool(urls[f"QUARTAL_{service.upper()}_SYSTEM_URL"]) as pool:
                await confirm_database(pool)  # no worker runs here, and both the topic and the database are empty
    return urls


def runtime_roles(service: str) -> dict[str, str]:
    return {purpose: f"quartal_{service}_{purpose}" for purpose in ("app", "system")}


@asynccontextmanager
async def open_database(server: PostgresServer, database: str, service: str) -> AsyncIterator[Database]:
    """Opens a migrated database with pools for the roles of a service."""
    superuser_url = server.url(database)
    roles = {purpose: f"quartal_{service}_{purpose}" for purpose in ("owner", "app", "system")}
    urls = {purpose: database_url(superuser_url, database, role, PASSWORDS[role]) for purpose, role in roles.items()}
    async with await open_pool(urls["app"], max_size=20) as app, await open_pool(urls["system"], max_size=20) as system:
        yield Database(urls, superuser_url, app, system)


@pytest.fixture(scope="session")
async def enrollment_database(postgres: PostgresServer, databases: Mapping[str, str]) -> AsyncIterator[Database]:
    async with open_database(postgres, "quartal_enrollment", "enrollment") as database:
        yield database


@pytest.fixture(scope="session")
async def analytics_database(postgres: PostgresServer, databases: Mapping[str, str]) -> AsyncIterator[Database]:
    async with open_database(postgres, "quartal_analytics", "analytics") as database:
        yield database


@pytest.fixture
async def fresh_database(postgres: PostgresServer, databases: Mapping[str, str]) -> AsyncIterator[Database]:
    """An enrollment database for this test alone, with an outbox and a relay cursor of its own."""
    async with (
        database_copy(postgres, await migrated_template(postgres, "enrollment"), "enrollment") as name,
        open_database(postgres, name, "enrollment") as database,
    ):
        await confirm_database(database.system)
        yield database


async def migrated_template(server: PostgresServer, service: str) -> str:
    """Returns the name of an empty database with the schema of a service; it is made once for each server."""
    name = f"{service}_template"
    connection = await asyncpg.connect(server.url())
    try:
        exists = await connection.fetchval("select true from pg_database where datname = $1", name)
    finally:
        await connection.close()
    if not exists:
        await create_database(server, name, service, "template0")
        address = ServerAddress(server=server.url(name))
        await execute_as_superuser(address, f"alter schema public owner to quartal_{service}_owner", name)
        owner_url = database_url(
            server.url(name), name, f"quartal_{service}_owner", PASSWORDS[f"quartal_{service}_owner"]
        )
        await migrate(owner_url, MIGRATIONS[service], runtime_roles(service))
    return name


async def create_database(server: PostgresServer, name: str, service: str, template: str) -> None:
    await execute_as_superuser(server, f"create database {name} owner quartal_{service}_owner template {template}")


@asynccontextmanager
async def database_copy(server: PostgresServer, template: str, service: str) -> AsyncIterator[str]:
    """Yields the name of a copy of `template`, to which nothing is connected; it is dropped afterwards."""
    name = f"test_{secrets.token_hex(6)}"
    await create_database(server, name, service, template)
    try:
        yield name
    finally:
        await execute_as_superuser(server, f"drop database {name} with (force)")


async def execute_as_superuser(server: PostgresServer, statement: str, database: str = "postgres") -> None:
    connection = await asyncpg.connect(server.url(database))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture
def study_id() -> str:
    """Id of a study that no other test uses."""
    return f"study-{secrets.token_hex(6)}"


async def read_topic(bootstrap: str, topic: str) -> list[Any]:
    """Returns all current records of a topic, as aiokafka reads them, sorted by partition and offset."""
    async with AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
        partitions = sorted(consumer.assignment())
        ends = await consumer.end_offsets(partitions)
        records: list[Any] = []
        while any([await consumer.position(partition) < end for partition, end in ends.items()]):
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                records += batch
        return sorted(records, key=lambda record: (record.partition, record.offset))
