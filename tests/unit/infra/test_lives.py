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

from infra.reference import odds
from infra.reference.terms import PNEUMONIA, SERIOUS, TERMS
from infra.reference.treated import SERVICES, Service
from infra.simulator import rates
from infra.simulator.patients import OPENED, SINCE, SITES, Life, Told, life, lives, story
from infra.simulator.story import Story
from infra.simulator.telling import tell
from services.analytics.telling import TELLS
from services.enrollment import participant, study
from services.enrollment.gate import World as EnrollmentWorld
from services.followup import contact
from services.followup.gate import World as FollowUpWorld
from services.toxicity import assessment
from services.toxicity.gate import World as ToxicityWorld
from shared.contracts import catalogue
from shared.kernel.fact import Corrected, Fact, Stated, clinical_dates, content
from shared.kernel.record import Gate, Judged, Record, Rules, decide, standing
from shared.terminology import ctcae

SEED, NUMBER = 1, 2000
RULES: Mapping[Service, Rules] = {
    "enrollment": participant.objections,
    "toxicity": assessment.objections,
    "followup": contact.objections,
}
OF_RECORDS = {"participant.voided", "record.corrected", "reminder.snoozed", "reminder.acknowledged"}
"""What is simulated besides what a timeline has words for. An explained query needs a key that nobody knows before."""
ALL_RATES = {**rates.TURNS, **rates.CONTRADICTIONS, **rates.CORRECTIONS}


@cache
def stories() -> list[Story]:
    return [story(SEED, index) for index in range(NUMBER)]


@cache
def cohort() -> list[Life]:
    return [tell(each) for each in stories()]


def told() -> Iterator[Told]:
    return (fact for each in cohort() for fact in each.facts)


def read(service: str, fact: Mapping[str, Any]) -> Fact:
    return catalogue.fact_class(service, fact["type"]).model_validate(fact["data"])


def days(happened: Life, type_name: str, member: str) -> list[date]:
    """Whole days only, as first told."""
    said = [str(fact.data[member]) for fact in happened.facts if fact.type == type_name and fact.corrects is None]
    return [date.fromisoformat(day) for day in said if len(day) == len("2024-03-07")]


# The language


def test_every_kind_of_fact_that_a_timeline_has_words_for_is_told_and_what_is_about_records() -> None:
    """A new kind of fact needs neither words nor a turn of its own to be stated and shown."""
    assert {fact.type for fact in told()} >= {kind.type_name for kind in TELLS} | OF_RECORDS


def test_corrections_restate_void_and_reinstate_in_every_service() -> None:
    for service in SERVICES:
        corrections = [fact.data for fact in told() if fact.service == service and fact.corrects is not None]
        assert any(each["replacement"] for each in corrections), service
    voids = Counter(fact.service for fact in told() if fact.corrects is not None and fact.data["replacement"] is None)
    assert set(voids) == {"toxicity", "followup"}
    assert any(_reinstates(each) for each in cohort())


def _reinstates(happened: Life) -> bool:
    voided: set[int] = set()
    for fact in happened.facts:
        if fact.corrects in voided and fact.data["replacement"]:
            return True
        if fact.corrects is not None and fact.data["replacement"] is None:
            voided.add(fact.corrects)
    return False


def test_both_consents_are_withdrawn_and_both_reasons_make_a_record_void() -> None:
    assert {fact.data["scope"] for fact in told() if fact.type == "participant.withdrawn"} == {"follow_up", "data_use"}
    reasons = {fact.data["reason"] for fact in told() if fact.type == "participant.voided"}
    assert reasons == {"entered_in_error", "duplicate"}


def test_dates_are_known_to_the_month_or_year_at_times_and_a_death_may_have_none() -> None:
    stated = (said for fact in told() for said in fact.data.values() if isinstance(said, str) and said[:2] == "20")
    assert {len(text) for text in stated} >= {len("2024"), len("2024-03"), len("2024-03-07")}
    deaths = [fact.data["died_on"] for fact in told() if fact.type == "participant.died"]
    assert 0.01 < deaths.count(None) / len(deaths) < 0.08


def test_grades_that_are_drawn_exist_in_their_dictionary() -> None:
    named = [pair for term in (*TERMS, PNEUMONIA) for pair in (term.v3, term.v5)]
    for term_id, exist in [*named, *(pair for pairs in SERIOUS for pair in pairs)]:
        grades = ctcae.dictionary_of(term_id).terms[term_id].grades
        assert "".join(str(grade) for grade in grades if grade) == exist, term_id


# The rules


def _study() -> Record:
    opened = [("study.opened", OPENED)]
    opened += [("study.site_activated", {**vars(site), "on": SINCE.isoformat()}) for site in SITES]
    facts: list[Stated[Fact]] = [
        Stated(UUID(int=place), read("enrollment", {"type": name, "data": data}))
        for place, (name, data) in enumerate(opened, 1)
    ]
    return decide([], facts, study.objections, partial(study.gate, date.max))


STUDY = _study()


def _gate(told: Told, happened: Life, judged: Mapping[Service, Judged]) -> Gate:
    """That of the fact's service on the day on which it is told, with what enrollment was told before."""
    today, site = date.fromisoformat(told.told_on), told.site_id
    earlier = partial(standing, judged[told.service].history)
    known = judged["enrollment"].record
    match told.service:
        case "enrollment":
            return EnrollmentWorld(STUDY, today, site, happened.site.site_id, earlier=earlier).gate
        case "toxicity":
            return ToxicityWorld(STUDY, today, site, participant=known, earlier=earlier).gate
        case _:
            return FollowUpWorld(STUDY, today, site, participant=known, earlier=earlier).gate


def _admitted(happened: Life, index: int) -> Mapping[Service, Judged]:
    judged = {service: Judged.of((), RULES[service]) for service in SERVICES}
    streams = {service: iter(stream) for service, stream in happened.streams(f"test/{index}").items()}
    for each in happened.facts:
        event_id, fact = next(streams[each.service])
        stated = [Stated(event_id, read(each.service, fact))]
        judged[each.service] = judged[each.service].with_all(stated, RULES[each.service], _gate(each, happened, judged))
    return judged


def test_rules_and_gates_admit_every_fact_of_every_life_on_the_day_on_which_it_is_told() -> None:
    for index, happened in enumerate(cohort()):
        _admitted(happened, index)


def test_nothing_lies_in_the_future_of_the_day_on_which_it_is_told() -> None:
    for index, happened in enumerate(cohort()):
        for service, stream in happened.streams(str(index)).items():
            told_on = (fact.told_on for fact in happened.facts if fact.service == service)
            for (_, fact), day in zip(stream, told_on, strict=True):
                said = clinical_dates(content(read(service, fact)))
                assert all(when.earliest <= date.fromisoformat(day) for _, when in said), (index, fact["type"])


def test_a_correction_is_told_later_than_what_it_corrects_which_is_of_the_same_service_and_kind() -> None:
    for happened in cohort():
        for fact in happened.facts:
            if fact.corrects is None:
                continue
            wrong = happened.facts[fact.corrects]
            assert (wrong.service, wrong.corrects) == (fact.service, None)
            assert wrong.told_on < fact.told_on
            assert not fact.data["replacement"] or fact.data["replacement"]["type"] == wrong.type


def test_without_http_the_same_facts_come_by_service_under_ids_of_their_own() -> None:
    happened = next(each for each in cohort() if each.corrected)
    streams = happened.streams("bench/0")
    ids = {event_id for stream in streams.values() for event_id, _ in stream}
    assert len(ids) == len(happened.facts) == sum(map(len, streams.values()))
    corrected = [read(service, fact) for service, stream in streams.items() for _, fact in stream]
    assert {fact.event_id for fact in corrected if isinstance(fact, Corrected)} <= ids
    assert happened.streams("bench/1") != streams


# The telling


def test_a_life_is_told_in_the_order_of_its_days() -> None:
    assert all(each.days == sorted(each.days) for each in cohort())
    assert all(each.facts[0].type == "participant.screened" for each in cohort())


def test_sites_report_late_at_times_and_most_things_within_three_days() -> None:
    late = [
        (date.fromisoformat(fact.told_on) - date.fromisoformat(fact.data["seen_on"])).days
        for fact in told()
        if fact.type == "followup.recorded"
    ]
    assert 0.65 < sum(days <= 3 for days in late) / len(late) < 0.85
    assert 0.03 < sum(days > 14 for days in late) / len(late) < 0.15


def test_after_a_transfer_the_new_site_tells_and_before_it_the_old_one() -> None:
    moved = 0
    for happened in cohort():
        sites = [fact.site_id for fact in happened.facts]
        changes = [place for place, (before, after) in enumerate(pairwise(sites)) if before != after]
        assert all(happened.facts[place].type == "participant.transferred" for place in changes)
        assert [happened.facts[place].data["to_site"] for place in changes] == [sites[place + 1] for place in changes]
        moved += bool(changes)
    assert moved > 20


def test_nothing_is_told_of_a_record_that_is_void() -> None:
    for happened in cohort():
        assert "participant.voided" not in [fact.type for fact in happened.facts[:-1]]


def test_a_life_depends_on_its_seed_and_index_alone() -> None:
    assert list(lives(3, 30))[17] == life(3, 17)
    assert life(3, 0) != life(4, 0)


# The cohort


@pytest.mark.parametrize("turn", ALL_RATES)
def test_each_turn_is_taken_as_often_as_its_table_says(turn: str) -> None:
    """Of those to whom it can happen, within four standard errors; and at least once."""
    could = sum(turn in each.could for each in stories())
    did = sum(turn in each.did for each in stories())
    rate = ALL_RATES[turn]
    assert did
    assert abs(did / could - rate) <= 4 * sqrt(rate * (1 - rate) / could)


def test_each_course_of_events_is_drawn_as_often_as_its_table_says() -> None:
    assert sum(rates.COURSES.values()) == 100
    failed = sum(fact.type == "participant.screen_failed" for fact in told()) / NUMBER
    assert abs(failed - rates.COURSES["failed"] / 100) < 0.025
    enrolled = sum(fact.type == "participant.enrolled" for fact in told()) / NUMBER
    assert abs(enrolled - 0.88) < 0.03


@pytest.mark.parametrize("stage", odds.MEDIAN_SURVIVAL_MONTHS)
def test_half_of_a_stage_live_as_long_as_its_median_says(stage: Any) -> None:
    """From the start of radiotherapy, among all of that stage, whether or not somebody hears of the death."""
    lived = [
        (each.outlook.dies_on - each.treated.index.began).days / odds.DAYS_PER_MONTH
        for each in stories()
        if each.outlook and each.treated and each.treated.index and each.treated.stage == stage
    ]
    assert len(lived) > 100
    assert median(lived) == pytest.approx(odds.MEDIAN_SURVIVAL_MONTHS[stage], rel=0.25)


def test_toxicity_is_worst_at_the_end_of_radiotherapy_and_seldom_life_threatening() -> None:
    worst: dict[str, list[int]] = {}
    for fact in told():
        if fact.type == "toxicity.assessed":
            grades = [finding["grade"] or 0 for finding in fact.data["findings"]]
            worst.setdefault(fact.data["timepoint"], []).append(max(grades, default=0))
    severe = {point: sum(grade >= 3 for grade in grades) / len(grades) for point, grades in worst.items()}
    assert severe["baseline"] < severe["during_rt"] < severe["end_of_rt"]
    assert severe["follow_up"] < severe["end_of_rt"]
    assert 0.2 < severe["end_of_rt"] < 0.6
    assert sum(grade == 4 for grades in worst.values() for grade in grades) < 0.03 * sum(map(len, worst.values()))


def test_most_planned_visits_of_the_living_take_place() -> None:
    contacts = sum(fact.type == "followup.recorded" for fact in told())
    declared = sum(fact.type == "followup.visit_missed" for fact in told())
    assert 0.01 < declared / contacts < 0.08


def test_lives_are_short() -> None:
    lengths = [len(each.facts) for each in cohort()]
    assert max(lengths) <= 60
    assert 15 <= sum(lengths) / len(lengths) <= 30


def test_a_death_is_told_once_and_no_contact_after_it() -> None:
    for happened in cohort():
        died = days(happened, "participant.died", "died_on")
        assert len(died) <= 1
        assert all(seen <= died[0] for seen in days(happened, "followup.recorded", "seen_on") if died)
