"""Sealed data cuts: the bytes of every figure stay what they were when the cut was taken."""

from __future__ import annotations

import asyncio
import json
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from services.analytics.cuts import repository
from services.analytics.cuts.process import seal_until
from services.analytics.figures.files import MEDIA_TYPES
from services.analytics.figures.png import SCALE
from services.analytics.figures.registry import FIGURES
from services.analytics.rebuild.rebuild import rebuild
from shared.kernel.fact import Fact
from shared.postgres.migrations import migrate
from shared.testing.builders import facts
from shared.testing.builders.follow_up_facts import disease_progressed, follow_up_recorded, participant_died
from shared.testing.builders.participant_history import ParticipantHistory
from shared.version import VERSION
from tests.conftest import MIGRATIONS, Database, PostgresServer, runtime_roles
from tests.integration.support.analytics_app import AnalyticsStudy, open_analytics_study
from tests.integration.support.analytics_database import own_analytics_database
from tests.integration.support.sealing import (
    SealInterrupted,
    due_cuts,
    execute_as_owner,
    interrupted,
    open_sealer,
    page_request,
    seal_cuts,
    shown_figures,
    take_sealed_cut,
)
from tests.polling import wait_until

CUT, CUT_ON = "cut:interim", "2024-12-31"
MEMBERS = ("investigator", "auditor", "site@rome", "coordinator@milan", "reader")
"""Members of each scope: the whole study, two sites, readers."""
TREATED = (
    facts.consent_signed(),
    facts.participant_enrolled(),
    facts.radiotherapy_started(7),
    facts.radiotherapy_completed(),
)


@pytest.fixture
async def own_database(postgres: PostgresServer, databases: Mapping[str, str]) -> AsyncIterator[Database]:
    """A database for one test: a rebuild reads and repairs all its studies."""
    async with own_analytics_database(postgres) as database:
        yield database


@pytest.fixture
async def study(own_database: Database, tmp_path: Path, study_id: str) -> AsyncIterator[AnalyticsStudy]:
    """A study with participants at two sites, of whom some have died."""
    async with open_analytics_study(own_database, tmp_path, study_id) as study:
        await treat_participants(study)
        yield study


@pytest.fixture(scope="module")
async def sealed_study(
    postgres: PostgresServer, databases: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[AnalyticsStudy]:
    """Such a study with a sealed data cut, for tests that record nothing."""
    folder = tmp_path_factory.mktemp("sealed")
    async with own_analytics_database(postgres) as database, open_analytics_study(database, folder, "sealed") as study:
        await treat_participants(study)
        await take_sealed_cut(study, "interim", CUT_ON)
        yield study


async def treat_participants(study: AnalyticsStudy) -> None:
    for site, sex in (("rome", "female"), ("rome", "male"), ("milan", "female"), ("milan", "male")):
        for deaths in ((), (participant_died(200),)):
            await treat(study, site, follow_up_recorded(100), *deaths, sex=sex)


async def treat(study: AnalyticsStudy, site: str, *more: Fact, sex: str = "female") -> ParticipantHistory:
    screening = facts.participant_screened(site_id=site, sex=sex)
    return await study.add_participant(site, screening, *TREATED, *more)


async def record(study: AnalyticsStudy, participant: ParticipantHistory, *more: Fact) -> None:
    events = [participant.record(fact) for fact in more]
    await study.project(events)


async def answers(study: AnalyticsStudy, **params: Any) -> dict[tuple[str, str, str], tuple[int, bytes]]:
    """Returns what each member is answered for every figure in every format."""
    return {
        (member, name, kind): await status_and_bytes(study, member, name, kind, **params)
        for member in MEMBERS
        for name in FIGURES
        for kind in MEDIA_TYPES
        if kind != "png" or name == "flow"
    }


async def status_and_bytes(
    study: AnalyticsStudy, member: str, name: str, kind: str, **params: Any
) -> tuple[int, bytes]:
    answer = await study.get(f"figures/{name}.{kind}", member, **params)
    return answer.status_code, answer.content


async def numbers(study: AnalyticsStudy, name: str = "flow", member: str = "investigator", **params: Any) -> Any:
    answer = await study.get(f"figures/{name}.json", member, **params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def count_seals(study: AnalyticsStudy) -> tuple[int, int]:
    """Returns the numbers of seals and of their files."""
    seals = await study.database.system.fetchval("select count(*) from cut_seal")
    return seals, await study.database.system.fetchval("select count(*) from cut_seal_file")


async def test_sealed_figures_stay_byte_for_byte_after_a_rebuild_a_thousand_facts_and_an_upgrade(
    study: AnalyticsStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaving = await treat(study, "rome", follow_up_recorded(120))
    moving = await treat(study, "rome", follow_up_recorded(130))
    await take_sealed_cut(study, "interim", CUT_ON)
    sealed = await answers(study, at=CUT)
    assert {status for (member, _, _), (status, _) in sealed.items() if member != "reader"} == {200}
    for (_, _, kind), (status, content) in sealed.items():
        assert kind != "json" or status != 200 or json.loads(content)["sealed"] is True

    await record(study, leaving, facts.consent_withdrawn("2024-11-01", "data_use"))
    await record(study, moving, facts.participant_transferred("milan", "2024-12-01"), participant_died(150))
    for site in ("rome", "milan"):
        await treat(study, site, disease_progressed(60), participant_died(90))
    await record(study, moving, *(facts.procedure_performed(number % 300) for number in range(1000)))
    await study.database.system.execute("update derived_subject set birth_year = 1900")
    assert await rebuild(study.database.urls["system"]) > 0
    await study.project([study.study.record(facts.cut_taken("final", "2025-01-15"))])
    assert await answers(study, at=CUT) == sealed
    assert await seal_cuts(study) == ["final"]
    assert (await numbers(study, at="cut:final"))["sealed"] is True
    for figure in FIGURES.values():  # as another release may draw and describe them
        monkeypatch.setattr(figure, "TITLE", "Another title")
        monkeypatch.setattr(figure, "draw", lambda *_: "<svg/>")
    assert (await study.get("figures/flow.svg")).text == "<svg/>"
    assert await answers(study, at=CUT) == sealed


async def test_seal_stores_what_members_saw_at_the_cut(study: AnalyticsStudy) -> None:
    await study.project([study.study.record(facts.cut_taken("interim", CUT_ON))])
    before = await answers(study, at=CUT)
    await seal_cuts(study, png_scale=SCALE)
    after = await answers(study, at=CUT)
    unmarked = {
        key: (status, content.replace(b'"sealed":false', b'"sealed":true')) for key, (status, content) in before.items()
    }
    assert after == unmarked
    treatments = {member: after[member, "treatments", "json"] for member in MEMBERS}
    assert [treatments[member][0] for member in MEMBERS] == [200, 200, 200, 200, 403]
    totals = [json.loads(treatments[member][1])["page"]["total"] for member in MEMBERS[:4]]
    assert totals == [8, 8, 4, 4]


async def test_sealed_answer_states_its_digest(sealed_study: AnalyticsStudy) -> None:
    for kind in MEDIA_TYPES:
        answer = await sealed_study.get(f"figures/flow.{kind}", at=CUT)
        digest = sha256(answer.content)
        assert answer.headers["Repr-Digest"] == f"sha-256=:{b64encode(digest.digest()).decode()}:"
        assert answer.headers["ETag"].strip('"') == digest.hexdigest()[:32]
        assert f"cut-{CUT_ON}_position-" in answer.headers["Content-Disposition"]
        again = await sealed_study.http.get(
            answer.url, headers={**sealed_study.authorization("investigator"), "If-None-Match": answer.headers["ETag"]}
        )
        assert again.status_code == 304


async def test_other_parameters_are_computed_and_say_who_left(study: AnalyticsStudy) -> None:
    leaving = await treat(study, "rome")
    await take_sealed_cut(study, "interim", CUT_ON)
    assert (await numbers(study, "accrual", at=CUT, by="sex"))["sealed"] is False
    assert "excluded_since" not in await numbers(study, "accrual", at=CUT, by="sex")
    await record(study, leaving, facts.participant_voided())
    computed = [
        await numbers(study, "accrual", member, at=CUT, by="sex")
        for member in ("investigator", "site@rome", "coordinator@milan")
    ]
    assert [(answer["sealed"], answer.get("excluded_since")) for answer in computed] == [
        (False, 1),
        (False, 1),
        (False, None),
    ]
    assert (await numbers(study, at=CUT))["enrolled"] == 9
    assert (await numbers(study, at=CUT, site="rome"))["enrolled"] == 4
    assert (await numbers(study, at=CUT, cut=CUT_ON))["sealed"] is True
    assert (await numbers(study, at=CUT, cut="2024-06-30"))["sealed"] is False
    assert "sealed" not in await numbers(study, at=study.position)
    assert "sealed" not in await numbers(study)


async def test_readers_see_the_sealed_publication_without_naming_it(sealed_study: AnalyticsStudy) -> None:
    named = await sealed_study.get("figures/overall-survival.json", "reader", at=CUT)
    unnamed = await sealed_study.get("figures/overall-survival.json", "reader")
    assert named.content == unnamed.content
    assert named.json()["publication"] == {"cut": "interim", "edition": "interim"}
    assert (named.json()["sealed"], "sensitivity" in named.json()) == (True, False)
    exact = await sealed_study.get("figures/overall-survival.json", at=CUT)
    assert exact.content != named.content


async def test_sites_see_their_own_sealed_figures_alone(sealed_study: AnalyticsStudy) -> None:
    rome, milan = [
        await numbers(sealed_study, "treatments", f"coordinator@{site}", at=CUT) for site in ("rome", "milan")
    ]
    assert [answer["sealed"] for answer in (rome, milan)] == [True, True]
    participants = [{row["participant_id"] for row in answer["targets"]} for answer in (rome, milan)]
    assert participants[0].isdisjoint(participants[1])
    foreign = await sealed_study.get("figures/flow.json", "site@rome", at=CUT, site="milan")
    stranger = await sealed_study.get("figures/flow.json", "stranger", at=CUT)
    unknown = await sealed_study.get("figures/flow.json", at="cut:never")
    assert [answer.status_code for answer in (foreign, stranger, unknown)] == [403, 404, 404]


async def test_reads_of_sealed_rows_of_participants_are_logged(sealed_study: AnalyticsStudy) -> None:
    logged = "select what, row_count from read_log order by place"
    before = await sealed_study.database.system.fetch(logged)
    for kind in ("json", "csv"):
        await sealed_study.get(f"figures/treatments.{kind}", "site@rome", at=CUT)
    rows = await sealed_study.database.system.fetch(logged)
    assert [tuple(row) for row in rows[len(before) :]] == [("treatments", 4), ("treatments", 4)]


async def test_cut_of_an_earlier_version_is_sealed_at_its_own_position_and_says_so(study: AnalyticsStudy) -> None:
    leaving = await treat(study, "rome")
    await study.project([study.study.record(facts.cut_taken("old", CUT_ON))])
    position = study.position
    await record(study, leaving, facts.consent_withdrawn("2025-01-02", "data_use"))
    before = await numbers(study, at="cut:old")
    await execute_as_owner(
        study, "insert into cut_seal_start (study_id, position) values ($1, $2)", study.study_id, study.position
    )
    await take_later(study)
    old, new = [await numbers(study, at=f"cut:{name}") for name in ("old", "new")]
    assert (old["sealed"], old["sealed_later"], old["position"], old["enrolled"]) == (True, True, position, 8)
    assert old == {**before, "sealed": True, "sealed_later": True}
    assert (new["sealed"], "sealed_later" in new) == (True, False)


async def take_later(study: AnalyticsStudy) -> None:
    await study.project([study.study.record(facts.cut_taken("new", CUT_ON))])
    assert await seal_cuts(study) == ["old", "new"]


async def test_upgrade_seals_the_cuts_that_an_earlier_version_took(study: AnalyticsStudy) -> None:
    await study.project([study.study.record(facts.cut_taken("old", CUT_ON))])
    await execute_as_owner(
        study,
        "drop table seal_progress, cut_document_file, cut_document, cut_seal_file, cut_seal, cut_seal_start;"
        " drop function cut_seal_stays;"
        " delete from migration where name in ("
        "'projection/0020_data_cut_seal.sql', 'projection/0021_cut_document.sql', 'projection/0022_seal_progress.sql')",
    )
    applied = await migrate(study.database.urls["owner"], MIGRATIONS["analytics"], runtime_roles("analytics"))
    assert applied == ["0020_data_cut_seal.sql", "0021_cut_document.sql", "0022_seal_progress.sql"]
    await take_later(study)
    later = {name: (await numbers(study, at=f"cut:{name}")).get("sealed_later", False) for name in ("old", "new")}
    assert later == {"old": True, "new": False}


async def test_cut_that_cannot_be_sealed_delays_no_other_and_is_tried_again(
    study: AnalyticsStudy, caplog: pytest.LogCaptureFixture
) -> None:
    await study.project([study.study.record(facts.cut_taken("early", CUT_ON))])
    await treat(study, "rome", participant_died(90))
    await study.project([study.study.record(facts.cut_taken("late", CUT_ON))])
    await execute_as_owner(
        study,
        "update fact set data = '{}', to_position = (select from_position from fact where data ->> 'name' = 'late')"
        " where type = 'followup.recorded'",
    )
    stop = asyncio.Event()
    sealing = asyncio.create_task(seal_until(open_sealer(study), stop, interval=0.05))
    try:
        await wait_until(partial(is_sealed, study, "late"))
    finally:
        stop.set()
        await sealing
    assert [due.cut.name for due in await due_cuts(study)] == ["early"]
    assert "a data cut cannot be sealed" in caplog.text
    assert (await study.get("figures/flow.json", at="cut:early")).status_code == 500
    page = (await study.http.get(**page_request(study, "investigator", at=None))).text
    assert "Not sealed yet" in page
    await execute_as_owner(study, "delete from fact where type = 'followup.recorded'")
    assert await seal_cuts(study) == ["early"]


async def is_sealed(study: AnalyticsStudy, name: str) -> bool:
    return name not in [due.cut.name for due in await due_cuts(study)]


async def test_interrupted_sealing_leaves_nothing_and_begins_anew(study: AnalyticsStudy) -> None:
    await study.project([study.study.record(facts.cut_taken("interim", CUT_ON))])
    (due,) = await due_cuts(study)
    sealer = open_sealer(study)
    seal, files = await sealer.prepare(due)
    for count in (0, 1, 30):
        with pytest.raises(SealInterrupted):
            await repository.write_seal(study.database.system, seal, interrupted(files, count))
        assert await count_seals(study) == (0, 0)
    assert (await numbers(study, at=CUT))["sealed"] is False
    assert await sealer.seal(due)
    assert not await sealer.seal(due)
    assert await count_seals(study) == (1, len(files))
    assert await due_cuts(study) == []


@pytest.mark.parametrize("table", ["cut_seal", "cut_seal_file"])
@pytest.mark.parametrize("change", ["update {} set name = 'other'", "delete from {}", "truncate {} cascade"])
async def test_nobody_changes_a_seal(sealed_study: AnalyticsStudy, table: str, change: str) -> None:
    with pytest.raises(asyncpg.PostgresError, match="what was sealed is never changed"):
        await execute_as_owner(sealed_study, change.format(table))


async def test_seal_has_the_frontier_and_the_version_of_the_software(sealed_study: AnalyticsStudy) -> None:
    position = sealed_study.position
    row = await sealed_study.database.system.fetchrow("select * from cut_seal")
    assert row is not None
    expected = await sealed_study.database.system.fetch(
        "select source, subject, max(version) as version from journal where position <= $1 group by 1, 2", position
    )
    assert sorted(map(tuple, json.loads(row["frontier"]))) == sorted(map(tuple, expected))
    assert (row["position"], row["software"], row["sealed_later"], row["excluded"]) == (position, VERSION, False, [])
    assert len(row["digest"]) == 32


async def test_sealed_files_are_hidden_from_other_sites_by_the_database(sealed_study: AnalyticsStudy) -> None:
    async with sealed_study.database.app.acquire() as connection, connection.transaction():
        await connection.execute(
            "select set_config('quartal.study', $1, true), set_config('quartal.site', 'rome', true)",
            sealed_study.study_id,
        )
        scopes = await connection.fetch("select distinct scope from cut_seal_file order by 1")
    assert [row["scope"] for row in scopes] == ["readers", "site:rome"]


async def test_cohort_page_of_a_sealed_cut_shows_its_sealed_figures(study: AnalyticsStudy) -> None:
    leaving = await treat(study, "rome")
    await take_sealed_cut(study, "interim", CUT_ON)
    pages = {member: (await study.http.get(**page_request(study, member))).text for member in MEMBERS}
    await record(study, leaving, facts.consent_withdrawn("2024-11-01", "data_use"))
    await treat(study, "rome", participant_died(90))
    for member, before in pages.items():
        after = await study.http.get(**page_request(study, member))
        assert after.status_code == 200
        assert shown_figures(after.text) == shown_figures(before)
    flow = (await study.get("figures/flow.svg", at=CUT)).text
    assert flow in pages["investigator"]
    assert (
        "1 participant of the sealed data cut excluded since"
        in (await study.http.get(**page_request(study, "investigator", by="sex"))).text
    )


async def test_cohort_page_lists_data_cuts_with_their_digests(study: AnalyticsStudy) -> None:
    position = await take_sealed_cut(study, "interim", CUT_ON)
    await study.project([study.study.record(facts.cut_taken("final", "2025-01-15"))])
    digest = await study.database.system.fetchval("select encode(digest, 'hex') from cut_seal")
    page = (await study.http.get(**page_request(study, "investigator", at=None))).text
    listed = page[page.index('id="data-cuts"') :]
    assert re.findall(r"<td>([^<]*)</td>", listed) == [
        *("2025-01-15", str(study.position), "Not sealed yet"),
        *(CUT_ON, str(position), "Sealed"),
    ]
    assert re.findall(r'data-digest="(\w+)">(\w*)<', listed) == [("final", ""), ("interim", digest)]
    assert 'id="data-cuts"' not in (await study.http.get(**page_request(study, "reader", at=None))).text


async def test_cut_is_sealed_with_the_counts_of_several_versions_of_ctcae(study: AnalyticsStudy) -> None:
    other_dictionary = facts.protocol(toxicity={"dictionary": "ctcae-5.0"})
    await study.project([study.study.record(facts.protocol_amended(30, other_dictionary))])
    await study.add_participant("rome", *facts.ENROLLMENT_FACTS, facts.radiotherapy_started(40))
    await take_sealed_cut(study, "interim", CUT_ON)
    published, whole = [
        await numbers(study, "severe-toxicity", member=member, at=CUT) for member in ("reader", "investigator")
    ]
    assert published["sealed"] is whole["sealed"] is True
    assert published["warnings"] == whole["warnings"] == ["several_versions"]
    assert [group["name"] for group in whole["groups"]] == ["ctcae-3.0", "ctcae-5.0"]
    assert [(group["name"], group["curve"]) for group in published["groups"]] == [("all", [])]
