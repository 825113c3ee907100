"""The synthetic cohort is drawn by its seed and has every course of events."""

from __future__ import annotations

from datetime import date
from statistics import median
from typing import Any

from infra.reference.study import OPENING_DATA, ReferenceFact
from infra.synthetic import cohort
from infra.synthetic.enrollment_facts import working_day
from tests.unit.infra.reference_facts import contents_of_type, days


def test_synthetic_cohort_has_plausible_ages() -> None:
    screenings = [facts[0]["data"] for facts in cohort.participants()]
    ages = [int(screening["screened_on"][:4]) - screening["birth_year"] for screening in screenings]
    assert 65 <= median(ages) <= 75
    assert min(ages) >= 18


def test_synthetic_people_are_marked_and_depend_on_the_seed() -> None:
    made_up = cohort.participants() + cohort.not_enrolled_participants()
    assert all(facts[0]["data"]["local_reference"].startswith("SYNTHETIC-") for facts in made_up)
    assert "27 synthetic" in OPENING_DATA["title"]
    assert (cohort.participants(), cohort.not_enrolled_participants()) == (
        cohort.participants(31),
        cohort.not_enrolled_participants(),
    )
    assert cohort.participants(32) != cohort.participants()


def test_the_synthetic_cohort_has_every_course_of_events() -> None:
    participants = cohort.participants()
    ended = {"radiotherapy.completed", "radiotherapy.discontinued"}
    untreated = [facts for facts in participants if not contents_of_type(facts, "radiotherapy.started")]
    under_way = [
        facts
        for facts in participants
        if contents_of_type(facts, "radiotherapy.started") and not ended & {f["type"] for f in facts}
    ]
    assert (len(participants), len(untreated), len(under_way)) == (27, 1, 1)
    assert sum(len(contents_of_type(facts, "radiotherapy.discontinued")) for facts in participants) == 3
    assert [data["scope"] for facts in participants for data in contents_of_type(facts, "participant.withdrawn")] == [
        "follow_up"
    ] * 2


def later_contents(type_name: str) -> list[dict[str, Any]]:
    return [fact.data for rest in cohort.later_facts() for fact in rest if fact.type == type_name]


def test_synthetic_follow_up_depends_on_its_seed_and_keeps_the_treatment() -> None:
    def facts_of_seed(seed: int) -> list[list[ReferenceFact]]:
        return [[fact.fact for fact in rest] for rest in cohort.later_facts(seed)]

    before = cohort.participants()
    assert facts_of_seed(5) == facts_of_seed(5) != facts_of_seed(6)
    assert cohort.participants() == before


def test_median_survival_of_synthetic_deaths_is_3_to_9_months() -> None:
    lived = []
    for facts, later_facts in zip(cohort.participants(), cohort.later_facts(), strict=True):
        died = [fact.day for fact in later_facts if fact.type == "participant.died"]
        lived += [(day - days(facts, "radiotherapy.started")[0]).days / 30.4375 for day in died]
    assert 15 <= len(lived) <= 22
    assert 3 <= median(lived) <= 9


def test_synthetic_cohort_has_every_kind_of_follow_up() -> None:
    assert len(later_contents("followup.recorded")) >= 40
    assert {data["kind"] for data in later_contents("disease.progressed")} == {"local", "regional", "distant"}
    assert len(later_contents("followup.visit_missed")) >= 2
    assert len(later_contents("participant.lost")) > len(later_contents("participant.follow_up_resumed")) > 0
    assert later_contents("vital_status.confirmed")
    deaths = later_contents("participant.died")
    assert any(len(death["died_on"]) == len("2024-03") for death in deaths)


def test_synthetic_cohort_is_graded_at_every_timepoint_by_the_dictionary() -> None:
    assessed = later_contents("toxicity.assessed")
    assert {data["timepoint"] for data in assessed} == {"baseline", "during_rt", "end_of_rt", "follow_up"}
    graded = [finding for data in assessed for finding in data["findings"]]
    assert all(finding["term"].startswith("3.0:") for finding in graded)
    assert {finding["grade"] for finding in graded} >= {0, 1, 2, 3, 5}
    baselines = sum(data["timepoint"] == "baseline" for data in assessed)
    assert 23 <= baselines <= 27
    assert later_contents("toxicity.serious_event_reported")


def test_synthetic_people_are_not_seen_after_their_death() -> None:
    for later_facts in cohort.later_facts():
        died = [fact.day for fact in later_facts if fact.type == "participant.died"]
        assert all(fact.day <= died[0] for fact in later_facts if died)


def test_some_synthetic_people_are_not_enrolled() -> None:
    not_enrolled = cohort.not_enrolled_participants()
    assert not any(contents_of_type(facts, "participant.enrolled") for facts in not_enrolled)
    assert sum(len(contents_of_type(facts, "participant.screen_failed")) for facts in not_enrolled) == 6
    assert sum(len(contents_of_type(facts, "participant.consented")) for facts in not_enrolled) == 3


def test_working_days_skip_weekends() -> None:
    assert [working_day(date(2024, 3, 1), number) for number in (1, 2, 6)] == [
        date(2024, 3, 1),
        date(2024, 3, 4),
        date(2024, 3, 8),
    ]
    assert working_day(date(2024, 3, 2), 1) == date(2024, 3, 4)
