"""Facts at the gate of enrollment: dates, active sites, closed accrual and study, withdrawal, voided participants."""

from __future__ import annotations

from datetime import date

import pytest

from services.enrollment.gate import EnrollmentGate
from services.enrollment.rules.participant import objections
from shared.kernel.fact import Fact
from shared.kernel.record import current_record, decide
from shared.testing.builders.facts import (
    ENROLLMENT_FACTS,
    START_DATE,
    accrual_closed,
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
    site_closed,
    study_closed,
    study_opened,
    systemic_therapy_started,
)
from shared.testing.spec import numbered_facts
from tests.unit.enrollment.gate_specs import gate_spec, objections_of


@pytest.mark.parametrize(
    ("stated", "members"),
    [
        (consent_signed(1), ["/signed_on"]),
        (procedure_performed("2024-03"), ["/performed_on"]),
        (procedure_performed("2025"), ["/performed_on"]),
        (lesion_registered(when=1), ["/found_on"]),
        (baseline_recorded(1, diagnosed_on="2024-05"), ["/assessed_on", "/diagnosed_on"]),
        (radiotherapy_started(1), ["/started_on"]),
        (consent_withdrawn(1), ["/withdrawn_on"]),
        (participant_transferred("milan", 1), ["/on"]),
        (correction(2, consent_signed(1)), ["/replacement/data/signed_on"]),
    ],
)
def test_dates_after_today_at_the_site_are_refused(stated: Fact, members: list[str]) -> None:
    objections_raised = objections_of(gate_spec(today=START_DATE).given(*ENROLLMENT_FACTS).when(stated))
    assert sorted(raised.pointer for raised in objections_raised if raised.code == "in-the-future") == members


@pytest.mark.parametrize("when", [0, "2024-02", "2024", "2023", -1])
def test_today_and_partial_dates_that_include_it_are_accepted(when: int | str) -> None:
    gate_spec(today=START_DATE).given(*ENROLLMENT_FACTS).when(procedure_performed(when)).then_admitted()


def test_future_screening_date_is_refused() -> None:
    gate_spec(today=START_DATE).given().when(participant_screened(1)).then_refused("in-the-future")


def test_only_active_sites_screen_participants() -> None:
    gate_spec().given().when(participant_screened("2020-12-01")).then_admitted()
    gate_spec().given().when(participant_screened("2020-11-30")).then_refused("site-not-active")
    gate_spec(site="oslo", enrolling_site="oslo").given().when(participant_screened(site_id="oslo")).then_refused(
        "site-not-active"
    )


def test_closed_site_accepts_only_facts_dated_before_its_closure() -> None:
    closing = site_closed("rome", 10)
    gate_spec(closing).given().when(participant_screened(10)).then_admitted()
    gate_spec(closing).given().when(participant_screened(11)).then_refused("site-not-active")
    gate_spec(closing).given(*ENROLLMENT_FACTS).when(
        procedure_performed(10), radiotherapy_started("2024-02")
    ).then_admitted()
    gate_spec(closing).given(*ENROLLMENT_FACTS).when(procedure_performed(11)).then_refused("site-closed")
    gate_spec(closing).given(*ENROLLMENT_FACTS).when(procedure_performed("2024-03")).then_refused("site-closed")
    gate_spec(site_closed("milan", 10)).given(*ENROLLMENT_FACTS).when(procedure_performed(11)).then_admitted()


def test_transfer_leads_from_a_closed_site_to_an_active_one() -> None:
    gate_spec(site_closed("rome", 10)).given(*ENROLLMENT_FACTS).when(
        participant_transferred("milan", 20)
    ).then_admitted()
    gate_spec(site_closed("milan", 10)).given(*ENROLLMENT_FACTS).when(
        participant_transferred("milan", 11)
    ).then_refused("site-not-active")
    gate_spec(site_closed("milan", 10)).given(*ENROLLMENT_FACTS).when(
        participant_transferred("milan", "2024-02")
    ).then_admitted()
    gate_spec().given(*ENROLLMENT_FACTS).when(participant_transferred("oslo", 20)).then_refused("site-not-active")
    gate_spec().given(*ENROLLMENT_FACTS).when(participant_transferred("milan", -1)).then_refused("site-not-active")


def test_facts_at_a_closed_site_stay_correctable() -> None:
    gate_spec(site_closed("rome", 10)).given(*ENROLLMENT_FACTS, procedure_performed(5)).when(
        correction(4, procedure_performed(12))
    ).then_admitted()


def test_no_screening_or_enrollment_after_accrual_closes() -> None:
    closed = accrual_closed(10)
    gate_spec(closed).given().when(
        participant_screened(10), consent_signed(10), participant_enrolled(10)
    ).then_admitted()
    gate_spec(closed).given().when(participant_screened(11)).then_refused("accrual-closed")
    gate_spec(closed).given(participant_screened(), consent_signed()).when(participant_enrolled(11)).then_refused(
        "accrual-closed"
    )
    gate_spec(closed).given(participant_screened(), consent_signed()).when(
        participant_enrolled("2024-02")
    ).then_admitted()
    gate_spec(closed).given(participant_screened(), consent_signed()).when(
        participant_enrolled("2024-03")
    ).then_refused("accrual-closed")


def test_other_facts_are_accepted_after_accrual_closes() -> None:
    closed = accrual_closed(10)
    gate_spec(closed).given(*ENROLLMENT_FACTS).when(
        consent_signed(20), procedure_performed(20), radiotherapy_started(20), consent_withdrawn(20)
    ).then_admitted()
    gate_spec(closed).given(participant_screened()).when(screening_failed(20)).then_admitted()


def test_closed_study_accepts_only_facts_dated_before_its_closure() -> None:
    gate_spec(study_closed(10)).given(*ENROLLMENT_FACTS).when(
        procedure_performed(10), radiotherapy_started("2024-02")
    ).then_admitted()
    gate_spec(study_closed(10)).given(*ENROLLMENT_FACTS).when(procedure_performed(11)).then_refused("study-closed")
    gate_spec(study_closed(10)).given().when(participant_screened(11)).then_refused("study-closed")
    (raised,) = objections_of(gate_spec(study_closed(10)).given(*ENROLLMENT_FACTS).when(lesion_registered(when=11)))
    assert (raised.pointer, raised.because_of) == (
        "/found_on",
        numbered_facts([study_opened(), study_closed(10)])[1].event_id,
    )


@pytest.mark.parametrize(
    "mend", [correction(4, procedure_performed(20)), correction(4, None), correction(2, consent_signed(-1))]
)
def test_corrections_are_accepted_after_the_study_closes(mend: Fact) -> None:
    gate_spec(study_closed(10)).given(*ENROLLMENT_FACTS, procedure_performed(5)).when(mend).then_admitted()


def test_participant_can_be_voided_after_all_closures() -> None:
    gate_spec(study_closed(0), site_closed("rome", 0), accrual_closed(0)).given(*ENROLLMENT_FACTS).when(
        participant_voided()
    ).then_admitted()


def test_the_site_of_a_screening_cannot_be_corrected() -> None:
    objections_raised = objections_of(
        gate_spec().given(participant_screened()).when(correction(1, participant_screened(site_id="milan")))
    )
    assert [(raised.code, raised.pointer) for raised in objections_raised] == [
        ("site-fixed", "/replacement/data/site_id")
    ]
    gate_spec().given(participant_screened()).when(correction(1, participant_screened(3))).then_admitted()


def test_new_site_corrects_the_screening_of_a_transferred_participant() -> None:
    spec = gate_spec(site="milan", enrolling_site="rome").given(*ENROLLMENT_FACTS, participant_transferred("milan", 5))
    spec.when(correction(1, participant_screened(local_reference="M-1"))).then_admitted()
    spec.when(correction(1, participant_screened(site_id="milan", local_reference="M-1"))).then_refused("site-fixed")


def test_late_report_of_a_fact_before_withdrawal_is_accepted() -> None:
    spec = gate_spec().given(*ENROLLMENT_FACTS, radiotherapy_started(), consent_withdrawn(60))
    spec.when(radiotherapy_completed(40)).then_admitted()
    spec.when(radiotherapy_completed(60)).then_admitted()
    spec.when(radiotherapy_completed(61)).then_refused("after-withdrawal")
    spec.when(radiotherapy_completed("2024-04")).then_admitted()
    spec.when(radiotherapy_completed("2024-05")).then_refused("after-withdrawal")


@pytest.mark.parametrize("scope", ["follow_up", "data_use"])
def test_after_withdrawal_only_withdrawal_of_the_other_scope_is_accepted(scope: str) -> None:
    other = {"follow_up": "data_use", "data_use": "follow_up"}[scope]
    spec = gate_spec().given(*ENROLLMENT_FACTS, consent_withdrawn(30, scope))
    for later in (
        procedure_performed(31),
        systemic_therapy_started(31),
        consent_signed(31),
        radiotherapy_started(31),
        lesion_registered(when=31),
        participant_transferred("milan", 31),
    ):
        spec.when(later).then_refused("after-withdrawal")
    spec.when(consent_withdrawn(50, other)).then_admitted()
    spec.when(participant_voided()).then_admitted()
    spec.when(procedure_performed(30)).then_admitted()


def test_withdrawal_does_not_affect_facts_already_recorded() -> None:
    gate_spec().given(*ENROLLMENT_FACTS, procedure_performed(40)).when(consent_withdrawn(30)).then_admitted()
    gate_spec().given(*ENROLLMENT_FACTS, procedure_performed(40)).when(
        consent_withdrawn(30), procedure_performed(41)
    ).then_refused("after-withdrawal")


def test_correction_may_not_move_a_fact_past_the_withdrawal() -> None:
    spec = gate_spec().given(*ENROLLMENT_FACTS, procedure_performed(20), consent_withdrawn(30))
    spec.when(correction(4, procedure_performed(29))).then_admitted()
    (raised,) = objections_of(spec.when(correction(4, procedure_performed(31))))
    assert (raised.code, raised.pointer) == ("after-withdrawal", "/replacement/data/performed_on")
    spec.when(correction(4, None)).then_admitted()
    spec.when(correction(5, consent_withdrawn(10))).then_admitted()


def test_voided_withdrawal_has_no_effect() -> None:
    gate_spec().given(*ENROLLMENT_FACTS, consent_withdrawn(30), correction(4, None)).when(
        procedure_performed(40)
    ).then_admitted()
    gate_spec().given(*ENROLLMENT_FACTS, consent_withdrawn(30)).when(
        correction(4, consent_withdrawn(50)), procedure_performed(40)
    ).then_admitted()


def test_voided_participant_accepts_no_new_facts() -> None:
    spec = gate_spec().given(*ENROLLMENT_FACTS, participant_voided())
    for new in (
        procedure_performed(),
        consent_signed(),
        consent_withdrawn(),
        participant_transferred("milan", 5),
        lesion_registered(),
    ):
        spec.when(new).then_refused("participant-voided")
    spec.when(participant_voided("duplicate")).then_refused("participant-voided", "stated-twice")


def test_a_voided_participant_stays_correctable() -> None:
    spec = gate_spec().given(*ENROLLMENT_FACTS, procedure_performed(), participant_voided())
    spec.when(correction(4, procedure_performed(1))).then_admitted()
    spec.when(correction(4, None)).then_admitted()
    spec.when(correction(5, participant_voided("duplicate"))).then_admitted()


def test_the_voiding_of_a_participant_can_itself_be_voided() -> None:
    gate_spec().given(*ENROLLMENT_FACTS, participant_voided()).when(correction(4, None)).then_admitted()
    gate_spec().given(*ENROLLMENT_FACTS, participant_voided()).when(
        correction(4, None), procedure_performed()
    ).then_admitted()
    gate_spec().given(*ENROLLMENT_FACTS, participant_voided(), correction(4, None)).when(
        procedure_performed()
    ).then_admitted()
    gate_spec().given(*ENROLLMENT_FACTS, participant_voided(), correction(4, None)).when(
        correction(4, participant_voided())
    ).then_admitted()


def test_voiding_a_participant_excludes_other_facts_in_the_batch() -> None:
    gate_spec().given(*ENROLLMENT_FACTS).when(participant_voided(), procedure_performed()).then_refused(
        "participant-voided"
    )


def test_voids_are_accepted_despite_all_closures() -> None:
    gate_with_closures = gate_spec(study_closed(0), site_closed("rome", 0), accrual_closed(0), today=date(2024, 1, 1))
    spec = gate_with_closures.given(
        *ENROLLMENT_FACTS, procedure_performed(50), consent_withdrawn(10), participant_voided()
    )
    for event in (4, 5, 6):
        spec.when(correction(event, None)).then_admitted()


def test_gate_is_not_applied_to_recorded_facts() -> None:
    recorded = numbered_facts(
        [participant_screened(criteria={}), consent_signed(900, "9"), procedure_performed(900), consent_withdrawn(-900)]
    )
    participant_gate = EnrollmentGate(current_record(numbered_facts([study_opened()])), START_DATE, "oslo", "rome")
    decide(recorded, numbered_facts([participant_voided()], 5), objections, participant_gate.objections)
