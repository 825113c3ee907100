"""A drawn study on real servers: its facts go through Kafka and the Faust worker, and are derived, look by look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from services.analytics.deriver.deriver import Deriver
from shared.contracts.cloudevents import encode
from shared.contracts.event import Event
from shared.outbox.publisher import KafkaPublisher
from tests.conftest import Database
from tests.polling import wait_until


@dataclass
class RunningStudy:
    """The events of a study that are still to come, and the servers through which they go."""

    study_id: str
    database: Database
    publisher: KafkaPublisher
    deriver: Deriver
    events: Sequence[Event]
    published: int = field(default=0, init=False)
    derived: int = field(default=0, init=False)

    async def advance(self, now: datetime) -> None:
        """Publishes what was recorded up to an instant, and returns when it is derived.

        It may be called again after a fault.
        """
        due = [event for event in self.events[self.published :] if event.recorded_at <= now]
        if due:
            await self.publisher.publish([encode(event) for event in due])
            self.published += len(due)
        if self.derived < self.published:
            await wait_until(self._is_projected)
            await self.deriver.derive_study(self.study_id)
            self.derived = self.published

    async def _is_projected(self) -> bool:
        count: int = await self.database.system.fetchval(
            "select count(*) from journal where study_id = $1", self.study_id
        )
        return count >= self.published
