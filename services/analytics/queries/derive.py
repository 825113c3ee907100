"""What is possible but contradictory is asked, not refused: queries, derived from one participant's facts. Pure.

Nothing is kept: a query is there for as long as the facts are as they are, and is known by what it is about.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date
from hashlib import sha256
from uuid import UUID

from services.analytics.queries.case import RULES, Case, QueryFinding
from services.analytics.queries.rules import follow_up, toxicity, treatment, vital_status
from shared.contracts.follow_up import QueryExplained

RULE_MODULES = (follow_up, vital_status, toxicity, treatment)
"""Importing them registers their rules."""


@dataclass(frozen=True, slots=True)
class DataQuery:
    """One question: by which rule, about which events (sorted), in one sentence, and the day since when it stands."""

    rule: str
    event_ids: tuple[UUID, ...]
    text: str
    since: date

    @property
    def key(self) -> str:
        """The same wherever and whenever it is derived, as long as it is about the same events."""
        return sha256("\n".join([self.rule, *map(str, self.event_ids)]).encode()).hexdigest()


def derive_queries(case: Case) -> list[DataQuery]:
    """What is open or explained of a participant, one query for each rule and set of events, in the order of keys."""
    derived = [_to_data_query(case, name, finding) for name, rule in RULES.items() for finding in rule(case)]
    by_key = {query.key: query for query in sorted(derived, key=lambda query: query.text, reverse=True)}
    return [by_key[key] for key in sorted(by_key)]


def _to_data_query(case: Case, rule: str, finding: QueryFinding) -> DataQuery:
    """It stands since the last of its facts was recorded (UTC), or since it is due, whichever is later."""
    event_ids = tuple(sorted({stated.event_id for stated in finding.facts}))
    last_recorded_on = max(case.recorded_at[event] for event in event_ids).astimezone(UTC).date()
    return DataQuery(rule, event_ids, finding.text, max(last_recorded_on, finding.due_on))


@dataclass(frozen=True, slots=True)
class QueryWithStatus:
    """A query as it is listed. `explained_by`: the facts that explain it. An explanation without a query of its key
    is listed with that key alone: `query` is None."""

    participant_id: str
    site_id: str
    key: str
    query: DataQuery | None
    explained_by: tuple[UUID, ...]
    since: date

    @property
    def text(self) -> str:
        return self.query.text if self.query else "The data query of this explanation no longer exists."

    @property
    def state(self) -> str:
        return "explained" if self.explained_by else "open"


def queries_with_status(case: Case) -> list[QueryWithStatus]:
    """A participant's queries with their explanations, in the order of keys."""
    queries_by_key = {query.key: query for query in derive_queries(case)}
    explanations: dict[str, list[UUID]] = {}
    for stated in case.stated(QueryExplained):
        explanations.setdefault(stated.fact.query_key, []).append(stated.event_id)
    return [
        _with_status(case, key, queries_by_key.get(key), tuple(explanations.get(key, ())))
        for key in sorted(queries_by_key.keys() | explanations.keys())
    ]


def _with_status(case: Case, key: str, query: DataQuery | None, explained_by: tuple[UUID, ...]) -> QueryWithStatus:
    since = query.since if query else min(case.recorded_at[event] for event in explained_by).astimezone(UTC).date()
    return QueryWithStatus(case.participant.participant_id, case.site_id, key, query, explained_by, since)
