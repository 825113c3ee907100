"""What is asked of a participant: when a query opens, when it does not, and how it closes by itself."""

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
from shared.contracts.enrollment import Consented
from shared.contracts.followup import FollowUpResumed, Lost, VitalStatusConfirmed
from shared.contracts.toxicity import SeriousEventResolved, SeriousEventUpdated
from shared.kernel.fact import Fact
from shared.testing import facts
from tests.unit.analytics.stories import (
    TODAY,
    TOLD,
    WHO,
    Story,
    assessed,
    contact,
    day,
    died,
    explained,
    finding,
    missed,
    progressed,
    seen,
    serious,
    stated_anew,
    story,
    treated,
)

FETAL = "4.03:0582"
LATER = TOLD + timedelta(hours=1)
VISIT_1, VISIT_2 = 110, 200
"""Days within the slots of visits 1 and 2."""


def update(grade: int | None = None, **changes: Any) -> SeriousEventUpdated:
    return SeriousEventUpdated.model_validate({"serious_event_id": "SE1", "aware_at": TOLD, "grade": grade, **changes})


def resolved(outcome: str) -> SeriousEventResolved:
    return SeriousEventResolved.model_validate({"serious_event_id": "SE1", "aware_at": TOLD, "outcome": outcome})


def alive(on: facts.When, source: str = "clinic") -> VitalStatusConfirmed:
    return VitalStatusConfirmed.model_validate({"alive_on": facts.day(on), "source": source})


def lost(on: facts.When) -> Lost:
    return Lost.model_validate({"on": facts.day(on), "reason_code": "moved"})


def resumed(on: facts.When) -> FollowUpResumed:
    return FollowUpResumed.model_validate({"on": facts.day(on)})


def related(to: str, level: str = "possible") -> dict[str, Any]:
    return finding(2, attribution=[{"to": to, "level": level}])


def sbrt(fractions: int, each: int) -> dict[str, Any]:
    return facts.target(fractions=fractions, each=each, delivery="SBRT")


def registry_consent() -> Consented:
    said = {"signed_on": facts.day(1), "form_version": "2.1", "options": {"registry": True}}
    return Consented.model_validate(said)


Told = tuple[Fact, ...]
OPENS: list[tuple[str, Story]] = [
    ("grade_5_without_death", treated(assessed(40, "follow_up", finding(5)))),
    ("grade_5_without_death", treated(serious(grade=5))),
    ("grade_5_without_death", treated(serious(), update(5))),
    ("grade_5_without_death", treated(serious(), resolved("FATAL"))),
    ("death_of_treatment_without_grade_5", treated(died(60, "treatment"))),
    ("death_of_treatment_without_grade_5", treated(died(60, "treatment"), assessed(50, "follow_up", finding(4)))),
    ("death_of_treatment_without_grade_5",
     treated(died(60, "treatment"), assessed(50, "follow_up", finding(5, FETAL)))),
    ("ungraded_event", treated(assessed(40, "follow_up", finding(None)))),
    ("baseline_toxicity_after_course_start", treated(assessed(1, "baseline"))),
    ("baseline_toxicity_after_course_start", treated(assessed("2024-03", "baseline"))),
    ("assessed_before_course", treated(facts.course(90, "RT2", index=False), assessed(80, course_id="RT2"))),
    ("attributed_to_later_treatment", treated(facts.line(90), assessed(80, "follow_up", related("line:S1")))),
    ("serious_event_reported_late", treated(serious(TOLD - timedelta(hours=24, seconds=1)))),
    ("fact_after_death", treated(died(60), assessed(61))),
    ("fact_after_death", treated(died(60), contact(61))),
    ("fact_after_death", treated(died(60), facts.procedure(61))),
    ("fact_after_death", treated(died("2024-03"), alive("2024-04"))),
    ("fact_after_withdrawal", treated(facts.withdrawn(60), contact(61))),
    ("fact_after_withdrawal", treated(facts.withdrawn(60), alive(61, "registry"))),
    ("fact_after_withdrawal", treated(registry_consent(), facts.withdrawn(60), alive(61, "clinic"))),
    ("death_without_date", treated(died(None))),
    ("imprecise_end_of_follow_up", treated(died("2024-07"))),
    ("imprecise_end_of_follow_up", treated(lost("2024"))),
    ("imprecise_course_end", story(facts.course(), facts.completed("2024-03"))),
    ("course_without_end", story(facts.course())),
    ("sbrt_fractionation", story(facts.course(0, "RT1", sbrt(6, 600)), facts.completed())),
    ("sbrt_fractionation", story(facts.course(0, "RT1", sbrt(5, 499)), facts.completed())),
    ("sbrt_fractionation", treated(facts.changed(5, "RT1", sbrt(8, 500)))),
    ("two_prescriptions_on_one_day",
     treated(facts.changed(5), facts.changed(5, "RT1", facts.target(fractions=18)))),
    ("two_prescriptions_on_one_day",
     treated(facts.changed("2024-02"), facts.changed("2024-02-15", "RT1", facts.target(fractions=18)))),
    ("high_fraction_dose", story(facts.course(0, "RT1", facts.target(fractions=1, each=2401)), facts.completed())),
    ("no_assessment_after_index_course", story(facts.course(), facts.completed(), assessed(27, "during_rt"))),
    ("no_assessment_after_index_course", story(facts.course(), facts.completed(), died(200))),
    ("imprecise_contact", treated(contact("2024-06"))),
    ("visit_slot_conflict", treated(contact(VISIT_1, visit=2))),
    ("visit_slot_conflict", treated(assessed(VISIT_2, visit=1))),
    ("visit_slot_conflict", treated(contact(40, visit=1))),
    ("visit_slot_conflict", treated(contact("2024-03", visit=1))),
    ("visit_slot_conflict", treated(contact(VISIT_1, visit=9))),
    ("visit_slot_conflict", story(facts.course(), contact(VISIT_1, visit=1))),
    ("missed_visit_not_planned", treated(missed(9, 120))),
    ("visit_missed_though_done", treated(missed(1, 120), contact(VISIT_1))),
    ("visit_missed_though_done", story(missed(1, 120), contact(VISIT_1, visit=1))),
    ("local_progression_not_stated", treated(contact(VISIT_1, disease=seen("L1")))),
    ("local_progression_not_stated", treated(contact(VISIT_1, disease=seen("L1")), progressed(VISIT_1 + 31))),
    ("local_progression_not_stated",
     treated(contact(VISIT_1, disease=seen("L1")), progressed(VISIT_1, lesion_id="L2"))),
    ("regional_progression_not_stated", treated(contact(VISIT_1, disease=seen(regional="progressed")))),
    ("distant_progression_not_stated",
     treated(contact(VISIT_1, disease=seen(distant="progressed")), progressed(VISIT_1))),
    ("response_without_progression", treated(contact(VISIT_1, response="PD"))),
    ("lesion_before_it_was_found",
     treated(facts.lesion("L2", 80), contact(70, disease=seen("L2", status="controlled")))),
    ("lesion_before_it_was_found", treated(facts.lesion("L2", 80), progressed(70, lesion_id="L2"))),
]  # fmt: skip
STAYS_SHUT: list[tuple[str, Story]] = [
    ("grade_5_without_death", treated(assessed(40, "follow_up", finding(5)), died(41))),
    ("grade_5_without_death", treated(assessed(40, "follow_up", finding(5)), died(None))),
    ("grade_5_without_death", treated(assessed(40, "follow_up", finding(5, FETAL)))),
    ("grade_5_without_death", treated(serious(grade=5, term=FETAL, outcome="FATAL"))),
    ("grade_5_without_death", treated(serious(grade=5), update(4))),
    ("grade_5_without_death", treated(serious(), update(4, aware_at=LATER), update(5))),
    ("grade_5_without_death", treated(serious(), resolved("FATAL"), update(outcome="UNKNOWN", aware_at=LATER))),
    ("death_of_treatment_without_grade_5", treated(died(60, "treatment"), assessed(50, "follow_up", finding(5)))),
    ("death_of_treatment_without_grade_5", treated(died(60, "treatment"), serious(grade=5))),
    ("death_of_treatment_without_grade_5", treated(died(60, "tumour"))),
    ("ungraded_event", treated(assessed(40, "follow_up", finding(0)))),
    ("two_prescriptions_on_one_day", treated(facts.changed(5), facts.changed(5))),
    ("two_prescriptions_on_one_day",
     treated(facts.changed(5), facts.changed(6, "RT1", facts.target(fractions=18)))),
    ("two_prescriptions_on_one_day",
     story(facts.course(), facts.course(90, "RT2", index=False), facts.changed(5),
           facts.changed(5, "RT2", facts.target(fractions=18)))),
    ("baseline_toxicity_after_course_start", treated(assessed(0, "baseline"))),
    ("baseline_toxicity_after_course_start", treated(assessed("2024-02", "baseline"))),
    ("baseline_toxicity_after_course_start",
     treated(facts.course(90, "RT2", index=False), assessed(80, "baseline", course_id="RT2"))),
    ("assessed_before_course",
     treated(facts.course(90, "RT2", index=False), assessed(80, "baseline", course_id="RT2"))),
    ("attributed_to_later_treatment", treated(facts.line(80), assessed(80, "follow_up", related("line:S1")))),
    ("attributed_to_later_treatment",
     treated(facts.line(90), assessed(80, "follow_up", related("line:S1", "unrelated"), finding(1, "3.0:0151")))),
    ("serious_event_reported_late", treated(serious(TOLD - timedelta(hours=24)))),
    ("fact_after_death", treated(died("2024-03"), contact("2024-03-20"))),
    ("fact_after_death", treated(died(60), facts.lesion("L2", 61), progressed(61, basis="histology"))),
    ("fact_after_death", treated(died(None), contact(400))),
    ("fact_after_withdrawal", treated(facts.withdrawn(60), contact(60), died(90))),
    ("fact_after_withdrawal", treated(registry_consent(), facts.withdrawn(60), alive(61, "registry"))),
    ("death_without_date", treated(died("2024"))),
    ("imprecise_end_of_follow_up", treated(died(60))),
    ("imprecise_course_end", treated(facts.course(200, "RT2", index=False), facts.completed("2024-09", "RT2"))),
    ("course_without_end", story(facts.course(), facts.discontinued())),
    ("sbrt_fractionation", story(facts.course(0, "RT1", sbrt(5, 500)), facts.completed())),
    ("sbrt_fractionation", treated()),
    ("high_fraction_dose", story(facts.course(0, "RT1", facts.target(fractions=1, each=2400)), facts.completed())),
    ("no_assessment_after_index_course", treated()),
    ("no_assessment_after_index_course", story(facts.course(), facts.completed(), died(60))),
    ("no_assessment_after_index_course", story(facts.course(), facts.completed(), died(None))),
    ("no_assessment_after_index_course", story(facts.course(), facts.completed(), lost(60))),
    ("no_assessment_after_index_course", story(facts.course(), facts.completed(), assessed("2024-02"))),
    ("visit_slot_conflict", treated(contact(VISIT_1, visit=1), assessed(VISIT_2, visit=2))),
    ("visit_slot_conflict", treated(contact("2024-08", visit=1), contact("2024-08", visit=2))),
    ("visit_slot_conflict", treated(contact(40))),
    ("missed_visit_not_planned", treated(missed(8, 120))),
    ("visit_missed_though_done", treated(missed(1, 120), contact(VISIT_2))),
    ("visit_missed_though_done", treated(missed(1, 120), contact(40))),
    ("local_progression_not_stated", treated(contact(VISIT_1, disease=seen("L1")), progressed(VISIT_1 - 30))),
    ("local_progression_not_stated", treated(contact(VISIT_1, disease=seen("L1")), progressed("2024-06"))),
    ("local_progression_not_stated", treated(contact(VISIT_1, disease=seen("L1", status="necrosis")))),
    ("regional_progression_not_stated",
     treated(contact(VISIT_1, disease=seen(regional="progressed")), progressed(VISIT_1 + 30, "regional"))),
    ("distant_progression_not_stated",
     treated(contact(VISIT_1, disease=seen(distant="progressed")), progressed(VISIT_1, "distant"))),
    ("response_without_progression", treated(contact(VISIT_1, response="PD", disease=seen("L1")))),
    ("response_without_progression", treated(contact(VISIT_1, response="PD"), progressed(VISIT_1, "distant"))),
    ("lesion_before_it_was_found",
     treated(facts.lesion("L2", 80), contact(70, disease=seen("L2", status="not_assessed")))),
    ("lesion_before_it_was_found", treated(facts.lesion("L2", "2024-04"), progressed(70, lesion_id="L2"))),
]  # fmt: skip


def numbered(stories: list[tuple[str, Story]]) -> list[Any]:
    return [pytest.param(rule, told, id=f"{rule}-{place}") for place, (rule, told) in enumerate(stories)]


@pytest.mark.parametrize(("rule", "told"), numbered(OPENS))
def test_a_contradiction_is_asked_about(rule: str, told: Story) -> None:
    (query,) = told.asked(rule)
    assert set(query.event_ids) <= {event.event_id for event in told.events}
    assert query.text.endswith((".", "?"))
    assert query.text[0].isupper()


@pytest.mark.parametrize(("rule", "told"), numbered(STAYS_SHUT))
def test_what_is_no_contradiction_is_not_asked_about(rule: str, told: Story) -> None:
    assert told.asked(rule) == []


def test_every_rule_is_seen_to_open_and_says_what_it_asks() -> None:
    assert {rule for rule, _ in OPENS} | {"missing_baseline"} == RULES.keys()
    assert all(rule.__doc__ for rule in RULES.values())


def test_nothing_is_asked_of_a_story_without_contradictions() -> None:
    whole = treated(
        contact(VISIT_1, visit=1), assessed(VISIT_1, visit=1, course_id="RT1"), contact(VISIT_2), alive(300)
    )
    assert whole.queries() == []


@pytest.mark.parametrize(("rule", "told"), numbered(OPENS))
def test_every_query_closes_once_the_fact_that_it_is_about_is_taken_back(rule: str, told: Story) -> None:
    (query,) = told.asked(rule)
    rest = Story(told.plan, [event for event in told.events if event.event_id not in query.event_ids])
    assert query.key not in {each.key for each in rest.queries()}


Mending = tuple[str, Told, Fact]
MENDED: list[Mending] = [
    ("grade_5_without_death", (assessed(40, "follow_up", finding(5)),), died(41)),
    ("death_of_treatment_without_grade_5", (died(60, "treatment"),), assessed(59, "follow_up", finding(5))),
    ("local_progression_not_stated", (contact(VISIT_1, disease=seen("L1")),), progressed(VISIT_1)),
    ("response_without_progression", (contact(VISIT_1, response="PD"),), progressed(VISIT_1, "regional")),
    ("course_without_end", (facts.course(90, "RT2", index=False),), facts.completed(100, "RT2")),
]


@pytest.mark.parametrize(("rule", "told", "mends"), MENDED)
def test_a_query_closes_by_itself_with_the_fact_that_was_missing(rule: str, told: Told, mends: Fact) -> None:
    made = treated(*told)
    assert len(made.asked(rule)) == 1
    made.tell(mends)
    assert made.asked(rule) == []


CORRECTED: list[tuple[str, Fact, Fact]] = [
    ("visit_slot_conflict", contact(VISIT_1, visit=2), contact(VISIT_1, visit=1)),
    ("ungraded_event", assessed(40, "follow_up", finding(None)), assessed(40, "follow_up", finding(1))),
    ("death_without_date", died(None), died(60)),
    ("serious_event_reported_late", serious(TOLD - timedelta(days=2)), serious(TOLD - timedelta(hours=2))),
]


@pytest.mark.parametrize(("rule", "wrong", "right"), CORRECTED)
def test_a_query_closes_by_itself_with_the_correction_and_opens_again(rule: str, wrong: Fact, right: Fact) -> None:
    made = treated()
    told = made.tell(wrong)
    (query,) = made.asked(rule)
    made.restate(told, right)
    assert made.asked(rule) == []
    made.restate(told, wrong)
    assert [each.key for each in made.asked(rule)] == [query.key]


def test_a_corrected_end_of_the_course_asks_about_visits_that_no_longer_fit() -> None:
    made = story(facts.course("2025-01-01"), assessed("2025-01-10"))
    end = made.tell(facts.completed("2025-01-10"))
    made.tell(contact("2025-04-05", visit=1))
    later = date(2025, 5, 20)
    assert made.asked("visit_slot_conflict", later) == []
    made.restate(end, facts.completed("2025-02-10"))
    (query,) = made.asked("visit_slot_conflict", later)
    assert "before the first visit" in query.text


def test_a_plan_with_a_schedule_for_each_course_counts_from_the_course_that_is_named() -> None:
    plan = {"follow_up": {"anchor_policy": "per_course"}}
    second = (
        facts.course(200, "RT2", index=False),
        facts.completed(210, "RT2"),
        contact(300, visit=1, course_id="RT2"),
    )
    assert treated(*second, **plan).asked("visit_slot_conflict") == []
    assert len(treated(*second).asked("visit_slot_conflict")) == 1


def test_a_deadline_opens_a_query_on_the_day_after_it_and_dates_it() -> None:
    opens: list[tuple[str, Callable[[], Story], int]] = [
        ("course_without_end", lambda: story(facts.course()), 121),
        ("no_assessment_after_index_course", lambda: story(facts.course(), facts.completed()), 133),
    ]
    for rule, told, first in opens:
        assert told().asked(rule, day(first - 1)) == []
        (query,) = told().asked(rule, day(first))
        assert query.since == day(first)


def test_a_baseline_is_missed_two_weeks_after_enrolment_or_when_treatment_begins() -> None:
    waiting = Story()
    waiting.tell(*facts.ON_STUDY)
    assert waiting.asked("missing_baseline", day(13)) == []
    (query,) = waiting.asked("missing_baseline", day(14))
    waiting.tell(facts.course(3))
    (earlier,) = waiting.asked("missing_baseline", day(3))
    assert (earlier.key, query.since, earlier.since) == (query.key, day(14), day(3))
    waiting.tell(facts.baseline())
    assert waiting.asked("missing_baseline") == []


def test_a_query_stands_since_the_last_of_its_facts_was_recorded() -> None:
    made = treated()
    made.tell(died(60), at=TOLD + timedelta(days=70))
    made.tell(assessed(61), at=TOLD + timedelta(days=90))
    (query,) = made.asked("fact_after_death")
    assert query.since == (TOLD + timedelta(days=90)).date()


def test_a_serious_event_reads_as_it_was_known_last_in_whatever_order_it_is_reported() -> None:
    day_later = update(4, aware_at=TOLD + timedelta(days=1))
    for told in ((update(5), day_later), (day_later, update(5))):
        assert treated(serious(), *told).asked("grade_5_without_death") == []
    assert len(treated(serious(), day_later, update(5, aware_at=TOLD + timedelta(days=2))).queries()) == 1


def test_a_key_is_made_of_the_rule_and_the_events_alone() -> None:
    made = treated(died(60))
    (query,) = [*made.asked("fact_after_death"), *treated(died(60), contact(61)).asked("fact_after_death")]
    said = "\n".join([query.rule, *sorted(map(str, query.event_ids))])
    assert query.key == sha256(said.encode()).hexdigest()
    assert list(query.event_ids) == sorted(query.event_ids)


def test_each_progressed_lesion_is_a_query_of_its_own() -> None:
    made = treated(facts.lesion("L2"), contact(VISIT_1, disease=seen("L1", "L2")))
    assert len({query.key for query in made.asked("local_progression_not_stated")}) == 2


def test_a_question_about_an_imprecise_day_names_the_day_that_it_is_taken_for() -> None:
    made = story(facts.course("2024-03-20"), facts.completed("2024-03"), contact("2024-11-20"), died("2024-11"))
    (end,), (death,) = made.asked("imprecise_course_end"), made.asked("imprecise_end_of_follow_up")
    assert "has a partial date (2024-03). Visits are counted from 2024-03-20." in end.text
    assert death.text == ("The death of 2024-11 has a partial date. Analyses use 2024-11-20. What is the exact date?")


@given(seed=st.integers(0, 2**32))
def test_the_order_of_arrival_changes_neither_keys_nor_words(seed: int) -> None:
    events = TANGLED.events
    shuffled = Story(TANGLED.plan, random.Random(seed).sample(events, len(events)))  # noqa: S311 - a seeded shuffle
    assert shuffled.queries() == AS_TOLD


@given(seed=st.integers(0, 2**32))
def test_the_order_in_which_a_site_states_what_happened_changes_neither_keys_nor_words(seed: int) -> None:
    told = [event for event in TANGLED.events if event.type != "participant.transferred"]
    assert Story(TANGLED.plan, stated_anew(told, seed)).queries() == Story(TANGLED.plan, told).queries()


TANGLED = treated(
    serious(TOLD - timedelta(days=3), 5), update(4), update(5, aware_at=LATER), resolved("FATAL"),
    update(outcome="UNKNOWN"), facts.changed(5), facts.changed(5, "RT1", facts.target(fractions=18)),
    assessed(40, "follow_up", finding(5), finding(None, FETAL)),
    facts.lesion("L2", 150), contact("2024-06", visit=3, response="PD"), contact(140, disease=seen("L1", "L2")),
    facts.line(90), assessed(50, "follow_up", related("line:S1")), missed(1, 120), facts.withdrawn(130),
    facts.transferred("milan", 50), facts.transferred("paris", 50), died(150, "treatment"), alive(160),
)  # fmt: skip
AS_TOLD = TANGLED.queries()


def test_the_tangled_story_asks_a_good_deal() -> None:
    assert len({query.rule for query in AS_TOLD}) >= 9
    assert [row.site_id for row in TANGLED.listed()] == ["paris"] * len(AS_TOLD)


def test_an_explanation_marks_its_query_and_one_without_a_query_is_listed_with_its_key() -> None:
    made = treated(died(None))
    (query,) = made.queries()
    other = "0" * 64
    one, two = made.tell(explained(query.key)), made.tell(explained(other))
    rows = {row.key: row for row in made.listed()}
    assert (rows[query.key].query, rows[query.key].explained_by, rows[query.key].state) == (query, (one,), "explained")
    assert (rows[other].query, rows[other].explained_by, rows[other].since) == (None, (two,), TOLD.date())
    made.void(one)
    assert {row.key: row.state for row in made.listed()} == {query.key: "open", other: "explained"}


def test_nothing_is_asked_about_who_may_not_be_used() -> None:
    made = treated(died(None))
    assert len(made.listed()) == 1
    made.out = frozenset({WHO})
    assert made.listed() == []


def test_the_end_of_the_study_ends_the_wait_for_an_assessment() -> None:
    made = story(facts.course(), facts.completed())
    made.closed_on = day(60)
    assert made.asked("no_assessment_after_index_course") == []
    resumed_again = story(facts.course(), facts.completed(), lost(60), resumed(90))
    assert len(resumed_again.asked("no_assessment_after_index_course", TODAY)) == 1
