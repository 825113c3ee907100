"""Fills the database of analytics with a simulated study, without HTTP: by the projector and the deriver.

The first participants are projected and derived. A study that needs more of them gets copies of their derived rows
under new numbers, which readers of rows cannot tell apart.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import asyncpg

from bench.cohort import DISTINCT_PARTICIPANTS
from infra.cli.settings_source import read_settings
from infra.local.stack import Stack
from infra.reference.study import subject
from infra.services import SERVICES
from infra.simulator.participants import FIRST_SCREENING_DAY, OPENING_DATA, SITES, simulate_participant
from services.analytics.derivation.rows import TABLES
from services.analytics.deriver.deriver import Deriver
from services.analytics.projection.projector import apply_events
from shared.contracts import catalogue
from shared.contracts.event import Event
from shared.contracts.study import StudyOpened
from shared.inbox.batch import EventHandler, apply_messages
from shared.kernel.clock import Clock
from shared.kernel.fact import Fact
from shared.kernel.ids import new_participant_id
from shared.postgres.statements import compose_statement
from shared.postgres.tenancy import open_pool
from shared.terminology.ctcae import TermNames
from shared.testing.builders.events import enrollment_events
from shared.testing.builders.facts import member_granted, procedure_performed, site_activated
from shared.testing.builders.messages import as_messages
from shared.testing.builders.participant_history import ParticipantHistory

BATCH_SIZE, SEED = 500, 1
ALL_TABLES = (*(f"derived_{name}" for name in TABLES), "derived_data_query")
_COLUMNS = """
    select array_agg(column_name::text) from information_schema.columns
     where table_name = $1 and column_name not in ('study_id', 'participant_id')
"""


def study_events(study_id: str) -> list[Event]:
    """Returns the events of a study with all simulated sites, an investigator, and a member for each site."""
    sites = [site_activated(site.site_id, FIRST_SCREENING_DAY.isoformat(), zone=site.time_zone) for site in SITES]
    members = [member_granted(subject(study_id, "site", site.site_id), "site", site.site_id) for site in SITES]
    investigator = member_granted(subject(study_id, "investigator", None), "investigator")
    facts = [StudyOpened.model_validate(OPENING_DATA), investigator, *sites, *members]
    return enrollment_events(study_id, study_id, facts)


def simulate_history(study_id: str, index: int) -> ParticipantHistory:
    """Returns the events of a simulated participant in all services."""
    participant = simulate_participant(SEED, index)
    history = ParticipantHistory(study_id, site_id=participant.site.site_id)
    for service in SERVICES:
        classes = catalogue.find_stream(service, is_study=False).facts
        facts: list[Fact] = [
            classes[fact["type"]].model_validate(fact["data"]) for fact in participant.facts_of_service(service)
        ]
        history.record(*facts)
    return history


@dataclass(frozen=True)
class ReplicatedCohort:
    """A study in the database of analytics. `histories`: the participants who were projected, and not copied."""

    study_id: str
    pool: asyncpg.Pool[Any]
    histories: Sequence[ParticipantHistory]

    @classmethod
    async def fill(
        cls, pool: asyncpg.Pool[Any], study_id: str, participants: int, tables: Sequence[str] = ALL_TABLES
    ) -> ReplicatedCohort:
        """Projects and derives so many participants, those beyond the distinct ones as copies of their rows.

        `tables`: those whose rows are copied.
        """
        histories = [simulate_history(study_id, index) for index in range(min(participants, DISTINCT_PARTICIPANTS))]
        study = cls(study_id, pool, histories)
        await apply_to_inbox(
            pool, [*study_events(study_id), *(event for history in histories for event in history.events)]
        )
        await study.derive()
        await study._copy_rows(participants - len(histories), tables)
        return study

    async def derive(self) -> None:
        await Deriver(self.pool, TermNames(), Clock()).derive_study(self.study_id)

    async def add_fact(self) -> None:
        """Records one more fact of one of the participants, projects it, and derives the rows."""
        history = random.choice(self.histories)
        await apply_to_inbox(self.pool, [history.record(procedure_performed(random.randrange(300)))])
        await self.derive()

    async def _copy_rows(self, copies: int, tables: Sequence[str]) -> None:
        if copies <= 0:
            return
        names = [history.participant_id for history in self.histories]
        sources = [names[number % len(names)] for number in range(copies)]
        targets = [new_participant_id() for _ in range(copies)]
        for table in tables:
            columns = await self.pool.fetchval(_COLUMNS, table)
            await self.pool.execute(
                compose_statement(
                    "insert into {table} (study_id, participant_id, {columns})"
                    " select study_id, copy_name, {columns} from {table}"
                    " join unnest($2::text[], $3::text[]) as copied (source, copy_name) on participant_id = source"
                    " where study_id = $1",
                    table=table,
                    columns=columns,
                ),
                self.study_id,
                sources,
                targets,
                timeout=1200,
            )


async def apply_to_inbox(
    pool: asyncpg.Pool[Any], events: Sequence[Event], handler: EventHandler = apply_events
) -> None:
    """Applies events in batches as a consumer does, without offsets: they were never in Kafka."""
    remaining = iter(as_messages(events))
    while batch := list(islice(remaining, BATCH_SIZE)):
        async with pool.acquire() as connection, connection.transaction():
            result = await apply_messages(connection, batch, handler)
            if result.parked or result.unreadable:
                raise RuntimeError(f"events cannot be applied: {result.parked or result.unreadable}")


async def analyze_database(stack: Stack) -> None:
    """Computes the statistics of tables, which PostgreSQL does by itself some time after so many new rows."""
    owner = await asyncpg.connect(read_settings(stack.environment).database_url("analytics", "owner"))
    try:
        await owner.execute("vacuum analyze", timeout=600)
    finally:
        await owner.close()


@asynccontextmanager
async def analytics_pools(stack: Stack) -> AsyncIterator[tuple[asyncpg.Pool[Any], asyncpg.Pool[Any]]]:
    """Yields the pools of the database of analytics: of the role app, and of the role system."""
    settings = read_settings(stack.environment)
    async with (
        await open_pool(settings.database_url("analytics", "app")) as app,
        await open_pool(settings.database_url("analytics", "system")) as system,
    ):
        yield app, system
