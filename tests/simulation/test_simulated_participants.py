"""The simulated lives by themselves: plausible as a cohort, complete as a language, admitted by every rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date
from functools import cache, partial
from itertools import pairwise
from math import sqrt
from statistics import median
from typing import Any
from uuid import UUID

import pytest

from infra.services import SERVICES, Service
from infra.simulator import rates
from infra.simulator.participant_story import ParticipantStory
from infra.simulator.participants import (
    FIRST_SCREENING_DAY,
    OPENING_DATA,
    SITES,
    ReportedFact,
    SimulatedParticipant,
    draw_story,
    simulate_participant,
    simulate_participants,
)
from infra.simulator.reporting import schedule_reports
from infra.synthetic import probabilities
from infra.synthetic.terms import PNEUMONIA, SERIOUS_EVENTS, TERMS
from services.analytics.timeline.descriptions.describe import DESCRIPTIONS
from services.enrollment.gate import EnrollmentGate
from services.enrollment.rules import participant, study
from services.followup import rules as followup_rules
from services.followup.gate import FollowUpGate
from services.toxicity import rules as toxicity_rules
from services.toxicity.gate import ToxicityGate
from shared.contracts import catalogue
from shared.kernel.fact import Correction, Fact, StatedFact, effective_fact, find_clinical_dates
from shared.kernel.record import EvaluatedRecord, Gate, Record, Rules, current_record, decide
from shared.terminology import ctcae

SEED, NUMBER = 1, 2000
RULES: Mapping[Service, Rules] = {
    "enrollment": participant.objections,
    "toxicity": toxicity_rules.objections,
    "followup": followup_rules.objections,
}
FACTS_ABOUT_RECORDS = {"participant.voided", "record.corrected", "reminder.snoozed", "reminder.acknowledged"}
"""Simulated facts that timelines do not describe. Explanations of queries are missing: no key is known in advance."""
ALL_RATES = {**rates.OPTIONAL_EVENT_RATES, **rates.CONTRADICTION_RATES, **rates.CORRECTION_RATES}


@cache
def participant_stories() -> list[ParticipantStory]:
    return [draw_story(SEED, index) for index in range(NUMBER)]


@cache
def cohort() -> list[SimulatedParticipant]:
    return [schedule_reports(story) for story in participant_stories()]


def reported_facts() -> Iterator[ReportedFact]:
    return (fact for participant in cohort() for fact in participant.facts)


def read_fact(service: str, fact: Mapping[str, Any]) -> Fact:
    return catalogue.fact_class(service, fact["type"]).model_validate(fact["data"])


def exact_days(participant_: SimulatedParticipant, type_name: str, member: str) -> list[date]:
    """Returns the exact days of the facts as they were first reported."""
    dates = [str(fact.data[member]) for fact in participant_.facts if fact.type == type_name and fact.corrects is None]
    return [date.fromisoformat(day) for day in dates if len(day) == len("2024-03-07")]


# The language


def test_every_described_fact_type_and_record_fact_is_simulated() -> None:
    """A new kind of fact can be recorded and shown without its own description or optional event."""
    assert {fact.type for fact in reported_facts()} >= {kind.type_name for kind in DESCRIPTIONS} | FACTS_ABOUT_RECORDS


def test_simulated_corrections_restate_void_and_reinstate() -> None:
    for service in SERVICES:
        corrections = [fact.data for fact in reported_facts() if fact.service == service and fact.corrects is not None]
        assert any(correction["replacement"] for correction in corrections), service
    voids = Counter(
        fact.service for fact in reported_facts() if fact.corrects is not None and fact.data["replacement"] is None
    )
    assert set(voids) == {"toxicity", "followup"}
    assert any(reinstates_a_fact(participant) for participant in cohort())


def reinstates_a_fact(simulated: SimulatedParticipant) -> bool:
    voided: set[int] = set()
    for fact in simulated.facts:
        if fact.corrects in voided and fact.data["replacement"]:
            return True
        if fact.corrects is not None and fact.data["replacement"] is None:
            voided.add(fact.corrects)
    return False


def test_both_withdrawal_scopes_and_void_reasons_are_simulated() -> None:
    assert {fact.data["scope"] for fact in reported_facts() if fact.type == "participant.withdrawn"} == {
        "follow_up",
        "data_use",
    }
    reasons = {fact.data["reason"] for fact in reported_facts() if fact.type == "participant.voided"}
    assert reasons == {"entered_in_error", "duplicate"}


def test_partial_dates_and_undated_deaths_are_simulated() -> None:
    date_texts = (
        value
        for fact in reported_facts()
        for value in fact.data.values()
        if isinstance(value, str) and value[:2] == "20"
    )
    assert {len(text) for text in date_texts} >= {len("2024"), len("2024-03"), len("2024-03-07")}
    deaths = [fact.data["died_on"] for fact in reported_facts() if fact.type == "participant.died"]
    assert 0.01 < deaths.count(None) / len(deaths) < 0.08


def test_drawn_grades_exist_in_their_dictionary() -> None:
    named = [pair for term in (*TERMS, PNEUMONIA) for pair in (term.v3, term.v5)]
    for term_id, exist in [*named, *(pair for pairs in SERIOUS_EVENTS for pair in pairs)]:
        grades = ctcae.dictionary_for_term(term_id).terms[term_id].grades
        assert "".join(str(grade) for grade in grades if grade) == exist, term_id


# The rules


def study_record() -> Record:
    opened = [("study.opened", OPENING_DATA)]
    opened += [("study.site_activated", {**vars(site), "on": FIRST_SCREENING_DAY.isoformat()}) for site in SITES]
    facts: list[StatedFact[Fact]] = [
        StatedFact(UUID(int=index), read_fact("enrollment", {"type": name, "data": data}))
        for index, (name, data) in enumerate(opened, 1)
    ]
    return decide([], facts, study.objections, partial(study.gate_objections, date.max))


STUDY = study_record()


def gate_of(
    reported: ReportedFact, simulated: SimulatedParticipant, evaluated_by_service: Mapping[Service, EvaluatedRecord]
) -> Gate:
    """Returns the gate of the fact's service on its reporting day, with the facts that were reported before."""
    today, site = date.fromisoformat(reported.reported_on), reported.site_id
    earlier = partial(current_record, evaluated_by_service[reported.service].history)
    enrollment_record = evaluated_by_service["enrollment"].record
    match reported.service:
        case "enrollment":
            return EnrollmentGate(STUDY, today, site, simulated.site.site_id, record_before=earlier).objections
        case "toxicity":
            return ToxicityGate(
                STUDY, today, site, enrollment_record=enrollment_record, record_before=earlier
            ).objections
        case _:
            return FollowUpGate(
                STUDY, today, site, enrollment_record=enrollment_record, record_before=earlier
            ).objections


def admit_all_facts(simulated: SimulatedParticipant, index: int) -> Mapping[Service, EvaluatedRecord]:
    evaluated_by_service = {service: EvaluatedRecord.evaluate((), RULES[service]) for service in SERVICES}
    streams = {service: iter(stream) for service, stream in simulated.streams(f"test/{index}").items()}
    for reported in simulated.facts:
        event_id, fact = next(streams[reported.service])
        stated = [StatedFact(event_id, read_fact(reported.service, fact))]
        evaluated_by_service[reported.service] = evaluated_by_service[reported.service].accept(
            stated, RULES[reported.service], gate_of(reported, simulated, evaluated_by_service)
        )
    return evaluated_by_service


def test_rules_and_gates_admit_every_fact_on_its_reporting_day() -> None:
    for index, simulated in enumerate(cohort()):
        admit_all_facts(simulated, index)


def test_facts_are_not_dated_after_their_reporting_day() -> None:
    for index, simulated in enumerate(cohort()):
        for service, stream in simulated.streams(str(index)).items():
            told_on = (fact.reported_on for fact in simulated.facts if fact.service == service)
            for (_, fact), day in zip(stream, told_on, strict=True):
                dated_members = find_clinical_dates(effective_fact(read_fact(service, fact)))
                assert all(when.earliest <= date.fromisoformat(day) for _, when in dated_members), (index, fact["type"])


def test_corrections_follow_facts_of_the_same_service_and_type() -> None:
    for simulated in cohort():
        for fact in simulated.facts:
            if fact.corrects is None:
                continue
            wrong = simulated.facts[fact.corrects]
            assert (wrong.service, wrong.corrects) == (fact.service, None)
            assert wrong.reported_on < fact.reported_on
            assert not fact.data["replacement"] or fact.data["replacement"]["type"] == wrong.type


def test_simulated_facts_are_available_as_event_streams_without_http() -> None:
    simulated = next(participant for participant in cohort() if participant.last_corrections)
    streams = simulated.streams("bench/0")
    ids = {event_id for stream in streams.values() for event_id, _ in stream}
    assert len(ids) == len(simulated.facts) == sum(map(len, streams.values()))
    corrected = [read_fact(service, fact) for service, stream in streams.items() for _, fact in stream]
    assert {fact.event_id for fact in corrected if isinstance(fact, Correction)} <= ids
    assert simulated.streams("bench/1") != streams


# The telling


def test_facts_are_reported_in_order_of_days_after_screening() -> None:
    assert all(participant.report_days == sorted(participant.report_days) for participant in cohort())
    assert all(participant.facts[0].type == "participant.screened" for participant in cohort())


def test_most_contacts_are_reported_within_three_days() -> None:
    late = [
        (date.fromisoformat(fact.reported_on) - date.fromisoformat(fact.data["seen_on"])).days
        for fact in reported_facts()
        if fact.type == "followup.recorded"
    ]
    assert 0.65 < sum(days <= 3 for days in late) / len(late) < 0.85
    assert 0.03 < sum(days > 14 for days in late) / len(late) < 0.15


def test_reporting_site_changes_with_a_transfer() -> None:
    transferred_count = 0
    for simulated in cohort():
        sites = [fact.site_id for fact in simulated.facts]
        changes = [index for index, (before, after) in enumerate(pairwise(sites)) if before != after]
        assert all(simulated.facts[index].type == "participant.transferred" for index in changes)
        assert [simulated.facts[index].data["to_site"] for index in changes] == [sites[index + 1] for index in changes]
        transferred_count += bool(changes)
    assert transferred_count > 20


def test_voiding_is_the_last_fact_of_a_participant() -> None:
    for simulated in cohort():
        assert "participant.voided" not in [fact.type for fact in simulated.facts[:-1]]


def test_simulated_participant_depends_only_on_seed_and_index() -> None:
    assert list(simulate_participants(3, 30))[17] == simulate_participant(3, 17)
    assert simulate_participant(3, 0) != simulate_participant(4, 0)


# The cohort


@pytest.mark.parametrize("optional_event", ALL_RATES)
def test_optional_events_occur_at_their_configured_rates(optional_event: str) -> None:
    """The rate among participants for whom the event is possible is within four standard errors of its probability."""
    possible = sum(optional_event in story.possible_events for story in participant_stories())
    occurred = sum(optional_event in story.chosen_events for story in participant_stories())
    rate = ALL_RATES[optional_event]
    assert occurred
    assert abs(occurred / possible - rate) <= 4 * sqrt(rate * (1 - rate) / possible)


def test_courses_of_events_occur_at_their_configured_rates() -> None:
    assert sum(rates.PARTICIPANT_PATH_WEIGHTS.values()) == 100
    failed = sum(fact.type == "participant.screen_failed" for fact in reported_facts()) / NUMBER
    assert abs(failed - rates.PARTICIPANT_PATH_WEIGHTS["failed"] / 100) < 0.025
    enrolled = sum(fact.type == "participant.enrolled" for fact in reported_facts()) / NUMBER
    assert abs(enrolled - 0.88) < 0.03


@pytest.mark.parametrize("stage", probabilities.MEDIAN_SURVIVAL_MONTHS)
def test_median_survival_of_each_stage_is_as_configured(stage: Any) -> None:
    """Survival counts from the start of radiotherapy, and includes deaths that no site reports."""
    lived = [
        (story.disease_course.dies_on - story.participant.index_course.started_on).days / probabilities.DAYS_PER_MONTH
        for story in participant_stories()
        if story.disease_course
        and story.participant
        and story.participant.index_course
        and story.participant.stage == stage
    ]
    assert len(lived) > 100
    assert median(lived) == pytest.approx(probabilities.MEDIAN_SURVIVAL_MONTHS[stage], rel=0.25)


def test_toxicity_peaks_at_the_end_of_radiotherapy() -> None:
    worst: dict[str, list[int]] = {}
    for fact in reported_facts():
        if fact.type == "toxicity.assessed":
            grades = [finding["grade"] or 0 for finding in fact.data["findings"]]
            worst.setdefault(fact.data["timepoint"], []).append(max(grades, default=0))
    severe = {point: sum(grade >= 3 for grade in grades) / len(grades) for point, grades in worst.items()}
    assert severe["baseline"] < severe["during_rt"] < severe["end_of_rt"]
    assert severe["follow_up"] < severe["end_of_rt"]
    assert 0.2 < severe["end_of_rt"] < 0.6
    assert sum(grade == 4 for grades in worst.values() for grade in grades) < 0.03 * sum(map(len, worst.values()))


def test_most_planned_visits_of_the_living_take_place() -> None:
    contacts = sum(fact.type == "followup.recorded" for fact in reported_facts())
    declared = sum(fact.type == "followup.visit_missed" for fact in reported_facts())
    assert 0.01 < declared / contacts < 0.08


def test_participants_have_15_to_30_facts_on_average_and_at_most_60() -> None:
    lengths = [len(participant.facts) for participant in cohort()]
    assert max(lengths) <= 60
    assert 15 <= sum(lengths) / len(lengths) <= 30


def test_death_is_reported_once_and_no_contact_follows() -> None:
    for simulated in cohort():
        died = exact_days(simulated, "participant.died", "died_on")
        assert len(died) <= 1
        assert all(day <= died[0] for day in exact_days(simulated, "followup.recorded", "seen_on") if died)
