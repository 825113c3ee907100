"""The Faust worker: consumes the topics and passes batches to `apply_batch`.

No exception may leave the body of an agent: Faust acknowledges the events that it has handed out, and they would be
lost. Transient errors are therefore retried inside, and any other ends the process at once, without a commit. Its
supervisor starts it again from the last committed offsets, and events that come twice have no effect.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import asyncpg
from aiokafka.errors import KafkaConnectionError
from faust import App, Event, Stream  # by name: Faust loads them lazily otherwise

from services.analytics.projection.epoch import begin_epoch
from services.analytics.projection.known_on import keep_known_on_everywhere
from services.analytics.projection.projector import apply_events
from shared.inbox.batch import apply_with_retry
from shared.inbox.consumer import BATCH_SIZE, message_from_record, rewind_group
from shared.inbox.lag import monitor_lag
from shared.kafka.clients import METADATA_MAX_AGE_MS, vital_tasks
from shared.kernel.clock import Clock
from shared.postgres.retry import retry_while_unavailable
from shared.postgres.tenancy import open_pool

CONSUMER_GROUP = "quartal-analytics"
TOPICS = ("quartal.enrollment.v1", "quartal.toxicity.v1", "quartal.followup.v1")
FATAL_EXIT_CODE = 70
_STOP_TIMEOUT_SECONDS = 4.0
_CLIENT_CHECK_SECONDS = 1.0
_log = logging.getLogger(__name__)


async def run(system_url: str, bootstrap: str, datadir: Path, clock: Clock, *, group: str = CONSUMER_GROUP) -> None:
    """Projects the topics until SIGTERM or SIGINT. Waits for the database, the broker and its topics.

    Exits the process at once if it cannot continue, or cannot stop in time.
    """
    stop_requested = asyncio.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal_number, stop_requested.set)
    worker_task = asyncio.create_task(_run_worker(system_url, bootstrap, datadir, clock, group))
    stop_task = asyncio.create_task(stop_requested.wait())
    await asyncio.wait({worker_task, stop_task}, return_when=asyncio.FIRST_COMPLETED)
    if worker_task.done():
        _exit_process(None if worker_task.cancelled() else worker_task.exception())
    worker_task.cancel()
    _, unfinished = await asyncio.wait({worker_task}, timeout=_STOP_TIMEOUT_SECONDS)
    if unfinished:
        os._exit(0)  # nothing is lost: what was not committed is delivered again


async def _run_worker(system_url: str, bootstrap: str, datadir: Path, clock: Clock, group: str) -> None:
    pool = await retry_while_unavailable(lambda: open_pool(system_url, max_size=2))
    await retry_while_unavailable(lambda: keep_known_on_everywhere(pool, clock))
    await rewind_group(pool, bootstrap, group, TOPICS, lambda: begin_epoch(pool))
    app = create_faust_app(pool, bootstrap, datadir, group)
    monitor_tasks = [asyncio.create_task(_exit_on_error(monitor_lag(pool, bootstrap, TOPICS)))]
    try:
        app.finalize()
        await app.start()
        monitor_tasks.append(asyncio.create_task(_exit_on_error(_watch_client(app))))
        await app.wait_until_stopped()
    finally:
        for monitor_task in monitor_tasks:
            monitor_task.cancel()
        await app.stop()
        pool.terminate()
    raise RuntimeError("Faust stopped") from app.crash_reason


async def _exit_on_error(monitor: Coroutine[Any, Any, None]) -> None:
    try:
        await monitor
    except Exception as error:
        _exit_process(error)


async def _watch_client(app: App) -> None:
    """Raises KafkaError when the client of Faust has stopped delivering: Faust itself never reads its errors.

    After an error, the client stays out of its group until the error is read.
    """
    consumer = app.consumer._thread._consumer
    while not any(task.done() for task in vital_tasks(consumer)):
        if error := consumer._coordinator._pending_exception:
            raise error
        await asyncio.sleep(_CLIENT_CHECK_SECONDS)
    raise KafkaConnectionError("a task of the client has died")


def create_faust_app(pool: asyncpg.Pool[Any], bootstrap: str, datadir: Path, group: str = CONSUMER_GROUP) -> App:
    """Creates the Faust application with one agent, which applies the events of all topics."""
    app = App(
        group,
        broker=f"kafka://{bootstrap}",
        datadir=datadir,
        store="memory://",
        key_serializer="raw",
        value_serializer="raw",
        processing_guarantee="at_least_once",
        broker_session_timeout=6.0,
        broker_heartbeat_interval=2.0,
        broker_rebalance_timeout=30.0,
        broker_commit_interval=1.0,
        consumer_max_fetch_size=4 * 1024 * 1024,
        consumer_metadata_max_age_ms=METADATA_MAX_AGE_MS,
        stream_wait_empty=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        web_enabled=False,
    )

    async def consume(stream: Stream) -> None:
        try:
            async for batch in _read_batches(stream):
                await apply_with_retry(pool, [message_from_record(event.message) for event in batch], apply_events)
                for event in batch:
                    event.ack()
        except Exception as error:
            _exit_process(error)
        if not app.should_stop:
            _exit_process(RuntimeError("the Kafka stream ended"))

    app.agent(app.topic(*TOPICS))(consume)
    return app


async def _read_batches(stream: Stream) -> AsyncIterator[list[Event]]:
    """Yields the events that have arrived: one when it is quiet, full batches under load, without a timer.

    They are read from the queue of the stream: iterating the stream doubles the cost, and acknowledges by itself.
    """
    queue = stream.channel.queue
    while True:
        try:
            batch = [await queue.get()]
        except StopAsyncIteration:
            return
        while len(batch) < BATCH_SIZE and not queue.empty():
            batch.append(queue.get_nowait())
        yield batch


def _exit_process(error: BaseException | None) -> None:
    _log.critical("the projection stops; its supervisor starts it again", exc_info=error)
    os._exit(FATAL_EXIT_CODE)
