"""Sites that go on reporting whatever happens: each fact under a key of its own, again until it is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import count
from typing import Any

import httpx

from infra.reference.load import StudyApi
from infra.reference.study import StatedFact, members, subject
from infra.simulator.patients import OPENED, SINCE, SITES, Site, life
from tests.demo import Demo

STUDY_ID, TODAY = "chaos", "2030-01-01"
"""The study, and its frozen day: later than all that the sites report."""
REPORTING = SITES[:4]
SEED = 3
BETWEEN = 0.02  # seconds between an answer and a site's next fact: about a hundred facts a second together


class Reporting:
    """What the sites report, and in `answers` what was answered: the events by the key under which they were stated."""

    def __init__(self, demo: Demo) -> None:
        self._demo, self._over = demo, asyncio.Event()
        hooks = {"response": [self._note]}
        self.client = httpx.AsyncClient(base_url=demo.url, timeout=10, trust_env=False, event_hooks=hooks)
        self._api = StudyApi(self.client, STUDY_ID, self._token_for, attempts=None)
        self.answers: dict[str, list[str]] = {}

    @property
    def events(self) -> list[str]:
        """Every event that somebody was told of."""
        return sorted(event for events in self.answers.values() for event in events)

    async def open(self) -> None:
        await self._api.open(OPENED, "opened")
        for site in REPORTING:
            await self._api.state("study.site_activated", {**vars(site), "on": SINCE.isoformat()}, site.site_id)
        await self._api.grant(members(STUDY_ID, [site.site_id for site in REPORTING]))

    async def report(self) -> None:
        """All sites at once, until it is over; raises NotAccepted for an answer that is neither success nor passing."""
        async with asyncio.TaskGroup() as sites:
            for site in REPORTING:
                sites.create_task(self._tell(site))

    def end(self) -> None:
        """Each site still gets the answer that it waits for."""
        self._over.set()

    async def further(self, facts: int) -> None:
        """Return when so many facts more were answered."""
        goal = len(self.answers) + facts
        while len(self.answers) < goal:  # noqa: ASYNC110 - the sites have no event for each number
            await asyncio.sleep(0.01)

    async def _tell(self, site: Site) -> None:
        for index in count():
            number = ""
            for place, fact in enumerate(_life_and_a_correction(site, index)):
                if self._over.is_set():
                    return
                number = await self._state(site, number, fact, f"{site.site_id}/{index}/{place}")
                await asyncio.sleep(BETWEEN)

    async def _state(self, site: Site, number: str, fact: StatedFact, key: str) -> str:
        if not number:
            answer = await self._api.register(site.site_id, fact["data"], key)
            return str(answer.json()["participant_id"])
        if fact["type"] == "record.corrected":
            fact["data"]["event_id"] = self.answers[key.rpartition("/")[0] + "/0"][0]
        await self._api.add(site.site_id, number, fact, key)
        return number

    async def _note(self, answer: httpx.Response) -> None:
        if not answer.is_success:
            return
        await answer.aread()
        told = answer.json()
        events = told.get("event_ids") or [told["event_id"]]
        assert self.answers.setdefault(answer.request.headers["idempotency-key"], events) == events

    def _token_for(self, role: str, site_id: str | None) -> str:
        return self._demo.token(role, site_id, STUDY_ID, subject(STUDY_ID, role, site_id))


def _life_and_a_correction(site: Site, index: int) -> Iterator[StatedFact]:
    """A simulated life; at its end the screening is restated, with another year of birth."""
    facts = life(SEED, index, [site]).of("enrollment")
    yield from facts
    restated: dict[str, Any] = {**facts[0]["data"], "birth_year": facts[0]["data"]["birth_year"] - 1}
    replacement = {"type": facts[0]["type"], "schema_version": 1, "data": restated}
    yield {"type": "record.corrected", "data": {"reason_code": "typing_error", "replacement": replacement}}
