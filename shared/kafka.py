"""How aiokafka's clients end when one of their own tasks has died, which they do not expect.

uvloop raises RuntimeError for a connection that was just lost. The task that learns what the cluster looks like dies of
it without a word (aio-libs/aiokafka#1038), and `close` raises it again and leaves the connections open. A consumer's
`stop` raises the cancellation of a fetch that it cancels itself, as if its caller were to be cancelled.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from aiokafka.client import AIOKafkaClient

_log = logging.getLogger(__name__)


async def close(client: AIOKafkaClient, within: float) -> None:
    """Close its connections, whatever became of it; give up after `within` seconds. Raises nothing of its own."""
    if client._sync_task and client._sync_task.done():
        client._sync_task = None
    await ended(client.close(), within)


async def ended(ending: Coroutine[Any, Any, None], within: float) -> None:
    """Wait for an end, `within` seconds at most. What it raises is logged; a cancellation inside of it is not ours."""
    task = asyncio.create_task(ending)
    try:
        await asyncio.wait({task}, timeout=within)
    finally:
        task.cancel()
        await asyncio.wait({task})
    if not task.cancelled() and (error := task.exception()):
        _log.info("a Kafka client did not end well: %s", type(error).__name__)
