"""The frontier of a data cut: the last event of every stream, with a digest of everything up to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import asyncpg

from services.analytics.cuts.repository import SQL
from shared.contracts.event import Row
from shared.postgres.tenancy import PooledConnection
from shared.validation.json_parsing import canonical_json

_EVENTS_PER_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Frontier:
    """The version of the last event of each stream, as (source, subject, version), and a digest.

    `digest`: SHA-256 over the versions as canonical JSON, and over the SHA-256 of each event, by stream and version. It
    does not depend on the order in which events were applied.
    """

    versions: Sequence[tuple[str, str, int]]
    digest: bytes


class FrontierDigest:
    """Collects a frontier from batches of events, which come by stream and version."""

    def __init__(self) -> None:
        self._versions, self._events = dict[tuple[str, str], int](), sha256()

    def add(self, events: Sequence[Row]) -> None:
        """Adds events, as rows of the journal."""
        for event in events:
            self._versions[event["source"], event["subject"]] = event["version"]
            self._events.update(digest_event(event))

    def result(self) -> Frontier:
        versions = [(source, subject, version) for (source, subject), version in self._versions.items()]
        return Frontier(versions, sha256(canonical_json(versions) + b"\n" + self._events.digest()).digest())


def digest_event(event: Row) -> bytes:
    """Returns the SHA-256 of an event's identity and content, as canonical JSON."""
    identity = [event[name] for name in ("source", "subject", "version", "type", "schema_version", "site_id")]
    parts = [*identity, str(event["event_id"]), event["recorded_at"].isoformat(), json.loads(event["data"])]
    return sha256(canonical_json(parts)).digest()


async def read_frontier(connection: PooledConnection, study_id: str, position: int) -> Frontier:
    """Returns the frontier of a study at a position. The connection is in a transaction."""
    digest, batch = FrontierDigest(), list[asyncpg.Record]()
    async for event in connection.cursor(SQL["events_until"], study_id, position, prefetch=_EVENTS_PER_BATCH):
        batch.append(event)
        if len(batch) == _EVENTS_PER_BATCH:
            await asyncio.to_thread(digest.add, batch)
            batch = []
    await asyncio.to_thread(digest.add, batch)
    return digest.result()
