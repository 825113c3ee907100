"""A death "2025" that was recorded in March stays where it is until it is corrected."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from services.analytics.figures.parameters import FigureRequest
from services.analytics.figures.service import FigureService
from services.analytics.queries.repository import QueryFilter
from services.analytics.queries.service import QueryService
from services.analytics.rebuild.rebuild import rebuild
from services.analytics.snapshot.as_of import LATEST, AsOf
from services.analytics.snapshot.study_reader import StudyReader
from services.analytics.timeline.service import TimelineService
from shared.contracts.event import Event
from shared.kernel.clock import Clock
from shared.testing.builders.facts import participant_enrolled, participant_screened, participant_transferred
from shared.testing.builders.follow_up_facts import participant_died
from shared.testing.builders.participant_history import ParticipantHistory
from tests.conftest import Database, PostgresServer
from tests.integration.support.analytics_app import AnalyticsStudy, open_analytics_study
from tests.integration.support.analytics_database import own_analytics_database

CLOCKS = (
    Clock(now=lambda: datetime(2025, 12, 1, 12, tzinfo=UTC)),
    Clock(now=lambda: datetime(2025, 12, 1, 23, 30, tzinfo=UTC)),
    Clock(now=lambda: datetime(2025, 12, 24, 12, tzinfo=UTC)),
    Clock({"": date(2026, 1, 31)}),
    Clock(Clock.parse("+400").frozen_or_shifted, lambda: datetime(2025, 12, 1, 12, tzinfo=UTC)),
)
DIED_IN_2025 = participant_died("2025")


@pytest.fixture(scope="module")
async def own_database(postgres: PostgresServer, databases: Mapping[str, str]) -> AsyncIterator[Database]:
    """A database for these tests: a rebuild reads every study that is in it."""
    async with own_analytics_database(postgres) as database:
        yield database


def recorded_on(day: str, events: Iterable[Event]) -> list[Event]:
    """The events as services record them on a day of the study."""
    return [replace(event, meta={**event.meta, "recorded_on": day}) for event in events]


@dataclass
class DeathInMarch:
    """A study with a participant whose death "2025" was recorded on 10 March."""

    study: AnalyticsStudy
    participant: ParticipantHistory

    @classmethod
    async def record(cls, study: AnalyticsStudy, *, keeps_days: bool) -> DeathInMarch:
        """Records it as this release does, or as one that did not keep the day."""
        participant = ParticipantHistory(study.study_id)
        participant.record(participant_screened(), participant_enrolled(), DIED_IN_2025)
        moment = datetime(2025, 3, 10, 9, tzinfo=UTC)
        if keeps_days:
            await study.project(recorded_on("2025-03-10", participant.events))
        else:
            await study.project(replace(event, recorded_at=moment) for event in participant.events)
        return cls(study, participant)

    async def days(self, clock: Clock, as_of: AsOf = LATEST) -> tuple[str, str, list[int]]:
        """The day of the death in the timeline and in its data queries, and the deaths that figures count around it."""
        reader = StudyReader(self.study.database.app, self.study.database.system, clock)
        user, study_id = f"investigator.{self.study.study_id}", self.study.study_id
        timeline = await TimelineService(reader).timeline(study_id, self.participant.participant_id, user, as_of)
        (day,) = [str(entry.day) for entry in timeline.entries if entry.type == "participant.died"]
        _, queries = await QueryService(reader).visible_queries(study_id, user, QueryFilter())
        texts = [row.text for row in queries if row.participant_id == self.participant.participant_id]
        counts = [await self._deaths(reader, user, date.fromisoformat(cut), as_of) for cut in ("2025-03-09", day)]
        return day, " ".join(texts), counts

    async def _deaths(self, reader: StudyReader, user: str, cut: date, as_of: AsOf) -> int:
        request = FigureRequest(cut_date=cut, as_of=as_of)
        flow = (await FigureService(reader).figure("flow", self.study.study_id, user, request)).to_json()
        return int(str(flow["died"]))


@pytest.mark.parametrize("keeps_days", [True, False])
async def test_death_in_a_year_stays_on_its_day_until_it_is_corrected(
    own_database: Database, tmp_path: Path, study_id: str, *, keeps_days: bool
) -> None:
    async with open_analytics_study(own_database, tmp_path, study_id) as study:
        death = await DeathInMarch.record(study, keeps_days=keeps_days)
        before = await death.days(CLOCKS[0])
        assert (before[0], before[2]) == ("2025-03-10", [0, 1])

        await record_in_november(death)
        for clock in CLOCKS:
            assert await death.days(clock) == before
            await rebuild(own_database.urls["system"])
            assert await death.days(clock) == before

        position = study.position
        correction = death.participant.correct(death.participant.events[2], DIED_IN_2025)
        await study.project(recorded_on("2025-11-22", [correction]))
        for _ in range(2):
            assert (await death.days(CLOCKS[0]))[0] == "2025-07-01"
            assert (await death.days(CLOCKS[0], AsOf(at=str(position))))[0] == "2025-03-10"
            await rebuild(own_database.urls["system"])


async def record_in_november(death: DeathInMarch) -> None:
    """Records that another participant is enrolled and dies, and that the participant moves to the other site."""
    other = ParticipantHistory(death.study.study_id, site_id="milan")
    other.record(participant_screened(site_id="milan"), participant_enrolled("2025-11"), DIED_IN_2025)
    await death.study.project(recorded_on("2025-11-20", other.events))
    moved = death.participant.record(participant_transferred("milan", "2025-02-01"))
    await death.study.project(recorded_on("2025-11-21", [moved]))
