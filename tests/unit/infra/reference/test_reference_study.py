from __future__ import annotations

import re
from datetime import date
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from infra.client.reference_loader import ParticipantBatches, reference_participants
from infra.reference import publications, published_cases
from infra.reference.study import (
    CHECKLIST,
    FROZEN_TODAY,
    OPENING_DATA,
    PAPER_CUT,
    SITE,
    SITE_ID,
    STUDY_ID,
    ReferenceFact,
    default_grants,
)
from infra.synthetic import cohort
from services.enrollment.gate import EnrollmentGate
from services.enrollment.rules import participant, study
from services.followup import rules as followup_rules
from services.followup.gate import FollowUpGate
from services.toxicity import rules as toxicity_rules
from services.toxicity.gate import ToxicityGate
from shared.contracts import catalogue
from shared.kernel.fact import Fact, StatedFact
from shared.kernel.partial_date import PartialDate
from shared.kernel.record import Record, current_record, decide
from tests.unit.infra.reference_facts import contents_of_type, days

CASES = published_cases.cases()
ENROLLED = [case["facts"] for case in CASES] + cohort.participants()
ALL_PEOPLE = ENROLLED + cohort.not_enrolled_participants()
TODAY = date.fromisoformat(FROZEN_TODAY)
IS_DATE = re.compile(r"\d{4}(-\d\d){0,2}")


def read_fact(fact: ReferenceFact, service: str = "enrollment") -> Fact:
    return catalogue.fact_class(service, fact["type"]).model_validate(fact["data"])


def stated_facts(facts: list[Fact]) -> list[StatedFact[Fact]]:
    return [StatedFact(UUID(int=number), fact) for number, fact in enumerate(facts, 1)]


def study_record() -> Record:
    bodies: list[tuple[str, Any]] = [("study.opened", OPENING_DATA), ("study.site_activated", SITE)]
    bodies += [("study.member_granted", grant) for grant in default_grants(STUDY_ID, [SITE_ID])]
    bodies += [("literature.study_recorded", content) for content in publications.literature_facts()]
    bodies += [("study.cut_taken", PAPER_CUT)]
    facts = stated_facts([catalogue.fact_class("enrollment", name).model_validate(body) for name, body in bodies])
    return decide([], facts, study.objections, partial(study.gate_objections, date.max))


def is_stereotactic(facts: list[ReferenceFact]) -> bool:
    targets = [target for course in contents_of_type(facts, "radiotherapy.started") for target in course["targets"]]
    return any(target["delivery"] in ("SRS", "FSRT", "SBRT") for target in targets)


def dates(value: Any, pointer: str = "") -> list[tuple[str, str]]:
    """Returns (JSON pointer, date) of every text that is a date."""
    match value:
        case str() if IS_DATE.fullmatch(value):
            return [(pointer, value)]
        case dict():
            return [date for name, member in value.items() for date in dates(member, f"{pointer}/{name}")]
        case list():
            return [date for index, member in enumerate(value) for date in dates(member, f"{pointer}/{index}")]
    return []


def dated_pointers(case: published_cases.PublishedCase) -> list[tuple[str, str]]:
    return dates(case["facts"], "/facts") + dates(case["later"], "/later")


def test_reference_study_passes_the_rules() -> None:
    assert len(study_record().stated_facts) == 3 + 21 + len(default_grants(STUDY_ID, [SITE_ID]))


def test_literature_has_its_numbers_as_numbers_and_its_empty_cells_left_out() -> None:
    contents = {content["ref_id"]: content for content in publications.literature_facts()}
    assert len(contents) == 21
    assert contents["SUBB2022"]["os_1y_pct"] == 51.7
    assert [type(contents["LEE2022"][name]) for name in ("year", "n", "median_os")] == [int, int, float]
    assert (contents["NAGA-LIM"]["year"], contents["NAGA-LIM"]["median_os"]) == ("2011; 2012", "3-5")
    assert "" not in {value for content in contents.values() for value in content.values()}
    assert contents["KASM2024"].keys() == {"ref_id", "first_author", "year", "doi_or_pmid", "design", "population"} | {
        "verified",
        "note",
    }


def test_every_contradiction_is_about_references_of_the_compared_table() -> None:
    table = publications.comparison_table()
    ref_ids = {content["ref_id"] for content in publications.literature_facts()}
    assert set(table.ref_ids) <= ref_ids
    assert {ref_id for row in table.contradictions for ref_id in row.ref_ids} == set(table.ref_ids)
    assert all(row.statement and row.against and row.where and row.where_against for row in table.contradictions)
    assert [row.id for row in table.contradictions_of("LEE2022")] == ["K02", "K04", "K05"]


@pytest.mark.parametrize("facts", ALL_PEOPLE, ids=lambda facts: str(facts[0]["data"]["local_reference"]))
def test_everyone_passes_rules_and_gate_in_one_batch(facts: list[ReferenceFact]) -> None:
    assert facts[0]["type"] == "participant.screened"
    assert len(facts) <= 200
    participant_gate = EnrollmentGate(study_record(), TODAY, SITE_ID, SITE_ID)
    decide([], stated_facts([read_fact(fact) for fact in facts]), participant.objections, participant_gate.objections)


@pytest.mark.parametrize("participant", reference_participants(), ids=lambda participant: participant.key)
def test_toxicity_and_follow_up_batches_pass_rules_and_gates(participant: ParticipantBatches) -> None:
    enrollment_record = current_record(stated_facts([read_fact(fact) for fact in participant.batches["enrollment"]]))
    graded = stated_facts([read_fact(fact, "toxicity") for fact in participant.batches.get("toxicity", [])])
    followed = stated_facts([read_fact(fact, "followup") for fact in participant.batches.get("followup", [])])
    assert max(len(graded), len(followed)) <= 200
    toxicity = ToxicityGate(study_record(), TODAY, SITE_ID, enrollment_record=enrollment_record)
    decide([], graded, toxicity_rules.objections, toxicity.objections)
    followup = FollowUpGate(study_record(), TODAY, SITE_ID, enrollment_record=enrollment_record)
    decide([], followed, followup_rules.objections, followup.objections)


def test_cohort_has_31_enrolled_and_4_stereotactic_participants() -> None:
    assert [len(contents_of_type(facts, "participant.enrolled")) for facts in ENROLLED] == [1] * 31
    assert [is_stereotactic(facts) for facts in ENROLLED] == [True] * 4 + [False] * 27


def test_enrollment_runs_from_december_2020_to_january_2025() -> None:
    enrolled = [day for facts in ENROLLED for day in days(facts, "participant.enrolled")]
    assert date(2020, 12, 1) <= min(enrolled) < date(2021, 2, 1)
    assert date(2025, 1, 1) <= max(enrolled) <= TODAY


def test_no_fact_is_dated_after_the_frozen_today() -> None:
    date_texts = [
        day
        for participant in reference_participants()
        for facts in participant.batches.values()
        for _, day in dates(facts)
    ]
    assert max(PartialDate.parse(day).earliest for day in date_texts) <= TODAY


def test_first_course_of_each_case_is_the_index_course() -> None:
    for facts in ENROLLED:
        courses = sorted(contents_of_type(facts, "radiotherapy.started"), key=lambda course: str(course["started_on"]))
        assert [course["index"] for course in courses] == [True, False, False][: len(courses)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"case-{case['case']}")
def test_every_date_of_a_case_has_a_provenance(case: published_cases.PublishedCase) -> None:
    assert {pointer for pointer, _ in dated_pointers(case)} - {*case["provenance"]} == set()
    assert {origin["level"] for origin in case["provenance"].values()} <= {"published", "derived", "illustrative"}
    assert all(origin["span"] for origin in case["provenance"].values())


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"case-{case['case']}")
def test_provenance_pointers_resolve(case: published_cases.PublishedCase) -> None:
    for pointer in case["provenance"]:
        value: Any = case
        for step in pointer.strip("/").split("/"):
            value = value[int(step) if isinstance(value, list) else step]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"case-{case['case']}")
def test_later_facts_name_known_courses_and_lesions(case: published_cases.PublishedCase) -> None:
    courses = {course["course_id"] for course in contents_of_type(case["facts"], "radiotherapy.started")}
    lesions = {lesion["lesion_id"] for lesion in contents_of_type(case["facts"], "lesion.registered")}
    for fact in case["later"]:
        lesions_seen = fact["data"].get("disease", {}).get("lesions", [])
        assert {lesion["lesion_id"] for lesion in [*lesions_seen, fact["data"]] if lesion.get("lesion_id")} <= lesions
        assert fact["data"].get("course_id") in {None, *courses}


def test_prescriptions_equal_the_published_ones() -> None:
    prescribed = [
        [
            (target["fractions"], target["dose_per_fraction_cgy"], target.get("prescription_isodose_percent"))
            for course in contents_of_type(case["facts"], "radiotherapy.started")
            for target in course["targets"]
        ]
        for case in CASES
    ]
    assert prescribed == [
        [(1, 1500, 80), (1, 2000, 80), (10, 300, None), (10, 400, None)],
        [(33, 165, None), (33, 212, None), (1, 1800, 80)],
        [(33, 165, None), (33, 212, None), (5, 600, 80)],
        [(33, 200, None), (5, 500, None), (5, 600, None), (1, 2000, None)],
    ]


def later_days(case: int, type_name: str, member: str) -> list[date]:
    day_texts = [fact["data"][member] for fact in CASES[case - 1]["later"] if fact["type"] == type_name]
    return [date.fromisoformat(day) for day in day_texts if day]


def test_case_1_has_the_published_intervals_to_mri_progression_and_death() -> None:
    srs = days(CASES[0]["facts"], "radiotherapy.started")[0]
    wbrt_end = days(CASES[0]["facts"], "radiotherapy.completed")[1]
    contact_days, progressed = (
        later_days(1, "followup.recorded", "seen_on"),
        later_days(1, "disease.progressed", "detected_on"),
    )
    assert (contact_days[0] - srs).days == 42
    assert (wbrt_end, progressed[1]) == (date(2021, 6, 8), date(2021, 9, 8))
    assert later_days(1, "participant.died", "died_on") == [date(2021, 12, 8)]
    assert (date(2021, 12, 8) - srs).days >= 224


def test_case_2_has_the_published_intervals_to_restaging_and_death() -> None:
    srs = days(CASES[1]["facts"], "radiotherapy.started")[1]
    chemoradiotherapy_end = days(CASES[1]["facts"], "radiotherapy.completed")[0]
    assert [(day - srs).days for day in later_days(2, "participant.died", "died_on")] == [25]
    assert [(day - chemoradiotherapy_end).days for day in later_days(2, "followup.recorded", "seen_on")] == [56]


def test_case_2_has_a_grade_2_seizure_and_a_fatal_unrelated_pneumonia() -> None:
    seizure, pneumonia = [fact["data"]["findings"][0] for fact in CASES[1]["later"] if fact["service"] == "toxicity"]
    assert (seizure["term"], seizure["grade"]) == ("3.0:0699", 2)
    assert (pneumonia["term"], pneumonia["grade"]) == ("3.0:0534", 5)
    assert {"to": "course:SRS", "level": "unrelated"} in pneumonia["attribution"]
    assert later_days(2, "toxicity.assessed", "assessed_on")[1:] == later_days(2, "participant.died", "died_on")


def test_events_not_graded_in_the_paper_are_not_graded() -> None:
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
    assert (max(later_days(3, "followup.recorded", "seen_on")) - new_therapy).days == 438
    assert [fact["data"]["died_on"] for fact in CASES[2]["later"] if fact["type"] == "participant.died"] == [None]


def test_case_4_has_the_published_months_and_days() -> None:
    facts = CASES[3]["facts"]
    assert [thyroid["found_on"] for thyroid in contents_of_type(facts, "lesion.registered")] == [
        "2023-12",
        "2024-10-24",
        "2025-01-22",
    ]
    assert [line["on"] for line in contents_of_type(facts, "systemic_therapy.started")] == [
        "2024-02-19",
        "2024-04",
        "2024-12",
    ]
    first, sbrt, _ = days(facts, "radiotherapy.started")
    assert (first.isoformat()[:7], days(facts, "radiotherapy.completed")[0].isoformat()[:7]) == ("2024-02", "2024-04")
    assert date(2024, 11, 22) <= sbrt <= date(2024, 12, 31)


@pytest.mark.parametrize(("case", "age", "presented"), [(1, 59, 2021), (2, 77, 2022), (3, 62, 2021), (4, 56, 2023)])
def test_birth_years_agree_with_the_published_ages(case: int, age: int, presented: int) -> None:
    assert presented - contents_of_type(CASES[case - 1]["facts"], "participant.screened")[0]["birth_year"] in (
        age,
        age + 1,
    )


def test_local_references_are_unique() -> None:
    references = [facts[0]["data"]["local_reference"] for facts in ALL_PEOPLE]
    assert len(set(references)) == len(references) == 40


def test_checklist_has_unique_terms_of_the_dictionary() -> None:
    assert len(set(CHECKLIST)) == len(CHECKLIST)
    assert all(re.fullmatch(r"3\.0:\d{4}", term) for term in CHECKLIST)
