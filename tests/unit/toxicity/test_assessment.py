from __future__ import annotations

import pytest

from services.toxicity.assessment import objections
from shared.kernel.fact import Fact
from shared.kernel.record import Refused
from shared.testing.spec import Spec
from shared.testing.toxicity_facts import (
    assessed,
    correction,
    finding,
    serious,
    serious_resolved,
    serious_updated,
)

participant = Spec(objections)


def test_assessments_are_stated_in_any_number() -> None:
    participant.given(assessed(0, finding())).when(assessed(0, finding()), assessed(90)).then_admitted()


def test_an_assessment_has_a_term_once() -> None:
    twice = assessed(0, finding("3.0:0150"), finding("3.0:0152"), finding("3.0:0149"), finding("3.0:0150", 3))
    participant.given().when(twice).then_refused("term-twice")
    with pytest.raises(Refused) as refusal:
        participant.given().when(twice).then_admitted()
    assert [objection.member for _, objection in refusal.value.raised] == ["/findings/3/term"]


def test_one_term_at_two_sites_is_two_terms() -> None:
    participant.given().when(assessed(0, finding("3.0:0191"), finding("3.0:0192"))).then_admitted()


def test_a_term_stated_twice_is_mended_by_a_correction() -> None:
    twice = assessed(0, finding(), finding())
    participant.given(twice).when(assessed(1)).then_admitted()
    participant.given(twice).when(correction(1, assessed(0, finding()))).then_admitted()
    participant.given(assessed(0)).when(correction(1, twice)).then_refused("term-twice")


def test_the_id_of_a_serious_event_is_used_once() -> None:
    participant.given(serious("SAE1")).when(serious("SAE2")).then_admitted()
    participant.given(serious("SAE1")).when(serious("SAE1")).then_refused("serious-event-exists")
    participant.given().when(serious("SAE1"), serious("SAE1")).then_refused("serious-event-exists")


@pytest.mark.parametrize("told", [serious_updated(), serious_resolved()])
def test_what_becomes_of_a_serious_event_is_stated_of_a_reported_one(told: Fact) -> None:
    participant.given(serious()).when(told).then_admitted()
    participant.given().when(told).then_refused("no-such-serious-event")
    participant.given(serious("SAE2")).when(told).then_refused("no-such-serious-event")


def test_the_order_within_a_batch_does_not_matter() -> None:
    participant.given().when(serious_resolved(), serious_updated(), serious()).then_admitted()


def test_a_serious_event_is_updated_often_and_resolved_once() -> None:
    participant.given(serious(), serious_updated(), serious_resolved()).when(serious_updated()).then_admitted()
    participant.given(serious(), serious_resolved()).when(serious_resolved()).then_refused("serious-event-resolved")
    both = serious("SAE2"), serious_resolved("SAE2")
    participant.given(serious(), serious_resolved()).when(*both).then_admitted()


def test_a_resolution_in_error_is_voided_and_stated_anew() -> None:
    ended = participant.given(serious(), serious_resolved())
    ended.when(correction(2, None), serious_resolved(outcome="FATAL")).then_admitted()


def test_a_report_is_not_voided_from_under_what_became_of_the_event() -> None:
    participant.given(serious(), serious_updated()).when(correction(1, None)).then_refused("no-such-serious-event")
    participant.given(serious(), serious_updated()).when(correction(1, None), correction(2, None)).then_admitted()
    renamed = correction(1, serious("SAE2"))
    participant.given(serious(), serious_resolved()).when(renamed).then_refused("no-such-serious-event")


def test_nothing_else_about_a_serious_event_is_refused() -> None:
    """Its course may contradict itself: that is questioned, not refused."""
    odd = serious_resolved(outcome="FATAL", grade=0, resolved_on="2023-01-01", onset_on="2024")
    participant.given(serious()).when(odd, assessed("2023")).then_admitted()
