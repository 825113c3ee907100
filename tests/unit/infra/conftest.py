"""The public API without its web layer: enrollment's real command path over the store's twin in memory; of toxicity and
followup the real rules and gates, over what enrollment holds."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from pydantic import ValidationError

from services.enrollment.judgement import ParticipantJudgement, StudyJudgement
from services.followup import contact
from services.followup.gate import World as FollowUpWorld
from services.toxicity import assessment
from services.toxicity.gate import World as ToxicityWorld
from shared.contracts import catalogue
from shared.contracts.event import history
from shared.eventstore.judgement import Judgement
from shared.eventstore.memory import MemoryStore
from shared.eventstore.recorder import Recorder
from shared.eventstore.statement import Recording, Statement, unacceptable
from shared.eventstore.studies import StoredStudies
from shared.gate.doors import Surroundings
from shared.kernel.clock import Clock
from shared.kernel.fact import Fact, Stated
from shared.kernel.ids import legacy_event_id
from shared.kernel.record import Judged, Record, Refused, Rules, standing
from shared.kernel.refusal import NotFound, Refusal
from shared.security.event_key import EventKey
from shared.security.grants import EVERY_SITE
from shared.security.tenancy import Tenant
from shared.security.vault import KeyEncryptionKey, Vault

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PROBLEM = {"content-type": "application/problem+json"}


class Quartal(httpx.AsyncBaseTransport):
    """Answers as the services do, each knowing at once what enrollment knows; who calls is what the bearer token says.

    `trouble` may answer a request in its stead. Kept for tests: `callers` and `keys` of every request, `stated` as
    (participant, type) of every fact that was recorded, `numbers` of participants by the key that registered them,
    `heard` as (service, Quartal-After) of every request about a participant.
    """

    def __init__(self, today: date) -> None:
        self._todays: dict[str, date | timedelta] = {"": today}
        clock, vault = Clock(self._todays, lambda: NOW), Vault(KeyEncryptionKey(b"k" * 32))
        self._store = MemoryStore("enrollment")
        judgements: dict[bool, Judgement] = {True: StudyJudgement(clock), False: ParticipantJudgement(clock, vault)}
        self._studies = StoredStudies(self._store)
        self._recorder = Recorder(self._store, self._studies, judgements, vault, clock, EventKey(b"e" * 32))
        self._others = {service: Other(service) for service in OTHERS}
        self.trouble: Callable[[httpx.Request], httpx.Response | None] = lambda _: None
        self.on_recorded: Callable[[], None] = lambda: None
        self.headers: dict[str, str] = {}
        self.callers: list[str] = []
        self.keys: list[str] = []
        self.heard: list[tuple[str, str | None]] = []
        self.events: set[UUID] = set()
        self.stated: list[tuple[str, str]] = []
        self.numbers: dict[str, str] = {}

    def let_it_be(self, today: date) -> None:
        self._todays[""] = today

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=self, base_url="http://quartal")

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.callers.append(request.headers["authorization"].removeprefix("Bearer "))
        self.keys.append(request.headers["idempotency-key"])
        if trouble := self.trouble(request):
            return trouble
        try:
            return await self._answer(request, await request.aread())
        except ValidationError as invalid:
            errors = [{"code": "schema", "pointer": "/".join(map(str, each["loc"]))} for each in invalid.errors()]
            return httpx.Response(422, json={"type": "/problems/schema", "errors": errors}, headers=PROBLEM)
        except Refusal as refusal:
            errors = [{"code": fault.code, "pointer": fault.pointer} for fault in refusal.faults]
            problem = {"type": f"/problems/{refusal.code}", "errors": errors}
            return httpx.Response(refusal.status, json=problem, headers=PROBLEM)

    async def _answer(self, request: httpx.Request, content: bytes) -> httpx.Response:
        service, path = request.url.path.split("/")[1], request.url.path.split("/")[4:]
        by, key = request.headers["authorization"].removeprefix("Bearer "), request.headers["idempotency-key"]
        study_id, stream_id, facts = _said(path, json.loads(content), by)
        read = tuple(catalogue.fact_class(service, name).model_validate(data) for name, data in facts)
        whole = f"{request.method} {request.url.path} ".encode() + content
        if service == "enrollment":
            pointers = tuple(f"/facts/{place}/data" for place in range(len(read)))
            opens = stream_id == study_id and facts[0][0] == "study.opened"
            statement = Statement(study_id, stream_id, read, pointers, by, whole, key, opens_study=opens)
            recording = await self._recorder.record(statement)
        else:
            recording = await self._other(service, study_id, stream_id or "", read, by, key)
        if "participants" in path:
            self.heard.append((service, request.headers.get("quartal-after")))
        self._note(recording, stream_id, [name for name, _ in facts], key)
        ids = [str(event_id) for event_id in recording.event_ids]
        answer = {"participant_id": recording.stream_id, "recorded_at": recording.recorded_at.isoformat()}
        headers = {"quartal-version": f"{service}={recording.version}", **self.headers}
        return httpx.Response(201, json={**answer, "event_id": ids[0], "event_ids": ids}, headers=headers)

    def _note(self, recording: Recording, stream_id: str | None, names: list[str], key: str) -> None:
        if self.events.issuperset(recording.event_ids):
            return
        self.events.update(recording.event_ids)
        if recording.stream_id != recording.study_id:
            self.stated += [(recording.stream_id, name) for name in names]
        if stream_id is None:
            self.numbers[key] = recording.stream_id
        self.on_recorded()

    async def _other(
        self, service: str, study_id: str, number: str, facts: tuple[Fact, ...], by: str, key: str
    ) -> Recording:
        """As a service that has heard of everything: of a participant only the present site sees anything."""
        async with self._store.unit(Tenant(study_id, EVERY_SITE)) as unit:
            known = await unit.recall(number)
        state, site = await self._studies.current(study_id), known.head.site_id
        if not site or not state.rights(by).at(site, facts[0].by):
            raise NotFound
        today = Clock(self._todays, lambda: NOW).today(study_id)
        return self._others[service].record(
            study_id, number, facts, key, state.record, today, site, standing(history(known.events))
        )


class Other:
    """Toxicity or followup as far as facts go: its rules, its gate, and a key that is answered as before."""

    def __init__(self, service: str) -> None:
        self._service, (self._rules, self._world) = service, OTHERS[service]
        self._judged: dict[str, Judged] = {}
        self._by_key: dict[str, Recording] = {}

    def record(
        self, study_id: str, number: str, facts: tuple[Fact, ...], key: str,
        study: Record, today: date, site: str, known: Record,
    ) -> Recording:  # fmt: skip
        if key in self._by_key:
            return self._by_key[key]
        ids = tuple(legacy_event_id(f"{self._service}/{key}", place) for place in range(len(facts)))
        before = self._judged.get(number, Judged.of((), self._rules))
        world = self._world(study, today, site, participant=known, earlier=lambda: before.record)
        stated = [Stated(*pair) for pair in zip(ids, facts, strict=True)]
        try:
            self._judged[number] = before.with_all(stated, self._rules, world.gate)
        except Refused as refused:
            pointers = tuple(f"/{place}/data" for place in range(len(facts)))
            raise unacceptable(refused, stated, pointers) from None
        version = len(self._judged[number].history)
        self._by_key[key] = Recording(study_id, number, version, ids, NOW)
        return self._by_key[key]


OTHERS: dict[str, tuple[Rules, Callable[..., Surroundings]]] = {
    "toxicity": (assessment.objections, ToxicityWorld),
    "followup": (contact.objections, FollowUpWorld),
}


def _said(path: list[str], body: Any, caller: str) -> tuple[str, str | None, list[tuple[str, dict[str, Any]]]]:
    """(study, stream or None for a new participant, [(type, content)]); who opens a study is its administrator."""
    match path:
        case []:
            study_id = body.pop("study_id")
            opener = {"member": caller, "role": "administrator"}
            return study_id, study_id, [("study.opened", body), ("study.member_granted", opener)]
        case [study_id, "facts", type_name]:
            return study_id, study_id, [(type_name, body)]
        case [study_id, "participants"]:
            batch = body.get("facts", [{"type": "participant.screened", "data": body}])
            return study_id, None, [(each["type"], each["data"]) for each in batch]
        case [study_id, "participants", number, "facts"]:
            return study_id, number, [(each["type"], each["data"]) for each in body]
        case [study_id, "participants", number, "facts", type_name]:
            return study_id, number, [(type_name, body)]
    raise AssertionError(path)


def once(trouble: Callable[[httpx.Request], httpx.Response]) -> Callable[[httpx.Request], httpx.Response | None]:
    """The first request meets it, the others do not."""
    waiting = [trouble]
    return lambda request: waiting.pop()(request) if waiting else None


@pytest.fixture
def quartal() -> Quartal:
    return Quartal(date(2025, 1, 31))
