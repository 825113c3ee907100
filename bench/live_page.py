"""Measures the processor time of all of `quartal up` while figures are read live, in a large and in a small study."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import httpx

from bench.analytics_study import ReplicatedCohort, analytics_pools, apply_to_inbox, study_events
from bench.environment import (
    TIMEOUT_SECONDS,
    bench_environment,
    create_token,
    port_of,
    run_programs,
    wait_until_answering,
)
from bench.http_client import ConnectionPool, post_request
from bench.ratio import Bench, Measurements, NotMeasured, Pair, Ratio, Size, run_alternately
from infra.cli.settings_source import read_settings
from infra.cli.up import COMMANDS
from infra.local.child_process import process_tree
from infra.local.ports import LOOPBACK
from infra.local.stack import Stack
from infra.simulator.participants import SITES
from services.analytics.figures.registry import FIGURES
from services.analytics.urls import figure_url, live_url
from shared.inbox.participant_registry.projector import apply_enrollment_events
from shared.postgres.tenancy import open_pool
from shared.testing.builders.facts import consent_signed, participant_enrolled, participant_screened
from shared.testing.builders.follow_up_facts import follow_up_recorded
from shared.testing.builders.participant_history import ParticipantHistory

READERS, FACTS_PER_SECOND, SECONDS_BETWEEN_READS = 10, 5, 1.0
SETTLING_SECONDS, MOST_SECONDS_BETWEEN_FETCHES = 3.0, 3
FOLLOWED_PARTICIPANTS = 20
"""Participants of each study who are enrolled only, and whose contacts are recorded."""
RATIO = Ratio(
    name="live page",
    ours=f"CPU seconds per minute of all processes: every figure that exists, {READERS} readers who fetch it at most "
    f"once a second, {FACTS_PER_SECOND} facts/s over HTTP; 2,000 participants (goal: and at most 40 s)",
    against="the same at 100 participants",
    unit="s",
    goal=1.5,
    is_upper_bound=True,
)


class ReadersFellBehind(NotMeasured):
    """A reader got the figures too seldom for a page to be called live."""


async def run(size: Size) -> Measurements:
    async with bench_environment() as stack:
        large = await LiveStudy.fill(stack, "large", size.choose(2_000, 20))
        small = await LiveStudy.fill(stack, "small", size.choose(100, 10))
        async with run_programs(stack, COMMANDS):
            await wait_until_answering(port_of(stack), "/health/ready")
            seconds = size.choose(10, 2)
            rounds = await run_alternately(size, lambda: large.measure(seconds), lambda: small.measure(seconds))
    return {RATIO.name: [Pair(*cpu_seconds) for cpu_seconds in rounds]}


@dataclass(frozen=True)
class LiveStudy:
    """A study whose page is read live. `participant_ids`: the participants about whom facts are recorded."""

    study_id: str
    stack: Stack
    participant_ids: Sequence[str]

    @classmethod
    async def fill(cls, stack: Stack, study_id: str, participants: int) -> LiveStudy:
        """Fills analytics with simulated participants, and both analytics and followup with those who are followed."""
        histories = [ParticipantHistory(study_id, site_id=SITES[0].site_id) for _ in range(FOLLOWED_PARTICIPANTS)]
        for history in histories:
            history.record(participant_screened(site_id=SITES[0].site_id), consent_signed(), participant_enrolled())
        events = [event for history in histories for event in history.events]
        async with analytics_pools(stack) as (_, pool):
            study = await ReplicatedCohort.fill(pool, study_id, participants)
            await apply_to_inbox(pool, events)
            await study.derive()
        async with await open_pool(read_settings(stack.environment).database_url("followup", "system")) as pool:
            await apply_to_inbox(pool, [*study_events(study_id), *events], apply_enrollment_events)
        return cls(study_id, stack, [history.participant_id for history in histories])

    async def measure(self, seconds: int) -> float:
        """Returns the CPU seconds per minute of all processes below this one, while the page is read live.

        Raises ReadersFellBehind if the figures came so slowly that the processor time says nothing.
        """
        async with read_live(self.stack, self.study_id) as readers, self._facts():
            await asyncio.sleep(SETTLING_SECONDS)  # readers have connected and fetched every figure once
            cpu_seconds, started_at, fetched = cpu_seconds_of_children(), perf_counter(), _fewest_fetches(readers)
            await asyncio.sleep(seconds)
            if _fewest_fetches(readers) - fetched < seconds // MOST_SECONDS_BETWEEN_FETCHES:
                raise ReadersFellBehind(f"{_fewest_fetches(readers) - fetched} fetches in {seconds} s")
            return 60 * (cpu_seconds_of_children() - cpu_seconds) / (perf_counter() - started_at)

    @asynccontextmanager
    async def _facts(self) -> AsyncIterator[None]:
        """Records facts at a steady rate for the length of the block. Raises what the recording raised."""
        stop = asyncio.Event()
        recording = asyncio.create_task(self._record_facts(stop))
        try:
            yield
        finally:
            stop.set()
            await recording

    async def _record_facts(self, stop: asyncio.Event) -> None:
        bearer = create_token(self.stack, self.study_id, "site", SITES[0].site_id)
        with closing(ConnectionPool(port_of(self.stack))) as pool:
            while not stop.is_set():
                request = self._request(random.choice(self.participant_ids), bearer)
                await asyncio.gather(pool.post(request), asyncio.sleep(1 / FACTS_PER_SECOND))

    def _request(self, participant_id: str, bearer: str) -> bytes:
        path = f"/followup/v1/studies/{self.study_id}/participants/{participant_id}/facts/followup.recorded"
        fact = follow_up_recorded(random.randrange(300)).model_dump_json(exclude_none=True)
        return post_request(path, fact, bearer, f"{LOOPBACK}:{port_of(self.stack)}")


@asynccontextmanager
async def read_live(stack: Stack, study_id: str) -> AsyncIterator[Sequence[LiveReader]]:
    """Lets READERS read the figures of a study live for the length of the block. Raises what a reader raised."""
    bearer = create_token(stack, study_id, "investigator")
    headers = {"Authorization": f"Bearer {bearer}", "Accept": "text/html"}
    address = f"http://{LOOPBACK}:{port_of(stack)}"
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(
        base_url=address, headers=headers, timeout=TIMEOUT_SECONDS, limits=limits, trust_env=False
    ) as http:
        readers = [LiveReader(http, study_id) for _ in range(READERS)]
        tasks = [asyncio.create_task(reader.run()) for reader in readers]
        try:
            yield readers
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _fewest_fetches(readers: Sequence[LiveReader]) -> int:
    return min(reader.fetches for reader in readers)


class LiveReader:
    """Reads the live events of a study as its page does, and fetches the figures that have changed."""

    def __init__(self, http: httpx.AsyncClient, study_id: str) -> None:
        self._http, self._study_id = http, study_id
        self._changed, self._bell = set[str](), asyncio.Event()
        self.fetches = 0  # of all figures that had changed

    async def run(self) -> None:
        """Runs until cancelled. Raises httpx.HTTPError for an answer that is not 200, and when the stream ends."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen())
            tasks.create_task(self._fetch())

    async def _listen(self) -> None:
        async with self._http.stream("GET", live_url(self._study_id)) as answer:
            answer.raise_for_status()
            async for line in answer.aiter_lines():
                if (name := line.removeprefix("event: ")) in FIGURES:
                    self._changed.add(name)
                    self._bell.set()
        raise httpx.ReadError("the stream of events ended")

    async def _fetch(self) -> None:
        while True:
            await self._bell.wait()
            self._bell.clear()
            names, self._changed = sorted(self._changed), set()
            for name in names:
                (await self._http.get(figure_url(self._study_id, name))).raise_for_status()
            self.fetches += 1
            await asyncio.sleep(SECONDS_BETWEEN_READS)


def cpu_seconds_of_children() -> float:
    """Returns the CPU seconds of all processes below this one, with those of their children that have ended."""
    ticks = sum(_ticks_of(pid) for pid in process_tree(os.getpid())[1:])
    return ticks / os.sysconf("SC_CLK_TCK")


def _ticks_of(pid: int) -> int:
    """Returns the ticks of a process and of its ended children, in user and system mode; 0 if it has just ended."""
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15]))
    return 0


BENCH = Bench("live-page", (RATIO,), run)
