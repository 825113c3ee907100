"""The Faust worker: a shell around `apply_batch`, which holds all that matters.

No exception may leave an agent's body: Faust acknowledges what it has given out, and those events are lost. So what
passes is waited for inside, and anything else ends the process on the spot, without a commit; its supervisor starts it
again from the last committed offsets, and what comes twice has no effect.
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
from faust import App, Event, Stream  # now: the module alone would load them when they are used

from services.analytics.projection.journal import begin_epoch, project
from shared.inbox.apply import apply_patiently
from shared.inbox.consumer import BATCH, received, rewind_group
from shared.inbox.lag import watch
from shared.inbox.patience import patiently
from shared.kafka import LOOKS_EVERY_MS, vital_tasks
from shared.security.tenancy import open_pool

GROUP = "quartal-analytics"
TOPICS = ("quartal.enrollment.v1", "quartal.toxicity.v1", "quartal.followup.v1")
FATAL = 70
_STOPS_WITHIN = 4.0
_CHECKS_EVERY = 1.0
_log = logging.getLogger(__name__)


async def run(system_url: str, bootstrap: str, datadir: Path, *, group: str = GROUP) -> None:
    """Project the topics until SIGTERM or SIGINT. Waits for the database, the broker and its topics.

    Takes the process over: where it cannot go on, and where it cannot end in time, it exits at once.
    """
    told_to_stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told_to_stop.set)
    working = asyncio.create_task(_work(system_url, bootstrap, datadir, group))
    stopping = asyncio.create_task(told_to_stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if working.done():
        _die(None if working.cancelled() else working.exception())
    working.cancel()
    _, late = await asyncio.wait({working}, timeout=_STOPS_WITHIN)
    if late:
        os._exit(0)  # nothing is lost: what was not committed comes again


async def _work(system_url: str, bootstrap: str, datadir: Path, group: str) -> None:
    pool = await patiently(lambda: open_pool(system_url, largest=2))
    await rewind_group(pool, bootstrap, group, TOPICS, lambda: begin_epoch(pool))
    app = projection(pool, bootstrap, datadir, group)
    watches = [asyncio.create_task(_or_die(watch(pool, bootstrap, TOPICS)))]
    try:
        app.finalize()
        await app.start()
        watches.append(asyncio.create_task(_or_die(_watch_client(app))))
        await app.wait_until_stopped()
    finally:
        for each in watches:
            each.cancel()
        await app.stop()
        pool.terminate()
    raise RuntimeError("Faust stopped") from app.crash_reason


async def _or_die(watching: Coroutine[Any, Any, None]) -> None:
    try:
        await watching
    except Exception as error:
        _die(error)


async def _watch_client(app: App) -> None:
    """Raise KafkaError when Faust's client brings nothing any more: Faust asks for none of its errors.

    After an error that the caller should see, the client stays out of its group until somebody asks.
    """
    consumer = app.consumer._thread._consumer
    while not any(task.done() for task in vital_tasks(consumer)):
        if error := consumer._coordinator._pending_exception:
            raise error
        await asyncio.sleep(_CHECKS_EVERY)
    raise KafkaConnectionError("a task of the client has died")


def projection(pool: asyncpg.Pool[Any], bootstrap: str, datadir: Path, group: str = GROUP) -> App:
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
        consumer_metadata_max_age_ms=LOOKS_EVERY_MS,
        stream_wait_empty=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        web_enabled=False,
    )

    @app.agent(app.topic(*TOPICS))  # type: ignore[untyped-decorator] # Faust has no types
    async def applied(stream: Stream) -> None:
        try:
            async for batch in _batches(stream):
                await apply_patiently(pool, [received(event.message) for event in batch], project)
                for event in batch:
                    event.ack()
        except Exception as error:
            _die(error)
        if not app.should_stop:
            _die(RuntimeError("the Kafka stream ended"))

    return app


async def _batches(stream: Stream) -> AsyncIterator[list[Event]]:
    """What has arrived, at once: one event when it is quiet, full batches under load, and no timer in between.

    Read from the stream's queue: iterating the stream costs as much again as all the rest, and acknowledges by itself.
    """
    queue = stream.channel.queue
    while True:
        try:
            batch = [await queue.get()]
        except StopAsyncIteration:
            return
        while len(batch) < BATCH and not queue.empty():
            batch.append(queue.get_nowait())
        yield batch


def _die(error: BaseException | None) -> None:
    _log.critical("the projection stops; its supervisor starts it again", exc_info=error)
    os._exit(FATAL)
