"""The protocol and the courses of a cohort."""

from __future__ import annotations

from datetime import date, timedelta

from services.analytics.cohort.cohort import Selection, build_cohort
from services.analytics.figures.participant_flow import ParticipantFlow
from services.analytics.figures.treatments import Treatments
from shared.gate.study_timeline import protocols_in_force
from shared.kernel.partial_date import PartialDate
from shared.testing.builders import facts
from shared.testing.builders.participant_history import participant_events
from tests.unit.analytics.support import ENROLLED, SCREENED, STUDY_OPENED, TODAY, cohort_of, record_of, single_fraction

ALL_PARTICIPANTS = Selection(TODAY)


def test_figures_use_the_same_protocol_as_in_force_for_same_day_amendments() -> None:
    amended = [
        facts.protocol_amended("2024-01-01", facts.protocol(stereotactic={"deliveries": deliveries}))
        for deliveries in ([], ["SRS"])
    ]
    events = participant_events([SCREENED, ENROLLED, facts.radiotherapy_started(0, "RT1", single_fraction("SRS"))])
    study_cohort = build_cohort(record_of(STUDY_OPENED, *amended), events, frozenset(), TODAY)
    assert study_cohort.protocol == protocols_in_force(study_cohort.study, PartialDate.from_day(TODAY))[-1][0]
    assert ParticipantFlow.compute(study_cohort, ALL_PARTICIPANTS).stereotactic == 1


def test_later_recorded_of_two_same_day_amendments_is_the_protocol() -> None:
    amended = [facts.protocol_amended(9, facts.protocol(small_cell=cell)) for cell in (7, 9)]
    study = record_of(facts.study_opened(), *amended)
    plans = [build_cohort(study, [], frozenset(), facts.START_DATE + timedelta(days=day)).protocol for day in (8, 9)]
    assert [plan.small_cell for plan in plans] == [5, 9]


def test_partial_course_end_is_imputed_on_or_after_the_start_and_counted() -> None:
    start = facts.radiotherapy_started("2024-03-20")
    study_cohort = cohort_of({"p": [SCREENED, ENROLLED, start, facts.radiotherapy_completed("2024-03")]})
    (participant,) = study_cohort.participants
    assert [dates.ended_on for dates in participant.course_dates(TODAY)] == [date(2024, 3, 20)]
    assert (
        ParticipantFlow.compute(study_cohort, ALL_PARTICIPANTS).imputed_dates,
        Treatments.compute(study_cohort, ALL_PARTICIPANTS).imputed_dates,
    ) == (1, 1)
