"""Figures are computed and drawn off the event loop, and the same question of many readers is answered once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from services.analytics.figures.page_content import draw_figure
from services.analytics.figures.registry import FIGURES
from services.analytics.figures.service import compute_answer
from shared.testing.builders import facts
from tests.conftest import Database
from tests.integration.support.analytics_app import AnalyticsStudy, open_analytics_study
from tests.integration.support.sealing import shown_figures

READERS, TIMEOUT_SECONDS = 10, 60.0


class ObservedThreads(ThreadPoolExecutor):
    """The threads of the event loop. They count their calls by function, and can be made to wait before a figure."""

    def __init__(self) -> None:
        super().__init__()
        self.calls, self.may_compute, self.has_figure = Counter[object](), Event(), asyncio.Event()
        self.may_compute.set()

    def submit(self, call: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        """Runs what `asyncio.to_thread` calls: a partial call whose first argument is the function."""
        function = call.args[0] if isinstance(call, partial) else call
        self.calls[function] += 1
        if function is not compute_answer:
            return super().submit(call, *arguments, **named)
        self.has_figure.set()
        return super().submit(self._wait_and_call, call)

    def _wait_and_call(self, call: Callable[[], Any]) -> Any:
        if not self.may_compute.wait(TIMEOUT_SECONDS):
            raise TimeoutError("figures were not let go")
        return call()


@pytest.fixture
async def threads() -> AsyncIterator[ObservedThreads]:
    loop, observed = asyncio.get_running_loop(), ObservedThreads()
    loop.set_default_executor(observed)
    yield observed
    observed.may_compute.set()
    loop.set_default_executor(ThreadPoolExecutor())
    observed.shutdown()


@pytest.fixture
async def study(analytics_database: Database, tmp_path: Path, study_id: str) -> AsyncIterator[AnalyticsStudy]:
    async with open_analytics_study(analytics_database, tmp_path, study_id) as study:
        await study.add_participant("rome", *facts.ENROLLMENT_FACTS)
        yield study


async def test_each_figure_is_computed_and_drawn_once_for_all_who_ask_at_the_same_time(
    study: AnalyticsStudy, threads: ObservedThreads
) -> None:
    users = ["investigator", "coordinator", "monitor", "auditor", "administrator"]
    pages = await asyncio.gather(*(study.get_page("figures/flow", user) for user in users * (READERS // len(users))))
    assert {page.status_code for page in pages} == {200}
    assert len({tuple(shown_figures(page.text)) for page in pages}) == 1
    assert (threads.calls[compute_answer], threads.calls[draw_figure]) == (1, 1)
    await study.get("figures/flow.json")
    assert threads.calls[compute_answer] == 1
    await study.get("figures/flow.json", site="rome")
    assert threads.calls[compute_answer] == 2


async def test_cohort_page_computes_and_draws_every_figure_off_the_event_loop(
    study: AnalyticsStudy, threads: ObservedThreads
) -> None:
    address, headers = f"/analytics/studies/{study.study_id}", study.authorization("investigator")
    page = await study.http.get(address, headers=headers)
    assert page.status_code == 200
    assert (threads.calls[compute_answer], threads.calls[draw_figure]) == (len(FIGURES), len(FIGURES))


async def test_others_are_answered_while_a_figure_is_computed(study: AnalyticsStudy, threads: ObservedThreads) -> None:
    threads.may_compute.clear()
    figure = asyncio.create_task(study.get("figures/overall-survival.json"))
    async with asyncio.timeout(TIMEOUT_SECONDS):
        await threads.has_figure.wait()
        assert (await study.get("position")).json()["position"] == study.position
    assert not figure.done()
    threads.may_compute.set()
    assert (await figure).status_code == 200
