"""What fixes the answer that a figure gives, and the days that it takes imprecise dates for."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.analytics.asking import Asked, Figures
from services.analytics.figures.catalogue import FIGURES
from services.analytics.participants import Participants
from services.analytics.questions import Queries, Wanted
from shared.kernel.clock import Clock
from shared.kernel.refusal import Unacceptable
from shared.testing import facts
from tests.conftest import Database
from tests.integration.lives import told_study
from tests.integration.stated import FIRST, enrolled, screened

MONTH = "2024-03"
KNOWN_ON = f"{MONTH}-06"  # everything is recorded in the morning of the 7th, when that day has not begun everywhere
CUT = date(2024, 3, 10)


def days_later(days: int) -> Clock:
    return Clock(now=lambda: FIRST + timedelta(days=days))


async def test_a_position_and_a_cut_fix_what_is_said_whatever_the_calendar_says(
    analytics_database: Database, tmp_path: Path, study_id: str
) -> None:
    async with told_study(analytics_database, tmp_path, study_id) as told:
        course = facts.course(MONTH)
        left = facts.withdrawn(MONTH)
        life = await told.life("north", screened(), enrolled(MONTH), course, facts.completed(MONTH), left)
        plan = facts.protocol(stereotactic={"deliveries": [course.targets[0].delivery]})
        await told.project([told.study.tell(facts.amended("2024-03-20", plan))])
        member, asked = f"investigator.{study_id}", Asked(cut=CUT, at=str(told.projected))
        said: list[dict[str, Any]] = []
        for days in (3, 5, 10, 400):  # from the day of the cut on; before, it is refused
            figures = Figures(analytics_database.app, analytics_database.system, days_later(days))
            queries = Queries(figures)
            people = Participants(analytics_database.app, analytics_database.system, figures, queries)
            _, rows = await queries.seen(study_id, member, Wanted(rule="imprecise_end_of_follow_up"))
            entries = (await people.timeline(study_id, life.number, member, asked))["entries"]
            answers = {name: await figures.figure(name, study_id, member, asked) for name in FIGURES}
            said.append(
                {**answers, "days": [entry["day"] for entry in entries], "queries": [row.query for row in rows]}
            )
        assert all(each == said[0] for each in said)
        on_the_7th = Figures(analytics_database.app, analytics_database.system, days_later(0))
        with pytest.raises(Unacceptable, match="no day after the study's today"):
            await on_the_7th.figure("flow", study_id, member, asked)
        assert said[0]["accrual"]["groups"][0]["curve"] == [{"on": KNOWN_ON, "cumulative": 1}]
        assert said[0]["days"] == ["2024-02-01", *[KNOWN_ON] * 4]
        assert f"Analyses use {KNOWN_ON}" in str(said[0]["queries"])
