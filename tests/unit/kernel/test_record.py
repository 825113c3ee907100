from __future__ import annotations

from shared.kernel.record import standing
from shared.testing.facts import correction, transferred
from shared.testing.spec import history


def test_what_is_taken_back_and_stated_again_keeps_its_place() -> None:
    """So of two transfers of one day it is told by the record which came last, as the inbox tells it by the version."""
    moves = [transferred("milan", 5), transferred("paris", 5)]
    stated = history([*moves, correction(1, None), correction(1, moves[0])])
    assert [each.fact for each in standing(stated).stated] == moves
