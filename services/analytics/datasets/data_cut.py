"""ADCUT: the data cut itself, with what the protocol says of accrual and of recent proofs of life on its day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Annotated, NamedTuple

from services.analytics.datasets.cohort import CutCohort
from services.analytics.datasets.column import Column
from services.analytics.datasets.common_columns import StudyId
from services.analytics.datasets.data_set import DataSet
from services.analytics.endpoints.observed_time import recent_since
from services.analytics.snapshot.columns import day_of_number
from shared.gate.study_timeline import protocol_on


class CutDescription(NamedTuple):
    """The data cut. The target of accrual is that of the whole study."""

    studyid: StudyId
    cutname: Annotated[str, Column("Name of the Data Cut", "As taken.", source="Assigned")]
    cutdt: Annotated[date, Column("Data Cut-off", "The last day that counts.", source="Assigned")]
    siteid: Annotated[
        str | None, Column("Site of the Archive", "Empty for the archive of the whole study.", source="Assigned")
    ]
    elsewhn: Annotated[
        int,
        Column(
            "Participants Followed Elsewhere",
            "Screened at the site by the cut-off and followed at another one: in its figures, not in these sets.",
        ),
    ]
    recentdt: Annotated[
        date, Column("First Day of Recent Proofs of Life", "One visit interval and its window before the cut-off.")
    ]
    targetn: Annotated[
        int | None, Column("Accrual Target", "Participants, by the protocol of the cut-off.", source="Assigned")
    ]
    targetdt: Annotated[
        date | None, Column("Date of the Accrual Target", "From the protocol; may lie ahead.", source="Assigned")
    ]


def make_cut(cohort: CutCohort) -> Iterator[CutDescription]:
    """Yields the only record."""
    target = protocol_on(cohort.snapshot.study, cohort.cut.cut_on).accrual_target
    yield CutDescription(
        studyid=cohort.study_id,
        cutname=cohort.cut.name,
        cutdt=cohort.cut.cut_on,
        siteid=cohort.site_id,
        elsewhn=cohort.elsewhere,
        recentdt=day_of_number(recent_since(cohort.snapshot, cohort.selection)),
        targetn=target.participants if target else None,
        targetdt=target.by if target else None,
    )


ADCUT = DataSet(
    name="ADCUT",
    label="Data Cut",
    structure="One record per study",
    data_class="ADAM OTHER",
    keys=("STUDYID",),
    record=CutDescription,
    make=make_cut,
)
