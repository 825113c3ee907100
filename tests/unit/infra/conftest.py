"""Enrollment's public API without its web layer: the real command path over the store's twin in memory."""

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
from shared.contracts import catalogue
from shared.eventstore.judgement import Judgement
from shared.eventstore.memory import MemoryStore
from shared.eventstore.recorder import Recorder
from shared.eventstore.statement import Statement
from shared.eventstore.studies import StoredStudies
from shared.kernel.clock import Clock
from shared.kernel.refusal import Refusal
from shared.security.vault import KeyEncryptionKey, Vault

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PROBLEM = {"content-type": "application/problem+json"}


class Enrollment(httpx.AsyncBaseTransport):
    """Answers as enrollment does; who calls is what the bearer token says.

    `trouble` may answer a request in its stead. Kept for tests: `callers` and `keys` of every request, `stated` as
    (participant, type) of every fact that was recorded, `numbers` of participants by the key that registered them.
    """

    def __init__(self, today: date) -> None:
        self._todays: dict[str, date | timedelta] = {"": today}
        clock, vault = Clock(self._todays, lambda: NOW), Vault(KeyEncryptionKey(b"k" * 32))
        store = MemoryStore("enrollment")
        judgements: dict[bool, Judgement] = {True: StudyJudgement(), False: ParticipantJudgement(clock, vault)}
        self._recorder = Recorder(store, StoredStudies(store), judgements, vault, clock)
        self.trouble: Callable[[httpx.Request], httpx.Response | None] = lambda _: None
        self.on_recorded: Callable[[], None] = lambda: None
        self.headers: dict[str, str] = {}
        self.callers: list[str] = []
        self.keys: list[str] = []
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
        study_id, stream_id, facts = _said(request.url.path.split("/")[4:], json.loads(content), self.callers[-1])
        read = tuple(catalogue.fact_class("enrollment", name).model_validate(data) for name, data in facts)
        pointers = tuple(f"/facts/{place}/data" for place in range(len(read)))
        whole = f"{request.method} {request.url.path} ".encode() + content
        key, by = self.keys[-1], self.callers[-1]
        opens = stream_id == study_id and facts[0][0] == "study.opened"
        statement = Statement(study_id, stream_id, read, pointers, by, whole, key, opens_study=opens)
        recording = await self._recorder.record(statement)
        if not self.events.issuperset(recording.event_ids):
            self.events.update(recording.event_ids)
            if recording.stream_id != study_id:
                self.stated += [(recording.stream_id, name) for name, _ in facts]
            if stream_id is None:
                self.numbers[key] = recording.stream_id
            self.on_recorded()
        answer = {"participant_id": recording.stream_id, "recorded_at": recording.recorded_at.isoformat()}
        return httpx.Response(201, json=answer, headers=self.headers)


def _said(
    path: list[str], body: dict[str, Any], caller: str
) -> tuple[str, str | None, list[tuple[str, dict[str, Any]]]]:
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
        case [study_id, "participants", number, "facts", type_name]:
            return study_id, number, [(type_name, body)]
    raise AssertionError(path)


def once(trouble: Callable[[httpx.Request], httpx.Response]) -> Callable[[httpx.Request], httpx.Response | None]:
    """The first request meets it, the others do not."""
    waiting = [trouble]
    return lambda request: waiting.pop()(request) if waiting else None


@pytest.fixture
def enrollment() -> Enrollment:
    return Enrollment(date(2025, 1, 31))
