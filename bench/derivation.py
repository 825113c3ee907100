"""Measures the derivation of rows from stored facts, against the parsing of the same facts alone; both in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from time import process_time

from bench.analytics_study import simulate_history, study_events
from bench.cohort import DISTINCT_PARTICIPANTS
from bench.ratio import Bench, Measurements, Pair, Ratio, Size, run_alternately
from services.analytics.cohort.study_plans import StudyPlans
from services.analytics.deriver.derivation_batch import derive_participant
from shared.contracts.event import Event, stated_facts
from shared.kernel.ids import new_participant_id
from shared.kernel.record import Record, current_record
from shared.terminology.ctcae import TermNames

STUDY = "bench"
RATIO = Ratio(
    name="derivation",
    ours="rows and data queries of 10,000 participants from their stored facts, in memory; CPU time",
    against="the same facts parsed once with pydantic, kept by participant; CPU time",
    unit="s",
    goal=2.5,
    is_upper_bound=True,
)
Cohort = Mapping[str, Sequence[Event]]
"""The events of the current facts of each participant."""


async def run(size: Size) -> Measurements:
    cohort = _cohort(size.choose(10_000, 20))
    plans = StudyPlans.from_record(current_record(stated_facts(study_events(STUDY))))
    term_names = TermNames()

    async def derive_all() -> float:
        started_at = process_time()
        for participant_id, events in cohort.items():
            derive_participant(participant_id, events, plans, term_names)
        return process_time() - started_at

    async def parse_all() -> float:
        started_at = process_time()
        for events in cohort.values():
            Record(tuple(stated_facts(events)))
        return process_time() - started_at

    rounds = await run_alternately(size, derive_all, parse_all)
    return {RATIO.name: [Pair(*seconds) for seconds in rounds]}


def _cohort(participants: int) -> Cohort:
    """Returns distinct participants, and after them the same facts under new numbers."""
    distinct = [
        simulate_history(STUDY, index).standing_events() for index in range(min(participants, DISTINCT_PARTICIPANTS))
    ]
    cohort = dict[str, list[Event]]()
    for number in range(participants):
        name = new_participant_id()
        cohort[name] = [replace(event, stream_id=name) for event in distinct[number % len(distinct)]]
    return cohort


BENCH = Bench("derivation", (RATIO,), run)
