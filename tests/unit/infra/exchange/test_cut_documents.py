"""The wait for the documents of a data cut: as long as its sealing gets on, and not for one that always fails."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, repeat
from typing import Any

import httpx
import pytest

from infra.client.study_client import StudyClient
from infra.exchange import cut_documents
from infra.exchange.cut_documents import CutDocument, fetch_documents
from infra.exchange.target_study import ExchangeAborted
from shared.progress import ReportProgress

IDLE_POLLS = 5


@pytest.fixture(autouse=True)
def _quick_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cut_documents, "_POLL_SECONDS", 0.0)
    monkeypatch.setattr(cut_documents, "_MOST_IDLE_POLLS", IDLE_POLLS)


def sealing(stage: str, done: int) -> dict[str, Any]:
    return {"complete": False, "progress": {"stage": stage, "done": done, "total": 40}, "rows": []}


WAITING: dict[str, Any] = {"complete": False, "progress": None, "rows": []}
COMPLETE: dict[str, Any] = {"complete": True, "progress": None, "rows": []}


async def fetch(answers: Iterable[dict[str, Any]]) -> tuple[list[CutDocument], list[tuple[str, int, int]]]:
    """Returns the documents of a server with these answers, and the progress that was shown."""
    remaining, progress = iter(answers), list[tuple[str, int, int]]()

    @contextmanager
    def show(title: str, _: str) -> Iterator[ReportProgress]:
        yield lambda done, of: progress.append((title, done, of))

    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=next(remaining)))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as http:
        client = StudyClient(http, "atc-rt", lambda _role, _site: "token")
        documents = await fetch_documents(client, ("investigator", None), {"at": "cut:first"}, lambda _: None, show)
    return documents, progress


async def test_sealing_that_gets_on_is_waited_for() -> None:
    answers = [sealing(stage, done) for stage in ("figures", "documents") for done in range(4 * IDLE_POLLS)]
    documents, progress = await fetch([WAITING, *answers, COMPLETE])
    assert documents == []
    assert progress == [*(("Being sealed", answer["progress"]["done"], 40) for answer in answers), ("Files", 0, 0)]


async def test_sealing_that_fails_again_and_again_is_not_waited_for() -> None:
    attempt = [*(sealing("figures", done) for done in range(3)), WAITING]
    with pytest.raises(ExchangeAborted, match="Nothing of the data cut was sealed for ten minutes"):
        await fetch(chain.from_iterable(repeat(attempt)))


async def test_server_that_does_not_say_how_far_it_is_is_waited_for() -> None:
    silent = {"complete": False, "rows": []}
    assert await fetch([silent, silent, COMPLETE]) == ([], [("Files", 0, 0)])
