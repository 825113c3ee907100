"""The tables that a figure declares: it is computed from these, wherever its snapshot comes from."""

from __future__ import annotations

from typing import ClassVar

import pytest

from services.analytics.figures.participant_flow import ParticipantFlow
from services.analytics.figures.registry import FIGURE_TABLES, FIGURES
from services.analytics.snapshot.selection import Selection
from shared.kernel.errors import SmallGroups
from tests.unit.analytics.support import TODAY, snapshot_of


class FlowWithoutVisits(ParticipantFlow):
    """A figure that reads the table of visits and does not declare it."""

    TABLES: ClassVar[tuple[str, ...]] = ("course", "absence")


def test_figure_that_reads_a_table_it_does_not_declare_fails_in_every_test() -> None:
    with pytest.raises(KeyError, match="visit"):
        FlowWithoutVisits.compute(snapshot_of({}), Selection(TODAY))


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_computed_from_the_tables_that_are_kept_in_memory(name: str) -> None:
    assert FIGURES[name].tables() <= FIGURE_TABLES
    assert FIGURES[name].compute(snapshot_of({}), Selection(TODAY)).left_out == 0


def test_undivided_figure_has_no_members() -> None:
    with pytest.raises(SmallGroups):
        ParticipantFlow.members(snapshot_of({}), Selection(TODAY))
