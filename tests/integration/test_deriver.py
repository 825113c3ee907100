"""Derived rows in the database: how they follow the facts, and that they say what the facts say."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from infra.services import SERVICES
from infra.simulator.participants import simulate_participant
from services.analytics.deriver.deriver import Deriver
from services.analytics.figures.registry import FIGURES
from services.analytics.projection.epoch import begin_epoch
from services.analytics.snapshot.as_of import AsOf
from services.analytics.snapshot.columns import day_number
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import StudySnapshot
from services.analytics.snapshot.study_reader import StudyReader
from shared.contracts import catalogue
from shared.kernel.clock import Clock
from shared.kernel.errors import UnreadableFacts
from shared.postgres.statements import compose_statement
from shared.terminology.ctcae import TermNames
from shared.testing.builders import facts
from shared.testing.builders.follow_up_facts import follow_up_recorded, participant_died
from shared.testing.builders.participant_history import ParticipantHistory
from tests.conftest import Database
from tests.integration.support.derived_study import TREATED, DerivedStudy, open_derived_study
from tests.integration.support.snapshot_rows import decoded

CUTS = [date(2021, 6, 1), date(2023, 1, 31), date(2025, 6, 30), date(2026, 12, 31)]


@pytest.fixture
async def study(analytics_database: Database, study_id: str) -> DerivedStudy:
    return await open_derived_study(analytics_database, study_id)


def simulated_history(study_id: str, index: int) -> ParticipantHistory:
    participant = simulate_participant(7, index)
    history = ParticipantHistory(study_id, site_id=participant.site.site_id)
    for service in SERVICES:
        classes = catalogue.find_stream(service, is_study=False).facts
        recorded = participant.facts_of_service(service)
        history.record(*(classes[fact["type"]].model_validate(fact["data"]) for fact in recorded))
    return history


def figures_of(snapshot: StudySnapshot) -> list[dict[str, Any]]:
    return [
        figure.compute(snapshot, Selection(cut, by=by)).to_json()
        for cut in CUTS
        for figure in FIGURES.values()
        for by in (None, *figure.STRATIFICATIONS)
    ]


async def test_rows_read_from_the_database_equal_those_derived_from_the_facts(study: DerivedStudy) -> None:
    for index in range(60):
        await study.project(simulated_history(study.study_id, index).events)
        if index % 13 == 0:
            await study.derive()
            await study.reader.newest_snapshot(study.study_id)
    await study.derive()
    newest = await study.reader.newest_snapshot(study.study_id)
    past = await study.reader.past_snapshot(study.study_id, newest.study, newest.position)
    assert decoded(newest) == decoded(past)
    assert figures_of(newest) == figures_of(past)
    anew = await StudyReader(study.database.app, study.database.system, Clock()).newest_snapshot(study.study_id)
    assert decoded(newest) == decoded(anew)


async def test_fact_of_one_participant_changes_no_row_of_another(study: DerivedStudy) -> None:
    first, second = await study.add(*TREATED), await study.add(*TREATED)
    await study.derive()
    before = await study.row(second.participant_id, "position", "digest")
    await study.project([first.record(participant_died(200))])
    assert await study.derive() == 1
    assert await study.row(second.participant_id, "position", "digest") == before
    (died_on,) = await study.row(first.participant_id, "died_on")
    assert died_on == facts.day(200)


async def test_derivation_without_new_facts_does_nothing(study: DerivedStudy) -> None:
    await study.add(*TREATED)
    assert await study.derive() == 1
    assert await study.derive() == 0


async def test_facts_of_one_participant_are_derived_together(study: DerivedStudy) -> None:
    history = await study.add(*TREATED)
    for day in (40, 80, 120):
        await study.project([history.record(follow_up_recorded(day))])
    assert await study.derive() == 1


async def test_amendment_derives_every_participant_anew(study: DerivedStudy) -> None:
    history = await study.add(*TREATED)
    await study.derive()
    plan = facts.protocol(follow_up={"for_months": 36})
    await study.project([study.study.record(facts.protocol_amended(0, plan))])
    assert await study.derive() == 1
    assert await study.row(history.participant_id, "reason") == ("plans",)
    visits = await study.database.system.fetchval(
        "select count(*) from derived_visit where study_id = $1", study.study_id
    )
    assert visits == 12


async def test_voided_participant_keeps_a_row_without_days(study: DerivedStudy) -> None:
    history = await study.add(*TREATED)
    await study.derive()
    await study.project([history.record(facts.participant_voided())])
    await study.derive()
    row = await study.row(history.participant_id, "is_excluded", "enrolled_on")
    assert row == (True, "infinity")
    assert len((await study.reader.newest_snapshot(study.study_id)).tables["course"]) == 0


UNREADABLE = {"type": ("type", "future.fact", "KeyError"), "content": ("data", "{}", "ValidationError")}
for_each_fault = pytest.mark.parametrize(("column", "value", "error_name"), UNREADABLE.values(), ids=UNREADABLE)


@for_each_fault
async def test_participant_whose_derivation_fails_keeps_the_old_rows_and_stops_nobody_else(
    study: DerivedStudy, column: str, value: str, error_name: str
) -> None:
    damaged, intact = await study.add(*TREATED), await study.add(*TREATED)
    await study.derive()
    event = damaged.record(follow_up_recorded(40))
    await study.project([event, intact.record(participant_died(200))])
    await study.damage(event, column, value)
    await study.derive()
    assert await study.failures() == [(damaged.participant_id, error_name)]
    assert await study.row(damaged.participant_id, "enrolled_on") == (facts.day(0),)
    assert await study.row(intact.participant_id, "died_on") == (facts.day(200),)


async def test_participant_who_failed_is_derived_once_the_facts_can_be_read(study: DerivedStudy) -> None:
    history = await study.add(*TREATED)
    event = history.record(participant_died(200))
    await study.project([event])
    await study.damage(event, "type", "future.fact")
    await study.derive()
    assert len(await study.failures()) == 1
    position = (await study.reader.newest_snapshot(study.study_id)).position
    await study.damage(event, "type", "participant.died")
    assert await study.derive() == 0
    assert await study.deriver.derive_study(study.study_id, with_failed=True) == 1
    assert await study.failures() == []
    newest = await study.reader.newest_snapshot(study.study_id)
    assert newest.position == position
    assert newest.subjects["died_on"].tolist() == [day_number(date.fromisoformat(facts.day(200)))]


async def test_unreadable_fact_does_not_keep_a_voided_participant_in_analyses(study: DerivedStudy) -> None:
    history = await study.add(*TREATED)
    event = history.record(follow_up_recorded(40))
    await study.project([event])
    await study.damage(event)
    await study.project([history.record(facts.participant_voided())])
    await study.derive()
    assert await study.failures() == []
    assert await study.row(history.participant_id, "is_excluded") == (True,)


async def test_rows_of_a_participant_who_cannot_be_derived_move_to_the_new_site(study: DerivedStudy) -> None:
    history = await study.add(*TREATED)
    await study.derive()
    contact = history.record(follow_up_recorded(40))
    await study.project([contact, history.record(facts.participant_transferred("milan", 50))])
    await study.damage(contact)
    await study.derive()
    assert len(await study.failures()) == 1
    assert await study.row(history.participant_id, "site_id", "enrolled_on") == ("milan", facts.day(0))
    sites = await study.database.system.fetch(
        "select distinct site_id from derived_visit where participant_id = $1", history.participant_id
    )
    assert [row["site_id"] for row in sites] == ["milan"]


async def test_unreadable_fact_does_not_keep_in_analyses_who_refused_the_use_of_data(study: DerivedStudy) -> None:
    history = await study.add(*TREATED)
    refusal = facts.consent_signed(50, options={"data_use": False, "registry": False, "recontact": False})
    contact = history.record(follow_up_recorded(40))
    await study.project([contact, history.record(refusal)])
    await study.damage(contact)
    await study.derive()
    assert (await study.failures(), (await study.row(history.participant_id, "is_excluded"))[0]) == ([], True)


async def test_past_position_with_an_unreadable_fact_is_refused_and_not_computed_without_it(
    study: DerivedStudy,
) -> None:
    readable, damaged = await study.add(*TREATED), await study.add(*TREATED)
    await study.derive()
    before = await study.reader.newest_snapshot(study.study_id)
    contact = damaged.record(follow_up_recorded(40))
    await study.project([contact, readable.record(follow_up_recorded(50))])
    await study.derive()
    await study.damage(contact)
    newest = await study.reader.newest_snapshot(study.study_id)
    past = await study.reader.past_snapshot(study.study_id, newest.study, before.position)
    assert len(past.subjects) == len(newest.subjects)
    with pytest.raises(UnreadableFacts):
        await study.reader.past_snapshot(study.study_id, newest.study, newest.position)


async def test_word_whose_code_is_committed_last_is_read(study: DerivedStudy) -> None:
    """Another study's transaction takes a code first and commits it last."""
    await study.add(*TREATED)
    await study.derive()
    word = f"site-{secrets.token_hex(6)}"
    async with study.database.system.acquire() as other, other.transaction():
        await other.execute("insert into derived_word (word) values ($1)", word)
        await study.project([study.study.record(facts.site_activated("berlin"))])
        await study.add(facts.participant_screened(site_id="berlin"), *TREATED[1:], site="berlin")
        await study.derive()
        assert (await study.reader.newest_snapshot(study.study_id)).words.code(word) == -1
    await study.project([study.study.record(facts.site_activated(word))])
    await study.add(facts.participant_screened(site_id=word), *TREATED[1:], site=word)
    await study.derive()
    newest = await study.reader.newest_snapshot(study.study_id)
    assert word in {newest.words.word(code) for code in newest.subjects["enrolling_site"]}


async def test_as_of_a_time_selects_no_position_that_is_not_derived_yet(study: DerivedStudy) -> None:
    await study.add(*TREATED)
    await study.derive()
    derived = await study.reader.projection_position(study.study_id)
    later = ParticipantHistory(study.study_id)
    later.record(*TREATED, recorded_at=datetime(2030, 1, 1, tzinfo=UTC))
    await study.project(
        [*later.events, later.record(follow_up_recorded(40), recorded_at=datetime(2031, 1, 1, tzinfo=UTC))]
    )
    times = [datetime(year, 6, 1, tzinfo=UTC) for year in (1990, 2029, 2030, 2031)]
    resolved = [
        (await study.reader.resolve_position(study.study_id, derived, AsOf(recorded_until=time))).position
        for time in times
    ]
    assert resolved == [0, derived.position, derived.position, derived.position]


async def test_clock_that_steps_back_derives_nothing_twice(study: DerivedStudy) -> None:
    first, second = await study.add(*TREATED), await study.add(*TREATED)
    await study.derive()
    before = await study.row(second.participant_id, "position", "digest", "revision")
    newest = await study.reader.newest_snapshot(study.study_id)
    earlier = replace(
        first.record(participant_died(200)), recorded_at=first.events[0].recorded_at - timedelta(days=400)
    )
    await study.project([earlier])
    assert await study.derive() == 1
    assert await study.derive() == 0
    assert await study.row(second.participant_id, "position", "digest", "revision") == before
    after = await study.reader.newest_snapshot(study.study_id)
    assert (after.position, after.recorded_at) == (newest.position + 1, newest.recorded_at)


async def test_new_epoch_derives_everything_anew_from_the_facts_that_are_left(study: DerivedStudy) -> None:
    remaining, lost = await study.add(*TREATED), await study.add(*TREATED)
    await study.derive()
    await study.reader.newest_snapshot(study.study_id)
    for table in ("fact", "inbox_stream", "subject_site"):
        await study.execute(
            compose_statement("delete from {table} where subject = $1", table=table), lost.participant_id
        )
    await study.execute(
        "update study_position set position = position - $2 where study_id = $1", study.study_id, len(lost.events)
    )
    await begin_epoch(study.database.system)
    assert await study.derive() == 2
    newest = await study.reader.newest_snapshot(study.study_id)
    assert newest.position == len(study.study.events) + len(remaining.events)
    assert newest.subjects["is_screened"].sum() == 1
    assert len(newest.tables["course"]) == 1
    assert await study.row(remaining.participant_id, "enrolled_on") == (facts.day(0),)


async def test_new_version_of_the_derivation_is_noticed_at_the_same_position(study: DerivedStudy) -> None:
    await study.add(*TREATED)
    await study.derive()
    before = await study.reader.newest_snapshot(study.study_id)
    await study.execute("update derived_study set derivation_version = 0 where study_id = $1", study.study_id)
    await study.execute("update derived_subject set digest = '', birth_year = 1900 where study_id = $1", study.study_id)
    assert await study.derive() == 1
    after = await study.reader.newest_snapshot(study.study_id)
    assert after is not before
    assert decoded(after) == decoded(before)


async def test_two_derivers_write_the_rows_of_a_study_one_after_the_other(study: DerivedStudy) -> None:
    for _ in range(5):
        await study.add(*TREATED)
    other = Deriver(study.database.system, TermNames(), Clock())
    counts = await asyncio.gather(study.derive(), other.derive_study(study.study_id))
    assert sorted(counts) == [0, 5]
