"""The protocol and the courses of a cohort."""

from __future__ import annotations

from datetime import date, timedelta

from services.analytics.figures.participant_flow import ParticipantFlow
from services.analytics.figures.treatments import Treatments
from services.analytics.snapshot.columns import day_number
from services.analytics.snapshot.selection import Selection
from shared.gate.study_timeline import protocol_on
from shared.testing.builders import facts
from shared.testing.builders.participant_history import participant_events
from tests.unit.analytics.support import (
    ENROLLED,
    SCREENED,
    STUDY_OPENED,
    TODAY,
    record_of,
    single_fraction,
    snapshot_of,
    snapshot_of_events,
)

ALL_PARTICIPANTS = Selection(TODAY)


def test_figures_use_the_same_protocol_as_in_force_for_same_day_amendments() -> None:
    amended = [
        facts.protocol_amended("2024-01-01", facts.protocol(stereotactic={"deliveries": deliveries}))
        for deliveries in ([], ["SRS"])
    ]
    events = participant_events([SCREENED, ENROLLED, facts.radiotherapy_started(0, "RT1", single_fraction("SRS"))])
    study_snapshot = snapshot_of_events(events, record_of(STUDY_OPENED, *amended))
    assert ParticipantFlow.compute(study_snapshot, ALL_PARTICIPANTS).stereotactic == 1


def test_later_recorded_of_two_same_day_amendments_is_the_protocol() -> None:
    amended = [facts.protocol_amended(9, facts.protocol(small_cell=cell)) for cell in (7, 9)]
    study = record_of(facts.study_opened(), *amended)
    plans = [protocol_on(study, facts.START_DATE + timedelta(days=day)) for day in (8, 9)]
    assert [plan.small_cell for plan in plans] == [5, 9]


def test_partial_course_end_is_imputed_on_or_after_the_start_and_counted() -> None:
    start = facts.radiotherapy_started("2024-03-20")
    study_snapshot = snapshot_of({"p": [SCREENED, ENROLLED, start, facts.radiotherapy_completed("2024-03")]})
    assert study_snapshot.tables["course"]["ended_on"].tolist() == [day_number(date(2024, 3, 20))]
    assert (
        ParticipantFlow.compute(study_snapshot, ALL_PARTICIPANTS).imputed_dates,
        Treatments.compute(study_snapshot, ALL_PARTICIPANTS).imputed_dates,
    ) == (1, 1)
