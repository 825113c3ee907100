from __future__ import annotations

import re
from datetime import date
from functools import partial
from statistics import median
from typing import Any
from uuid import UUID

import pytest

from infra.reference import published, synthetic
from infra.reference.chart import day_of, working_day
from infra.reference.load import Person, people
from infra.reference.study import (
    CHECKLIST,
    FROZEN_TODAY,
    OPENED,
    SITE,
    SITE_ID,
    STUDY_ID,
    StatedFact,
    members,
)
from services.enrollment import participant, study
from services.enrollment.gate import World
from services.followup import contact
from services.followup.gate import World as FollowUpWorld
from services.toxicity import assessment
from services.toxicity.gate import World as ToxicityWorld
from shared.contracts import catalogue
from shared.kernel.dates import PartialDate
from shared.kernel.fact import Fact, Stated
from shared.kernel.record import Record, decide, standing

CASES = published.cases()
COHORT = [case["facts"] for case in CASES] + synthetic.participants()
EVERYONE = COHORT + synthetic.not_enrolled()
TODAY = date.fromisoformat(FROZEN_TODAY)
IS_DATE = re.compile(r"\d{4}(-\d\d){0,2}")


def read(fact: StatedFact, service: str = "enrollment") -> Fact:
    return catalogue.fact_class(service, fact["type"]).model_validate(fact["data"])


def events(facts: list[Fact]) -> list[Stated[Fact]]:
    return [Stated(UUID(int=number), fact) for number, fact in enumerate(facts, 1)]


def study_record() -> Record:
    bodies: list[tuple[str, Any]] = [("study.opened", OPENED), ("study.site_activated", SITE)]
    bodies += [("study.member_granted", grant) for grant in members(STUDY_ID, [SITE_ID])]
    facts = events([catalogue.fact_class("enrollment", name).model_validate(body) for name, body in bodies])
    return decide([], facts, study.objections, partial(study.gate, date.max))


def of(facts: list[StatedFact], type_name: str) -> list[dict[str, Any]]:
    return [fact["data"] for fact in facts if fact["type"] == type_name]


def days(facts: list[StatedFact], type_name: str) -> list[date]:
    return [date.fromisoformat(day_of(fact)) for fact in facts if fact["type"] == type_name]


def is_stereotactic(facts: list[StatedFact]) -> bool:
    targets = [target for course in of(facts, "radiotherapy.started") for target in course["targets"]]
    return any(target["delivery"] in ("SRS", "FSRT", "SBRT") for target in targets)


def dates(value: Any, pointer: str = "") -> list[tuple[str, str]]:
    """(pointer, date) of everything within that reads as a date."""
    match value:
        case str() if IS_DATE.fullmatch(value):
            return [(pointer, value)]
        case dict():
            return [found for name, member in value.items() for found in dates(member, f"{pointer}/{name}")]
        case list():
            return [found for place, member in enumerate(value) for found in dates(member, f"{pointer}/{place}")]
    return []


def named(case: published.Case) -> list[tuple[str, str]]:
    return dates(case["facts"], "/facts") + dates(case["later"], "/later")


def test_the_study_is_one_that_the_rules_admit() -> None:
    assert len(study_record().stated) == 2 + len(members(STUDY_ID, [SITE_ID]))


@pytest.mark.parametrize("facts", EVERYONE, ids=lambda facts: str(facts[0]["data"]["local_reference"]))
def test_everyone_passes_contract_rules_and_gate_in_one_batch_on_the_studys_today(facts: list[StatedFact]) -> None:
    assert facts[0]["type"] == "participant.screened"
    assert len(facts) <= 200
    world = World(study_record(), TODAY, SITE_ID, SITE_ID)
    decide([], events([read(fact) for fact in facts]), participant.objections, world.gate)


@pytest.mark.parametrize("person", people(), ids=lambda person: person.key)
def test_what_toxicity_and_followup_are_told_passes_contract_rules_and_gate_in_one_batch_each(person: Person) -> None:
    known = standing(events([read(fact) for fact in person.batches["enrollment"]]))
    graded = events([read(fact, "toxicity") for fact in person.batches.get("toxicity", [])])
    followed = events([read(fact, "followup") for fact in person.batches.get("followup", [])])
    assert max(len(graded), len(followed)) <= 200
    toxicity = ToxicityWorld(study_record(), TODAY, SITE_ID, participant=known)
    decide([], graded, assessment.objections, toxicity.gate)
    followup = FollowUpWorld(study_record(), TODAY, SITE_ID, participant=known)
    decide([], followed, contact.objections, followup.gate)


def test_the_cohort_has_31_enrolled_of_whom_4_are_stereotactic() -> None:
    assert [len(of(facts, "participant.enrolled")) for facts in COHORT] == [1] * 31
    assert [is_stereotactic(facts) for facts in COHORT] == [True] * 4 + [False] * 27


def test_enrolment_runs_from_december_2020_to_january_2025() -> None:
    enrolled = [day for facts in COHORT for day in days(facts, "participant.enrolled")]
    assert date(2020, 12, 1) <= min(enrolled) < date(2021, 2, 1)
    assert date(2025, 1, 1) <= max(enrolled) <= TODAY


def test_nothing_is_dated_after_the_studys_today() -> None:
    stated = [day for person in people() for facts in person.batches.values() for _, day in dates(facts)]
    assert max(PartialDate.parse(day).earliest for day in stated) <= TODAY


def test_each_case_has_one_index_course_and_it_is_the_first() -> None:
    for facts in COHORT:
        courses = sorted(of(facts, "radiotherapy.started"), key=lambda course: str(course["started_on"]))
        assert [course["index"] for course in courses] == [True, False, False][: len(courses)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"case-{case['case']}")
def test_every_date_of_a_case_says_where_it_comes_from(case: published.Case) -> None:
    assert {pointer for pointer, _ in named(case)} - {*case["provenance"]} == set()
    assert {origin["level"] for origin in case["provenance"].values()} <= {"published", "derived", "illustrative"}
    assert all(origin["span"] for origin in case["provenance"].values())


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"case-{case['case']}")
def test_provenance_points_at_what_is_there(case: published.Case) -> None:
    for pointer in case["provenance"]:
        value: Any = case
        for step in pointer.strip("/").split("/"):
            value = value[int(step) if isinstance(value, list) else step]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"case-{case['case']}")
def test_what_comes_later_treats_no_unknown_course_and_no_unknown_lesion(case: published.Case) -> None:
    courses = {course["course_id"] for course in of(case["facts"], "radiotherapy.started")}
    lesions = {lesion["lesion_id"] for lesion in of(case["facts"], "lesion.registered")}
    for fact in case["later"]:
        seen = fact["data"].get("disease", {}).get("lesions", [])
        assert {lesion["lesion_id"] for lesion in [*seen, fact["data"]] if lesion.get("lesion_id")} <= lesions
        assert fact["data"].get("course_id") in {None, *courses}


def test_the_published_prescriptions_are_kept() -> None:
    prescribed = [
        [(target["fractions"], target["dose_per_fraction_cgy"], target.get("prescription_isodose_percent"))
         for course in of(case["facts"], "radiotherapy.started") for target in course["targets"]]
        for case in CASES
    ]  # fmt: skip
    assert prescribed == [
        [(1, 1500, 80), (1, 2000, 80), (10, 300, None), (10, 400, None)],
        [(33, 165, None), (33, 212, None), (1, 1800, 80)],
        [(33, 165, None), (33, 212, None), (5, 600, 80)],
        [(33, 200, None), (5, 500, None), (5, 600, None), (1, 2000, None)],
    ]


def later(case: int, type_name: str, member: str) -> list[date]:
    found = [fact["data"][member] for fact in CASES[case - 1]["later"] if fact["type"] == type_name]
    return [date.fromisoformat(day) for day in found if day]


def test_case_1_keeps_six_weeks_to_the_mri_three_months_to_progression_and_three_to_death() -> None:
    srs = days(CASES[0]["facts"], "radiotherapy.started")[0]
    wbrt_end = days(CASES[0]["facts"], "radiotherapy.completed")[1]
    seen, progressed = later(1, "followup.recorded", "seen_on"), later(1, "disease.progressed", "detected_on")
    assert (seen[0] - srs).days == 42
    assert (wbrt_end, progressed[1]) == (date(2021, 6, 8), date(2021, 9, 8))
    assert later(1, "participant.died", "died_on") == [date(2021, 12, 8)]
    assert (date(2021, 12, 8) - srs).days >= 224


def test_case_2_dies_25_days_after_srs_and_is_restaged_eight_weeks_after_chemoradiotherapy() -> None:
    srs = days(CASES[1]["facts"], "radiotherapy.started")[1]
    chemoradiotherapy_end = days(CASES[1]["facts"], "radiotherapy.completed")[0]
    assert [(day - srs).days for day in later(2, "participant.died", "died_on")] == [25]
    assert [(day - chemoradiotherapy_end).days for day in later(2, "followup.recorded", "seen_on")] == [56]


def test_case_2_has_a_seizure_of_grade_2_and_dies_of_a_pneumonia_that_is_unrelated_to_its_treatment() -> None:
    seizure, pneumonia = [fact["data"]["findings"][0] for fact in CASES[1]["later"] if fact["service"] == "toxicity"]
    assert (seizure["term"], seizure["grade"]) == ("3.0:0699", 2)
    assert (pneumonia["term"], pneumonia["grade"]) == ("3.0:0534", 5)
    assert {"to": "course:SRS", "level": "unrelated"} in pneumonia["attribution"]
    assert later(2, "toxicity.assessed", "assessed_on")[1:] == later(2, "participant.died", "died_on")


def test_events_that_the_paper_does_not_grade_are_not_graded() -> None:
    ungraded = [
        (case["case"], finding["term"])
        for case in CASES
        for fact in case["later"]
        for finding in fact["data"].get("findings", [])
        if finding["grade"] is None
    ]
    assert ungraded == [(1, "3.0:0664"), (3, "3.0:0150"), (3, "3.0:0150")]


def test_the_published_cases_report_31_facts_later() -> None:
    assert [len(case["later"]) for case in CASES] == [12, 5, 8, 6]


def test_case_3_is_last_seen_438_days_after_its_new_therapy_began() -> None:
    new_therapy = days(CASES[2]["facts"], "systemic_therapy.started")[2]
    assert (max(later(3, "followup.recorded", "seen_on")) - new_therapy).days == 438
    assert [fact["data"]["died_on"] for fact in CASES[2]["later"] if fact["type"] == "participant.died"] == [None]


def test_case_4_keeps_the_months_and_days_that_are_published() -> None:
    facts = CASES[3]["facts"]
    assert [thyroid["found_on"] for thyroid in of(facts, "lesion.registered")] == [
        "2023-12",
        "2024-10-24",
        "2025-01-22",
    ]
    assert [line["on"] for line in of(facts, "systemic_therapy.started")] == ["2024-02-19", "2024-04", "2024-12"]
    first, sbrt, _ = days(facts, "radiotherapy.started")
    assert (first.isoformat()[:7], days(facts, "radiotherapy.completed")[0].isoformat()[:7]) == ("2024-02", "2024-04")
    assert date(2024, 11, 22) <= sbrt <= date(2024, 12, 31)


@pytest.mark.parametrize(("case", "age", "presented"), [(1, 59, 2021), (2, 77, 2022), (3, 62, 2021), (4, 56, 2023)])
def test_birth_years_agree_with_the_published_ages(case: int, age: int, presented: int) -> None:
    assert presented - of(CASES[case - 1]["facts"], "participant.screened")[0]["birth_year"] in (age, age + 1)


def test_ages_of_the_synthetic_cohort_are_those_of_the_disease() -> None:
    screenings = [facts[0]["data"] for facts in synthetic.participants()]
    ages = [int(screening["screened_on"][:4]) - screening["birth_year"] for screening in screenings]
    assert 65 <= median(ages) <= 75
    assert min(ages) >= 18


def test_synthetic_people_say_that_they_are_and_equal_seeds_give_equal_people() -> None:
    made_up = synthetic.participants() + synthetic.not_enrolled()
    assert all(facts[0]["data"]["local_reference"].startswith("SYNTHETIC-") for facts in made_up)
    assert "27 synthetic" in OPENED["title"]
    assert (synthetic.participants(), synthetic.not_enrolled()) == (
        synthetic.participants(31),
        synthetic.not_enrolled(),
    )
    assert synthetic.participants(32) != synthetic.participants()


def test_the_synthetic_cohort_has_every_course_of_events() -> None:
    rest = synthetic.participants()
    ended = {"radiotherapy.completed", "radiotherapy.discontinued"}
    untreated = [facts for facts in rest if not of(facts, "radiotherapy.started")]
    under_way = [
        facts for facts in rest if of(facts, "radiotherapy.started") and not ended & {f["type"] for f in facts}
    ]
    assert (len(rest), len(untreated), len(under_way)) == (27, 1, 1)
    assert sum(len(of(facts, "radiotherapy.discontinued")) for facts in rest) == 3
    assert [data["scope"] for facts in rest for data in of(facts, "participant.withdrawn")] == ["follow_up"] * 2


def afterwards(type_name: str) -> list[dict[str, Any]]:
    return [each.data for rest in synthetic.afterwards() for each in rest if each.type == type_name]


def test_what_follows_in_the_synthetic_cohort_is_the_same_for_equal_seeds_and_leaves_the_treatment_as_it_is() -> None:
    def said(seed: int) -> list[list[StatedFact]]:
        return [[each.fact for each in rest] for rest in synthetic.afterwards(seed)]

    before = synthetic.participants()
    assert said(5) == said(5) != said(6)
    assert synthetic.participants() == before


def test_in_the_synthetic_cohort_half_of_those_who_die_do_so_within_some_months_of_radiotherapy() -> None:
    lived = []
    for facts, rest in zip(synthetic.participants(), synthetic.afterwards(), strict=True):
        died = [each.day for each in rest if each.type == "participant.died"]
        lived += [(day - days(facts, "radiotherapy.started")[0]).days / 30.4375 for day in died]
    assert 15 <= len(lived) <= 22
    assert 3 <= median(lived) <= 9


def test_the_synthetic_cohort_has_what_follow_up_is_about() -> None:
    assert len(afterwards("followup.recorded")) >= 40
    assert {data["kind"] for data in afterwards("disease.progressed")} == {"local", "regional", "distant"}
    assert len(afterwards("followup.visit_missed")) >= 2
    assert len(afterwards("participant.lost")) > len(afterwards("participant.follow_up_resumed")) > 0
    assert afterwards("vital_status.confirmed")
    deaths = afterwards("participant.died")
    assert any(len(death["died_on"]) == len("2024-03") for death in deaths)


def test_the_synthetic_cohort_is_graded_before_during_and_after_radiotherapy_by_the_studys_dictionary() -> None:
    assessed = afterwards("toxicity.assessed")
    assert {data["timepoint"] for data in assessed} == {"baseline", "during_rt", "end_of_rt", "follow_up"}
    graded = [finding for data in assessed for finding in data["findings"]]
    assert all(finding["term"].startswith("3.0:") for finding in graded)
    assert {finding["grade"] for finding in graded} >= {0, 1, 2, 3, 5}
    baselines = sum(data["timepoint"] == "baseline" for data in assessed)
    assert 23 <= baselines <= 27
    assert afterwards("toxicity.serious_event_reported")


def test_synthetic_people_are_not_seen_after_their_death() -> None:
    for rest in synthetic.afterwards():
        died = [each.day for each in rest if each.type == "participant.died"]
        assert all(each.day <= died[0] for each in rest if died)


def test_some_people_came_no_further_than_the_door() -> None:
    door = synthetic.not_enrolled()
    assert not any(of(facts, "participant.enrolled") for facts in door)
    assert sum(len(of(facts, "participant.screen_failed")) for facts in door) == 6
    assert sum(len(of(facts, "participant.consented")) for facts in door) == 3


def test_local_references_are_unique() -> None:
    references = [facts[0]["data"]["local_reference"] for facts in EVERYONE]
    assert len(set(references)) == len(references) == 40


def test_the_checklist_names_terms_of_the_studys_dictionary_once() -> None:
    assert len(set(CHECKLIST)) == len(CHECKLIST)
    assert all(re.fullmatch(r"3\.0:\d{4}", term) for term in CHECKLIST)


def test_working_days_leave_out_weekends() -> None:
    assert [working_day(date(2024, 3, 1), number) for number in (1, 2, 6)] == [
        date(2024, 3, 1), date(2024, 3, 4), date(2024, 3, 8),
    ]  # fmt: skip
    assert working_day(date(2024, 3, 2), 1) == date(2024, 3, 4)
