"""Rules of a participant's record: screening, consent, enrollment, baseline, withdrawal and lesions."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from services.enrollment.rules.participant import objections
from shared.kernel.fact import Fact
from shared.kernel.objection import RuleViolation
from shared.kernel.record import all_objections, current_record, decide
from shared.testing.builders.facts import (
    CRITERIA_MET,
    ENROLLMENT_FACTS,
    baseline_recorded,
    consent_signed,
    consent_withdrawn,
    correction,
    lesion_registered,
    participant_enrolled,
    participant_screened,
    participant_transferred,
    participant_voided,
    procedure_performed,
    radiotherapy_completed,
    radiotherapy_started,
    screening_failed,
    systemic_therapy_started,
    systemic_therapy_stopped,
)
from shared.testing.spec import Spec, numbered_facts, open_gate

participant_spec = Spec(objections)


def screening_with_histology(histology: str) -> Fact:
    return participant_screened(criteria={**CRITERIA_MET, "histology": histology})


def test_eligible_participant_with_consent_is_enrolled() -> None:
    participant_spec.given(participant_screened(), consent_signed()).when(participant_enrolled()).then_admitted()


def test_enrollment_requires_consent() -> None:
    participant_spec.given(participant_screened()).when(participant_enrolled()).then_refused("no-consent")


@pytest.mark.parametrize("answer", ["not_met", "not_assessed"])
def test_enrollment_requires_all_criteria_to_be_met(answer: str) -> None:
    participant_spec.given(screening_with_histology(answer), consent_signed()).when(
        participant_enrolled()
    ).then_refused("not-eligible")


def test_waived_criterion_does_not_prevent_enrollment() -> None:
    participant_spec.given(screening_with_histology("waived"), consent_signed()).when(
        participant_enrolled()
    ).then_admitted()


def test_all_objections_are_returned_at_once() -> None:
    participant_spec.given(screening_with_histology("not_met")).when(participant_enrolled()).then_refused(
        "no-consent", "not-eligible"
    )


def test_message_counts_criteria_without_quoting_names_or_answers() -> None:
    recorded, proposed = (
        numbered_facts([screening_with_histology("not_assessed"), consent_signed()]),
        numbered_facts([participant_enrolled()], 3),
    )
    with pytest.raises(RuleViolation, match="nor waived: 1") as violation:
        decide(recorded, proposed, objections, open_gate)
    assert not {"not_assessed", "histology"} & set(str(violation.value).split())


def test_consent_dated_after_enrollment_does_not_count() -> None:
    participant_spec.given(participant_screened(), consent_signed(1)).when(participant_enrolled()).then_refused(
        "no-consent"
    )


def test_one_consent_in_time_is_enough() -> None:
    participant_spec.given(participant_screened(), consent_signed(9), consent_signed(-1)).when(
        participant_enrolled()
    ).then_admitted()


@pytest.mark.parametrize(("on", "signed"), [("2024-02", 20), ("2024", 300), (0, "2024-02"), (0, "2024")])
def test_partial_date_is_accepted_if_any_of_its_days_fits(on: int | str, signed: int | str) -> None:
    participant_spec.given(participant_screened(), consent_signed(signed)).when(
        participant_enrolled(on)
    ).then_admitted()


@pytest.mark.parametrize(("on", "signed"), [("2024-02", 40), ("2024", "2025"), (0, "2024-03"), ("2024-01", "2024-02")])
def test_partial_date_is_refused_if_none_of_its_days_fits(on: int | str, signed: int | str) -> None:
    participant_spec.given(participant_screened(), consent_signed(signed)).when(participant_enrolled(on)).then_refused(
        "no-consent"
    )


def test_consent_may_be_renewed_at_any_time() -> None:
    participant_spec.given(*ENROLLMENT_FACTS).when(consent_signed(300)).then_admitted()
    participant_spec.given(*ENROLLMENT_FACTS).when(consent_signed(-300)).then_admitted()


@pytest.mark.parametrize("stated", [consent_signed(), participant_transferred()])
def test_consent_and_transfer_require_screening(stated: Fact) -> None:
    participant_spec.given().when(stated).then_refused("not-screened")
    participant_spec.given(participant_screened()).when(stated).then_admitted()
    participant_spec.given().when(stated, participant_screened()).then_admitted()


@pytest.mark.parametrize("fact", [participant_screened(), participant_enrolled(), participant_voided()])
def test_screening_enrollment_and_voiding_are_recorded_once(fact: Fact) -> None:
    recorded = (*ENROLLMENT_FACTS, participant_voided())
    participant_spec.given(*recorded).when(fact).then_refused("stated-twice")


def test_enrollment_and_screening_failure_exclude_each_other() -> None:
    participant_spec.given(participant_screened()).when(screening_failed()).then_admitted()
    participant_spec.given(*ENROLLMENT_FACTS).when(screening_failed()).then_refused("enrolled-already")
    participant_spec.given(participant_screened(), consent_signed(), screening_failed()).when(
        participant_enrolled()
    ).then_refused("enrolled-already")
    participant_spec.given(participant_screened(), screening_failed()).when(screening_failed(3)).then_refused(
        "stated-twice"
    )


def test_enrollment_is_possible_after_voiding_a_screening_failure() -> None:
    recorded = participant_screened(), consent_signed(), screening_failed()
    participant_spec.given(*recorded).when(correction(3, None), participant_enrolled()).then_admitted()


@pytest.mark.parametrize("stated", [baseline_recorded(), lesion_registered(), radiotherapy_started()])
def test_baseline_lesions_and_courses_require_enrollment(stated: Fact) -> None:
    participant_spec.given(participant_screened(), consent_signed()).when(stated).then_refused("not-enrolled")
    participant_spec.given(*ENROLLMENT_FACTS).when(stated).then_admitted()
    participant_spec.given(participant_screened(), consent_signed()).when(
        stated, participant_enrolled()
    ).then_admitted()


@pytest.mark.parametrize("stated", [baseline_recorded(), lesion_registered(), radiotherapy_started()])
def test_enrollment_cannot_be_voided_while_facts_depend_on_it(stated: Fact) -> None:
    participant_spec.given(*ENROLLMENT_FACTS, stated).when(correction(3, None)).then_refused("not-enrolled")


def test_baseline_is_recorded_once() -> None:
    participant_spec.given(*ENROLLMENT_FACTS, baseline_recorded()).when(baseline_recorded(3)).then_refused(
        "stated-twice"
    )
    participant_spec.given(*ENROLLMENT_FACTS, baseline_recorded()).when(
        correction(4, baseline_recorded(3))
    ).then_admitted()


def test_baseline_members_may_be_marked_as_not_reported() -> None:
    unknown = {"not_reported": "done elsewhere"}
    content = baseline_recorded(
        performance=unknown, molecular_findings=unknown, tnm={"t": unknown, "n": unknown, "m": "M1"}
    )
    participant_spec.given(*ENROLLMENT_FACTS).when(content).then_admitted()


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
def test_baseline_values_outside_their_value_sets_are_invalid(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        baseline_recorded(**wrong)


@pytest.mark.parametrize("value", [0, 50, 100])
def test_karnofsky_goes_by_tens_from_0_to_100(value: int) -> None:
    participant_spec.given(*ENROLLMENT_FACTS).when(
        baseline_recorded(performance={"scale": "KPS", "value": value})
    ).then_admitted()


@pytest.mark.parametrize(
    "bad",
    [
        "0",
        0,
        "01.02.2024",
        "2024-02-30",
        "2024-13",
        "2024-02-01T00:00:00",
        True,
        None,
        "",
        "2024-2-1",
        " 2024-02-01",
        "1899-12-31",
        "٢٠٢٤",
    ],
)
@pytest.mark.parametrize("member", ["assessed_on", "diagnosed_on"])
def test_only_iso_dates_are_dates(bad: object, member: str) -> None:
    content: dict[str, Any] = {member: bad}
    with pytest.raises(ValidationError):
        baseline_recorded(**content)


def test_consent_is_withdrawn_once_per_scope() -> None:
    participant_spec.given(participant_screened()).when(consent_withdrawn()).then_refused("no-consent")
    participant_spec.given(*ENROLLMENT_FACTS, consent_withdrawn(30)).when(
        consent_withdrawn(50, "data_use")
    ).then_admitted()
    participant_spec.given(*ENROLLMENT_FACTS, consent_withdrawn(30)).when(consent_withdrawn(50)).then_refused(
        "withdrawn-twice"
    )
    participant_spec.given(*ENROLLMENT_FACTS, consent_withdrawn(30)).when(
        correction(4, consent_withdrawn(50))
    ).then_admitted()


def test_participant_who_was_never_enrolled_may_withdraw() -> None:
    participant_spec.given(participant_screened(), consent_signed()).when(consent_withdrawn()).then_admitted()


def test_withdrawal_is_accepted_despite_later_recorded_facts() -> None:
    participant_spec.given(*ENROLLMENT_FACTS, radiotherapy_started(), radiotherapy_completed(40)).when(
        consent_withdrawn(30)
    ).then_admitted()


def test_lesion_ids_are_unique() -> None:
    participant_spec.given(*ENROLLMENT_FACTS, lesion_registered("L1")).when(lesion_registered("L1")).then_refused(
        "lesion-exists"
    )
    participant_spec.given(*ENROLLMENT_FACTS, lesion_registered("L1")).when(lesion_registered("L2")).then_admitted()
    participant_spec.given(*ENROLLMENT_FACTS).when(lesion_registered("L1"), lesion_registered("L1")).then_refused(
        "lesion-exists"
    )


def test_procedures_and_lines_may_precede_enrollment() -> None:
    participant_spec.given(participant_screened()).when(
        procedure_performed(-300), systemic_therapy_started(-200), systemic_therapy_stopped(-100)
    ).then_admitted()


BIRTH = participant_screened(birth_year=1990)


@pytest.mark.parametrize(
    ("stated", "members"),
    [
        (consent_signed("1989-12-31"), {"/signed_on"}),
        (procedure_performed("1989"), {"/performed_on"}),
        (lesion_registered(when="1989-06"), {"/found_on"}),
        (baseline_recorded("1980", diagnosed_on="1981-01"), {"/assessed_on", "/diagnosed_on"}),
    ],
)
def test_dates_before_the_year_of_birth_are_refused(stated: Fact, members: set[str]) -> None:
    stated_facts = numbered_facts([BIRTH, consent_signed(), participant_enrolled(), stated])
    raised = {
        objection
        for event, objection in all_objections(current_record(stated_facts), objections)
        if event == stated_facts[3].event_id
    }
    assert {objection.pointer for objection in raised if objection.code == "before-birth"} == members
    assert {objection.because_of for objection in raised} == {stated_facts[0].event_id}


def test_dates_in_the_year_of_birth_are_accepted() -> None:
    participant_spec.given(BIRTH).when(procedure_performed("1990"), procedure_performed("1990-01-01")).then_admitted()


def test_year_of_birth_cannot_be_corrected_to_after_recorded_facts() -> None:
    later = correction(1, participant_screened(birth_year=2024))
    participant_spec.given(participant_screened(), procedure_performed("2023")).when(later).then_refused("before-birth")


def test_screening_before_birth_is_refused() -> None:
    participant_spec.given().when(participant_screened(birth_year=2025)).then_refused("before-birth")
