"""The sealing of a data cut says how far it is, to pages, programs and `quartal report`."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from infra.client.study_client import StudyClient
from infra.exchange.cut_documents import CutDocument, fetch_documents
from services.analytics.cuts.sealed_study import SealedStudy
from services.analytics.documents.document import Document
from services.analytics.documents.registry import DOCUMENTS
from services.analytics.documents.repository import DueDocuments
from services.analytics.documents.sealer import DocumentSealer
from services.analytics.live.change_listener import listen
from services.analytics.snapshot.seals import SealScope
from services.analytics.snapshot.study_reader import StudyReader
from shared.kernel.clock import Clock
from shared.postgres.tenancy import open_pool
from shared.progress import ReportProgress
from shared.testing.builders import facts
from shared.ui.live_updates import LiveUpdates
from tests.conftest import Database, PostgresServer
from tests.integration.support.analytics_app import AnalyticsStudy, open_analytics_study
from tests.integration.support.analytics_database import own_analytics_database
from tests.integration.support.sealing import due_cuts, execute_as_owner, open_sealer, page_request, take_sealed_cut
from tests.polling import TIMEOUT_SECONDS, wait_until

CUT, CUT_ON = "cut:first", "2024-12-31"
MEMBERS = ("investigator", "site@rome", "reader")
LOGGED = "progress of sealing cannot be stated"


@pytest.fixture
async def own_database(postgres: PostgresServer, databases: Mapping[str, str]) -> AsyncIterator[Database]:
    async with own_analytics_database(postgres) as database:
        yield database


@pytest.fixture
async def study(analytics_database: Database, tmp_path: Path, study_id: str) -> AsyncIterator[AnalyticsStudy]:
    async with open_analytics_study(analytics_database, tmp_path, study_id) as study:
        yield study


@dataclass
class Pause:
    """Stops the making of reports at one of the scopes, until it is released. All documents are short texts.

    The scopes are readers, who get the report alone, Milan, Rome and the whole study, with four files each.
    """

    scope: str
    released: threading.Event = field(default_factory=threading.Event)

    def make_report(self, study: SealedStudy, scope: SealScope) -> bytes:
        if scope.name == self.scope:
            assert self.released.wait(TIMEOUT_SECONDS)
        return make_text(study, scope)

    def documents(self) -> Mapping[str, Document]:
        texts = {name: replace(document, make=make_text) for name, document in DOCUMENTS.items()}
        return {**texts, "report.pdf": replace(DOCUMENTS["report.pdf"], make=self.make_report)}


def make_text(study: SealedStudy, scope: SealScope) -> bytes:
    return f"{study.cut.name} for {scope.name}".encode()


@contextmanager
def paused_at(scope: str) -> Iterator[Pause]:
    pause = Pause(scope)
    try:
        yield pause
    finally:
        pause.released.set()


async def due_documents(study: AnalyticsStudy, sealer: DocumentSealer) -> DueDocuments:
    (due,) = [due for due in await sealer.due() if due.study_id == study.study_id]
    return due


async def documents(study: AnalyticsStudy, member: str = "investigator") -> Any:
    answer = await study.get("documents", member, at=CUT)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def shown_progress(study: AnalyticsStudy, member: str = "investigator") -> tuple[str, int, int] | None:
    progress = (await documents(study, member))["progress"]
    return progress and (progress["stage"], progress["done"], progress["total"])


async def shows(study: AnalyticsStudy, *expected: object) -> bool:
    return await shown_progress(study) == expected


async def rows(study: AnalyticsStudy) -> list[tuple[Any, ...]]:
    query = "select stage, done, total from seal_progress where study_id = $1"
    return [tuple(row) for row in await study.database.system.fetch(query, study.study_id)]


async def page(study: AnalyticsStudy, member: str = "investigator") -> str:
    """Returns the cohort page at the data cut."""
    answer = await study.http.get(**page_request(study, member, CUT))
    assert answer.status_code == 200, answer.text
    return answer.text


async def list_of_cuts(study: AnalyticsStudy, **params: str) -> str:
    """Returns the part of the cohort page that has the data cuts, and the documents of the one that it shows."""
    answer = await study.get_page("data-cuts", **params)
    assert answer.status_code == 200, answer.text
    return answer.text


def sealing_words(html: str) -> list[str]:
    return re.findall(r"<p data-sealing>([^<]*)</p>", html)


@asynccontextmanager
async def live_frames(study: AnalyticsStudy) -> AsyncIterator[AsyncIterator[bytes]]:
    """Yields the event stream of the study, once its listener is connected."""
    live = LiveUpdates()
    reader = StudyReader(study.database.app, study.database.system, Clock())
    first = live.stream(study.study_id)
    await anext(first)
    listener = asyncio.create_task(listen(study.database.urls["system"], reader, live))
    try:
        assert [frame async for frame in first] == []  # it ends when the listener is connected
        frames = live.stream(study.study_id)
        await anext(frames)
        yield frames
    finally:
        live.close()
        listener.cancel()
        await asyncio.gather(listener, return_exceptions=True)


async def test_documents_in_the_making_are_counted_for_everybody_and_then_there(study: AnalyticsStudy) -> None:
    await study.add_participant("rome", *facts.ENROLLMENT_FACTS)
    await take_sealed_cut(study, "first", CUT_ON)
    assert await shown_progress(study) is None
    assert sealing_words(await list_of_cuts(study, at=CUT)) == ["The files of this data cut are not sealed yet."]
    words = "The documents of this data cut are being sealed: 4 of 13 files."
    with paused_at("site:milan") as pause:
        sealer = DocumentSealer(study.database.system, Clock(), pause.documents())
        async with live_frames(study) as frames:
            sealing = asyncio.create_task(sealer.seal(await due_documents(study, sealer)))
            await wait_until(partial(shows, study, "documents", 4, 13))
            assert b"event: documents\ndata: 1\n" in await anext(frames)
            for member in MEMBERS:
                if member != "reader":  # readers have no list of documents
                    assert await shown_progress(study, member) == ("documents", 4, 13)
                waiting = await study.get("report.pdf", member, at=CUT)
                assert (waiting.status_code, waiting.headers["Retry-After"]) == (503, "10")
                assert waiting.json()["title"].startswith(words)
            for member in ("investigator", "reader"):
                assert sealing_words(await page(study, member)) == [words]
            await check_list_of_cuts(study, words)
            pause.released.set()
            assert await sealing
            async with asyncio.timeout(TIMEOUT_SECONDS):
                assert b"event: data-cuts\n" in await anext(frames)
    assert (await rows(study), await shown_progress(study)) == ([], None)
    assert (await documents(study))["complete"] is True
    whole = await page(study)
    assert (sealing_words(whole), 'id="document-1"' in whole, "data-live" in whole) == ([], True, False)
    assert "<td>Sealed</td>" in whole


async def check_list_of_cuts(study: AnalyticsStudy, words: str) -> None:
    """Checks the parts that the browser loads again, at the data cut and at the newest position."""
    at_cut, newest = await list_of_cuts(study, at=CUT), await list_of_cuts(study)
    assert (sealing_words(at_cut), sealing_words(newest)) == ([words], [])
    assert re.findall(r'data-live="([a-z-]+)"', at_cut) == ["documents", "data-cuts"]
    assert "<td>Sealed; its documents are being sealed: 4 of 13 files</td>" in newest
    for member, status in (("reader", 403), ("stranger", 404)):
        assert (await study.get_page("data-cuts", member, at=CUT)).status_code == status


async def test_figures_in_the_making_are_counted(study: AnalyticsStudy) -> None:
    await study.add_participant("rome", *facts.ENROLLMENT_FACTS)
    await study.project([study.study.record(facts.cut_taken("first", CUT_ON))])
    (due,) = await due_cuts(study)
    other = await asyncpg.connect(study.database.superuser_url)
    try:
        async with other.transaction():
            await other.execute("lock table cut_seal in share mode")  # a seal is written later, and can be read
            sealing = asyncio.create_task(open_sealer(study).seal(due))
            await wait_until(partial(is_computed, study))
            progress = await shown_progress(study)
            assert progress is not None
            assert progress[0] == "figures"
            number = f"{progress[1]} of {progress[2]} files"
            assert f"<td>Being sealed: {number}</td>" in await list_of_cuts(study)
            waiting = await study.get("report.pdf", at=CUT)
            assert waiting.json()["title"].startswith(f"The figures of this data cut are being sealed: {number}.")
            assert (await study.get("figures/flow.json", at=CUT)).json()["sealed"] is False
        assert await sealing
    finally:
        await other.close()
    assert await rows(study) == []
    assert (await study.get("figures/flow.json", at=CUT)).json()["sealed"] is True


async def is_computed(study: AnalyticsStudy) -> bool:
    """Returns whether all files are made, which wait to be written."""
    progress = await shown_progress(study)
    return progress is not None and progress[1] == progress[2] > 0


async def test_killed_sealing_leaves_progress_that_ages_and_that_the_next_replaces(
    study: AnalyticsStudy, caplog: pytest.LogCaptureFixture
) -> None:
    await take_sealed_cut(study, "first", CUT_ON)
    pool = await open_pool(study.database.urls["system"], max_size=2)
    with paused_at("site:milan") as pause:
        killed = DocumentSealer(pool, Clock(), pause.documents())
        sealing = asyncio.create_task(killed.seal(await due_documents(study, killed)))
        await wait_until(partial(shows, study, "documents", 4, 13))
        pool.terminate()
    with pytest.raises(asyncpg.InterfaceError):
        await sealing
    assert LOGGED in caplog.text
    assert await rows(study) == [("documents", 4, 13)]
    await study.database.system.execute("update seal_progress set updated_at = updated_at - interval '1 minute'")
    assert (await shown_progress(study), (await documents(study))["complete"]) == (None, False)
    with paused_at("site:rome") as pause:
        next_sealer = DocumentSealer(study.database.system, Clock(), pause.documents())
        sealing = asyncio.create_task(next_sealer.seal(await due_documents(study, next_sealer)))
        await wait_until(partial(shows, study, "documents", 8, 13))
        pause.released.set()
        assert await sealing
    assert (await rows(study), (await documents(study))["complete"]) == ([], True)


async def test_progress_that_cannot_be_written_is_logged_and_fails_no_seal(
    own_database: Database, tmp_path: Path, study_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_analytics_study(own_database, tmp_path, study_id) as study:
        await execute_as_owner(study, "alter table seal_progress rename to other")
        await take_sealed_cut(study, "first", CUT_ON)
        sealer = DocumentSealer(study.database.system, Clock(), Pause("").documents())
        assert await sealer.seal(await due_documents(study, sealer))
        assert caplog.text.count(LOGGED) == 2
        await execute_as_owner(study, "alter table other rename to seal_progress")
        assert (await documents(study))["complete"] is True


async def test_sealing_that_fails_leaves_no_progress(study: AnalyticsStudy) -> None:
    await take_sealed_cut(study, "first", CUT_ON)
    broken = {**Pause("").documents(), "report.pdf": replace(DOCUMENTS["report.pdf"], make=_fail)}
    sealer = DocumentSealer(study.database.system, Clock(), broken)
    with pytest.raises(ValueError, match="no such document"):
        await sealer.seal(await due_documents(study, sealer))
    assert (await rows(study), await shown_progress(study)) == ([], None)


def _fail(*_: object) -> bytes:
    raise ValueError("no such document can be made")


@dataclass
class Display:
    """The display of a command, which keeps what it shows."""

    reports: list[tuple[str, int, int]] = field(default_factory=list)

    @contextmanager
    def show(self, title: str, _: str) -> Iterator[ReportProgress]:
        yield lambda done, of: self.reports.append((title, done, of))


def fetch(study: AnalyticsStudy, display: Display, lines: list[str]) -> asyncio.Task[list[CutDocument]]:
    client = StudyClient(study.http, study.study_id, lambda _role, _site: token(study))
    return asyncio.create_task(fetch_documents(client, ("investigator", None), {"at": CUT}, lines.append, display.show))


def token(study: AnalyticsStudy) -> str:
    return study.authorization("investigator")["Authorization"].removeprefix("Bearer ")


async def test_command_waits_for_the_documents_and_shows_how_far_they_are(study: AnalyticsStudy) -> None:
    await take_sealed_cut(study, "first", CUT_ON)
    display, lines = Display(), list[str]()
    with paused_at("site:milan") as pause:
        sealer = DocumentSealer(study.database.system, Clock(), pause.documents())
        sealing = asyncio.create_task(sealer.seal(await due_documents(study, sealer)))
        await wait_until(partial(shows, study, "documents", 4, 13))
        fetching = fetch(study, display, lines)
        await wait_until(partial(is_reported, display))
        pause.released.set()
        assert await sealing
    fetched = await fetching
    assert lines == ["The data cut is being sealed, which takes some minutes."]
    assert display.reports[0] == ("Being sealed", 4, 13)
    assert display.reports[-1] == ("Files", len(fetched), len(fetched))
    listed = (await documents(study))["rows"]
    assert [(document.name, document.digest) for document in fetched] == [
        (row["name"], row["sha256"]) for row in listed
    ]


async def is_reported(display: Display) -> bool:
    return bool(display.reports)
