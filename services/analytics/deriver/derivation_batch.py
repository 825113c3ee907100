"""Derives the rows of a batch of participants from their facts, and replaces those that are stored."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from services.analytics.cohort.participant import Participant, is_withdrawn_or_voided
from services.analytics.cohort.participants import participant_of_events
from services.analytics.cohort.study_plans import StudyPlans
from services.analytics.derivation.derive import derive
from services.analytics.derivation.rows import ParticipantRows
from services.analytics.deriver import repository
from services.analytics.deriver.repository import Derivation, ParticipantResult
from services.analytics.queries.case import build_case
from services.analytics.queries.derive import QueryWithStatus, queries_with_status
from services.analytics.snapshot.repository import facts_of_participants
from shared.contracts.event import Event
from shared.contracts.participation import current_site
from shared.kernel.record import Record
from shared.postgres.tenancy import PooledConnection

_BATCH_SIZE = 200
_log = logging.getLogger(__name__)


def batches(participant_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Splits the ids so that one batch of facts is in memory at a time."""
    for start in range(0, len(participant_ids), _BATCH_SIZE):
        yield participant_ids[start : start + _BATCH_SIZE]


async def derive_batch(
    connection: PooledConnection,
    study_id: str,
    study: Record,
    derivation: Derivation,
    ids: Sequence[str],
    term_names: Mapping[str, str],
) -> None:
    """Derives the rows of participants from their facts at the position of the derivation, and replaces them.

    A participant whose rows cannot be derived keeps the earlier ones, at the current site, and is stored as a failure.
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
    await repository.move_rows(connection, study_id, list(failures))
    for participant_id, error_name in failures.items():
        await repository.store_failure(connection, study_id, participant_id, derivation.position, error_name)


def _by_participant(ids: Sequence[str], events: Sequence[Event]) -> Iterator[tuple[str, list[Event]]]:
    """Yields each participant with their current facts, an empty list without any."""
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
    return ParticipantResult(participant_id, site_id, rows, queries)


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
