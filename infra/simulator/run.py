"""Lets a simulated study live: facts are stated one by one, in the order of their days, at a bounded rate.

    python -m infra.simulator --url http://127.0.0.1:8000 --participants 120 --rate 1

It ends when the last life is told; with `--endless`, when a signal comes: once all that is due is told, so many
participants more begin, and what still lies ahead of the others is told when its day has come.

Interrupted and started again with the same seed, sites and participants it goes on where it was: lives are computed,
idempotency keys are made of (seed, participant, fact), and what was recorded is answered as recorded and not waited
for. With a progress file it does not even ask for that.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path

import httpx

from infra.issuer import Issuer
from infra.reference.load import NotAccepted, Report, Stopped, StudyApi, TokenFor, pause
from infra.reference.study import members, subject
from infra.simulator.patients import OPENED, SINCE, SITES, STUDY_ID, Life, Site, life
from infra.simulator.progress import Known, Next, Progress
from shared.kernel.clock import Clock

REPLAYED_AFTER = timedelta(seconds=5)
LOOK_AT_THE_CALENDAR_EVERY_S = 30.0
REFUSED_FOR_ONE = frozenset({404, 409, 410, 422})
"""Answers that concern one participant (voided, transferred, withdrawn by somebody's hand), not the simulation."""
NOT_SEEN_THERE = 404
THERE_ALREADY = frozenset({"stated-twice", "study-exists", "site-exists"})


async def simulate(
    client: httpx.AsyncClient,
    token_for: TokenFor,
    study_id: str,
    sites: Sequence[Site],
    seed: int,
    rate: float,
    participants: int,
    today: Callable[[str], date],
    stop: asyncio.Event,
    report: Report = print,
    kept_in: Path | None = None,
    *,
    endless: bool = False,
) -> int:
    """Open the study if it is absent, then tell the lives of so many participants, `rate` facts a second.

    An `endless` simulation goes on with so many participants more, again and again, until `stop` is set.

    `today` gives the calendar day in a time zone; no fact is stated before its day has come there. Services that are
    away or busy are waited for. Returns how many facts were answered as recorded, when all are told or `stop` is set.
    How far it came is kept in the file `kept_in`.
    Raises NotAccepted where the services do not let the simulation in.
    """
    api = StudyApi(client, study_id, token_for, attempts=None, stop=stop)
    try:
        await _open(api, sites)
    except Stopped:
        return 0
    telling = _Telling(api, seed, sites, participants, endless, 1 / rate, today, report, kept_in)
    each_time = " at a time" if endless else ""
    report(f"{study_id}: {participants} simulated participants{each_time} at {len(sites)} sites{telling.behind}")
    try:
        await telling.all()
    except Stopped:
        report(f"{study_id}: stopped")
    return telling.told


async def _open(api: StudyApi, sites: Sequence[Site]) -> None:
    try:
        await api.open(OPENED, f"{api.study_id}/opened")
    except NotAccepted as refused:
        _only_there_already(refused)
    for site in sites:
        activated = {**vars(site), "on": SINCE.isoformat()}
        try:
            await api.state("study.site_activated", activated, f"{api.study_id}/site/{site.site_id}")
        except NotAccepted as refused:
            _only_there_already(refused)
    await api.grant(members(api.study_id, [site.site_id for site in sites]))


def _only_there_already(refused: NotAccepted) -> None:
    if not {refused.code, *(code for code, _ in refused.errors)} & THERE_ALREADY:
        raise refused


class _Telling:
    """Lives merged by day: a fact is (day, participant, place in the life), and the earliest is told first.

    They begin a generation at a time: so many participants, of whom all is told that is due before the next begin.
    Only lives of the latest generation are kept. One of an earlier generation is drawn again when its day has come.
    """

    def __init__(
        self,
        api: StudyApi,
        seed: int,
        sites: Sequence[Site],
        participants: int,
        endless: bool,
        seconds_between: float,
        today: Callable[[str], date],
        report: Report,
        kept_in: Path | None,
    ) -> None:
        self._api, self._seed, self._sites, self._participants, self._endless = api, seed, sites, participants, endless
        self._seconds_between, self._today, self._report = seconds_between, today, report
        self._zones = {site.site_id: site.time_zone for site in sites}
        self._lives = dict[int, Life]()
        self._progress = Progress(kept_in, [api.study_id, seed, list(self._zones), participants, endless])
        self.told = 0

    @property
    def behind(self) -> str:
        return f", going on after fact {self._progress.told}" if self._progress.told else ""

    async def all(self) -> None:
        ahead = self._progress.ahead
        try:
            while True:
                if ahead and not self._is_as_begun(ahead[0]):
                    self._progress.one_more(None)
                elif ahead and self._is_due(ahead[0]):
                    await self._tell(ahead[0])
                elif self._may_begin():
                    self._begin()
                elif ahead:
                    await pause(self._api.stop, LOOK_AT_THE_CALENDAR_EVERY_S)
                else:
                    return
        finally:
            self._progress.write()

    def _may_begin(self) -> bool:
        """Whether another generation may. Not while nothing is told of the latest: there would be no end of them."""
        latest = self._progress.begun - self._participants
        untold = sum(index >= latest and not place for _, index, place in self._progress.ahead)
        return not self._progress.begun or (self._endless and untold < self._participants)

    def _begin(self) -> None:
        first = self._progress.begun
        self._lives = {index: self._drawn(index) for index in range(first, first + self._participants)}
        self._progress.begin([(each.days[0], index, 0) for index, each in self._lives.items()])
        if first:
            self._report(f"{self._api.study_id}: going on with participants {first + 1} to {self._progress.begun}")

    def _drawn(self, index: int) -> Life:
        return life(self._seed, index, self._sites)

    def _life(self, index: int) -> Life:
        if index not in self._lives:
            self._lives[index] = self._drawn(index)
        return self._lives[index]

    def _is_as_begun(self, coming: Next) -> bool:
        """Whether the life is the one that was begun: a newer version of the tables draws another."""
        day, index, place = coming
        return self._life(index).days[place : place + 1] == [day]

    def _is_due(self, coming: Next) -> bool:
        day, index, place = coming
        return day <= self._today(self._zones[self._life(index).facts[place].site_id]).isoformat()

    async def _tell(self, coming: Next) -> None:
        """State one fact; a participant whose fact is refused is told no further."""
        _, index, place = coming
        is_new = await self._state(index, place)
        days = self._life(index).days
        goes_on = index in self._progress.known and place + 1 < len(days)
        self._progress.one_more((days[place + 1], index, place + 1) if goes_on else None)
        if is_new:
            await pause(self._api.stop, self._seconds_between)

    async def _state(self, index: int, place: int) -> bool:
        """Whether that was something new, so that the next fact has to wait."""
        try:
            answer = await self._answered(index, place)
        except NotAccepted as refused:
            if refused.status not in REFUSED_FOR_ONE:
                raise
            self._report(str(refused))
            self._progress.known.pop(index, None)
            return True
        self.told += 1
        self._note(index, place, answer)
        return not _replayed(answer)

    async def _answered(self, index: int, place: int) -> httpx.Response:
        """By the site that tells it. Where that does not see the participant, who has moved on since, somebody who
        does asks in its stead, and is answered as it was then."""
        fact = self._life(index).facts[place]
        try:
            return await self._said(index, place, fact.site_id)
        except NotAccepted as refused:
            if refused.status != NOT_SEEN_THERE or fact.site_id == self._life(index).facts[-1].site_id:
                raise
            return await self._said(index, place, None)

    async def _said(self, index: int, place: int, site_id: str | None) -> httpx.Response:
        fact, key = self._life(index).facts[place], f"{self._api.study_id}/simulated/{self._seed}/{index}/{place}"
        if not place:
            return await self._api.register(fact.site_id, fact.data, key)
        known = self._progress.known[index]
        about = fact.about(None if fact.corrects is None else known.events.get(fact.corrects))
        after = None if fact.service == "enrollment" else known.heard
        return await self._api.add(site_id, known.number, about, key, service=fact.service, after=after)

    def _note(self, index: int, place: int, answer: httpx.Response) -> None:
        """Keep of the answer what later facts of that participant need; what was corrected last is needed no more."""
        told, said = self._life(index), answer.json()
        known = self._progress.known.setdefault(index, Known(said["participant_id"]))
        if told.facts[place].service == "enrollment":
            known.heard = answer.headers.get("quartal-version", known.heard)
        if place in told.corrected:
            known.events[place] = said["event_id"]
        corrects = told.facts[place].corrects
        if corrects is not None and told.corrected[corrects] == place:
            known.events.pop(corrects, None)


def _replayed(answer: httpx.Response) -> bool:
    """Whether the answer tells of something recorded before, by the server's own clock."""
    recorded_at, answered_at = answer.json().get("recorded_at"), answer.headers.get("date")
    if not recorded_at or not answered_at:
        return False
    return parsedate_to_datetime(answered_at) - datetime.fromisoformat(recorded_at) > REPLAYED_AFTER


def main() -> None:
    """Runs until all is told or SIGINT or SIGTERM comes. Signs with the development issuer beside QUARTAL_JWKS."""
    asked = _arguments()
    issuer, clock = Issuer.load(asked.keys), Clock.parse(os.environ.get("QUARTAL_CLOCK", ""))

    def token_for(role: str, site_id: str | None) -> str:
        return issuer.token(subject(asked.study, role, site_id), now=clock.now())

    async def run() -> int:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        async with httpx.AsyncClient(base_url=asked.url, timeout=30) as client:
            return await simulate(
                client, token_for, asked.study, SITES[: asked.sites], asked.seed, asked.rate, asked.participants,
                lambda zone: clock.today(asked.study, zone), stop, partial(print, flush=True), asked.progress,
                endless=asked.endless,
            )  # fmt: skip

    print(f"{asyncio.run(run())} facts recorded")


def _several(said: str) -> int:
    if (number := int(said)) < 1:
        raise argparse.ArgumentTypeError("at least one")
    return number


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m infra.simulator", description="Simulate a study through the public API."
    )
    parser.add_argument("--url", default=f"http://127.0.0.1:{os.environ.get('QUARTAL_PORT', '8000')}")
    parser.add_argument("--study", default=STUDY_ID)
    parser.add_argument("--sites", type=int, default=len(SITES), choices=range(1, len(SITES) + 1), metavar="N")
    parser.add_argument("--participants", type=_several, default=120)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=1.0, help="facts per second")
    keys = Path(os.environ.get("QUARTAL_JWKS", ".quartal/issuer/jwks.json")).parent
    parser.add_argument(
        "--endless", action="store_true", help="go on with the same number of new participants, until a signal comes"
    )
    parser.add_argument("--progress", type=Path, help="file that stores the progress")
    parser.add_argument("--keys", type=Path, default=keys, help="folder of the development issuer")
    return parser.parse_args()
