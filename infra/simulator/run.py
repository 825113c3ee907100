"""Records the facts of simulated participants one by one, in the order of their report days, at a bounded rate.

The simulation ends with the last fact of the last participant. An endless one continues until it is stopped: when every
due fact is recorded, the next generation of participants begins, and facts of a later day wait for that day.

A simulation that is started again with the same seed, sites and participants continues where it was: participants are
computed, idempotency keys are made of (seed, participant, fact), and a fact that is recorded already needs no pause. A
progress file saves even these requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx

from infra.callbacks import Report, TokenFor
from infra.client.study_client import ApiError, Cancelled, StudyClient, interruptible_sleep
from infra.reference.study import default_grants
from infra.simulator.participants import (
    FIRST_SCREENING_DAY,
    OPENING_DATA,
    SimulatedParticipant,
    SimulatedSite,
    simulate_participant,
)
from infra.simulator.progress import NextFact, ParticipantProgress, SimulationProgress
from shared.kernel.errors import StudyExists

REPLAY_THRESHOLD = timedelta(seconds=5)
DUE_CHECK_INTERVAL_SECONDS = 30.0
PARTICIPANT_REFUSAL_STATUSES = frozenset({404, 409, 410, 422})
"""Answers that concern one participant (voided, transferred or withdrawn by a user), not the simulation."""
NOT_VISIBLE_STATUS = 404
ALREADY_RECORDED_CODES = frozenset({StudyExists.code, "stated-twice", "site-exists"})


@dataclass(frozen=True, kw_only=True)
class SimulationPlan:
    """A simulation's study, sites, seed and number of participants. `rate` is in facts per second.

    An `endless` simulation continues with as many new participants, again and again, until it is stopped.
    """

    study_id: str
    sites: Sequence[SimulatedSite]
    seed: int
    participants: int
    rate: float
    endless: bool = False


async def simulate(
    client: httpx.AsyncClient,
    token_for: TokenFor,
    plan: SimulationPlan,
    *,
    today: Callable[[str], date],
    stop: asyncio.Event,
    report: Report = print,
    progress_file: Path | None = None,
) -> int:
    """Opens the study if it is absent, then records the facts of the plan's participants until `stop` is set.

    `today` gives the calendar day in a time zone; no fact is recorded before its day has come there. The simulation
    waits for services that are unavailable or busy, and stores its progress in `progress_file`.

    Returns the number of facts that were answered as recorded. Raises ApiError if the services refuse the simulation.
    """
    study_client = StudyClient(client, plan.study_id, token_for, attempts=None, stop=stop)
    try:
        await _open_study(study_client, plan.sites)
    except Cancelled:
        return 0
    simulation = _Simulation(study_client, plan, today=today, report=report, progress_file=progress_file)
    generation_note = " at a time" if plan.endless else ""
    report(
        f"{plan.study_id}: {plan.participants} simulated participants{generation_note} at {len(plan.sites)} "
        f"sites{simulation.resume_note}"
    )
    try:
        await simulation.run()
    except Cancelled:
        report(f"{plan.study_id}: stopped")
    return simulation.recorded_count


async def _open_study(study_client: StudyClient, sites: Sequence[SimulatedSite]) -> None:
    try:
        await study_client.open_study(OPENING_DATA, f"{study_client.study_id}/opened")
    except ApiError as refused:
        _require_already_recorded(refused)
    for site in sites:
        site_data = {**vars(site), "on": FIRST_SCREENING_DAY.isoformat()}
        try:
            await study_client.record_study_fact(
                "study.site_activated", site_data, f"{study_client.study_id}/site/{site.site_id}"
            )
        except ApiError as refused:
            _require_already_recorded(refused)
    await study_client.record_grants(default_grants(study_client.study_id, [site.site_id for site in sites]))


def _require_already_recorded(refused: ApiError) -> None:
    if not {refused.code, *(code for code, _ in refused.errors)} & ALREADY_RECORDED_CODES:
        raise refused


class _Simulation:
    """The facts of all participants merged by day: a fact is (day, participant, index), and the earliest comes first.

    Participants begin in generations: all due facts of one generation are recorded before the next begins. Only the
    latest generation is kept in memory; a participant of an earlier one is drawn again when a fact is due.
    """

    def __init__(
        self,
        study_client: StudyClient,
        plan: SimulationPlan,
        *,
        today: Callable[[str], date],
        report: Report,
        progress_file: Path | None,
    ) -> None:
        self._study_client, self._plan = study_client, plan
        self._today, self._report = today, report
        self._zones = {site.site_id: site.time_zone for site in plan.sites}
        self._participants_by_index = dict[int, SimulatedParticipant]()
        self._progress = SimulationProgress(
            progress_file, [plan.study_id, plan.seed, list(self._zones), plan.participants, plan.endless]
        )
        self.recorded_count = 0

    @property
    def resume_note(self) -> str:
        return f", going on after fact {self._progress.recorded_count}" if self._progress.recorded_count else ""

    async def run(self) -> None:
        queue = self._progress.queue
        try:
            while True:
                if queue and not self._is_unchanged(queue[0]):
                    self._progress.complete_fact(None)
                elif queue and self._is_due(queue[0]):
                    await self._record_next(queue[0])
                elif self._may_start_generation():
                    self._start_generation()
                elif queue:
                    await interruptible_sleep(self._study_client.stop, DUE_CHECK_INTERVAL_SECONDS)
                else:
                    return
        finally:
            self._progress.write()

    def _may_start_generation(self) -> bool:
        """Returns whether another generation may begin: only after a fact of the latest, or they would never end."""
        generation_start = self._progress.participant_count - self._plan.participants
        unreported = sum(index >= generation_start and not fact_index for _, index, fact_index in self._progress.queue)
        return not self._progress.participant_count or (self._plan.endless and unreported < self._plan.participants)

    def _start_generation(self) -> None:
        first = self._progress.participant_count
        self._participants_by_index = {
            index: self._simulate(index) for index in range(first, first + self._plan.participants)
        }
        self._progress.start_participants(
            [(participant.report_days[0], index, 0) for index, participant in self._participants_by_index.items()]
        )
        if first:
            self._report(
                f"{self._plan.study_id}: going on with participants {first + 1} to {self._progress.participant_count}"
            )

    def _simulate(self, index: int) -> SimulatedParticipant:
        return simulate_participant(self._plan.seed, index, self._plan.sites)

    def _participant(self, index: int) -> SimulatedParticipant:
        if index not in self._participants_by_index:
            self._participants_by_index[index] = self._simulate(index)
        return self._participants_by_index[index]

    def _is_unchanged(self, next_fact: NextFact) -> bool:
        """Returns whether the participant is as at the start: newer tables of rates draw another."""
        day, index, fact_index = next_fact
        return self._participant(index).report_days[fact_index : fact_index + 1] == [day]

    def _is_due(self, next_fact: NextFact) -> bool:
        day, index, fact_index = next_fact
        return day <= self._today(self._zones[self._participant(index).facts[fact_index].site_id]).isoformat()

    async def _record_next(self, next_fact: NextFact) -> None:
        """Records one fact; after a refused fact, drops the participant."""
        _, index, fact_index = next_fact
        is_new = await self._record(index, fact_index)
        days = self._participant(index).report_days
        continues = index in self._progress.participants and fact_index + 1 < len(days)
        self._progress.complete_fact((days[fact_index + 1], index, fact_index + 1) if continues else None)
        if is_new:
            await interruptible_sleep(self._study_client.stop, 1 / self._plan.rate)

    async def _record(self, index: int, fact_index: int) -> bool:
        """Records a fact; returns whether it is new, so that the next fact has to wait."""
        try:
            response = await self._record_by_visible_site(index, fact_index)
        except ApiError as refused:
            if refused.status not in PARTICIPANT_REFUSAL_STATUSES:
                raise
            self._report(str(refused))
            self._progress.participants.pop(index, None)
            return True
        self.recorded_count += 1
        self._remember_response(index, fact_index, response)
        return not _is_replay(response)

    async def _record_by_visible_site(self, index: int, fact_index: int) -> httpx.Response:
        """Records a fact as its site; if the participant has left that site since, repeats the request study-wide.

        The repeated request gets the response to the original one.
        """
        fact = self._participant(index).facts[fact_index]
        try:
            return await self._send(index, fact_index, fact.site_id)
        except ApiError as refused:
            if refused.status != NOT_VISIBLE_STATUS or fact.site_id == self._participant(index).facts[-1].site_id:
                raise
            return await self._send(index, fact_index, None)

    async def _send(self, index: int, fact_index: int, site_id: str | None) -> httpx.Response:
        fact = self._participant(index).facts[fact_index]
        key = f"{self._plan.study_id}/simulated/{self._plan.seed}/{index}/{fact_index}"
        if not fact_index:
            return await self._study_client.register(fact.site_id, fact.data, key)
        progress = self._progress.participants[index]
        fact_data = fact.with_event_id(None if fact.corrects is None else progress.events.get(fact.corrects))
        after = None if fact.service == "enrollment" else progress.enrollment_tag
        return await self._study_client.record_fact(
            site_id, progress.participant_id, fact_data, key, service=fact.service, after=after
        )

    def _remember_response(self, index: int, fact_index: int, response: httpx.Response) -> None:
        """Keeps what later facts need of the response; drops event ids after their last correction."""
        participant, content = self._participant(index), response.json()
        progress = self._progress.participants.setdefault(index, ParticipantProgress(content["participant_id"]))
        if participant.facts[fact_index].service == "enrollment":
            progress.enrollment_tag = response.headers.get("quartal-version", progress.enrollment_tag)
        if fact_index in participant.last_corrections:
            progress.events[fact_index] = content["event_id"]
        corrects = participant.facts[fact_index].corrects
        if corrects is not None and participant.last_corrections[corrects] == fact_index:
            progress.events.pop(corrects, None)


def _is_replay(response: httpx.Response) -> bool:
    """Returns whether the response is about a fact recorded earlier, by the clock of the server."""
    recorded_at, answered_at = response.json().get("recorded_at"), response.headers.get("date")
    if not recorded_at or not answered_at:
        return False
    return parsedate_to_datetime(answered_at) - datetime.fromisoformat(recorded_at) > REPLAY_THRESHOLD
