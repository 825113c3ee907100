"""What fixes the answer that a figure gives."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from services.analytics.asking import Asked, Figures
from services.analytics.figures.catalogue import FIGURES
from shared.kernel.clock import Clock
from shared.testing import facts
from tests.conftest import Database
from tests.integration.lives import told_study
from tests.integration.stated import enrolled, screened


async def test_a_position_and_a_cut_fix_every_figure_whatever_the_calendar_says(
    analytics_database: Database, tmp_path: Path, study_id: str
) -> None:
    async with told_study(analytics_database, tmp_path, study_id) as told:
        course = facts.course("2025-01")
        await told.life("north", screened(), enrolled("2025-01"), course, facts.completed("2025-01"))
        plan = facts.protocol(stereotactic={"deliveries": [course.targets[0].delivery]})
        await told.project([told.study.tell(facts.amended("2025-01-20", plan))])
        asked = Asked(cut=date(2025, 1, 10), at=str(told.projected))
        for name in FIGURES:
            answers = []
            for today in ("2025-01-10", "2025-01-31", "2026-05-01"):
                figures = Figures(analytics_database.app, analytics_database.system, Clock.parse(today))
                answers.append(await figures.figure(name, study_id, f"investigator.{study_id}", asked))
            assert answers[0] == answers[1] == answers[2], name
