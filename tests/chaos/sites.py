"""Sites that go on reporting whatever happens: each fact under a key of its own, again until it is answered."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator
from itertools import count
from typing import Any

import httpx

from infra.reference.load import NotAccepted, StudyApi
from infra.reference.study import StatedFact, members, subject
from infra.reference.treated import Service
from infra.simulator.patients import OPENED, SINCE, SITES, Life, Told, life
from infra.simulator.progress import Known
from tests.demo import Demo

STUDY_ID, TODAY = "chaos", "2030-01-01"
"""The study, and its frozen day: later than all that the sites report."""
REPORTING = SITES[:4]
AT_ONCE = len(REPORTING)  # participants of whom something is told
SEED = 3
BETWEEN = (
    0.02  # seconds between an answer and the next fact of that participant: about a hundred facts a second together
)
ANSWERED_WITHIN = 90.0  # seconds for some tens of facts, whatever was killed
NOT_SEEN_THERE = 404
TRANSFERRED = "participant.transferred"
ENDED = {"participant.withdrawn", "participant.voided"}  # what is told of them later is refused


class Reporting:
    """What the sites report, and in `answers` what was answered: the events by the key under which they were stated."""

    def __init__(self, demo: Demo) -> None:
        self._demo, self._over = demo, asyncio.Event()
        hooks = {"response": [self._note]}
        self.client = httpx.AsyncClient(base_url=demo.url, timeout=10, trust_env=False, event_hooks=hooks)
        self._api = StudyApi(self.client, STUDY_ID, self._token_for, attempts=None)
        self.answers: dict[str, list[str]] = {}
        self.refused: deque[str] = deque(maxlen=12)  # of late, for whoever wonders why nothing goes on

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
        """Of several participants at once, until it is over; raises NotAccepted for an answer that is neither success
        nor passing."""
        async with asyncio.TaskGroup() as together:
            for first in range(AT_ONCE):
                together.create_task(self._tell(first))

    def end(self) -> None:
        """Whoever waits for an answer still gets it."""
        self._over.set()

    async def further(self, facts: int) -> None:
        """Return when so many facts more were answered."""
        goal, end = len(self.answers) + facts, time.monotonic() + ANSWERED_WITHIN
        while len(self.answers) < goal:
            assert time.monotonic() < end, f"the sites are not answered, of late: {list(self.refused)}"
            await asyncio.sleep(0.01)

    async def _tell(self, first: int) -> None:
        for index in count(first, AT_ONCE):
            known = Known("")
            for place, fact in enumerate(_life_and_what_follows(index)):
                if self._over.is_set():
                    return
                corrected = None if fact.corrects is None else self.answers[f"{index}/{fact.corrects}"][0]
                await self._state(known, fact, fact.about(corrected), f"{index}/{place}")
                await asyncio.sleep(BETWEEN)

    async def _state(self, known: Known, fact: Told, said: StatedFact, key: str) -> None:
        if not known.number:
            answer = await self._api.register(fact.site_id, said["data"], key)
            known.number = str(answer.json()["participant_id"])
        else:
            answer = await self._add(known, fact, said, key)
        if fact.service == "enrollment":
            known.heard = answer.headers.get("quartal-version", known.heard)

    async def _add(self, known: Known, fact: Told, said: StatedFact, key: str) -> httpx.Response:
        """By the site that tells it. Where it has handed the participant over and did not hear so, it asks those who
        still see the participant, and is answered as it would have been."""
        after = None if fact.service == "enrollment" else known.heard
        try:
            return await self._api.add(fact.site_id, known.number, said, key, service=fact.service, after=after)
        except NotAccepted as refused:
            if refused.status != NOT_SEEN_THERE or fact.type != TRANSFERRED:
                raise
            return await self._api.add(None, known.number, said, key, service=fact.service, after=after)

    async def _note(self, answer: httpx.Response) -> None:
        await answer.aread()
        if not answer.is_success:
            self.refused.append(f"{answer.status_code} {answer.request.url.path} {answer.text[:200]}")
            return
        told = answer.json()
        events = told.get("event_ids") or [told["event_id"]]
        assert self.answers.setdefault(answer.request.headers["idempotency-key"], events) == events

    def _token_for(self, role: str, site_id: str | None) -> str:
        return self._demo.token(role, site_id, STUDY_ID, subject(STUDY_ID, role, site_id))


def _life_and_what_follows(index: int) -> Iterator[Told]:
    """A simulated life. At its end the screening is restated, with another year of birth, and whoever is on the study
    is handed over to the next site, which tells the other services something."""
    lived = life(SEED, index, REPORTING)
    yield from lived.facts
    types = {fact.type for fact in lived.facts}
    if TRANSFERRED not in types:
        yield _restated(lived)
        if "participant.enrolled" in types and not types & ENDED:
            yield from _handed_over(lived)


def _restated(lived: Life) -> Told:
    screening = lived.facts[0]
    said: dict[str, Any] = {**screening.data, "birth_year": screening.data["birth_year"] - 1}
    replacement = {"type": screening.type, "schema_version": 1, "data": said}
    data = {"reason_code": "typing_error", "replacement": replacement}
    return Told("enrollment", "record.corrected", data, lived.days[-1], screening.site_id, corrects=0)


def _handed_over(lived: Life) -> Iterator[Told]:
    here, day = lived.site.site_id, lived.days[-1]
    names = [site.site_id for site in REPORTING]
    there = names[(names.index(here) + 1) % len(names)]
    yield Told("enrollment", TRANSFERRED, {"to_site": there, "on": day}, day, here)
    enrolled_on = next(fact.data["enrolled_on"] for fact in lived.facts if fact.type == "participant.enrolled")
    assessed = {"assessed_on": enrolled_on, "timepoint": "baseline", "findings": [], "checklist_complete": False}
    later: list[tuple[Service, str, dict[str, Any]]] = [
        ("toxicity", "toxicity.assessed", assessed),
        ("followup", "followup.recorded", {"seen_on": enrolled_on, "mode": "letter"}),
    ]
    yield from (Told(service, name, data, day, there) for service, name, data in later)
