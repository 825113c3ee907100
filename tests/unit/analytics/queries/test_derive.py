"""Data queries of a participant: their identity, how they close and reopen, and who sees an explained one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.kernel.fact import Fact
from shared.testing.builders import facts
from shared.testing.builders.follow_up_facts import (
    disease_progressed,
    disease_status,
    follow_up_recorded,
    participant_died,
    query_explained,
    visit_missed,
    vital_status_confirmed,
)
from shared.testing.builders.participant_history import reordered
from shared.testing.builders.toxicity_facts import (
    finding,
    serious_event_reported,
    serious_event_resolved,
    serious_event_updated,
    toxicity_assessed,
)
from shared.testing.seeded_random import seeded_random
from tests.unit.analytics.queries.rules.toxicity_examples import FETAL_TERM, LATER, attributed_finding
from tests.unit.analytics.support import RECORDED_AT, VISIT_1, treated_participant

FactTuple = tuple[Fact, ...]


ClosedByFact = tuple[str, FactTuple, Fact]


QUERIES_CLOSED_BY_FACT: list[ClosedByFact] = [
    ("grade_5_without_death", (toxicity_assessed(40, finding(grade=5)),), participant_died(41)),
    (
        "death_of_treatment_without_grade_5",
        (participant_died(60, cause="treatment"),),
        toxicity_assessed(59, finding(grade=5)),
    ),
    (
        "local_progression_not_stated",
        (follow_up_recorded(VISIT_1, disease=disease_status("L1", status="progressed")),),
        disease_progressed(VISIT_1, "L1"),
    ),
    (
        "response_without_progression",
        (follow_up_recorded(VISIT_1, response="PD"),),
        disease_progressed(VISIT_1, kind="regional"),
    ),
    (
        "course_without_end",
        (facts.radiotherapy_started(90, "RT2", index=False),),
        facts.radiotherapy_completed(100, "RT2"),
    ),
]


@pytest.mark.parametrize(("rule", "facts_recorded", "mends"), QUERIES_CLOSED_BY_FACT)
def test_query_closes_when_the_missing_fact_is_recorded(rule: str, facts_recorded: FactTuple, mends: Fact) -> None:
    history = treated_participant(*facts_recorded)
    assert len(history.queries_of_rule(rule)) == 1
    history.record(mends)
    assert history.queries_of_rule(rule) == []


QUERIES_CLOSED_BY_CORRECTION: list[tuple[str, Fact, Fact]] = [
    ("visit_slot_conflict", follow_up_recorded(VISIT_1, visit=2), follow_up_recorded(VISIT_1, visit=1)),
    (
        "ungraded_event",
        toxicity_assessed(40, finding(grade=None)),
        toxicity_assessed(40, finding(grade=1)),
    ),
    ("death_without_date", participant_died(None), participant_died(60)),
    (
        "serious_event_reported_late",
        serious_event_reported(aware_at=RECORDED_AT - timedelta(days=2)),
        serious_event_reported(aware_at=RECORDED_AT - timedelta(hours=2)),
    ),
]


@pytest.mark.parametrize(("rule", "wrong", "right"), QUERIES_CLOSED_BY_CORRECTION)
def test_query_closes_with_a_correction_and_reopens_when_reverted(rule: str, wrong: Fact, right: Fact) -> None:
    history = treated_participant()
    event = history.record(wrong)
    (query,) = history.queries_of_rule(rule)
    history.correct(event, right)
    assert history.queries_of_rule(rule) == []
    history.correct(event, wrong)
    assert [found_query.key for found_query in history.queries_of_rule(rule)] == [query.key]


def test_query_is_dated_by_the_last_recorded_of_its_facts() -> None:
    history = treated_participant()
    history.known_on = None
    history.record(participant_died(60), recorded_at=RECORDED_AT + timedelta(days=70))
    history.record(toxicity_assessed(61), recorded_at=RECORDED_AT + timedelta(days=90))
    (query,) = history.queries_of_rule("fact_after_death")
    assert query.since == (RECORDED_AT + timedelta(days=90)).date()


def test_query_key_is_derived_from_rule_and_event_ids() -> None:
    history = treated_participant(participant_died(60))
    (query,) = [
        *history.queries_of_rule("fact_after_death"),
        *treated_participant(participant_died(60), follow_up_recorded(61)).queries_of_rule("fact_after_death"),
    ]
    key_source = "\n".join([query.rule, *sorted(map(str, query.event_ids))])
    assert query.key == sha256(key_source.encode()).hexdigest()
    assert list(query.event_ids) == sorted(query.event_ids)


COMPLEX_HISTORY = treated_participant(
    serious_event_reported(aware_at=RECORDED_AT - timedelta(days=3), grade=5),
    serious_event_updated(aware_at=RECORDED_AT, grade=4),
    serious_event_updated(aware_at=LATER, grade=5),
    serious_event_resolved(aware_at=RECORDED_AT, outcome="FATAL"),
    serious_event_updated(aware_at=RECORDED_AT, outcome="UNKNOWN"),
    facts.prescription_changed(5),
    facts.prescription_changed(5, "RT1", facts.target(fractions=18)),
    toxicity_assessed(40, finding(grade=5), finding(FETAL_TERM, None)),
    facts.lesion_registered("L2", 150),
    follow_up_recorded("2024-06", visit=3, response="PD"),
    follow_up_recorded(140, disease=disease_status("L1", "L2", status="progressed")),
    facts.systemic_therapy_started(90),
    toxicity_assessed(50, attributed_finding("line:S1")),
    visit_missed(120, 1),
    facts.consent_withdrawn(130),
    facts.participant_transferred("milan", 50),
    facts.participant_transferred("paris", 50),
    participant_died(150, cause="treatment"),
    vital_status_confirmed(160),
)


COMPLEX_HISTORY_QUERIES = COMPLEX_HISTORY.queries()


@given(seed=st.integers(0, 2**32))
def test_queries_do_not_depend_on_arrival_order(seed: int) -> None:
    events = COMPLEX_HISTORY.events
    shuffled_events = seeded_random(seed).sample(events, len(events))
    assert replace(COMPLEX_HISTORY, events=shuffled_events).queries() == COMPLEX_HISTORY_QUERIES


@given(seed=st.integers(0, 2**32))
def test_queries_do_not_depend_on_recording_order(seed: int) -> None:
    events = [event for event in COMPLEX_HISTORY.events if event.type != "participant.transferred"]
    expected = replace(COMPLEX_HISTORY, events=events).queries()
    assert replace(COMPLEX_HISTORY, events=reordered(events, seed)).queries() == expected


def test_complex_history_opens_queries_of_at_least_nine_rules() -> None:
    assert len({query.rule for query in COMPLEX_HISTORY_QUERIES}) >= 9
    assert [row.site_id for row in COMPLEX_HISTORY.queries_with_status()] == ["paris"] * len(COMPLEX_HISTORY_QUERIES)


def test_explanations_mark_their_query_or_are_listed_by_key_without_one() -> None:
    history = treated_participant(participant_died(None))
    history.known_on = None
    (query,) = history.queries()
    unknown_key = "0" * 64
    first_explanation, second_explanation = (
        history.record(query_explained(query.key)),
        history.record(query_explained(unknown_key)),
    )
    rows = {row.key: row for row in history.queries_with_status()}
    assert (rows[query.key].query, rows[query.key].explained_by, rows[query.key].state) == (
        query,
        (first_explanation.event_id,),
        "explained",
    )
    assert (rows[unknown_key].query, rows[unknown_key].explained_by, rows[unknown_key].since) == (
        None,
        (second_explanation.event_id,),
        RECORDED_AT.date(),
    )
    history.void(first_explanation)
    assert {row.key: row.state for row in history.queries_with_status()} == {
        query.key: "open",
        unknown_key: "explained",
    }


def test_excluded_participants_have_no_queries() -> None:
    history = treated_participant(participant_died(None))
    assert len(history.queries_with_status()) == 1
    history.is_excluded = True
    assert history.queries_with_status() == []
