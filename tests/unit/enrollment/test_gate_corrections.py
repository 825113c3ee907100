"""Corrections at the gate of enrollment, when the study has changed since the fact was recorded."""

from __future__ import annotations

from collections.abc import Sequence

from services.enrollment.gate import EnrollmentGate
from services.enrollment.rules.participant import objections
from shared.contracts.enrollment import ConsentSigned
from shared.kernel.fact import Fact
from shared.kernel.record import Record, current_record
from shared.testing.builders.facts import (
    ENROLLMENT_FACTS,
    accrual_closed,
    consent_signed,
    correction,
    participant_enrolled,
    participant_screened,
    participant_transferred,
    procedure_performed,
    protocol,
    protocol_amended,
    site_closed,
    study_opened,
)
from shared.testing.spec import Spec, numbered_facts
from tests.unit.enrollment.gate_specs import SITES, TODAY


def correction_spec(*recorded: Fact, study_facts: Sequence[Fact], site: str = "rome") -> Spec:
    """Spec of a correction: the recorded facts, and facts of the study recorded since then."""
    study = (
        study_facts if any(fact.type_name == "study.opened" for fact in study_facts) else (study_opened(), *study_facts)
    )
    participant_gate = EnrollmentGate(
        Record(tuple(numbered_facts((*study, *SITES)))),
        TODAY,
        site,
        "rome",
        record_before=lambda: current_record(numbered_facts(recorded)),
    )
    return Spec(objections, participant_gate.objections).given(*recorded)


def test_receiving_site_corrects_the_day_of_a_transfer() -> None:
    spec = correction_spec(*ENROLLMENT_FACTS, participant_transferred("milan", 5), study_facts=(), site="milan")
    spec.when(correction(4, participant_transferred("milan", 7))).then_admitted()
    spec.when(participant_transferred("milan", 9)).then_refused("already-there")


def test_transfer_cannot_be_corrected_to_an_inactive_site() -> None:
    spec = correction_spec(
        *ENROLLMENT_FACTS, participant_transferred("milan", 5), study_facts=(site_closed("milan", 10),), site="milan"
    )
    spec.when(correction(4, participant_transferred("milan", 10))).then_admitted()
    spec.when(correction(4, participant_transferred("milan", 11))).then_refused("site-not-active")
    spec.when(correction(4, participant_transferred("milan", -1))).then_refused("site-not-active")
    spec.when(correction(4, participant_transferred("oslo", 5))).then_refused("site-not-active")


def test_accrual_closed_retroactively_does_not_block_corrections() -> None:
    spec = correction_spec(*ENROLLMENT_FACTS, study_facts=(accrual_closed(-5),))
    spec.when(correction(1, participant_screened(-1, birth_year=1950))).then_admitted()
    spec.when(correction(3, participant_enrolled(1))).then_admitted()


def test_site_closed_retroactively_blocks_only_corrections_to_a_later_day() -> None:
    spec = correction_spec(*ENROLLMENT_FACTS, study_facts=(site_closed("rome", -5),))
    spec.when(correction(1, participant_screened(birth_year=1950))).then_admitted()
    spec.when(correction(1, participant_screened(-5))).then_admitted()
    spec.when(correction(1, participant_screened(-1))).then_refused("site-not-active")
    spec.when(correction(1, participant_screened("2020-11-30"))).then_refused("site-not-active")


def test_correction_cannot_move_enrollment_past_the_end_of_accrual() -> None:
    spec = correction_spec(*ENROLLMENT_FACTS, study_facts=(accrual_closed(5),))
    spec.when(correction(3, participant_enrolled(5))).then_admitted()
    spec.when(correction(3, participant_enrolled(6))).then_refused("accrual-closed")


def test_later_amendment_applies_only_to_corrected_members() -> None:
    later = study_opened(protocol(("a",))), protocol_amended(-5, protocol(("a", "b"), minimum_age=80))
    spec = correction_spec(participant_screened(criteria={"a": "met"}), study_facts=later)
    spec.when(correction(1, participant_screened(criteria={"a": "met"}, sex="male"))).then_admitted()
    spec.when(correction(1, participant_screened(criteria={"a": "not_met"}))).then_admitted()
    spec.when(correction(1, participant_screened(criteria={"a": "met", "b": "met"}))).then_admitted()
    spec.when(correction(1, participant_screened(criteria={}))).then_refused("criterion-unanswered")
    spec.when(correction(1, participant_screened(criteria={"a": "met", "c": "met"}))).then_refused("no-such-criterion")
    spec.when(correction(1, participant_screened(criteria={"a": "met"}, birth_year=1999))).then_refused("too-young")
    spec.when(correction(1, participant_screened(-6, criteria={"a": "met"}))).then_admitted()
    spec.when(correction(1, participant_screened(-1, criteria={"a": "met"}))).then_refused(
        "criterion-unanswered", "too-young"
    )


def test_answer_to_a_dropped_criterion_may_be_kept() -> None:
    later = study_opened(protocol(("a", "b"))), protocol_amended(-5, protocol(("a",)))
    spec = correction_spec(participant_screened(criteria={"a": "met", "b": "met"}), study_facts=later)
    spec.when(correction(1, participant_screened(criteria={"a": "not_met", "b": "met"}))).then_admitted()
    spec.when(correction(1, participant_screened(criteria={"a": "met"}))).then_admitted()
    spec.when(correction(1, participant_screened(criteria={"a": "met", "b": "met", "c": "met"}))).then_refused(
        "no-such-criterion"
    )
    spec.when(correction(1, participant_screened(-1, criteria={"a": "met", "b": "met"}))).then_refused(
        "no-such-criterion"
    )


def test_consent_to_a_no_longer_valid_form_may_be_corrected_but_not_replaced() -> None:
    forms = [{"version": "4", "valid_from": "2024-06-01"}]
    spec = correction_spec(
        participant_screened(),
        consent_signed(),
        study_facts=(study_opened(), protocol_amended(-5, protocol(consent_versions=forms))),
    )
    consent_with_option = ConsentSigned.model_validate({**consent_signed().model_dump(), "options": {"registry": True}})
    spec.when(correction(2, consent_with_option)).then_admitted()
    spec.when(correction(2, consent_signed(0, "9"))).then_refused("consent-version")
    spec.when(correction(2, consent_signed("2019-06-01"))).then_refused("consent-version")


def test_correction_to_a_future_date_is_refused() -> None:
    correction_spec(*ENROLLMENT_FACTS, procedure_performed(500), study_facts=()).when(
        correction(4, procedure_performed(499))
    ).then_refused("in-the-future")
