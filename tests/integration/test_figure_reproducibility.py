"""Parameters that determine a figure, and the days that it imputes for partial dates."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.analytics.asking import FigureRequest, FigureService
from services.analytics.figures.registry import FIGURES
from services.analytics.participants.service import ParticipantService
from services.analytics.queries.service import QueryFilter, QueryService
from shared.kernel.clock import Clock
from shared.kernel.errors import RequestRejected
from shared.testing.builders import facts
from shared.testing.builders.messages import FIRST_RECORDED_AT, participant_enrolled, participant_screened
from tests.conftest import Database
from tests.integration.support.analytics_app import open_analytics_study

PARTIAL_DATE = "2024-03"
KNOWN_UNTIL = (
    f"{PARTIAL_DATE}-06"  # everything is recorded in the morning of the 7th, when that day has not begun everywhere
)
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
            "north",
            participant_screened(),
            participant_enrolled(PARTIAL_DATE),
            course,
            facts.radiotherapy_completed(PARTIAL_DATE),
            withdrawal,
        )
        plan = facts.protocol(stereotactic={"deliveries": [course.targets[0].delivery]})
        await analytics_study.project([analytics_study.study.add(facts.protocol_amended("2024-03-20", plan))])
        user, parameters = f"investigator.{study_id}", FigureRequest(cut=CUT, at=str(analytics_study.position))
        snapshots: list[dict[str, Any]] = []
        for days in (3, 5, 10, 400):  # from the day of the cut on; before, it is refused
            figures = FigureService(analytics_database.app, analytics_database.system, clock_days_later(days))
            queries = QueryService(figures)
            timeline_service = ParticipantService(analytics_database.app, analytics_database.system, figures, queries)
            _, rows = await queries.visible_queries(study_id, user, QueryFilter(rule="imprecise_end_of_follow_up"))
            entries = (await timeline_service.timeline(study_id, participant.number, user, parameters))["entries"]
            answers = {name: await figures.figure(name, study_id, user, parameters) for name in FIGURES}
            snapshots.append(
                {**answers, "days": [entry["day"] for entry in entries], "queries": [row.query for row in rows]}
            )
        assert all(each == snapshots[0] for each in snapshots)
        figures_before_cut = FigureService(analytics_database.app, analytics_database.system, clock_days_later(0))
        with pytest.raises(RequestRejected, match="no day after the study's today"):
            await figures_before_cut.figure("flow", study_id, user, parameters)
        assert snapshots[0]["accrual"]["groups"][0]["curve"] == [{"on": KNOWN_UNTIL, "cumulative": 1}]
        assert snapshots[0]["days"] == ["2024-02-01", *[KNOWN_UNTIL] * 4]
        assert f"Analyses use {KNOWN_UNTIL}" in str(snapshots[0]["queries"])
