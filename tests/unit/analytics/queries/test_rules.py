"""Data queries of a participant: when one opens, when it does not, and how it closes by itself."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import date, timedelta
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.queries.case import RULES
from shared.contracts.enrollment import ConsentSigned
from shared.contracts.follow_up import FollowUpResumed, LostToFollowUp, VitalStatusConfirmed
from shared.contracts.toxicity import SeriousEventResolved, SeriousEventUpdated
from shared.kernel.fact import Fact
from shared.testing.builders import facts
from tests.unit.analytics.participant_history import (
    PARTICIPANT_ID,
    RECORDED_AT,
    TODAY,
    ParticipantHistory,
    day_after_start,
    disease_progression,
    disease_status,
    enrolled_participant,
    follow_up_contact,
    missed_visit,
    participant_death,
    query_explanation,
    reordered,
    serious_event,
    toxicity_assessment,
    toxicity_finding,
    treated_participant,
)

FETAL_TERM = "4.03:0582"
LATER = RECORDED_AT + timedelta(hours=1)
VISIT_1, VISIT_2 = 110, 200
"""Days within the slots of visits 1 and 2."""


def serious_event_update(grade: int | None = None, **changes: Any) -> SeriousEventUpdated:
    return SeriousEventUpdated.model_validate(
        {"serious_event_id": "SE1", "aware_at": RECORDED_AT, "grade": grade, **changes}
    )


def serious_event_resolution(outcome: str) -> SeriousEventResolved:
    return SeriousEventResolved.model_validate({"serious_event_id": "SE1", "aware_at": RECORDED_AT, "outcome": outcome})


def vital_status_confirmation(on: facts.DateSpec, source: str = "clinic") -> VitalStatusConfirmed:
    return VitalStatusConfirmed.model_validate({"alive_on": facts.day(on), "source": source})


def loss_to_follow_up(on: facts.DateSpec) -> LostToFollowUp:
    return LostToFollowUp.model_validate({"on": facts.day(on), "reason_code": "moved"})


def follow_up_resumption(on: facts.DateSpec) -> FollowUpResumed:
    return FollowUpResumed.model_validate({"on": facts.day(on)})


def attributed_finding(to: str, level: str = "possible") -> dict[str, Any]:
    return toxicity_finding(2, attribution=[{"to": to, "level": level}])


def sbrt_target(fractions: int, dose_per_fraction: int) -> dict[str, Any]:
    return facts.target(fractions=fractions, cgy_per_fraction=dose_per_fraction, delivery="SBRT")


def registry_consent() -> ConsentSigned:
    content = {"signed_on": facts.day(1), "form_version": "2.1", "options": {"registry": True}}
    return ConsentSigned.model_validate(content)


FactTuple = tuple[Fact, ...]
STORIES_WITH_QUERY: list[tuple[str, ParticipantHistory]] = [
    ("grade_5_without_death", treated_participant(toxicity_assessment(40, "follow_up", toxicity_finding(5)))),
    ("grade_5_without_death", treated_participant(serious_event(grade=5))),
    ("grade_5_without_death", treated_participant(serious_event(), serious_event_update(5))),
    ("grade_5_without_death", treated_participant(serious_event(), serious_event_resolution("FATAL"))),
    ("death_of_treatment_without_grade_5", treated_participant(participant_death(60, "treatment"))),
    (
        "death_of_treatment_without_grade_5",
        treated_participant(
            participant_death(60, "treatment"), toxicity_assessment(50, "follow_up", toxicity_finding(4))
        ),
    ),
    (
        "death_of_treatment_without_grade_5",
        treated_participant(
            participant_death(60, "treatment"), toxicity_assessment(50, "follow_up", toxicity_finding(5, FETAL_TERM))
        ),
    ),
    ("ungraded_event", treated_participant(toxicity_assessment(40, "follow_up", toxicity_finding(None)))),
    ("baseline_toxicity_after_course_start", treated_participant(toxicity_assessment(1, "baseline"))),
    ("baseline_toxicity_after_course_start", treated_participant(toxicity_assessment("2024-03", "baseline"))),
    (
        "assessed_before_course",
        treated_participant(
            facts.radiotherapy_started(90, "RT2", index=False), toxicity_assessment(80, course_id="RT2")
        ),
    ),
    (
        "attributed_to_later_treatment",
        treated_participant(
            facts.systemic_therapy_started(90), toxicity_assessment(80, "follow_up", attributed_finding("line:S1"))
        ),
    ),
    ("serious_event_reported_late", treated_participant(serious_event(RECORDED_AT - timedelta(hours=24, seconds=1)))),
    ("fact_after_death", treated_participant(participant_death(60), toxicity_assessment(61))),
    ("fact_after_death", treated_participant(participant_death(60), follow_up_contact(61))),
    ("fact_after_death", treated_participant(participant_death(60), facts.procedure_performed(61))),
    ("fact_after_death", treated_participant(participant_death("2024-03"), vital_status_confirmation("2024-04"))),
    ("fact_after_withdrawal", treated_participant(facts.consent_withdrawn(60), follow_up_contact(61))),
    (
        "fact_after_withdrawal",
        treated_participant(facts.consent_withdrawn(60), vital_status_confirmation(61, "registry")),
    ),
    (
        "fact_after_withdrawal",
        treated_participant(registry_consent(), facts.consent_withdrawn(60), vital_status_confirmation(61, "clinic")),
    ),
    ("death_without_date", treated_participant(participant_death(None))),
    ("imprecise_end_of_follow_up", treated_participant(participant_death("2024-07"))),
    ("imprecise_end_of_follow_up", treated_participant(loss_to_follow_up("2024"))),
    (
        "imprecise_course_end",
        enrolled_participant(facts.radiotherapy_started(), facts.radiotherapy_completed("2024-03")),
    ),
    ("course_without_end", enrolled_participant(facts.radiotherapy_started())),
    (
        "sbrt_fractionation",
        enrolled_participant(facts.radiotherapy_started(0, "RT1", sbrt_target(6, 600)), facts.radiotherapy_completed()),
    ),
    (
        "sbrt_fractionation",
        enrolled_participant(facts.radiotherapy_started(0, "RT1", sbrt_target(5, 499)), facts.radiotherapy_completed()),
    ),
    ("sbrt_fractionation", treated_participant(facts.prescription_changed(5, "RT1", sbrt_target(8, 500)))),
    (
        "two_prescriptions_on_one_day",
        treated_participant(
            facts.prescription_changed(5), facts.prescription_changed(5, "RT1", facts.target(fractions=18))
        ),
    ),
    (
        "two_prescriptions_on_one_day",
        treated_participant(
            facts.prescription_changed("2024-02"),
            facts.prescription_changed("2024-02-15", "RT1", facts.target(fractions=18)),
        ),
    ),
    (
        "high_fraction_dose",
        enrolled_participant(
            facts.radiotherapy_started(0, "RT1", facts.target(fractions=1, cgy_per_fraction=2401)),
            facts.radiotherapy_completed(),
        ),
    ),
    (
        "no_assessment_after_index_course",
        enrolled_participant(
            facts.radiotherapy_started(), facts.radiotherapy_completed(), toxicity_assessment(27, "during_rt")
        ),
    ),
    (
        "no_assessment_after_index_course",
        enrolled_participant(facts.radiotherapy_started(), facts.radiotherapy_completed(), participant_death(200)),
    ),
    ("imprecise_contact", treated_participant(follow_up_contact("2024-06"))),
    ("visit_slot_conflict", treated_participant(follow_up_contact(VISIT_1, visit=2))),
    ("visit_slot_conflict", treated_participant(toxicity_assessment(VISIT_2, visit=1))),
    ("visit_slot_conflict", treated_participant(follow_up_contact(40, visit=1))),
    ("visit_slot_conflict", treated_participant(follow_up_contact("2024-03", visit=1))),
    ("visit_slot_conflict", treated_participant(follow_up_contact(VISIT_1, visit=9))),
    ("visit_slot_conflict", enrolled_participant(facts.radiotherapy_started(), follow_up_contact(VISIT_1, visit=1))),
    ("missed_visit_not_planned", treated_participant(missed_visit(9, 120))),
    ("visit_missed_though_done", treated_participant(missed_visit(1, 120), follow_up_contact(VISIT_1))),
    ("visit_missed_though_done", enrolled_participant(missed_visit(1, 120), follow_up_contact(VISIT_1, visit=1))),
    ("local_progression_not_stated", treated_participant(follow_up_contact(VISIT_1, disease=disease_status("L1")))),
    (
        "local_progression_not_stated",
        treated_participant(
            follow_up_contact(VISIT_1, disease=disease_status("L1")), disease_progression(VISIT_1 + 31)
        ),
    ),
    (
        "local_progression_not_stated",
        treated_participant(
            follow_up_contact(VISIT_1, disease=disease_status("L1")), disease_progression(VISIT_1, lesion_id="L2")
        ),
    ),
    (
        "regional_progression_not_stated",
        treated_participant(follow_up_contact(VISIT_1, disease=disease_status(regional="progressed"))),
    ),
    (
        "distant_progression_not_stated",
        treated_participant(
            follow_up_contact(VISIT_1, disease=disease_status(distant="progressed")), disease_progression(VISIT_1)
        ),
    ),
    ("response_without_progression", treated_participant(follow_up_contact(VISIT_1, response="PD"))),
    (
        "lesion_before_it_was_found",
        treated_participant(
            facts.lesion_registered("L2", 80), follow_up_contact(70, disease=disease_status("L2", status="controlled"))
        ),
    ),
    (
        "lesion_before_it_was_found",
        treated_participant(facts.lesion_registered("L2", 80), disease_progression(70, lesion_id="L2")),
    ),
]
STORIES_WITHOUT_QUERY: list[tuple[str, ParticipantHistory]] = [
    (
        "grade_5_without_death",
        treated_participant(toxicity_assessment(40, "follow_up", toxicity_finding(5)), participant_death(41)),
    ),
    (
        "grade_5_without_death",
        treated_participant(toxicity_assessment(40, "follow_up", toxicity_finding(5)), participant_death(None)),
    ),
    (
        "grade_5_without_death",
        treated_participant(toxicity_assessment(40, "follow_up", toxicity_finding(5, FETAL_TERM))),
    ),
    ("grade_5_without_death", treated_participant(serious_event(grade=5, term=FETAL_TERM, outcome="FATAL"))),
    ("grade_5_without_death", treated_participant(serious_event(grade=5), serious_event_update(4))),
    (
        "grade_5_without_death",
        treated_participant(serious_event(), serious_event_update(4, aware_at=LATER), serious_event_update(5)),
    ),
    (
        "grade_5_without_death",
        treated_participant(
            serious_event(), serious_event_resolution("FATAL"), serious_event_update(outcome="UNKNOWN", aware_at=LATER)
        ),
    ),
    (
        "death_of_treatment_without_grade_5",
        treated_participant(
            participant_death(60, "treatment"), toxicity_assessment(50, "follow_up", toxicity_finding(5))
        ),
    ),
    (
        "death_of_treatment_without_grade_5",
        treated_participant(participant_death(60, "treatment"), serious_event(grade=5)),
    ),
    ("death_of_treatment_without_grade_5", treated_participant(participant_death(60, "tumour"))),
    ("ungraded_event", treated_participant(toxicity_assessment(40, "follow_up", toxicity_finding(0)))),
    ("two_prescriptions_on_one_day", treated_participant(facts.prescription_changed(5), facts.prescription_changed(5))),
    (
        "two_prescriptions_on_one_day",
        treated_participant(
            facts.prescription_changed(5), facts.prescription_changed(6, "RT1", facts.target(fractions=18))
        ),
    ),
    (
        "two_prescriptions_on_one_day",
        enrolled_participant(
            facts.radiotherapy_started(),
            facts.radiotherapy_started(90, "RT2", index=False),
            facts.prescription_changed(5),
            facts.prescription_changed(5, "RT2", facts.target(fractions=18)),
        ),
    ),
    ("baseline_toxicity_after_course_start", treated_participant(toxicity_assessment(0, "baseline"))),
    ("baseline_toxicity_after_course_start", treated_participant(toxicity_assessment("2024-02", "baseline"))),
    (
        "baseline_toxicity_after_course_start",
        treated_participant(
            facts.radiotherapy_started(90, "RT2", index=False), toxicity_assessment(80, "baseline", course_id="RT2")
        ),
    ),
    (
        "assessed_before_course",
        treated_participant(
            facts.radiotherapy_started(90, "RT2", index=False), toxicity_assessment(80, "baseline", course_id="RT2")
        ),
    ),
    (
        "attributed_to_later_treatment",
        treated_participant(
            facts.systemic_therapy_started(80), toxicity_assessment(80, "follow_up", attributed_finding("line:S1"))
        ),
    ),
    (
        "attributed_to_later_treatment",
        treated_participant(
            facts.systemic_therapy_started(90),
            toxicity_assessment(
                80, "follow_up", attributed_finding("line:S1", "unrelated"), toxicity_finding(1, "3.0:0151")
            ),
        ),
    ),
    ("serious_event_reported_late", treated_participant(serious_event(RECORDED_AT - timedelta(hours=24)))),
    ("fact_after_death", treated_participant(participant_death("2024-03"), follow_up_contact("2024-03-20"))),
    (
        "fact_after_death",
        treated_participant(
            participant_death(60), facts.lesion_registered("L2", 61), disease_progression(61, basis="histology")
        ),
    ),
    ("fact_after_death", treated_participant(participant_death(None), follow_up_contact(400))),
    (
        "fact_after_withdrawal",
        treated_participant(facts.consent_withdrawn(60), follow_up_contact(60), participant_death(90)),
    ),
    (
        "fact_after_withdrawal",
        treated_participant(registry_consent(), facts.consent_withdrawn(60), vital_status_confirmation(61, "registry")),
    ),
    ("death_without_date", treated_participant(participant_death("2024"))),
    ("imprecise_end_of_follow_up", treated_participant(participant_death(60))),
    (
        "imprecise_course_end",
        treated_participant(
            facts.radiotherapy_started(200, "RT2", index=False), facts.radiotherapy_completed("2024-09", "RT2")
        ),
    ),
    ("course_without_end", enrolled_participant(facts.radiotherapy_started(), facts.radiotherapy_discontinued())),
    (
        "sbrt_fractionation",
        enrolled_participant(facts.radiotherapy_started(0, "RT1", sbrt_target(5, 500)), facts.radiotherapy_completed()),
    ),
    ("sbrt_fractionation", treated_participant()),
    (
        "high_fraction_dose",
        enrolled_participant(
            facts.radiotherapy_started(0, "RT1", facts.target(fractions=1, cgy_per_fraction=2400)),
            facts.radiotherapy_completed(),
        ),
    ),
    ("no_assessment_after_index_course", treated_participant()),
    (
        "no_assessment_after_index_course",
        enrolled_participant(facts.radiotherapy_started(), facts.radiotherapy_completed(), participant_death(60)),
    ),
    (
        "no_assessment_after_index_course",
        enrolled_participant(facts.radiotherapy_started(), facts.radiotherapy_completed(), participant_death(None)),
    ),
    (
        "no_assessment_after_index_course",
        enrolled_participant(facts.radiotherapy_started(), facts.radiotherapy_completed(), loss_to_follow_up(60)),
    ),
    (
        "no_assessment_after_index_course",
        enrolled_participant(
            facts.radiotherapy_started(), facts.radiotherapy_completed(), toxicity_assessment("2024-02")
        ),
    ),
    (
        "visit_slot_conflict",
        treated_participant(follow_up_contact(VISIT_1, visit=1), toxicity_assessment(VISIT_2, visit=2)),
    ),
    (
        "visit_slot_conflict",
        treated_participant(follow_up_contact("2024-08", visit=1), follow_up_contact("2024-08", visit=2)),
    ),
    ("visit_slot_conflict", treated_participant(follow_up_contact(40))),
    ("missed_visit_not_planned", treated_participant(missed_visit(8, 120))),
    ("visit_missed_though_done", treated_participant(missed_visit(1, 120), follow_up_contact(VISIT_2))),
    ("visit_missed_though_done", treated_participant(missed_visit(1, 120), follow_up_contact(40))),
    (
        "local_progression_not_stated",
        treated_participant(
            follow_up_contact(VISIT_1, disease=disease_status("L1")), disease_progression(VISIT_1 - 30)
        ),
    ),
    (
        "local_progression_not_stated",
        treated_participant(follow_up_contact(VISIT_1, disease=disease_status("L1")), disease_progression("2024-06")),
    ),
    (
        "local_progression_not_stated",
        treated_participant(follow_up_contact(VISIT_1, disease=disease_status("L1", status="necrosis"))),
    ),
    (
        "regional_progression_not_stated",
        treated_participant(
            follow_up_contact(VISIT_1, disease=disease_status(regional="progressed")),
            disease_progression(VISIT_1 + 30, "regional"),
        ),
    ),
    (
        "distant_progression_not_stated",
        treated_participant(
            follow_up_contact(VISIT_1, disease=disease_status(distant="progressed")),
            disease_progression(VISIT_1, "distant"),
        ),
    ),
    (
        "response_without_progression",
        treated_participant(follow_up_contact(VISIT_1, response="PD", disease=disease_status("L1"))),
    ),
    (
        "response_without_progression",
        treated_participant(follow_up_contact(VISIT_1, response="PD"), disease_progression(VISIT_1, "distant")),
    ),
    (
        "lesion_before_it_was_found",
        treated_participant(
            facts.lesion_registered("L2", 80),
            follow_up_contact(70, disease=disease_status("L2", status="not_assessed")),
        ),
    ),
    (
        "lesion_before_it_was_found",
        treated_participant(facts.lesion_registered("L2", "2024-04"), disease_progression(70, lesion_id="L2")),
    ),
]


def parametrize_stories(stories: list[tuple[str, ParticipantHistory]]) -> list[Any]:
    return [pytest.param(rule, told, id=f"{rule}-{place}") for place, (rule, told) in enumerate(stories)]


@pytest.mark.parametrize(("rule", "history"), parametrize_stories(STORIES_WITH_QUERY))
def test_contradiction_opens_a_query(rule: str, history: ParticipantHistory) -> None:
    (query,) = history.queries_of_rule(rule)
    assert set(query.event_ids) <= {event.event_id for event in history.events}
    assert query.text.endswith((".", "?"))
    assert query.text[0].isupper()


@pytest.mark.parametrize(("rule", "history"), parametrize_stories(STORIES_WITHOUT_QUERY))
def test_consistent_facts_open_no_query(rule: str, history: ParticipantHistory) -> None:
    assert history.queries_of_rule(rule) == []


def test_every_rule_has_an_opening_example_and_a_docstring() -> None:
    assert {rule for rule, _ in STORIES_WITH_QUERY} | {"missing_baseline"} == RULES.keys()
    assert all(rule.__doc__ for rule in RULES.values())


def test_consistent_history_has_no_queries() -> None:
    history = treated_participant(
        follow_up_contact(VISIT_1, visit=1),
        toxicity_assessment(VISIT_1, visit=1, course_id="RT1"),
        follow_up_contact(VISIT_2),
        vital_status_confirmation(300),
    )
    assert history.queries() == []


@pytest.mark.parametrize(("rule", "history"), parametrize_stories(STORIES_WITH_QUERY))
def test_query_closes_when_its_facts_are_removed(rule: str, history: ParticipantHistory) -> None:
    (query,) = history.queries_of_rule(rule)
    remaining_history = ParticipantHistory(
        history.plan, [event for event in history.events if event.event_id not in query.event_ids]
    )
    assert query.key not in {each.key for each in remaining_history.queries()}


ClosedByFact = tuple[str, FactTuple, Fact]
QUERIES_CLOSED_BY_FACT: list[ClosedByFact] = [
    ("grade_5_without_death", (toxicity_assessment(40, "follow_up", toxicity_finding(5)),), participant_death(41)),
    (
        "death_of_treatment_without_grade_5",
        (participant_death(60, "treatment"),),
        toxicity_assessment(59, "follow_up", toxicity_finding(5)),
    ),
    (
        "local_progression_not_stated",
        (follow_up_contact(VISIT_1, disease=disease_status("L1")),),
        disease_progression(VISIT_1),
    ),
    (
        "response_without_progression",
        (follow_up_contact(VISIT_1, response="PD"),),
        disease_progression(VISIT_1, "regional"),
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
    ("visit_slot_conflict", follow_up_contact(VISIT_1, visit=2), follow_up_contact(VISIT_1, visit=1)),
    (
        "ungraded_event",
        toxicity_assessment(40, "follow_up", toxicity_finding(None)),
        toxicity_assessment(40, "follow_up", toxicity_finding(1)),
    ),
    ("death_without_date", participant_death(None), participant_death(60)),
    (
        "serious_event_reported_late",
        serious_event(RECORDED_AT - timedelta(days=2)),
        serious_event(RECORDED_AT - timedelta(hours=2)),
    ),
]


@pytest.mark.parametrize(("rule", "wrong", "right"), QUERIES_CLOSED_BY_CORRECTION)
def test_query_closes_with_a_correction_and_reopens_when_reverted(rule: str, wrong: Fact, right: Fact) -> None:
    history = treated_participant()
    event_id = history.record(wrong)
    (query,) = history.queries_of_rule(rule)
    history.correct(event_id, right)
    assert history.queries_of_rule(rule) == []
    history.correct(event_id, wrong)
    assert [each.key for each in history.queries_of_rule(rule)] == [query.key]


def test_corrected_course_end_opens_queries_about_visits_outside_their_slot() -> None:
    history = enrolled_participant(facts.radiotherapy_started("2025-01-01"), toxicity_assessment("2025-01-10"))
    end = history.record(facts.radiotherapy_completed("2025-01-10"))
    history.record(follow_up_contact("2025-04-05", visit=1))
    later = date(2025, 5, 20)
    assert history.queries_of_rule("visit_slot_conflict", later) == []
    history.correct(end, facts.radiotherapy_completed("2025-02-10"))
    (query,) = history.queries_of_rule("visit_slot_conflict", later)
    assert "before the first visit" in query.text


def test_per_course_schedule_is_anchored_at_the_named_course() -> None:
    plan = {"follow_up": {"anchor_policy": "per_course"}}
    second = (
        facts.radiotherapy_started(200, "RT2", index=False),
        facts.radiotherapy_completed(210, "RT2"),
        follow_up_contact(300, visit=1, course_id="RT2"),
    )
    assert treated_participant(*second, **plan).queries_of_rule("visit_slot_conflict") == []
    assert len(treated_participant(*second).queries_of_rule("visit_slot_conflict")) == 1


def test_query_with_a_deadline_opens_and_is_dated_on_the_day_after() -> None:
    opens: list[tuple[str, Callable[[], ParticipantHistory], int]] = [
        ("course_without_end", lambda: enrolled_participant(facts.radiotherapy_started()), 121),
        (
            "no_assessment_after_index_course",
            lambda: enrolled_participant(facts.radiotherapy_started(), facts.radiotherapy_completed()),
            133,
        ),
    ]
    for rule, build_history, first in opens:
        assert build_history().queries_of_rule(rule, day_after_start(first - 1)) == []
        (query,) = build_history().queries_of_rule(rule, day_after_start(first))
        assert query.since == day_after_start(first)


def test_baseline_is_missing_14_days_after_enrollment_or_at_treatment_start() -> None:
    waiting = ParticipantHistory()
    waiting.record(*facts.ENROLLMENT_FACTS)
    assert waiting.queries_of_rule("missing_baseline", day_after_start(13)) == []
    (query,) = waiting.queries_of_rule("missing_baseline", day_after_start(14))
    waiting.record(facts.radiotherapy_started(3))
    (earlier,) = waiting.queries_of_rule("missing_baseline", day_after_start(3))
    assert (earlier.key, query.since, earlier.since) == (query.key, day_after_start(14), day_after_start(3))
    waiting.record(facts.baseline_recorded())
    assert waiting.queries_of_rule("missing_baseline") == []


def test_query_is_dated_by_the_last_recorded_of_its_facts() -> None:
    history = treated_participant()
    history.record(participant_death(60), recorded_at=RECORDED_AT + timedelta(days=70))
    history.record(toxicity_assessment(61), recorded_at=RECORDED_AT + timedelta(days=90))
    (query,) = history.queries_of_rule("fact_after_death")
    assert query.since == (RECORDED_AT + timedelta(days=90)).date()


def test_latest_awareness_decides_a_serious_event_in_any_reporting_order() -> None:
    day_later = serious_event_update(4, aware_at=RECORDED_AT + timedelta(days=1))
    for updates in ((serious_event_update(5), day_later), (day_later, serious_event_update(5))):
        assert treated_participant(serious_event(), *updates).queries_of_rule("grade_5_without_death") == []
    assert (
        len(
            treated_participant(
                serious_event(), day_later, serious_event_update(5, aware_at=RECORDED_AT + timedelta(days=2))
            ).queries()
        )
        == 1
    )


def test_query_key_is_derived_from_rule_and_event_ids() -> None:
    history = treated_participant(participant_death(60))
    (query,) = [
        *history.queries_of_rule("fact_after_death"),
        *treated_participant(participant_death(60), follow_up_contact(61)).queries_of_rule("fact_after_death"),
    ]
    key_source = "\n".join([query.rule, *sorted(map(str, query.event_ids))])
    assert query.key == sha256(key_source.encode()).hexdigest()
    assert list(query.event_ids) == sorted(query.event_ids)


def test_each_progressed_lesion_has_its_own_query() -> None:
    history = treated_participant(
        facts.lesion_registered("L2"), follow_up_contact(VISIT_1, disease=disease_status("L1", "L2"))
    )
    assert len({query.key for query in history.queries_of_rule("local_progression_not_stated")}) == 2


def test_query_about_a_partial_date_names_the_imputed_day() -> None:
    history = enrolled_participant(
        facts.radiotherapy_started("2024-03-20"),
        facts.radiotherapy_completed("2024-03"),
        follow_up_contact("2024-11-20"),
        participant_death("2024-11"),
    )
    (end,), (death,) = (
        history.queries_of_rule("imprecise_course_end"),
        history.queries_of_rule("imprecise_end_of_follow_up"),
    )
    assert "has a partial date (2024-03). Visits are counted from 2024-03-20." in end.text
    assert death.text == ("The death of 2024-11 has a partial date. Analyses use 2024-11-20. What is the exact date?")


@given(seed=st.integers(0, 2**32))
def test_queries_do_not_depend_on_arrival_order(seed: int) -> None:
    events = COMPLEX_HISTORY.events
    shuffled = ParticipantHistory(COMPLEX_HISTORY.plan, random.Random(seed).sample(events, len(events)))  # noqa: S311 - a seeded shuffle
    assert shuffled.queries() == COMPLEX_HISTORY_QUERIES


@given(seed=st.integers(0, 2**32))
def test_queries_do_not_depend_on_recording_order(seed: int) -> None:
    events = [event for event in COMPLEX_HISTORY.events if event.type != "participant.transferred"]
    assert (
        ParticipantHistory(COMPLEX_HISTORY.plan, reordered(events, seed)).queries()
        == ParticipantHistory(COMPLEX_HISTORY.plan, events).queries()
    )


COMPLEX_HISTORY = treated_participant(
    serious_event(RECORDED_AT - timedelta(days=3), 5),
    serious_event_update(4),
    serious_event_update(5, aware_at=LATER),
    serious_event_resolution("FATAL"),
    serious_event_update(outcome="UNKNOWN"),
    facts.prescription_changed(5),
    facts.prescription_changed(5, "RT1", facts.target(fractions=18)),
    toxicity_assessment(40, "follow_up", toxicity_finding(5), toxicity_finding(None, FETAL_TERM)),
    facts.lesion_registered("L2", 150),
    follow_up_contact("2024-06", visit=3, response="PD"),
    follow_up_contact(140, disease=disease_status("L1", "L2")),
    facts.systemic_therapy_started(90),
    toxicity_assessment(50, "follow_up", attributed_finding("line:S1")),
    missed_visit(1, 120),
    facts.consent_withdrawn(130),
    facts.participant_transferred("milan", 50),
    facts.participant_transferred("paris", 50),
    participant_death(150, "treatment"),
    vital_status_confirmation(160),
)
COMPLEX_HISTORY_QUERIES = COMPLEX_HISTORY.queries()


def test_complex_history_opens_queries_of_at_least_nine_rules() -> None:
    assert len({query.rule for query in COMPLEX_HISTORY_QUERIES}) >= 9
    assert [row.site_id for row in COMPLEX_HISTORY.queries_with_status()] == ["paris"] * len(COMPLEX_HISTORY_QUERIES)


def test_explanations_mark_their_query_or_are_listed_by_key_without_one() -> None:
    history = treated_participant(participant_death(None))
    (query,) = history.queries()
    unknown_key = "0" * 64
    first_explanation, second_explanation = (
        history.record(query_explanation(query.key)),
        history.record(query_explanation(unknown_key)),
    )
    rows = {row.key: row for row in history.queries_with_status()}
    assert (rows[query.key].query, rows[query.key].explained_by, rows[query.key].state) == (
        query,
        (first_explanation,),
        "explained",
    )
    assert (rows[unknown_key].query, rows[unknown_key].explained_by, rows[unknown_key].since) == (
        None,
        (second_explanation,),
        RECORDED_AT.date(),
    )
    history.void(first_explanation)
    assert {row.key: row.state for row in history.queries_with_status()} == {
        query.key: "open",
        unknown_key: "explained",
    }


def test_excluded_participants_have_no_queries() -> None:
    history = treated_participant(participant_death(None))
    assert len(history.queries_with_status()) == 1
    history.excluded = frozenset({PARTICIPANT_ID})
    assert history.queries_with_status() == []


def test_closed_study_no_longer_waits_for_an_assessment() -> None:
    history = enrolled_participant(facts.radiotherapy_started(), facts.radiotherapy_completed())
    history.closed_on = day_after_start(60)
    assert history.queries_of_rule("no_assessment_after_index_course") == []
    resumed_again = enrolled_participant(
        facts.radiotherapy_started(), facts.radiotherapy_completed(), loss_to_follow_up(60), follow_up_resumption(90)
    )
    assert len(resumed_again.queries_of_rule("no_assessment_after_index_course", TODAY)) == 1
