from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from services.enrollment.participant import objections
from shared.kernel.fact import Fact
from shared.kernel.record import Refused, decide, judge, standing
from shared.testing.facts import (
    MET,
    ON_STUDY,
    baseline,
    completed,
    consented,
    correction,
    course,
    enrolled,
    lesion,
    line,
    line_stopped,
    procedure,
    screen_failed,
    screened,
    target,
    transferred,
    voided,
    withdrawn,
)
from shared.testing.spec import Spec, history, open_gate

participant = Spec(objections)


def answering(histology: str) -> Fact:
    return screened(criteria={**MET, "histology": histology})


def test_an_eligible_and_consented_participant_is_enrolled() -> None:
    participant.given(screened(), consented()).when(enrolled()).then_admitted()


def test_nobody_is_enrolled_without_consent() -> None:
    participant.given(screened()).when(enrolled()).then_refused("no-consent")


@pytest.mark.parametrize("answer", ["not_met", "not_assessed"])
def test_nobody_is_enrolled_with_a_criterion_that_is_not_met(answer: str) -> None:
    participant.given(answering(answer), consented()).when(enrolled()).then_refused("not-eligible")


def test_a_waived_criterion_does_not_stand_in_the_way() -> None:
    participant.given(answering("waived"), consented()).when(enrolled()).then_admitted()


def test_every_objection_is_told_at_once() -> None:
    participant.given(answering("not_met")).when(enrolled()).then_refused("no-consent", "not-eligible")


def test_a_message_counts_the_criteria_and_quotes_neither_their_names_nor_the_answers() -> None:
    past, proposed = history([answering("not_assessed"), consented()]), history([enrolled()], 3)
    with pytest.raises(Refused, match="nor waived: 1") as refusal:
        decide(past, proposed, objections, open_gate)
    assert not {"not_assessed", "histology"} & set(str(refusal.value).split())


def test_consent_dated_after_enrolment_does_not_count() -> None:
    participant.given(screened(), consented(1)).when(enrolled()).then_refused("no-consent")


def test_one_consent_in_time_is_enough() -> None:
    participant.given(screened(), consented(9), consented(-1)).when(enrolled()).then_admitted()


@pytest.mark.parametrize(("on", "signed"), [("2024-02", 20), ("2024", 300), (0, "2024-02"), (0, "2024")])
def test_a_date_in_part_counts_as_every_day_that_it_may_be(on: int | str, signed: int | str) -> None:
    participant.given(screened(), consented(signed)).when(enrolled(on)).then_admitted()


@pytest.mark.parametrize(("on", "signed"), [("2024-02", 40), ("2024", "2025"), (0, "2024-03"), ("2024-01", "2024-02")])
def test_a_date_in_part_is_refused_only_where_no_day_of_it_would_do(on: int | str, signed: int | str) -> None:
    participant.given(screened(), consented(signed)).when(enrolled(on)).then_refused("no-consent")


def test_consent_may_be_renewed_at_any_time() -> None:
    participant.given(*ON_STUDY).when(consented(300)).then_admitted()
    participant.given(*ON_STUDY).when(consented(-300)).then_admitted()


@pytest.mark.parametrize("stated", [consented(), transferred()])
def test_only_who_was_screened_consents_or_moves(stated: Fact) -> None:
    participant.given().when(stated).then_refused("not-screened")
    participant.given(screened()).when(stated).then_admitted()
    participant.given().when(stated, screened()).then_admitted()


@pytest.mark.parametrize("fact", [screened(), enrolled(), voided()])
def test_what_is_true_once_is_stated_once(fact: Fact) -> None:
    past = (*ON_STUDY, voided())
    participant.given(*past).when(fact).then_refused("stated-twice")


def test_who_is_enrolled_has_not_failed_the_screening() -> None:
    participant.given(screened()).when(screen_failed()).then_admitted()
    participant.given(*ON_STUDY).when(screen_failed()).then_refused("enrolled-already")
    participant.given(screened(), consented(), screen_failed()).when(enrolled()).then_refused("enrolled-already")
    participant.given(screened(), screen_failed()).when(screen_failed(3)).then_refused("stated-twice")


def test_a_voided_screen_failure_opens_the_way_to_enrolment() -> None:
    past = screened(), consented(), screen_failed()
    participant.given(*past).when(correction(3, None), enrolled()).then_admitted()


@pytest.mark.parametrize("stated", [baseline(), lesion(), course()])
def test_what_is_said_of_participants_waits_for_their_enrolment(stated: Fact) -> None:
    participant.given(screened(), consented()).when(stated).then_refused("not-enrolled")
    participant.given(*ON_STUDY).when(stated).then_admitted()
    participant.given(screened(), consented()).when(stated, enrolled()).then_admitted()


@pytest.mark.parametrize("stated", [baseline(), lesion(), course()])
def test_an_enrolment_is_not_taken_from_under_what_rests_on_it(stated: Fact) -> None:
    participant.given(*ON_STUDY, stated).when(correction(3, None)).then_refused("not-enrolled")


def test_the_baseline_is_described_once() -> None:
    participant.given(*ON_STUDY, baseline()).when(baseline(3)).then_refused("stated-twice")
    participant.given(*ON_STUDY, baseline()).when(correction(4, baseline(3))).then_admitted()


def test_unknown_parts_of_a_baseline_are_said_to_be_unknown() -> None:
    unknown = {"not_reported": "done elsewhere"}
    said = baseline(performance=unknown, molecular_findings=unknown, tnm={"t": unknown, "n": unknown, "m": "M1"})
    participant.given(*ON_STUDY).when(said).then_admitted()


@pytest.mark.parametrize(
    "wrong",
    [
        {"performance": {"scale": "KPS", "value": 85}},
        {"performance": {"scale": "KPS", "value": 110}},
        {"performance": {"scale": "KPS", "value": -10}},
        {"performance": {"scale": "ECOG", "value": 6}},
        {"performance": {"scale": "KPS", "value": True}},
        {"performance": {"scale": "KPS", "value": "80"}},
        {"performance": None},
        {"performance": {"not_reported": " "}},
        {"tnm": {"t": "T5", "n": "N0", "m": "M0"}},
        {"tnm": {"t": "T1", "n": "N0", "m": "M0", "edition": "5"}},
        {"tnm": {"t": "T1", "n": "N0", "m": "M0", "stage": "IVB"}},
        {"histology": "anaplastic"},
        {"primary_site": "thyroid"},
        {"metastatic_sites": ["heart"]},
        {"symptoms": [{"symptom": "dyspnoea", "severity": 11}]},
        {"molecular_findings": [{"gene": "BRAF", "result": "positive"}]},
        {"diagnosed_on": None},
    ],
)
def test_a_baseline_outside_its_value_sets_cannot_be_said(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        baseline(**wrong)


@pytest.mark.parametrize("value", [0, 50, 100])
def test_karnofsky_goes_by_tens_from_0_to_100(value: int) -> None:
    participant.given(*ON_STUDY).when(baseline(performance={"scale": "KPS", "value": value})).then_admitted()


@pytest.mark.parametrize("bad", ["0", 0, "01.02.2024", "2024-02-30", "2024-13", "2024-02-01T00:00:00", True, None, "",
                                 "2024-2-1", " 2024-02-01", "1899-12-31", "٢٠٢٤"])  # fmt: skip
@pytest.mark.parametrize("member", ["assessed_on", "diagnosed_on"])
def test_only_iso_dates_are_dates(bad: object, member: str) -> None:
    said: dict[str, Any] = {member: bad}
    with pytest.raises(ValidationError):
        baseline(**said)


def test_a_consent_is_withdrawn_once_per_scope() -> None:
    participant.given(screened()).when(withdrawn()).then_refused("no-consent")
    participant.given(*ON_STUDY, withdrawn(30)).when(withdrawn(50, "data_use")).then_admitted()
    participant.given(*ON_STUDY, withdrawn(30)).when(withdrawn(50)).then_refused("withdrawn-twice")
    participant.given(*ON_STUDY, withdrawn(30)).when(correction(4, withdrawn(50))).then_admitted()


def test_who_consented_and_was_never_enrolled_may_withdraw_too() -> None:
    participant.given(screened(), consented()).when(withdrawn()).then_admitted()


def test_a_withdrawal_is_never_refused_for_what_is_recorded_already() -> None:
    participant.given(*ON_STUDY, course(), completed(40)).when(withdrawn(30)).then_admitted()


def test_a_lesion_has_an_id_of_its_own() -> None:
    participant.given(*ON_STUDY, lesion("L1")).when(lesion("L1")).then_refused("lesion-exists")
    participant.given(*ON_STUDY, lesion("L1")).when(lesion("L2")).then_admitted()
    participant.given(*ON_STUDY).when(lesion("L1"), lesion("L1")).then_refused("lesion-exists")


def test_procedures_and_lines_may_lie_before_the_enrolment() -> None:
    participant.given(screened()).when(procedure(-300), line(-200), line_stopped(-100)).then_admitted()


BIRTH = screened(birth_year=1990)


@pytest.mark.parametrize(
    ("stated", "members"),
    [
        (consented("1989-12-31"), {"/signed_on"}),
        (procedure("1989"), {"/performed_on"}),
        (lesion(when="1989-06"), {"/found_on"}),
        (baseline("1980", diagnosed_on="1981-01"), {"/assessed_on", "/diagnosed_on"}),
    ],
)
def test_nothing_lies_before_the_year_of_birth(stated: Fact, members: set[str]) -> None:
    said = history([BIRTH, consented(), enrolled(), stated])
    raised = {objection for event, objection in judge(standing(said), objections) if event == said[3].event_id}
    assert {objection.member for objection in raised if objection.code == "before-birth"} == members
    assert {objection.because_of for objection in raised} == {said[0].event_id}


def test_the_year_of_birth_itself_is_not_before_it() -> None:
    participant.given(BIRTH).when(procedure("1990"), procedure("1990-01-01")).then_admitted()


def test_a_year_of_birth_is_not_corrected_to_after_what_is_stated() -> None:
    later = correction(1, screened(birth_year=2024))
    participant.given(screened(), procedure("2023")).when(later).then_refused("before-birth")


def test_nobody_is_screened_before_being_born() -> None:
    participant.given().when(screened(birth_year=2025)).then_refused("before-birth")


def test_voiding_one_of_three_doubles_is_a_mend() -> None:
    tripled = history([screened(), consented(), enrolled(), enrolled(1), enrolled(2)])
    decide(tripled, history([correction(5, None)], 9), objections, open_gate)


def test_an_old_fault_does_not_block_a_mend_of_something_else() -> None:
    faulty = history([screened(), enrolled()])  # came in before the rule was made
    decide(faulty, history([correction(1, screened(-3))], 9), objections, open_gate)


def test_a_batch_is_judged_as_a_whole() -> None:
    participant.given(*ON_STUDY).when(course(0, "RT1", target("T1", "L1")), lesion("L1")).then_admitted()
    participant.given().when(enrolled(), consented(), screened()).then_admitted()


def test_a_correction_that_takes_the_ground_from_another_fact_is_refused() -> None:
    participant.given(*ON_STUDY).when(correction(2, consented(9))).then_refused("no-consent")
    participant.given(*ON_STUDY).when(correction(2, None)).then_refused("no-consent")
    participant.given(*ON_STUDY).when(correction(1, answering("not_met"))).then_refused("not-eligible")
    participant.given(*ON_STUDY).when(correction(1, None)).then_refused("not-screened")


def test_a_correction_refused_alone_passes_with_the_one_that_it_needs() -> None:
    participant.given(*ON_STUDY).when(correction(2, consented(9)), correction(3, enrolled(9))).then_admitted()


def test_a_void_fact_can_be_re_instated() -> None:
    participant.given(*ON_STUDY, correction(3, None)).when(correction(3, enrolled(2))).then_admitted()
    participant.given(*ON_STUDY, correction(3, None), enrolled()).when(correction(3, enrolled())).then_refused(
        "stated-twice"
    )


def test_what_was_voided_can_be_voided_again() -> None:
    participant.given(*ON_STUDY, correction(3, None)).when(correction(3, None)).then_admitted()


def test_the_last_correction_counts() -> None:
    past = (screened(), consented(9), correction(2, consented(0)), correction(2, consented(5)))
    participant.given(*past).when(enrolled(4)).then_refused("no-consent")
    participant.given(*past).when(enrolled(5)).then_admitted()


def test_two_course_ids_can_be_swapped_in_one_batch() -> None:
    past = (*ON_STUDY, course(0, "A"), course(50, "B", index=False))
    swap = correction(4, course(0, "B")), correction(5, course(50, "A", index=False))
    participant.given(*past).when(swap[0]).then_refused("course-exists")
    participant.given(*past).when(*swap).then_admitted()


def test_two_lesion_ids_can_be_swapped_in_one_batch() -> None:
    past = (*ON_STUDY, lesion("A", 1), lesion("B", 2), course(3, "RT1", target("T1", "A")))
    swap = correction(4, lesion("B", 1)), correction(5, lesion("A", 2))
    participant.given(*past).when(swap[0]).then_refused("lesion-exists", "no-such-lesion")
    participant.given(*past).when(*swap).then_admitted()


@pytest.mark.parametrize("replace", [consented, enrolled, withdrawn, procedure])
def test_a_fact_is_restated_by_one_of_its_own_type_only(replace: Callable[[], Fact]) -> None:
    participant.given(screened()).when(correction(1, replace())).then_refused("other-type")


def test_another_type_is_a_void_and_a_new_fact_in_one_batch() -> None:
    participant.given(screened(), screen_failed()).when(correction(2, None), consented()).then_admitted()


@pytest.mark.parametrize("replacement", [None, enrolled()])
def test_an_event_that_the_record_does_not_have_cannot_be_corrected(replacement: Fact | None) -> None:
    participant.given(*ON_STUDY).when(correction(77, replacement)).then_refused("no-such-event")


def test_a_correction_is_not_itself_corrected() -> None:
    participant.given(*ON_STUDY, correction(2, consented(-1))).when(correction(4, None)).then_refused("no-such-event")


def test_an_event_of_the_same_batch_can_be_corrected() -> None:
    participant.given(screened(), consented()).when(enrolled(-5), correction(3, enrolled())).then_admitted()


def test_a_correction_cannot_hold_a_correction() -> None:
    with pytest.raises(ValidationError):
        correction(1, correction(1, None))
