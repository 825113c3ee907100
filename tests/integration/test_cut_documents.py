"""Documents of sealed data cuts: the report and the changes stay what they were, for each scope."""

from __future__ import annotations

import csv
import re
import secrets
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from hashlib import sha256
from io import StringIO
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from services.analytics.documents import repository
from services.analytics.documents.registry import DOCUMENTS
from services.analytics.documents.sealer import DocumentSealer
from services.analytics.documents.service import format_size
from services.analytics.rebuild.rebuild import rebuild
from shared.kernel.clock import Clock
from shared.kernel.fact import Fact
from shared.testing.builders import facts
from shared.testing.builders.follow_up_facts import follow_up_recorded, participant_died
from shared.testing.builders.participant_history import ParticipantHistory
from tests.conftest import Database, PostgresServer
from tests.integration.support.analytics_app import AnalyticsStudy, open_analytics_study
from tests.integration.support.analytics_database import own_analytics_database
from tests.integration.support.sealing import (
    SealInterrupted,
    execute_as_owner,
    interrupted,
    make_documents,
    page_request,
    take_sealed_cut,
)

CUT_ON = "2024-12-31"
MEMBERS = ("investigator", "auditor", "site@rome", "coordinator@milan", "reader")
TREATED = (*facts.ENROLLMENT_FACTS[1:], facts.radiotherapy_started(7), facts.radiotherapy_completed())


@pytest.fixture
async def own_database(postgres: PostgresServer, databases: Mapping[str, str]) -> AsyncIterator[Database]:
    """A database for one test: a rebuild reads and repairs all its studies."""
    async with own_analytics_database(postgres) as database:
        yield database


@pytest.fixture
async def study(analytics_database: Database, tmp_path: Path, study_id: str) -> AsyncIterator[AnalyticsStudy]:
    async with open_analytics_study(analytics_database, tmp_path, study_id) as study:
        yield study


@pytest.fixture(scope="module")
async def sealed_study(
    analytics_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[AnalyticsStudy]:
    """A study with a participant at each site and the documents of a data cut, for tests that record nothing."""
    folder, study_id = tmp_path_factory.mktemp("documents"), f"documents-{secrets.token_hex(4)}"
    async with open_analytics_study(analytics_database, folder, study_id) as study:
        for site in ("rome", "milan"):
            await treat(study, site)
        await take_cut(study, "first")
        yield study


@pytest.fixture
async def own_study(own_database: Database, tmp_path: Path, study_id: str) -> AsyncIterator[AnalyticsStudy]:
    async with open_analytics_study(own_database, tmp_path, study_id) as study:
        yield study


async def treat(study: AnalyticsStudy, site: str, *more: Fact) -> ParticipantHistory:
    return await study.add_participant(site, facts.participant_screened(site_id=site), *TREATED, *more)


async def take_cut(study: AnalyticsStudy, name: str, on: str = CUT_ON) -> None:
    """Takes a data cut and makes its documents."""
    await take_sealed_cut(study, name, on)
    await make_documents(study)


async def every_document(study: AnalyticsStudy, *cuts: str) -> dict[tuple[str, str, str], tuple[int, bytes]]:
    """Returns what each member is answered for every document of data cuts."""
    answers = dict[tuple[str, str, str], tuple[int, bytes]]()
    for cut in cuts:
        for member in MEMBERS:
            for name in DOCUMENTS:
                answer = await study.get(name, member, at=f"cut:{cut}")
                answers[cut, member, name] = answer.status_code, answer.content
    return answers


async def changes(study: AnalyticsStudy, cut: str, member: str = "investigator") -> Any:
    answer = await study.get("cut-changes.json", member, at=f"cut:{cut}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].rpartition("/")[2]


async def test_documents_stay_byte_for_byte_after_a_rebuild_and_later_facts(own_study: AnalyticsStudy) -> None:
    study = own_study
    leaving, moving = await treat(study, "rome", participant_died(200)), await treat(study, "rome")
    await take_cut(study, "first")
    await treat(study, "milan", follow_up_recorded(100))
    await take_cut(study, "second")
    before = await every_document(study, "first", "second")
    assert {status for (_, member, name), (status, _) in before.items() if name == "report.pdf"} == {200}
    assert {content[:5] for (_, _, name), (_, content) in before.items() if name == "report.pdf"} == {b"%PDF-"}

    await study.project([leaving.record(facts.consent_withdrawn("2024-11-01", "data_use"))])
    await study.project([moving.record(facts.participant_transferred("milan", "2024-12-01"))])
    await treat(study, "rome", participant_died(90))
    await study.database.system.execute("update derived_subject set birth_year = 1900")
    assert await rebuild(study.database.urls["system"]) > 0
    await take_cut(study, "third", "2025-01-15")
    assert await make_documents(study) == []
    assert await every_document(study, "first", "second") == before


async def test_document_states_its_digest_and_has_a_name(sealed_study: AnalyticsStudy) -> None:
    answer = await sealed_study.get("report.pdf", at="cut:first")
    digest = sha256(answer.content)
    assert answer.headers["Content-Type"] == "application/pdf"
    assert answer.headers["Repr-Digest"] == f"sha-256=:{b64encode(digest.digest()).decode()}:"
    assert f"{sealed_study.study_id}_report_cut-first_cut-{CUT_ON}_position-" in answer.headers["Content-Disposition"]
    again = await sealed_study.http.get(
        answer.url, headers={**sealed_study.authorization("investigator"), "If-None-Match": answer.headers["ETag"]}
    )
    assert again.status_code == 304
    rows = (await sealed_study.get("documents", at="cut:first")).json()["rows"]
    (row,) = [row for row in rows if row["name"] == "report.pdf"]
    assert (row["name"], row["size"], row["sha256"]) == ("report.pdf", len(answer.content), digest.hexdigest())
    assert (row["sealed_later"], row["site"]) == (False, None)


async def test_each_scope_has_a_report_of_its_own(sealed_study: AnalyticsStudy) -> None:
    reports = {member: (await sealed_study.get("report.pdf", member, at="cut:first")).content for member in MEMBERS}
    assert len({*reports.values()}) == len(MEMBERS) - 1
    assert reports["investigator"] == reports["auditor"]
    rome = await sealed_study.get("report.pdf", at="cut:first", site="rome")
    assert rome.content == reports["site@rome"]


async def test_changes_are_those_since_the_data_cut_before(study: AnalyticsStudy) -> None:
    corrected, voided = await treat(study, "rome"), await treat(study, "milan")
    death = corrected.record(participant_died(100))
    await study.project([death])
    await take_cut(study, "first")
    assert problem(await study.get("cut-changes.json", at="cut:first")) == (404, "not-found")
    await study.project([corrected.correct(death, participant_died(110)), voided.record(facts.participant_voided())])
    coming = await treat(study, "milan")
    await take_cut(study, "second")
    await treat(study, "rome")  # not in the changes of a cut that was taken before
    answer = await changes(study, "second")
    assert (answer["since"], answer["before"]["cut"]) == ("cut:first", CUT_ON)
    kinds = [(fact["change"], fact["type"], fact["participant_id"]) for fact in answer["facts"]]
    assert kinds[0] == ("corrected", "participant.died", corrected.participant_id)
    assert {participant for _, _, participant in kinds[1:-1]} == {coming.participant_id}
    assert kinds[-1] == ("added", "study.cut_taken", None)
    assert answer["participants_in"] == [coming.participant_id]
    assert answer["participants_out"] == [voided.participant_id]
    enrolled = [part for part in answer["numbers"] if (part["figure"], part["name"]) == ("flow", "enrolled")]
    assert [(part["before"], part["after"]) for part in enrolled] == [("2", "2")]
    rome, milan = [await changes(study, "second", f"site@{site}") for site in ("rome", "milan")]
    assert {fact["participant_id"] for fact in rome["facts"]} == {corrected.participant_id, None}
    assert {fact["participant_id"] for fact in milan["facts"]} == {coming.participant_id, None}
    assert (rome["participants_out"], milan["participants_out"]) == ([], [voided.participant_id])
    table = list(csv.DictReader(StringIO((await study.get("cut-changes.csv", at="cut:second")).text)))
    assert [row["event_id"] for row in table if row["part"] == "fact"] == [fact["event_id"] for fact in answer["facts"]]


async def test_refusals_of_documents_are_plain(sealed_study: AnalyticsStudy) -> None:
    for user, parameters, expected in (
        ("investigator", {"at": "cut:never"}, (404, "not-found")),
        ("stranger", {"at": "cut:first"}, (404, "not-found")),
        ("investigator", {"at": "3"}, (422, "parameter")),
        ("investigator", {}, (422, "schema")),
        ("reader", {"at": "3"}, (403, "readers-see-cuts")),
        ("reader", {"at": "cut:first", "site": "rome"}, (403, "small-groups")),
        ("site@rome", {"at": "cut:first", "site": "milan"}, (403, "not-your-role")),
        ("investigator", {"at": "cut:first", "site": "paris"}, (422, "parameter")),
        ("investigator", {"at": "cut:first", "by": "sex"}, (422, "parameter")),
    ):
        assert problem(await sealed_study.get("report.pdf", user, **parameters)) == expected, (user, parameters)
    for path in ("cut-changes.json", "datasets.zip", "documents"):
        assert problem(await sealed_study.get(path, "reader", at="cut:first")) == (403, "readers-see-cuts")
    assert problem(await sealed_study.get("documents", "reader", at="cut:never")) == (403, "readers-see-cuts")
    assert problem(await sealed_study.get("cut-changes.json", "administrator", at="cut:first")) == (
        403,
        "not-your-role",
    )


async def test_reads_of_documents_with_participants_are_logged(study: AnalyticsStudy) -> None:
    for site in ("rome", "rome", "milan"):
        await treat(study, site)
    await take_cut(study, "first")
    await take_cut(study, "second")
    await study.get("report.pdf", at="cut:second")
    await study.get("cut-changes.csv", at="cut:second")
    await study.get("cut-changes.json", "site@rome", at="cut:second")
    rows = await study.database.system.fetch(
        "select what, row_count from read_log where study_id = $1 order by 1", study.study_id
    )
    assert [tuple(row) for row in rows] == [("cut-changes.csv", 3), ("cut-changes.json", 2)]


async def test_cut_of_a_version_without_documents_gets_them_later_and_says_so(own_study: AnalyticsStudy) -> None:
    study = own_study
    leaving = await treat(study, "rome", follow_up_recorded(50))
    await treat(study, "rome")
    await take_sealed_cut(study, "old", CUT_ON)
    coming, going = await treat(study, "rome"), await treat(study, "rome")
    await take_sealed_cut(study, "older", CUT_ON)
    await execute_as_owner(study, "alter table cut_seal disable trigger all; update cut_seal set documents = '{}'")
    sealed = (await study.get("figures/flow.json", at="cut:older")).content
    for participant in (leaving, going):
        await study.project([participant.record(facts.consent_withdrawn("2025-01-02", "data_use"))])
    assert await make_documents(study) == [(name, *sorted(DOCUMENTS)) for name in ("old", "older")]
    rows = (await study.get("documents", at="cut:older")).json()["rows"]
    assert {row["sealed_later"] for row in rows} == {True}
    assert (await study.get("figures/flow.json", at="cut:older")).content == sealed
    answer = await changes(study, "older")
    assert (answer["participants_in"], answer["participants_out"]) == ([coming.participant_id], [])
    assert {fact["participant_id"] for fact in answer["facts"]} == {None, coming.participant_id}
    await take_cut(study, "new")
    assert {row["sealed_later"] for row in (await study.get("documents", at="cut:new")).json()["rows"]} == {False}


async def test_interrupted_making_of_documents_leaves_nothing_and_begins_anew(study: AnalyticsStudy) -> None:
    await take_sealed_cut(study, "first", CUT_ON)
    waiting = await study.get("report.pdf", at="cut:first")
    assert (problem(waiting), waiting.headers["Retry-After"]) == ((503, "being-prepared"), "10")
    assert (await study.get("documents", at="cut:first")).json()["complete"] is False
    sealer = DocumentSealer(study.database.system, Clock())
    (due,) = [documents for documents in await sealer.due() if documents.study_id == study.study_id]
    files = await sealer.prepare(due, {})
    stored = "select count(*) from cut_document_file where study_id = $1"
    for count in (0, 2):
        with pytest.raises(SealInterrupted):
            await repository.write_documents(study.database.system, due, interrupted(files, count), "0.1.0")
        assert due in await sealer.due()
        assert await study.database.system.fetchval(stored, study.study_id) == 0
    assert await sealer.seal(due)
    assert not await sealer.seal(due)
    assert due not in await sealer.due()


async def test_nobody_changes_a_document(sealed_study: AnalyticsStudy) -> None:
    for table in ("cut_document", "cut_document_file"):
        for change in ("update {} set name = 'other'", "delete from {}", "truncate {} cascade"):
            with pytest.raises(asyncpg.PostgresError, match="what was sealed is never changed"):
                await execute_as_owner(sealed_study, change.format(table))


async def test_documents_are_hidden_from_other_sites_by_the_database(sealed_study: AnalyticsStudy) -> None:
    async with sealed_study.database.app.acquire() as connection, connection.transaction():
        await connection.execute(
            "select set_config('quartal.study', $1, true), set_config('quartal.site', 'rome', true)",
            sealed_study.study_id,
        )
        scopes = await connection.fetch("select distinct scope from cut_document_file order by 1")
    assert [row["scope"] for row in scopes] == ["readers", "site:rome"]


async def test_cohort_page_at_a_data_cut_links_to_its_documents(sealed_study: AnalyticsStudy) -> None:
    for member, site in (("investigator", ""), ("site@rome", "&amp;site=rome"), ("reader", "")):
        page = (await sealed_study.http.get(**page_request(sealed_study, member, "cut:first"))).text
        address = f"/analytics/v1/studies/{sealed_study.study_id}/report.pdf?at=cut%3Afirst{site}"
        size = len((await sealed_study.get("report.pdf", member, at="cut:first")).content)
        assert re.findall(r'<a id="document-1" href="([^"]*)">([^<]*)</a>', page) == [
            (address, f"Report (.pdf, {format_size(size)})")
        ]
    newest = (await sealed_study.http.get(**page_request(sealed_study, "investigator", None))).text
    assert 'id="documents"' not in newest


def _fail(*_: object) -> bytes:
    raise ValueError("no such document can be made")


async def test_document_that_cannot_be_made_keeps_no_other_from_being_stored(study: AnalyticsStudy) -> None:
    await take_sealed_cut(study, "first", CUT_ON)
    documents = {**DOCUMENTS, "report.pdf": replace(DOCUMENTS["report.pdf"], make=_fail)}
    sealer = DocumentSealer(study.database.system, Clock(), documents)
    (due,) = [due for due in await sealer.due() if due.study_id == study.study_id]
    with pytest.raises(ValueError, match="no such document"):
        await sealer.seal(due)
    answers = {name: (await study.get(name, at="cut:first")).status_code for name in DOCUMENTS}
    assert answers == {"report.pdf": 503, "cut-changes.json": 404, "cut-changes.csv": 404, "datasets.zip": 200}
    assert await make_documents(study) == [("first", "report.pdf")]
    assert (await study.get("report.pdf", at="cut:first")).status_code == 200
