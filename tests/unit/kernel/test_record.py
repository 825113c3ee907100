from __future__ import annotations

from shared.kernel.record import current_record
from shared.testing.builders.facts import correction, participant_transferred
from shared.testing.spec import numbered_facts


def test_voided_and_reinstated_fact_keeps_its_position() -> None:
    """The record therefore shows which of two transfers of one day is later, as versions do in the inbox."""
    moves = [participant_transferred("milan", 5), participant_transferred("paris", 5)]
    stated_facts = numbered_facts([*moves, correction(1, None), correction(1, moves[0])])
    assert [stated.fact for stated in current_record(stated_facts).stated_facts] == moves
