"""A study in the database of analytics, with a deriver and a reader of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import asyncpg

from infra.simulator.participants import SITES
from services.analytics.deriver.deriver import Deriver
from services.analytics.snapshot.study_reader import StudyReader
from shared.contracts.event import Event
from shared.kernel.clock import Clock
from shared.kernel.fact import Fact
from shared.postgres.statements import compose_statement
from shared.terminology.ctcae import TermNames
from shared.testing.builders import facts
from shared.testing.builders.events import EventStream
from shared.testing.builders.messages import as_messages
from shared.testing.builders.participant_history import ParticipantHistory
from tests.conftest import Database
from tests.integration.support.analytics_database import project_messages

TREATED = (*facts.ENROLLMENT_FACTS, facts.radiotherapy_started(), facts.radiotherapy_completed())
"""The facts of a treated participant, up to the end of the course."""


class DerivedStudy:
    """A study in the database of analytics, with a deriver and a reader of its own."""

    def __init__(self, database: Database, study_id: str) -> None:
        self.study_id, self.database = study_id, database
        self.deriver = Deriver(database.system, TermNames(), Clock())
        self.reader = StudyReader(database.app, database.system, Clock())
        self.study = EventStream(study_id, study_id, "enrollment", None)

    async def project(self, events: Sequence[Event]) -> None:
        result = await project_messages(self.database.system, as_messages(events))
        assert not result.parked

    async def derive(self) -> int:
        return await self.deriver.derive_study(self.study_id)

    async def add(self, *facts_: Fact, site: str = "rome") -> ParticipantHistory:
        history = ParticipantHistory(self.study_id, site_id=site)
        history.record(*facts_)
        await self.project(history.events)
        return history

    async def execute(self, statement: str, *arguments: object) -> None:
        """Executes a statement that no role of Quartal may execute."""
        owner = await asyncpg.connect(self.database.superuser_url)
        try:
            await owner.execute(statement, *arguments)
        finally:
            await owner.close()

    async def damage(self, event: Event, column: str = "data", value: str = "{}") -> None:
        """Makes a stored fact one that cannot be read."""
        statement = compose_statement("update fact set {column} = $2 where event_id = $1", column=column)
        await self.execute(statement, event.event_id, value)

    async def failures(self) -> list[tuple[Any, ...]]:
        rows = await self.database.system.fetch(
            "select participant_id, reason from derived_failure where study_id = $1", self.study_id
        )
        return [tuple(row) for row in rows]

    async def row(self, participant_id: str, *columns: str) -> tuple[Any, ...]:
        """Returns these columns of the participant's row as JSON has them: a day is a text."""
        text = await self.database.system.fetchval(
            "select to_jsonb(entry) from derived_subject entry where study_id = $1 and participant_id = $2",
            self.study_id,
            participant_id,
        )
        row = json.loads(text)
        return tuple(row[column] for column in columns)


async def open_derived_study(database: Database, study_id: str) -> DerivedStudy:
    """Returns a study that is opened at its sites."""
    study = DerivedStudy(database, study_id)
    study.study.record(facts.study_opened(), *(facts.site_activated(site.site_id) for site in SITES))
    await study.project(study.study.events)
    return study
