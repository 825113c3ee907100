"""Queries and messages to test servers, and processes that tests kill."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

TIMEOUT_SECONDS = 60.0  # seconds until a test fails


async def query_value(url: str, *statements: str) -> object:
    """Executes the statements and returns the first value of the last one."""
    connection = await asyncpg.connect(url)
    try:
        for statement in statements[:-1]:
            await connection.execute(statement)
        return await connection.fetchval(statements[-1])
    finally:
        await connection.close()


async def send_message(bootstrap: str, text: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        await producer.send_and_wait("messages", text, partition=0)


async def read_messages(bootstrap: str) -> list[bytes]:
    partition = TopicPartition("messages", 0)
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        return [(await asyncio.wait_for(consumer.getone(), TIMEOUT_SECONDS)).value for _ in range(end)]


async def create_topic(bootstrap: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        answer = await admin.create_topics([NewTopic("messages", 1, 1)])
        assert [error[1] for error in answer.topic_errors] == [0]
    finally:
        await admin.close()


async def start_parent_process(code: str) -> asyncio.subprocess.Process:
    """Starts a Python process that runs `code`, prints a line, and waits."""
    script = textwrap.dedent(code) + "\nprint('started', flush=True)\ninput()"
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert parent.stdout
    assert await asyncio.wait_for(parent.stdout.readline(), TIMEOUT_SECONDS) == b"started\n"
    return parent
