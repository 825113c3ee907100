"""Derives the rows of participants whose facts or plans have changed, and commits them with the position.

One transaction brings a study up to date: readers see all rows at one position, before and after. Whatever ends it at
any moment, the next run begins where the last commit was.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from hashlib import sha256
from itertools import groupby
from typing import Any

import asyncpg
from pydantic_core import to_json

from services.analytics.cohort.participant import Participant, is_withdrawn_or_voided
from services.analytics.derivation.derive import DERIVATION_VERSION, derive
from services.analytics.derivation.rows import ParticipantRows
from services.analytics.deriver import repository
from services.analytics.deriver.repository import DerivedState, ParticipantResult
from services.analytics.queries.case import build_case
from services.analytics.queries.derive import QueryWithStatus, queries_with_status
from services.analytics.snapshot.repository import facts_of_participants, recorded_at, study_record_at
from shared.contracts.event import Event
from shared.contracts.participation import current_site
from shared.contracts.study import ProtocolAmended, SiteClosed, StudyClosed, StudyOpened
from shared.kernel.record import Record
from shared.postgres.tenancy import PooledConnection

_BATCH_SIZE = 200
_PLAN_FACTS = (StudyOpened, ProtocolAmended, SiteClosed, StudyClosed)
_log = logging.getLogger(__name__)


class Deriver:
    """Brings the derived rows of studies up to date. `term_names`: toxicity terms by id, for sentences."""

    def __init__(self, pool: asyncpg.Pool[Any], term_names: Mapping[str, str]) -> None:
        self._pool, self._term_names = pool, term_names

    async def studies(self) -> list[str]:
        """Returns the studies of which facts have been applied."""
        return [row["study_id"] for row in await self._pool.fetch(repository.SQL["studies"])]

    async def derive_study(self, study_id: str) -> int:
        """Derives what has changed in a study; returns the number of participants whose rows were derived anew.

        A second call of any process waits until the first has committed.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            state = await repository.lock_state(connection, study_id)
            position = await connection.fetchval(repository.SQL["latest_position"], study_id)
            study = await study_record_at(connection, study_id, position or 0)
            if not position or not study.facts_of(StudyOpened):
                return 0
            newest = DerivedState(position, DERIVATION_VERSION, _digest_plans(study))
            if newest == state:
                return 0
            reason, participant_ids = await _changed_participants(connection, study_id, state, newest)
            for start in range(0, len(participant_ids), _BATCH_SIZE):
                batch = participant_ids[start : start + _BATCH_SIZE]
                await self._derive_batch(connection, study_id, study, position, reason, batch)
            await repository.store_state(
                connection, study_id, newest, await recorded_at(connection, study_id, position)
            )
            return len(participant_ids)

    async def _derive_batch(
        self, connection: PooledConnection, study_id: str, study: Record, position: int, reason: str, ids: Sequence[str]
    ) -> None:
        events = await facts_of_participants(connection, study_id, ids, position)
        results, failures = list[ParticipantResult](), dict[str, str]()
        for participant_id, own_events in _by_participant(ids, events):
            try:
                results.append(derive_participant(participant_id, own_events, study, self._term_names))
            except Exception as error:  # of any kind: a fault about one participant stops nobody else
                _log.exception("the rows of a participant cannot be derived", extra={"study_id": study_id})
                failures[participant_id] = type(error).__name__
        await repository.replace_rows(connection, study_id, position, reason, results)
        await repository.clear_failures(connection, study_id, [result.participant_id for result in results])
        for participant_id, error_name in failures.items():
            await repository.store_failure(connection, study_id, participant_id, position, error_name)


async def _changed_participants(
    connection: PooledConnection, study_id: str, state: DerivedState, newest: DerivedState
) -> tuple[str, list[str]]:
    """Returns why rows are derived anew, and whose."""
    if state.derivation_version != newest.derivation_version:
        return "version", await repository.participant_ids(connection, "participants", study_id)
    if state.plans != newest.plans:
        return "plans", await repository.participant_ids(connection, "participants", study_id)
    changed = await repository.participant_ids(
        connection, "changed_participants", study_id, state.position, newest.position
    )
    return "facts", changed


def _by_participant(ids: Sequence[str], events: Sequence[Event]) -> Iterator[tuple[str, list[Event]]]:
    """Yields every participant with the current facts, who may have none."""
    by_participant = {name: list(own) for name, own in groupby(events, key=lambda event: event.stream_id)}
    yield from ((participant_id, by_participant.get(participant_id, [])) for participant_id in ids)


def derive_participant(
    participant_id: str, events: Sequence[Event], study: Record, term_names: Mapping[str, str]
) -> ParticipantResult:
    """Returns the rows and data queries of a participant. Raises KeyError or ValueError for an unreadable fact."""
    record = Record(tuple(event.stated_fact() for event in events))
    participant = Participant(participant_id=participant_id, record=record, known_until=date.max)
    rows = derive(participant, study)
    queries = _derive_queries(participant, rows, events, study, term_names)
    site_id = current_site(record) or ""
    digest = sha256(to_json((rows, queries, site_id))).digest()
    return ParticipantResult(participant_id, site_id, rows, queries, digest)


def _derive_queries(
    participant: Participant,
    rows: ParticipantRows,
    events: Sequence[Event],
    study: Record,
    term_names: Mapping[str, str],
) -> list[QueryWithStatus]:
    """Returns the data queries of a participant: of an excluded one only those about the exclusion."""
    (subject,) = rows.subject
    if not subject.is_screened or is_withdrawn_or_voided(participant.record):
        return []
    case = build_case(participant, study, {event.event_id: event.recorded_at for event in events}, term_names)
    queries = queries_with_status(case)
    if subject.is_excluded:
        return [query for query in queries if query.query and query.query.rule == "consent_without_data_use"]
    return queries


def _digest_plans(study: Record) -> bytes:
    """Returns a digest of the study's own facts that rows depend on."""
    plans = [stated.fact for stated in study.stated_facts if isinstance(stated.fact, _PLAN_FACTS)]
    return sha256("\n".join(f"{fact.type_name} {fact.model_dump_json()}" for fact in plans).encode()).digest()
