"""States facts through the public API, as a site's own program would; and the reference study with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import httpx

from infra.reference import published, synthetic
from infra.reference.study import OPENED, SITE, SITE_ID, STUDY_ID, Grant, StatedFact, members
from infra.reference.treated import Service
from shared.contracts import catalogue

TokenFor = Callable[[str, str | None], str]
"""(role, site or None for study-wide) to a bearer token; asked for every request, since tokens live 15 minutes."""
Report = Callable[[str], None]
SoFar = Callable[[int, int], None]
"""Hears how many facts are stated, and of how many."""

AT_ONCE = 4
FACTS_OF_OPENING = 3  # opened, its administrator granted, the site activated
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 10.0
PASSING = frozenset({429, 502, 503, 504})


class Stopped(Exception):
    """Whoever waits for an answer was told to stop."""


class NotAccepted(Exception):
    """A problem answer: its status, its code, and for each error in it (code, JSON pointer)."""

    def __init__(self, what: str, status: int, code: str, errors: tuple[tuple[str, str], ...]) -> None:
        self.status, self.code, self.errors = status, code, errors
        at = "; ".join(f"{error} at {pointer or '/'}" for error, pointer in errors)
        super().__init__(f"{what}: {status} {code}" + (f" ({at})" if at else ""))

    @classmethod
    def of(cls, what: str, answer: httpx.Response) -> NotAccepted:
        problem = _problem(answer)
        code = str(problem.get("type", "")).rstrip("/").rpartition("/")[2] or "unnamed"
        errors = tuple((str(each.get("code", "")), str(each.get("pointer", ""))) for each in problem.get("errors", ()))
        return cls(what, answer.status_code, code, errors)


def _problem(answer: httpx.Response) -> dict[str, Any]:
    if not answer.headers.get("content-type", "").startswith("application/problem+json"):
        return {}
    body = answer.json()
    return body if isinstance(body, dict) else {}


@dataclass(frozen=True)
class StudyApi:
    """Requests about one study, each safe to repeat.

    What passes (no connection, 409 with Retry-After, 429, 502 to 504) is asked again after a growing pause: `attempts`
    times, or without end; `stop` ends every pause with `Stopped`. Anything else but success raises `NotAccepted`.
    """

    client: httpx.AsyncClient
    study_id: str
    token_for: TokenFor
    attempts: int | None = 8
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def open(self, opened: dict[str, Any], key: str) -> None:
        body = {"study_id": self.study_id, **opened}
        await self._post("/enrollment/v1/studies", body, ("administrator", None), key)

    async def state(self, type_name: str, data: dict[str, Any], key: str) -> None:
        """A fact of the study, in the administrator's name."""
        await self._post(f"{self._base}/facts/{type_name}", data, ("administrator", None), key)

    async def grant(self, grants: list[Grant]) -> None:
        for each in grants:
            key = f"{self.study_id}/member/{each['member']}/{each['role']}/{each['site_id'] or '*'}"
            await self.state("study.member_granted", dict(each), key)

    async def register(self, site_id: str, body: dict[str, Any], key: str) -> httpx.Response:
        """A new participant: the screening alone, or `{"facts": [...]}` that begins with it."""
        return await self._post(f"{self._base}/participants", body, ("site", site_id), key)

    async def add(
        self, site_id: str | None, participant_id: str, fact: StatedFact, key: str,
        *, service: Service = "enrollment", after: str | None = None,
    ) -> httpx.Response:  # fmt: skip
        """One fact more, by the site's staff or, without a site, by whoever may state it in the whole study.

        `after` is the `Quartal-Version` of enrollment that another service must have heard of.
        """
        path = f"{self._of(service)}/participants/{participant_id}/facts/{fact['type']}"
        roles = catalogue.fact_class(service, fact["type"]).by
        caller = ("site", site_id) if site_id else ("coordinator" if "coordinator" in roles else "administrator", None)
        return await self._post(path, fact["data"], caller, key, after)

    async def add_all(
        self, site_id: str, participant_id: str, facts: Sequence[StatedFact], key: str,
        *, service: Service, after: str | None = None,
    ) -> httpx.Response:  # fmt: skip
        """Several facts at once: all are recorded, or none."""
        path = f"{self._of(service)}/participants/{participant_id}/facts"
        return await self._post(path, list(facts), ("site", site_id), key, after)

    def _of(self, service: Service) -> str:
        return f"/{service}/v1/studies/{self.study_id}"

    @property
    def _base(self) -> str:
        return self._of("enrollment")

    async def _post(
        self, path: str, body: Any, caller: tuple[str, str | None], key: str, after: str | None = None
    ) -> httpx.Response:
        headers = {"Idempotency-Key": key, **({"Quartal-After": after} if after else {})}
        answer = await self.ask("POST", path, caller, json=body, headers=headers)
        if not answer.is_success:
            raise NotAccepted.of(f"POST {path}, {key}", answer)
        return answer

    async def ask(
        self, method: str, path: str, caller: tuple[str, str | None], *, json: Any = None,
        params: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:  # fmt: skip
        """Any request that is safe to repeat, asked again while what is in the way passes; whatever the answer is."""
        for seconds, is_last in self._pauses():
            said = {"Authorization": f"Bearer {self.token_for(*caller)}", **(headers or {})}
            try:
                answer = await self.client.request(method, path, json=json, params=params, headers=said)
            except httpx.TransportError:
                if is_last:
                    raise
                await pause(self.stop, seconds)
                continue
            if is_last or not _passes(answer):
                return answer
            await pause(self.stop, max(seconds, _retry_after(answer)))
        raise Stopped

    def _pauses(self) -> Iterator[tuple[float, bool]]:
        """Seconds to wait before another attempt, and whether the attempt is the last."""
        for attempt in count(1):
            if self.stop.is_set():
                return
            yield min(LONGEST_PAUSE_S, SHORTEST_PAUSE_S * 2 ** min(attempt - 1, 10)), attempt == self.attempts


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait so long; raises Stopped as soon as `stop` is set."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
    raise Stopped


def _passes(answer: httpx.Response) -> bool:
    return answer.status_code in PASSING or (answer.status_code == 409 and "retry-after" in answer.headers)


def _retry_after(answer: httpx.Response) -> float:
    """Seconds that the answer asks for, 30 at most; 0 where it names none (or a date)."""
    asked = answer.headers.get("retry-after", "")
    return min(30.0, float(asked)) if asked.isdigit() else 0.0


@dataclass(frozen=True)
class Person:
    """One person's facts, a batch for each service that is told something, by the key of their registration."""

    key: str
    batches: dict[Service, list[StatedFact]]

    def __len__(self) -> int:
        return sum(len(facts) for facts in self.batches.values())


async def load(
    client: httpx.AsyncClient, token_for: TokenFor, report: Report, so_far: SoFar = lambda _done, _of: None
) -> int:
    """State the reference study; how many facts it is. Every request carries its key, so a second time adds nothing.

    Raises NotAccepted for what the study's services refuse, httpx.TransportError when they do not answer.
    """
    api = StudyApi(client, STUDY_ID, token_for)
    await api.open(OPENED, f"{STUDY_ID}/opened")
    await api.state("study.site_activated", SITE, f"{STUDY_ID}/site/{SITE_ID}")
    grants = members(STUDY_ID, [SITE_ID])
    await api.grant(grants)
    everyone = people()
    done = FACTS_OF_OPENING + len(grants)
    facts = done + sum(map(len, everyone))
    free = asyncio.Semaphore(AT_ONCE)

    numbers = dict[str, str]()

    async def tell(person: Person) -> None:
        nonlocal done
        numbers[person.key] = await _tell(api, free, person)
        done += len(person)
        so_far(done, facts)

    try:
        async with asyncio.TaskGroup() as group:
            for person in everyone:
                group.create_task(tell(person))
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures
    cases, made_up = len(published.cases()), len(synthetic.participants())
    report(
        f"{STUDY_ID}: loaded {cases} published cases, {made_up} synthetic participants and "
        f"{len(everyone) - cases - made_up} synthetic people who were not enrolled"
    )
    real = ", ".join(numbers[person.key] for person in everyone[:cases])
    report(f"{STUDY_ID}: the published cases are {real}; all others are synthetic")
    return facts


def people() -> list[Person]:
    """Everyone of the reference study: the published cases, the synthetic participants, who was not enrolled."""
    told = [(f"published-{case['case']}", case["facts"], _later(case)) for case in published.cases()]
    afterwards = [[(each.service, each.fact) for each in rest] for rest in synthetic.afterwards()]
    synthetics = zip(synthetic.participants(), afterwards, strict=True)
    told += [(f"synthetic-{place}", facts, rest) for place, (facts, rest) in enumerate(synthetics, 1)]
    told += [(f"synthetic-door-{place}", facts, []) for place, facts in enumerate(synthetic.not_enrolled(), 1)]
    return [_person(name, facts, rest) for name, facts, rest in told]


def _later(case: published.Case) -> list[tuple[Service, StatedFact]]:
    return [(fact["service"], {"type": fact["type"], "data": fact["data"]}) for fact in case["later"]]


def _person(name: str, facts: list[StatedFact], rest: Sequence[tuple[Service, StatedFact]]) -> Person:
    batches: dict[Service, list[StatedFact]] = {"enrollment": facts}
    for service, fact in rest:
        batches.setdefault(service, []).append(fact)
    return Person(f"{STUDY_ID}/participant/{name}", batches)


async def _tell(api: StudyApi, free: asyncio.Semaphore, person: Person) -> str:
    """The registration, then what the other services are told, once they have heard of it; the participant's number."""
    async with free:
        registered = await api.register(SITE_ID, {"facts": person.batches["enrollment"]}, person.key)
        number, after = registered.json()["participant_id"], registered.headers.get("quartal-version")
        for service, facts in person.batches.items():
            if service != "enrollment":
                key = f"{person.key}/{service}"
                await api.add_all(SITE_ID, number, facts, key, service=service, after=after)
    return str(number)
