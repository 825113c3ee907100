"""Figures at a position and a data cut-off: the same numbers and imputed days, whatever the date of today."""

from __future__ import annotations

from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from services.analytics.figures.parameters import FigureRequest
from services.analytics.figures.registry import FIGURES
from services.analytics.figures.service import FigureService
from services.analytics.queries.repository import QueryFilter
from services.analytics.queries.service import QueryService
from services.analytics.snapshot.as_of import AsOf
from services.analytics.snapshot.study_reader import StudyReader
from services.analytics.timeline.service import TimelineService
from shared.kernel.clock import Clock
from shared.kernel.errors import RequestRejected
from shared.testing.builders import facts
from shared.testing.builders.events import FIRST_RECORDED_AT
from shared.testing.builders.facts import participant_enrolled, participant_screened
from tests.conftest import Database
from tests.integration.support.analytics_app import open_analytics_study

PARTIAL_DATE = "2024-03"
RECORDED_ON = f"{PARTIAL_DATE}-07"
"""The day of every fact but corrections: none may be taken for a later one."""
CUT = date(2024, 3, 10)


def clock_days_later(days: int) -> Clock:
    return Clock(now=lambda: FIRST_RECORDED_AT + timedelta(days=days))


async def test_figures_at_a_position_and_cut_do_not_depend_on_todays_date(
    analytics_database: Database, tmp_path: Path, study_id: str
) -> None:
    async with open_analytics_study(analytics_database, tmp_path, study_id) as analytics_study:
        course = facts.radiotherapy_started(PARTIAL_DATE)
        withdrawal = facts.consent_withdrawn(PARTIAL_DATE)
        participant = await analytics_study.add_participant(
            "rome",
            participant_screened(),
            participant_enrolled(PARTIAL_DATE),
            course,
            facts.radiotherapy_completed(PARTIAL_DATE),
            withdrawal,
        )
        plan = facts.protocol(stereotactic={"deliveries": [course.targets[0].delivery]})
        await analytics_study.project([analytics_study.study.record(facts.protocol_amended("2024-03-20", plan))])
        user, as_of = f"investigator.{study_id}", AsOf(at=str(analytics_study.position))
        parameters = FigureRequest(cut_date=CUT, as_of=as_of)
        snapshots: list[dict[str, Any]] = []
        for days in (3, 5, 10, 400):  # from the day of the cut on; before, it is refused
            reader = StudyReader(analytics_database.app, analytics_database.system, clock_days_later(days))
            figures, queries = FigureService(reader), QueryService(reader)
            timeline_service = TimelineService(reader)
            _, rows = await queries.visible_queries(study_id, user, QueryFilter(rule="imprecise_end_of_follow_up"))
            timeline = await timeline_service.timeline(study_id, participant.participant_id, user, as_of)
            answers = {name: (await figures.figure(name, study_id, user, parameters)).to_json() for name in FIGURES}
            snapshots.append(
                {
                    **answers,
                    "days": [str(entry.day) for entry in timeline.entries],
                    "queries": [row.query for row in rows],
                }
            )
        assert all(snapshot == snapshots[0] for snapshot in snapshots)
        reader_before_cut = StudyReader(analytics_database.app, analytics_database.system, clock_days_later(0))
        with pytest.raises(RequestRejected, match="no day after the study's today"):
            await FigureService(reader_before_cut).figure("flow", study_id, user, parameters)
        assert snapshots[0]["accrual"]["groups"][0]["curve"][0] == {"on": RECORDED_ON, "cumulative": 1}
        assert snapshots[0]["days"] == ["2024-02-01", *[RECORDED_ON] * 4]
        assert f"Analyses use {RECORDED_ON}" in str(snapshots[0]["queries"])


async def test_default_cut_of_a_position_stays_when_the_clock_of_the_study_is_advanced(
    analytics_database: Database, tmp_path: Path, study_id: str
) -> None:
    async with open_analytics_study(analytics_database, tmp_path, study_id) as analytics_study:
        await analytics_study.add_participant("rome", participant_screened(), participant_enrolled(PARTIAL_DATE))
        user, position = f"investigator.{study_id}", analytics_study.position
        cuts = [
            (await FigureService(reader).figure("flow", study_id, user, FigureRequest(as_of=as_of))).context.cut_date
            for as_of in (AsOf(at=str(position)), AsOf(recorded_until=FIRST_RECORDED_AT + timedelta(days=1)))
            for reader in (
                StudyReader(
                    analytics_database.app,
                    analytics_database.system,
                    Clock(now=lambda: FIRST_RECORDED_AT + timedelta(days=500), advanced_days=partial(dict, advance)),
                )
                for advance in ({}, {study_id: 400})
            )
        ]
        assert [cut.isoformat() for cut in cuts] == [RECORDED_ON] * 4
