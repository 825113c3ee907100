"""Corrections of a participant's facts: what they may restate, void and reinstate, alone and in a batch."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydantic import ValidationError

from services.enrollment.rules.participant import objections
from shared.kernel.fact import Fact
from shared.kernel.record import decide
from shared.testing.builders.facts import (
    CRITERIA_MET,
    ENROLLMENT_FACTS,
    consent_signed,
    consent_withdrawn,
    correction,
    lesion_registered,
    participant_enrolled,
    participant_screened,
    procedure_performed,
    radiotherapy_started,
    screening_failed,
    target,
)
from shared.testing.spec import Spec, numbered_facts, open_gate

participant_spec = Spec(objections)


def test_voiding_one_of_three_duplicates_is_accepted() -> None:
    tripled = numbered_facts(
        [
            participant_screened(),
            consent_signed(),
            participant_enrolled(),
            participant_enrolled(1),
            participant_enrolled(2),
        ]
    )
    decide(tripled, numbered_facts([correction(5, None)], 9), objections, open_gate)


def test_existing_violation_does_not_block_other_corrections() -> None:
    faulty = numbered_facts([participant_screened(), participant_enrolled()])  # recorded before the rule existed
    decide(faulty, numbered_facts([correction(1, participant_screened(-3))], 9), objections, open_gate)


def test_batch_is_evaluated_as_a_whole() -> None:
    participant_spec.given(*ENROLLMENT_FACTS).when(
        radiotherapy_started(0, "RT1", target("T1", "L1")), lesion_registered("L1")
    ).then_admitted()
    participant_spec.given().when(participant_enrolled(), consent_signed(), participant_screened()).then_admitted()


def test_correction_that_invalidates_another_fact_is_refused() -> None:
    not_eligible = participant_screened(criteria={**CRITERIA_MET, "histology": "not_met"})
    participant_spec.given(*ENROLLMENT_FACTS).when(correction(2, consent_signed(9))).then_refused("no-consent")
    participant_spec.given(*ENROLLMENT_FACTS).when(correction(2, None)).then_refused("no-consent")
    participant_spec.given(*ENROLLMENT_FACTS).when(correction(1, not_eligible)).then_refused("not-eligible")
    participant_spec.given(*ENROLLMENT_FACTS).when(correction(1, None)).then_refused("not-screened")


def test_dependent_corrections_are_accepted_in_one_batch() -> None:
    participant_spec.given(*ENROLLMENT_FACTS).when(
        correction(2, consent_signed(9)), correction(3, participant_enrolled(9))
    ).then_admitted()


def test_voided_fact_can_be_reinstated() -> None:
    participant_spec.given(*ENROLLMENT_FACTS, correction(3, None)).when(
        correction(3, participant_enrolled(2))
    ).then_admitted()
    participant_spec.given(*ENROLLMENT_FACTS, correction(3, None), participant_enrolled()).when(
        correction(3, participant_enrolled())
    ).then_refused("stated-twice")


def test_voided_fact_can_be_voided_again() -> None:
    participant_spec.given(*ENROLLMENT_FACTS, correction(3, None)).when(correction(3, None)).then_admitted()


def test_the_last_correction_counts() -> None:
    recorded = (
        participant_screened(),
        consent_signed(9),
        correction(2, consent_signed(0)),
        correction(2, consent_signed(5)),
    )
    participant_spec.given(*recorded).when(participant_enrolled(4)).then_refused("no-consent")
    participant_spec.given(*recorded).when(participant_enrolled(5)).then_admitted()


def test_two_course_ids_can_be_swapped_in_one_batch() -> None:
    recorded = (*ENROLLMENT_FACTS, radiotherapy_started(0, "A"), radiotherapy_started(50, "B", index=False))
    swap = correction(4, radiotherapy_started(0, "B")), correction(5, radiotherapy_started(50, "A", index=False))
    participant_spec.given(*recorded).when(swap[0]).then_refused("course-exists")
    participant_spec.given(*recorded).when(*swap).then_admitted()


def test_two_lesion_ids_can_be_swapped_in_one_batch() -> None:
    recorded = (
        *ENROLLMENT_FACTS,
        lesion_registered("A", 1),
        lesion_registered("B", 2),
        radiotherapy_started(3, "RT1", target("T1", "A")),
    )
    swap = correction(4, lesion_registered("B", 1)), correction(5, lesion_registered("A", 2))
    participant_spec.given(*recorded).when(swap[0]).then_refused("lesion-exists", "no-such-lesion")
    participant_spec.given(*recorded).when(*swap).then_admitted()


@pytest.mark.parametrize("replace", [consent_signed, participant_enrolled, consent_withdrawn, procedure_performed])
def test_replacement_must_have_the_type_of_the_corrected_fact(replace: Callable[[], Fact]) -> None:
    participant_spec.given(participant_screened()).when(correction(1, replace())).then_refused("other-type")


def test_fact_is_replaced_by_another_type_with_a_void_and_a_new_fact() -> None:
    participant_spec.given(participant_screened(), screening_failed()).when(
        correction(2, None), consent_signed()
    ).then_admitted()


@pytest.mark.parametrize("replacement", [None, participant_enrolled()])
def test_unknown_event_cannot_be_corrected(replacement: Fact | None) -> None:
    participant_spec.given(*ENROLLMENT_FACTS).when(correction(77, replacement)).then_refused("no-such-event")


def test_correction_cannot_be_corrected() -> None:
    participant_spec.given(*ENROLLMENT_FACTS, correction(2, consent_signed(-1))).when(correction(4, None)).then_refused(
        "no-such-event"
    )


def test_an_event_of_the_same_batch_can_be_corrected() -> None:
    participant_spec.given(participant_screened(), consent_signed()).when(
        participant_enrolled(-5), correction(3, participant_enrolled())
    ).then_admitted()


def test_correction_cannot_contain_a_correction() -> None:
    with pytest.raises(ValidationError):
        correction(1, correction(1, None))
