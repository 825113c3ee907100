from __future__ import annotations

import pytest

from services.toxicity.rules import objections
from shared.kernel.fact import Fact
from shared.kernel.objection import RuleViolation
from shared.testing.builders.facts import correction
from shared.testing.builders.toxicity_facts import (
    finding,
    serious_event_reported,
    serious_event_resolved,
    serious_event_updated,
    toxicity_assessed,
)
from shared.testing.spec import Spec

participant_spec = Spec(objections)


def test_any_number_of_assessments_is_accepted() -> None:
    participant_spec.given(toxicity_assessed(0, finding())).when(
        toxicity_assessed(0, finding()), toxicity_assessed(90)
    ).then_admitted()


def test_terms_are_unique_in_an_assessment() -> None:
    twice = toxicity_assessed(0, finding("3.0:0150"), finding("3.0:0152"), finding("3.0:0149"), finding("3.0:0150", 3))
    participant_spec.given().when(twice).then_refused("term-twice")
    with pytest.raises(RuleViolation) as refusal:
        participant_spec.given().when(twice).then_admitted()
    assert [objection.pointer for _, objection in refusal.value.raised_objections] == ["/findings/3/term"]


def test_term_at_two_sites_counts_as_two_terms() -> None:
    participant_spec.given().when(toxicity_assessed(0, finding("3.0:0191"), finding("3.0:0192"))).then_admitted()


def test_duplicate_term_is_corrected() -> None:
    twice = toxicity_assessed(0, finding(), finding())
    participant_spec.given(twice).when(toxicity_assessed(1)).then_admitted()
    participant_spec.given(twice).when(correction(1, toxicity_assessed(0, finding()))).then_admitted()
    participant_spec.given(toxicity_assessed(0)).when(correction(1, twice)).then_refused("term-twice")


def test_serious_event_ids_are_unique() -> None:
    participant_spec.given(serious_event_reported("SAE1")).when(serious_event_reported("SAE2")).then_admitted()
    participant_spec.given(serious_event_reported("SAE1")).when(serious_event_reported("SAE1")).then_refused(
        "serious-event-exists"
    )
    participant_spec.given().when(serious_event_reported("SAE1"), serious_event_reported("SAE1")).then_refused(
        "serious-event-exists"
    )


@pytest.mark.parametrize("sequel", [serious_event_updated(), serious_event_resolved()])
def test_updates_and_resolutions_require_a_reported_serious_event(sequel: Fact) -> None:
    participant_spec.given(serious_event_reported()).when(sequel).then_admitted()
    participant_spec.given().when(sequel).then_refused("no-such-serious-event")
    participant_spec.given(serious_event_reported("SAE2")).when(sequel).then_refused("no-such-serious-event")


def test_the_order_within_a_batch_does_not_matter() -> None:
    participant_spec.given().when(
        serious_event_resolved(), serious_event_updated(), serious_event_reported()
    ).then_admitted()


def test_serious_event_may_be_updated_often_and_resolved_once() -> None:
    participant_spec.given(serious_event_reported(), serious_event_updated(), serious_event_resolved()).when(
        serious_event_updated()
    ).then_admitted()
    participant_spec.given(serious_event_reported(), serious_event_resolved()).when(
        serious_event_resolved()
    ).then_refused("serious-event-resolved")
    both = serious_event_reported("SAE2"), serious_event_resolved("SAE2")
    participant_spec.given(serious_event_reported(), serious_event_resolved()).when(*both).then_admitted()


def test_mistaken_resolution_is_voided_and_recorded_again() -> None:
    spec = participant_spec.given(serious_event_reported(), serious_event_resolved())
    spec.when(correction(2, None), serious_event_resolved(outcome="FATAL")).then_admitted()


def test_report_with_updates_cannot_be_voided_alone() -> None:
    participant_spec.given(serious_event_reported(), serious_event_updated()).when(correction(1, None)).then_refused(
        "no-such-serious-event"
    )
    participant_spec.given(serious_event_reported(), serious_event_updated()).when(
        correction(1, None), correction(2, None)
    ).then_admitted()
    renamed = correction(1, serious_event_reported("SAE2"))
    participant_spec.given(serious_event_reported(), serious_event_resolved()).when(renamed).then_refused(
        "no-such-serious-event"
    )


def test_contradictory_course_of_a_serious_event_is_accepted() -> None:
    """A data query asks about it."""
    odd = serious_event_resolved(outcome="FATAL", grade=0, resolved_on="2023-01-01", onset_on="2024")
    participant_spec.given(serious_event_reported()).when(odd, toxicity_assessed("2023")).then_admitted()
