"""Sites that report during failures: each fact under its own key, again until it is answered."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator
from itertools import count
from typing import Any

import httpx

from infra.client.study_client import ApiError, StudyClient
from infra.reference.study import ReferenceFact, default_grants, subject
from infra.services import Service
from infra.simulator.participants import (
    FIRST_SCREENING_DAY,
    OPENING_DATA,
    SITES,
    ReportedFact,
    SimulatedParticipant,
    simulate_participant,
)
from infra.simulator.progress import ParticipantProgress
from tests.demo import Demo

STUDY_ID, TODAY = "chaos", "2030-01-01"
"""The study, and its frozen day: later than all that the sites report."""
REPORTING_SITES = SITES[:4]
CONCURRENT_PARTICIPANTS = len(REPORTING_SITES)  # participants about whom facts are sent at one time
SEED = 3
PAUSE_SECONDS = (
    0.02  # seconds between a response and the next fact of that participant: about a hundred facts a second together
)
RESPONSE_TIMEOUT_SECONDS = 90.0  # seconds for some tens of facts, after any process was killed
NOT_VISIBLE_STATUS = 404
TRANSFERRED = "participant.transferred"
ENDING_FACTS = {"participant.withdrawn", "participant.voided"}  # later facts of the participant are refused


class SiteClients:
    """Clients of the sites. `event_ids_by_key` has the recorded events by idempotency key."""

    def __init__(self, demo: Demo) -> None:
        self._demo, self._stopped = demo, asyncio.Event()
        hooks = {"response": [self._record_response]}
        self.client = httpx.AsyncClient(base_url=demo.url, timeout=10, trust_env=False, event_hooks=hooks)
        self._api = StudyClient(self.client, STUDY_ID, self._token_for, attempts=None)
        self.event_ids_by_key: dict[str, list[str]] = {}
        self.recent_refusals: deque[str] = deque(maxlen=12)  # the latest, for the message of a timeout

    @property
    def event_ids(self) -> list[str]:
        """Returns the ids of all events in responses, in ascending order."""
        return sorted(event for events in self.event_ids_by_key.values() for event in events)

    async def open(self) -> None:
        await self._api.open_study(OPENING_DATA, "opened")
        for site in REPORTING_SITES:
            await self._api.record_study_fact(
                "study.site_activated", {**vars(site), "on": FIRST_SCREENING_DAY.isoformat()}, site.site_id
            )
        await self._api.record_grants(default_grants(STUDY_ID, [site.site_id for site in REPORTING_SITES]))

    async def report(self) -> None:
        """Reports several participants concurrently until stopped. Raises NotAccepted for a response that is neither a
        success nor transient."""
        async with asyncio.TaskGroup() as reporters:
            for first_index in range(CONCURRENT_PARTICIPANTS):
                reporters.create_task(self._report_participants(first_index))

    def stop(self) -> None:
        """Stops sending. Requests that wait for a response still get it."""
        self._stopped.set()

    async def wait_for_responses(self, count: int) -> None:
        """Returns when so many more facts have had a response."""
        goal, deadline = len(self.event_ids_by_key) + count, time.monotonic() + RESPONSE_TIMEOUT_SECONDS
        while len(self.event_ids_by_key) < goal:
            assert time.monotonic() < deadline, f"the sites are not answered, of late: {list(self.recent_refusals)}"
            await asyncio.sleep(0.01)

    async def _report_participants(self, first: int) -> None:
        for index in count(first, CONCURRENT_PARTICIPANTS):
            progress = ParticipantProgress("")
            for position, fact in enumerate(_participant_facts(index)):
                if self._stopped.is_set():
                    return
                corrected_event_id = (
                    None if fact.corrects is None else self.event_ids_by_key[f"{index}/{fact.corrects}"][0]
                )
                await self._record_fact(progress, fact, fact.with_event_id(corrected_event_id), f"{index}/{position}")
                await asyncio.sleep(PAUSE_SECONDS)

    async def _record_fact(
        self, progress: ParticipantProgress, fact: ReportedFact, statement: ReferenceFact, key: str
    ) -> None:
        if not progress.participant_id:
            response = await self._api.register(fact.site_id, statement["data"], key)
            progress.participant_id = str(response.json()["participant_id"])
        else:
            response = await self._add_fact(progress, fact, statement, key)
        if fact.service == "enrollment":
            progress.enrollment_tag = response.headers.get("quartal-version", progress.enrollment_tag)

    async def _add_fact(
        self, progress: ParticipantProgress, fact: ReportedFact, statement: ReferenceFact, key: str
    ) -> httpx.Response:
        """Sends the fact as its reporting site. If that site transferred the participant and lost the response,
        sends it as a site that still sees the participant; the repetition gets the original response."""
        after = None if fact.service == "enrollment" else progress.enrollment_tag
        try:
            return await self._api.record_fact(
                fact.site_id, progress.participant_id, statement, key, service=fact.service, after=after
            )
        except ApiError as refused:
            if refused.status != NOT_VISIBLE_STATUS or fact.type != TRANSFERRED:
                raise
            return await self._api.record_fact(
                None, progress.participant_id, statement, key, service=fact.service, after=after
            )

    async def _record_response(self, response: httpx.Response) -> None:
        await response.aread()
        if not response.is_success:
            self.recent_refusals.append(f"{response.status_code} {response.request.url.path} {response.text[:200]}")
            return
        document = response.json()
        events = document.get("event_ids") or [document["event_id"]]
        assert self.event_ids_by_key.setdefault(response.request.headers["idempotency-key"], events) == events

    def _token_for(self, role: str, site_id: str | None) -> str:
        return self._demo.token(role, site_id, STUDY_ID, subject(STUDY_ID, role, site_id))


def _participant_facts(index: int) -> Iterator[ReportedFact]:
    """Yields the facts of a simulated participant, and then a correction of the screening.

    A participant who is still in the study is transferred to the next site, which then records facts.
    """
    participant = simulate_participant(SEED, index, REPORTING_SITES)
    yield from participant.facts
    types = {fact.type for fact in participant.facts}
    if TRANSFERRED not in types:
        yield _corrected_screening(participant)
        if "participant.enrolled" in types and not types & ENDING_FACTS:
            yield from _transfer_facts(participant)


def _corrected_screening(participant: SimulatedParticipant) -> ReportedFact:
    screening = participant.facts[0]
    screening_data: dict[str, Any] = {**screening.data, "birth_year": screening.data["birth_year"] - 1}
    replacement = {"type": screening.type, "schema_version": 1, "data": screening_data}
    data = {"reason_code": "typing_error", "replacement": replacement}
    return ReportedFact(
        "enrollment", "record.corrected", data, participant.report_days[-1], screening.site_id, corrects=0
    )


def _transfer_facts(participant: SimulatedParticipant) -> Iterator[ReportedFact]:
    current_site, day = participant.site.site_id, participant.report_days[-1]
    names = [site.site_id for site in REPORTING_SITES]
    next_site = names[(names.index(current_site) + 1) % len(names)]
    yield ReportedFact("enrollment", TRANSFERRED, {"to_site": next_site, "on": day}, day, current_site)
    enrolled_on = next(fact.data["enrolled_on"] for fact in participant.facts if fact.type == "participant.enrolled")
    assessment = {"assessed_on": enrolled_on, "timepoint": "baseline", "findings": [], "checklist_complete": False}
    later: list[tuple[Service, str, dict[str, Any]]] = [
        ("toxicity", "toxicity.assessed", assessment),
        ("followup", "followup.recorded", {"seen_on": enrolled_on, "mode": "letter"}),
    ]
    yield from (ReportedFact(service, name, data, day, next_site) for service, name, data in later)
