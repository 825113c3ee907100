"""ADSCR: one record for each participant who is screened by the data cut-off, enrolled or not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Annotated, Any, NamedTuple

from services.analytics.datasets.cohort import CutCohort
from services.analytics.datasets.column import Column
from services.analytics.datasets.common_columns import FLAG_RULE, IMPUTED_PARTS, ParticipantNumber, StudyId
from services.analytics.datasets.data_set import DataSet
from services.analytics.snapshot.flow import DayColumn

_STEPS = {"scrndt": "screened", "scrfdt": "screen_failed", "rficdt": "consented", "enrldt": "enrolled"}
"""The steps of screening by their columns."""


def _date_flag(name: str) -> Column:
    return Column(f"{name} Imputation Flag", FLAG_RULE.format(date="the date"), codes=IMPUTED_PARTS)


class ScreenedParticipant(NamedTuple):
    """The steps of a participant up to enrollment. Days after the cut-off are empty."""

    studyid: StudyId
    usubjid: ParticipantNumber
    siteid: Annotated[str, Column("Study Site Identifier", "The site that screened the participant.")]
    scrndt: Annotated[date | None, Column("Date of Screening", "As recorded.", source="Collected")]
    scrndtf: Annotated[str | None, _date_flag("Screening")]
    scrfdt: Annotated[date | None, Column("Date of Screen Failure", "As recorded.", source="Collected")]
    scrfdtf: Annotated[str | None, _date_flag("Screen Failure")]
    rficdt: Annotated[
        date | None, Column("Date of Informed Consent", "The first consent that was signed.", source="Collected")
    ]
    rficdtf: Annotated[str | None, _date_flag("Informed Consent")]
    enrldt: Annotated[date | None, Column("Date of Enrollment", "As recorded, imputed if partial.", source="Collected")]
    enrldtf: Annotated[str | None, _date_flag("Enrollment")]


def make_screening(cohort: CutCohort) -> Iterator[ScreenedParticipant]:
    """Yields the participants in the order of their numbers."""
    subjects = cohort.snapshot.subjects
    columns = dict[str, Sequence[Any]]()
    for name, step in _STEPS.items():
        dates = DayColumn(subjects[f"{step}_on"], subjects[f"{step}_precision"])
        columns[name], columns[f"{name}f"] = cohort.dated(dates)
    sites = cohort.words(subjects["enrolling_site"])
    for index in cohort.screened:
        steps = {name: values[index] for name, values in columns.items()}
        yield ScreenedParticipant(cohort.study_id, cohort.numbers[index], sites[index], **steps)


ADSCR = DataSet(
    name="ADSCR",
    label="Screening Analysis Data Set",
    structure="One record per screened participant",
    data_class="ADAM OTHER",
    keys=("STUDYID", "USUBJID"),
    record=ScreenedParticipant,
    make=make_screening,
)
