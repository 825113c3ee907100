"""Data queries: questions about facts that are possible but contradictory or incomplete. Pure.

They are derived from the facts of one participant and the study's plans. The deriver stores them with the participant's
rows: a query exists as long as the facts raise it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from uuid import UUID

from services.analytics.queries.case import RULES, Case, QueryFinding
from services.analytics.queries.rules import follow_up, toxicity, treatment, vital_status
from shared.contracts.follow_up import QueryExplained

EXCLUSION_RULE = "consent_without_data_use"
RULE_MODULES = (follow_up, vital_status, toxicity, treatment)
"""Importing them registers their rules."""


@dataclass(frozen=True, slots=True)
class DataQuery:
    """A question of a rule about events (sorted by id), in one sentence.

    It is asked on the days from `opens_on` to `closes_on`, both inclusive. `since`: the first of them on which its
    facts had been recorded.
    """

    rule: str
    event_ids: tuple[UUID, ...]
    text: str
    since: date
    opens_on: date = date.min
    closes_on: date = date.max

    @property
    def key(self) -> str:
        """SHA-256 over the rule and the event ids, in hex: the same for every derivation about the same events."""
        return sha256("\n".join([self.rule, *map(str, self.event_ids)]).encode()).hexdigest()


def derive_queries(case: Case) -> list[DataQuery]:
    """Returns all data queries of a participant, sorted by key: one for each rule and set of events."""
    derived = [_to_data_query(case, name, finding) for name, rule in RULES.items() for finding in rule(case)]
    by_key = {query.key: query for query in sorted(derived, key=lambda query: query.text, reverse=True)}
    return [by_key[key] for key in sorted(by_key)]


def _to_data_query(case: Case, rule: str, finding: QueryFinding) -> DataQuery:
    """Returns the query, open since its last fact was recorded, by the study's day, or since its due day if later."""
    event_ids = tuple(sorted({stated.event_id for stated in finding.facts}))
    known_on = max(case.participant.known_on[event] for event in event_ids)
    since = max(known_on, finding.opens_on)
    return DataQuery(rule, event_ids, finding.text, since, finding.opens_on, finding.closes_on)


@dataclass(frozen=True, slots=True)
class QueryWithStatus:
    """A data query with its explanations, as it is listed.

    `explained_by`: the events that explain it. An explanation whose query no longer exists is listed with its key
    alone: `query` is None.
    """

    participant_id: str
    site_id: str
    key: str
    query: DataQuery | None
    explained_by: tuple[UUID, ...]
    since: date

    @property
    def is_about_exclusion(self) -> bool:
        """Returns whether it asks why the participant is in no analysis. Such a participant has no page."""
        return self.query is not None and self.query.rule == EXCLUSION_RULE

    @property
    def text(self) -> str:
        return self.query.text if self.query else "The data query of this explanation no longer exists."

    @property
    def state(self) -> str:
        return "explained" if self.explained_by else "open"

    def is_asked_on(self, day: date) -> bool:
        """Returns whether the query is listed on a day. One that is explained is listed on every day."""
        return self.query is None or bool(self.explained_by) or self.query.opens_on <= day <= self.query.closes_on


def queries_with_status(case: Case) -> list[QueryWithStatus]:
    """Returns the data queries of a participant with their explanations, sorted by key."""
    queries_by_key = {query.key: query for query in derive_queries(case)}
    explanations: dict[str, list[UUID]] = {}
    for stated in case.stated(QueryExplained):
        explanations.setdefault(stated.fact.query_key, []).append(stated.event_id)
    return [
        _with_status(case, key, queries_by_key.get(key), tuple(explanations.get(key, ())))
        for key in sorted(queries_by_key.keys() | explanations.keys())
    ]


def _with_status(case: Case, key: str, query: DataQuery | None, explained_by: tuple[UUID, ...]) -> QueryWithStatus:
    since = query.since if query else min(case.participant.known_on[event] for event in explained_by)
    return QueryWithStatus(
        participant_id=case.participant.participant_id,
        site_id=case.site_id,
        key=key,
        query=query,
        explained_by=explained_by,
        since=since,
    )
