"""Derives the rows of participants whose facts or plans have changed, and commits them with the position.

One transaction brings a study up to date: readers see all rows at one position, before and after. A run that ends at
any moment leaves nothing half done: the next one begins where the last commit was.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import chain, groupby
from typing import Any

import asyncpg
from pydantic_core import to_json

from services.analytics.cohort.participant import Participant, is_withdrawn_or_voided
from services.analytics.cohort.participants import participant_of_events
from services.analytics.cohort.study_plans import StudyPlans
from services.analytics.derivation.derive import DERIVATION_VERSION, derive
from services.analytics.derivation.rows import TABLES, ParticipantRows
from services.analytics.deriver import repository
from services.analytics.deriver.repository import Derivation, DerivedState, ParticipantResult
from services.analytics.projection.known_on import keep_known_on
from services.analytics.queries.case import build_case
from services.analytics.queries.derive import QueryWithStatus, queries_with_status
from services.analytics.snapshot.repository import facts_of_participants, recorded_at, study_record_at
from shared.contracts.event import Event
from shared.contracts.participation import current_site
from shared.contracts.study import ProtocolAmended, SiteClosed, StudyClosed, StudyOpened
from shared.kernel.clock import Clock
from shared.kernel.record import Record
from shared.postgres.tenancy import PooledConnection

_BATCH_SIZE = 200
_PLAN_FACTS = (StudyOpened, ProtocolAmended, SiteClosed, StudyClosed)
_log = logging.getLogger(__name__)


class Deriver:
    """Brings the derived rows of studies up to date. `term_names`: toxicity terms by id, for sentences.

    `clock` says on which day events of earlier releases were known, which do not say so themselves.
    """

    def __init__(self, pool: asyncpg.Pool[Any], term_names: Mapping[str, str], clock: Clock) -> None:
        self._pool, self._term_names, self._clock = pool, term_names, clock

    async def studies(self) -> list[str]:
        """Returns the studies of which facts have been applied."""
        return [row["study_id"] for row in await self._pool.fetch(repository.SQL["studies"])]

    async def derive_study(self, study_id: str, *, with_failed: bool = False) -> int:
        """Derives what has changed in a study; returns the number of participants whose rows were derived anew.

        A second call of any process waits until the first has committed. `with_failed`: also try participants again
        whose last derivation failed.
        """
        if await self._pool.fetchval(repository.SQL["lacks_known_on"], study_id):
            await keep_known_on(self._pool, self._clock, study_id)
        async with self._pool.acquire() as connection, connection.transaction():
            state, revision = await repository.lock_state(connection, study_id)
            study, newest = await newest_state(connection, study_id)
            failed_ids = await repository.participant_ids(connection, "failed_participants", study_id)
            if newest is None or (newest == state and not (with_failed and failed_ids)):
                return 0
            reason, participant_ids = await changed_participants(connection, study_id, state, newest)
            if with_failed:
                participant_ids = sorted({*participant_ids, *failed_ids})
            derivation = Derivation(newest.position, reason, revision + 1)
            for batch in batches(participant_ids):
                await derive_batch(connection, study_id, study, derivation, batch, self._term_names)
            moment = await recorded_at(connection, study_id, newest.position)
            await repository.store_state(connection, study_id, newest, derivation.revision, moment)
            return len(participant_ids)


def batches(participant_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yields the participants in batches, whose facts are in memory together."""
    for start in range(0, len(participant_ids), _BATCH_SIZE):
        yield participant_ids[start : start + _BATCH_SIZE]


async def newest_state(connection: PooledConnection, study_id: str) -> tuple[Record, DerivedState | None]:
    """Returns the study's own facts and the state that the rows should have; None before the study was opened."""
    latest = await connection.fetchrow(repository.SQL["latest_position"], study_id)
    if latest is None:
        return Record(), None
    study = await study_record_at(connection, study_id, latest["position"])
    if not study.facts_of(StudyOpened):
        return study, None
    return study, DerivedState(latest["position"], latest["epoch"], DERIVATION_VERSION, digest_plans(study))


async def derive_batch(
    connection: PooledConnection,
    study_id: str,
    study: Record,
    derivation: Derivation,
    ids: Sequence[str],
    term_names: Mapping[str, str],
) -> None:
    """Derives the rows of participants from their facts at the position of the derivation, and replaces them.

    A participant whose rows cannot be derived keeps the earlier ones and is stored as a failure.
    """
    plans = StudyPlans.from_record(study)
    events = await facts_of_participants(connection, study_id, ids, derivation.position)
    results, failures = list[ParticipantResult](), dict[str, str]()
    for participant_id, own_events in _by_participant(ids, events):
        try:
            results.append(derive_participant(participant_id, own_events, plans, term_names))
        except Exception as error:  # of any kind: a fault about one participant stops nobody else
            _log.exception("the rows of a participant cannot be derived", extra={"study_id": study_id})
            failures[participant_id] = type(error.__cause__ or error).__name__
    await repository.replace_rows(connection, study_id, derivation, results)
    await repository.clear_failures(connection, study_id, [result.participant_id for result in results])
    for participant_id, error_name in failures.items():
        await repository.store_failure(connection, study_id, participant_id, derivation.position, error_name)


async def changed_participants(
    connection: PooledConnection, study_id: str, state: DerivedState, newest: DerivedState
) -> tuple[str, list[str]]:
    """Returns why rows are derived anew, and whose."""
    for reason, is_changed in (
        ("epoch", state.epoch != newest.epoch or state.position > newest.position),
        ("version", state.derivation_version != newest.derivation_version),
        ("plans", state.plans != newest.plans),
    ):
        if is_changed:
            return reason, await repository.participant_ids(connection, "participants", study_id, newest.position)
    changed = await repository.participant_ids(
        connection, "changed_participants", study_id, state.position, newest.position
    )
    return "facts", changed


def _by_participant(ids: Sequence[str], events: Sequence[Event]) -> Iterator[tuple[str, list[Event]]]:
    """Yields every participant with the current facts, who may have none."""
    by_participant = {name: list(own) for name, own in groupby(events, key=lambda event: event.stream_id)}
    yield from ((participant_id, by_participant.get(participant_id, [])) for participant_id in ids)


def derive_participant(
    participant_id: str, events: Sequence[Event], plans: StudyPlans, term_names: Mapping[str, str]
) -> ParticipantResult:
    """Returns the rows and data queries of a participant. Raises UnreadableFact as `participant_of_events` does."""
    participant = participant_of_events(participant_id, events)
    rows = derive(participant, plans)
    queries = _derive_queries(participant, rows, events, plans, term_names)
    site_id = current_site(participant.record) or ""
    return ParticipantResult(participant_id, site_id, rows, queries, _digest(rows, queries, site_id))


def _digest(rows: ParticipantRows, queries: Sequence[QueryWithStatus], site_id: str) -> bytes:
    """Returns a digest of everything that is stored of a participant."""
    values = [list(chain.from_iterable(getattr(rows, table))) for table in TABLES]
    return sha256(to_json((values, queries, site_id))).digest()


def _derive_queries(
    participant: Participant,
    rows: ParticipantRows,
    events: Sequence[Event],
    plans: StudyPlans,
    term_names: Mapping[str, str],
) -> list[QueryWithStatus]:
    """Returns the data queries of a participant: of an excluded one only those about the exclusion."""
    (subject,) = rows.subject
    if not subject.is_screened or is_withdrawn_or_voided(participant.record):
        return []
    case = build_case(participant, plans, events, term_names)
    queries = queries_with_status(case)
    if subject.is_excluded:
        return [query for query in queries if query.is_about_exclusion]
    return queries


def digest_plans(study: Record) -> bytes:
    """Returns a digest of the study's own facts that rows depend on."""
    plans = [stated.fact for stated in study.stated_facts if isinstance(stated.fact, _PLAN_FACTS)]
    return sha256("\n".join(f"{fact.type_name} {fact.model_dump_json()}" for fact in plans).encode()).digest()
