"""A study of worked examples whose digests a worker sends to a mail server, look by look, without Kafka."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from services.analytics.deriver.deriver import Deriver
from shared.contracts.event import Event
from shared.inbox.consumer import Offsets
from shared.kernel.clock import Clock
from shared.kernel.ids import new_participant_id
from shared.terminology.ctcae import TermNames
from shared.testing.builders.messages import as_messages
from tests.conftest import Database
from tests.integration.support.analytics_database import project_messages
from tests.two_years.comparison import DigestOfDay, logged_steps
from tests.two_years.history import RecordedStudy
from tests.two_years.mail_server import MailServerProcess, mail_server
from tests.two_years.reminder_worker import SteppedWorker, apply_change, subscription_changes
from tests.two_years.stated_events import StatedStudy
from tests.two_years.worked_examples import local, with_number


async def read_no_ends() -> Offsets:
    """Returns the ends of topics that are empty: this study's facts are applied without Kafka."""
    return {}


@dataclass
class RemindedExample:
    """A recorded study, its events that are still to come, the worker and the mail server."""

    study_id: str
    study: RecordedStudy
    database: Database
    mail: MailServerProcess
    worker: SteppedWorker
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.events = StatedStudy(self.study_id, self.study).events()

    async def subscribe(self, until: str) -> None:
        """Saves what all members chose, with the renewals up to a day."""
        for change in subscription_changes(self.study, local(until)):
            await apply_change(self.database, self.study_id, change)

    async def advance(self, now: datetime) -> None:
        """Applies and derives what was recorded up to an instant."""
        due = [event for event in self.events if event.recorded_at <= now]
        if due:
            self.events = self.events[len(due) :]
            result = await project_messages(self.database.system, as_messages(due))
            assert not result.parked
            await self.derive()

    async def derive(self) -> None:
        await Deriver(self.database.system, TermNames(), Clock()).derive_study(self.study_id)

    async def look(self, *instants: datetime) -> None:
        for now in instants:
            await self.advance(now)
            await self.worker.tick(now)

    def received(self) -> list[str]:
        """Returns what the mail server took, as `day member V1 V2`, in order."""
        return [
            f"{digest.day} {digest.member} {' '.join(f'V{visit.visit}' for visit in sorted(digest.visits))}"
            for digest in self.mail.received()
        ]

    async def steps(self, state: str = "sent") -> list[str]:
        """Returns the steps of deliveries in a state, as `day member V1 open`, by day."""
        digests: dict[DigestOfDay, set[str]] = await logged_steps(self.database, self.study_id, state)
        return sorted(
            f"{digest.day} {digest.member} {' '.join(line.split()[2:4])}"
            for digest in digests
            for line in digests[digest]
        )


@asynccontextmanager
async def reminded_example(
    study_id: str, database: Database, folder: Path, study: RecordedStudy, *, until: str = "2025-12-31"
) -> AsyncIterator[RemindedExample]:
    """Opens a study with its subscriptions. Numbers of participants are replaced by valid ones."""
    with mail_server(folder / "mail") as mail:
        await mail.start()
        worker = SteppedWorker(study_id, database.system, "", mail.url, read_no_ends)
        example = RemindedExample(study_id, with_number(study, new_participant_id()), database, mail, worker)
        await example.advance(local("2024-07-01"))
        await example.subscribe(until)
        yield example


def at(*texts: str) -> Sequence[datetime]:
    """Returns instants in Berlin, each given as `2025-04-01 08:01`."""
    return [local(*text.split()) for text in texts]
