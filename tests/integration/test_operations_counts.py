"""Numbers of the operations page and of the metrics about the derived rows of a study."""

from __future__ import annotations

import pytest

from services.analytics.operations import repository
from services.analytics.operations.metrics import collect_metrics
from services.analytics.snapshot.repository import projection_position
from shared.testing.builders.events import EventStream
from shared.testing.builders.follow_up_facts import follow_up_recorded
from tests.conftest import Database
from tests.integration.support.derived_study import TREATED, DerivedStudy, open_derived_study


@pytest.fixture
async def study(analytics_database: Database, study_id: str) -> DerivedStudy:
    return await open_derived_study(analytics_database, study_id)


async def metrics_of(study: DerivedStudy) -> dict[str, float]:
    samples = await collect_metrics(study.database.system)
    return {sample.name: sample.value for sample in samples if sample.labels["study"] == study.study_id}


async def test_facts_are_behind_until_their_rows_are_derived(study: DerivedStudy) -> None:
    history = await study.add(*TREATED)
    await study.derive()
    assert await repository.count_facts_behind(study.database.system, study.study_id) == 0
    position = (await projection_position(study.database.system, study.study_id)).position
    await study.project([history.record(follow_up_recorded(40)), history.record(follow_up_recorded(80))])
    assert await repository.count_facts_behind(study.database.system, study.study_id) == 2
    assert (await metrics_of(study))["quartal_derivation_behind"] == 2
    assert (await projection_position(study.database.system, study.study_id)).position == position
    await study.derive()
    assert (await metrics_of(study))["quartal_derivation_behind"] == 0


async def test_participant_whose_derivation_fails_is_listed_from_the_first_failure_on(study: DerivedStudy) -> None:
    history = await study.add(*TREATED)
    first, second = history.record(follow_up_recorded(40)), history.record(follow_up_recorded(80))
    await study.project([first])
    await study.damage(first)
    await study.derive()
    (failed,) = await repository.load_failed(study.database.app, study.study_id)
    assert (failed.participant_id, failed.reason) == (history.participant_id, "ValidationError")
    await study.project([second])
    await study.derive()
    (again,) = await repository.load_failed(study.database.app, study.study_id)
    assert (again.since, again.position) == (failed.since, failed.position + 1)
    assert (await metrics_of(study))["quartal_derivation_failures"] == 1
    assert await repository.count_facts_behind(study.database.system, study.study_id) == 0


async def test_participant_without_a_screening_is_listed_with_the_facts_there_are(study: DerivedStudy) -> None:
    stream = EventStream(study.study_id, service="followup")
    stream.record(follow_up_recorded("2024-05-01"))
    await study.project(stream.events)
    await study.add(*TREATED)
    await study.derive()
    (row,) = await repository.load_unscreened(study.database.app, study.study_id)
    assert (row.participant_id, row.services, row.facts) == (stream.stream_id, ("followup",), 1)
    assert row.since == stream.events[0].recorded_at
    assert (await metrics_of(study))["quartal_participants_without_screening"] == 1
