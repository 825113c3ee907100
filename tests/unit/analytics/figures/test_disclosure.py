"""Small counts that readers do not see."""

from __future__ import annotations

from services.analytics.cohort.cohort import Selection
from services.analytics.figures.accrual import Accrual
from services.analytics.figures.disclosure import withheld_members
from services.analytics.figures.participant_flow import ParticipantFlow
from tests.unit.analytics.support import ENROLLED, SCREENED, TODAY, cohort_of

ALL_PARTICIPANTS = Selection(TODAY)


def test_small_cells_of_a_site_are_suppressed() -> None:
    counted = ParticipantFlow.compute(cohort_of({"p": [SCREENED, ENROLLED]}), ALL_PARTICIPANTS)
    assert withheld_members(counted, 5, is_whole_study=True) == {}
    of_site = withheld_members(counted, 5, is_whole_study=False)
    assert {"enrolled", "screened", "stereotactic_percent", "stereotactic_interval"} <= of_site.keys()
    assert set(of_site.values()) == {None}
    assert not of_site.keys() & {"died", "imputed_dates", "left_out"}, (
        "zero is shown, and a number of dates is no count"
    )
    divided = Accrual.compute(cohort_of({"p": [SCREENED, ENROLLED]}), Selection(TODAY, by="site"))
    assert withheld_members(divided, 5, is_whole_study=True) == {
        "groups": [{"name": "rome", "enrolled": None, "curve": []}]
    }
