"""The data sets of a named data cut, over HTTP: who is in them, who gets them, and what is refused."""

from __future__ import annotations

import csv
import secrets
from collections.abc import AsyncIterator
from hashlib import sha256
from io import BytesIO, StringIO
from zipfile import ZipFile

import httpx
import pytest

from services.analytics.documents.registry import DOCUMENTS
from shared.kernel.fact import Fact
from shared.testing.builders import facts
from shared.testing.builders.follow_up_facts import follow_up_recorded, participant_died
from shared.testing.builders.participant_history import ParticipantHistory
from tests.conftest import Database
from tests.integration.support.analytics_app import AnalyticsStudy, open_analytics_study
from tests.integration.support.sealing import make_documents, take_sealed_cut

CUT, CUT_ON = "cut:interim", "2024-12-31"
NOTE = "a sealed note"
TREATED = (facts.consent_signed(), facts.participant_enrolled(), facts.radiotherapy_started(7))


@pytest.fixture(scope="module")
async def study(
    analytics_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[AnalyticsStudy]:
    """A study with three participants in Rome and one in Milan, of whom one has died, and a data cut.

    Tests may add participants and data cuts: those of the data cut stay the same.
    """
    folder, study_id = tmp_path_factory.mktemp("datasets"), f"datasets-{secrets.token_hex(4)}"
    async with open_analytics_study(analytics_database, folder, study_id) as study:
        for deaths in ((), (), (participant_died(200),)):
            await treat(study, "rome", follow_up_recorded(100, note=NOTE), *deaths)
        await treat(study, "milan")
        await take_cut(study, "interim")
        yield study


async def take_cut(study: AnalyticsStudy, name: str) -> None:
    """Takes a data cut and makes its data sets."""
    await take_sealed_cut(study, name, CUT_ON)
    await make_documents(study, {"datasets.zip": DOCUMENTS["datasets.zip"]})


async def treat(study: AnalyticsStudy, site: str, *more: Fact) -> ParticipantHistory:
    screening = facts.participant_screened(site_id=site, local_reference=f"{site} 4711")
    return await study.add_participant(site, screening, *TREATED, *more)


async def archive(study: AnalyticsStudy, member: str = "investigator", at: str = CUT) -> dict[str, bytes]:
    """Returns the files of an archive by name."""
    answer = await study.get("datasets.zip", member, at=at)
    assert answer.status_code == 200, answer.text
    return unpack(answer.content)


def unpack(content: bytes) -> dict[str, bytes]:
    with ZipFile(BytesIO(content)) as files:
        return {name: files.read(name) for name in files.namelist()}


def rows(files: dict[str, bytes], name: str) -> list[dict[str, str]]:
    return [*csv.DictReader(StringIO(files[f"{name}.csv"].decode()))]


async def test_archive_is_the_same_at_every_request_and_after_later_facts(study: AnalyticsStudy) -> None:
    first = await study.get("datasets.zip", at=CUT)
    assert first.headers["Content-Type"] == "application/zip"
    assert f"{study.study_id}_datasets_cut-interim_cut-{CUT_ON}_position-" in first.headers["Content-Disposition"]
    await treat(study, "rome", participant_died(20))
    again = await study.get("datasets.zip", at=CUT)
    assert sha256(again.content).hexdigest() == sha256(first.content).hexdigest()


async def test_whole_study_and_single_sites_get_their_participants(study: AnalyticsStudy) -> None:
    members = ("investigator", "auditor", "coordinator", "site@rome", "coordinator@rome", "site@milan")
    sites = {member: [row["CURSITE"] for row in rows(await archive(study, member), "adsl")] for member in members}
    everybody, rome = ["milan", "rome", "rome", "rome"], ["rome"] * 3
    assert {member: sorted(current_sites) for member, current_sites in sites.items()} == {
        **dict.fromkeys(("investigator", "auditor", "coordinator"), everybody),
        **dict.fromkeys(("site@rome", "coordinator@rome"), rome),
        "site@milan": ["milan"],
    }


async def test_other_members_are_refused(study: AnalyticsStudy) -> None:
    answers = {
        member: await study.get("datasets.zip", member, at=CUT)
        for member in ("reader", "administrator", "monitor", "stranger")
    }
    assert {member: (answer.status_code, problem(answer)) for member, answer in answers.items()} == {
        "reader": (403, "/problems/readers-see-cuts"),
        "administrator": (403, "/problems/not-your-role"),
        "monitor": (403, "/problems/not-your-role"),
        "stranger": (404, "/problems/not-found"),
    }


def problem(answer: httpx.Response) -> str:
    return str(answer.json()["type"])


@pytest.mark.parametrize(
    ("at", "status"),
    [(None, 422), ("3", 422), ("cut:", 422), ("cut:never", 404), ("latest", 422), ("cut:a/../b", 422)],
)
async def test_data_sets_are_of_named_cuts_alone(study: AnalyticsStudy, at: str | None, status: int) -> None:
    answer = await study.get("datasets.zip", **({"at": at} if at else {}))
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")


async def test_later_cuts_leave_out_who_left_and_show_who_moved_to_the_new_site(study: AnalyticsStudy) -> None:
    leaving, wrong, moving = [await treat(study, "rome", follow_up_recorded(50)) for _ in range(3)]
    await take_cut(study, "before")
    await study.project([leaving.record(facts.consent_withdrawn("2024-11-01", "data_use"))])
    await study.project([wrong.record(facts.participant_voided())])
    await study.project([moving.record(facts.participant_transferred("milan", "2024-12-02"))])
    await take_cut(study, "after")
    numbers = [leaving.participant_id, wrong.participant_id]
    before, after = await archive(study, at="cut:before"), await archive(study, at="cut:after")
    assert all(number.encode() in before["adsl.csv"] for number in numbers)
    assert not [name for name, content in after.items() for number in numbers if number.encode() in content]
    presence = {
        (cut, member): moving.participant_id in [row["USUBJID"] for row in rows(files, "adsl")]
        for cut in ("before", "after")
        for member in ("site@rome", "site@milan")
        for files in [await archive(study, member, f"cut:{cut}")]
    }
    assert [key for key, is_shown in presence.items() if is_shown] == [("before", "site@rome"), ("after", "site@milan")]


async def test_no_file_has_sealed_text_or_local_references(study: AnalyticsStudy) -> None:
    texts = (NOTE.encode(), b"4711", b"@")
    files = await archive(study)
    assert not [(name, text) for name, content in files.items() for text in texts if text in content]


async def test_reads_are_logged_with_their_participants(study: AnalyticsStudy) -> None:
    before = await logged_reads(study)
    await archive(study)
    await archive(study, "site@rome")
    entries = (await logged_reads(study))[len(before) :]
    assert entries == [("datasets.zip", None, 4), ("datasets.zip", "rome", 3)]


async def logged_reads(study: AnalyticsStudy) -> list[tuple[str, str | None, int]]:
    """Returns the file, site and number of participants of each read that was logged, the newest last."""
    entries = await study.database.system.fetch(
        "select what, site_id, row_count from read_log where study_id = $1 order by place", study.study_id
    )
    return [tuple(entry) for entry in entries]
