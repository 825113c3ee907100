"""The public API without its web layer.

Enrollment is its real command handler over the store in memory; toxicity and followup are their real rules and gates
over enrollment's facts.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from pydantic import ValidationError

from services.enrollment.stream_policy import stream_policies
from services.followup import rules as followup_rules
from services.followup.gate import FollowUpGate
from services.toxicity import rules as toxicity_rules
from services.toxicity.gate import ToxicityGate
from shared.contracts import catalogue
from shared.contracts.event import stated_facts
from shared.eventstore.command import RecordedFacts, RecordFacts, to_request_error
from shared.eventstore.command_handler import CommandHandler
from shared.eventstore.memory_store import MemoryStore
from shared.eventstore.study_cache import OwnStudies
from shared.gate.participant_gate import ParticipantGate
from shared.kernel.clock import Clock
from shared.kernel.errors import NotFound, RequestError
from shared.kernel.fact import Fact, StatedFact
from shared.kernel.ids import legacy_event_id
from shared.kernel.objection import RuleViolation
from shared.kernel.record import EvaluatedRecord, Record, Rules, current_record
from shared.postgres.tenancy import EVERY_SITE, Tenant
from shared.security.event_key import EventKey
from shared.security.vault import KeyEncryptionKey, Vault

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PROBLEM = {"content-type": "application/problem+json"}


class FakeQuartal(httpx.AsyncBaseTransport):
    """Answers as the services do; each knows at once what enrollment knows. The bearer token is the caller's name.

    `failure` may answer a request instead. For tests: `callers` and `idempotency_keys` of every request;
    `recorded_facts` as (participant, type) of every recorded fact; `participant_ids_by_key`, by the key of the request
    that registered the participant; `participant_requests` as (service, Quartal-After) of every request about a
    participant.
    """

    def __init__(self, today: date) -> None:
        self._todays: dict[str, date | timedelta] = {"": today}
        clock, vault = Clock(self._todays, lambda: NOW), Vault(KeyEncryptionKey(b"k" * 32))
        self._store = MemoryStore("enrollment")
        self._studies = OwnStudies(self._store)
        self._command_handler = CommandHandler(
            self._store, self._studies, stream_policies(clock, vault), vault, clock, EventKey(b"e" * 32)
        )
        self._downstream_services = {service: DownstreamService(service) for service in DOWNSTREAM_SERVICES}
        self.failure: Callable[[httpx.Request], httpx.Response | None] = lambda _: None
        self.on_recorded: Callable[[], None] = lambda: None
        self.headers: dict[str, str] = {}
        self.callers: list[str] = []
        self.idempotency_keys: list[str] = []
        self.participant_requests: list[tuple[str, str | None]] = []
        self.event_ids: set[UUID] = set()
        self.recorded_facts: list[tuple[str, str]] = []
        self.participant_ids_by_key: dict[str, str] = {}

    def set_today(self, today: date) -> None:
        self._todays[""] = today

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=self, base_url="http://quartal")

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.callers.append(request.headers["authorization"].removeprefix("Bearer "))
        self.idempotency_keys.append(request.headers["idempotency-key"])
        if failure_response := self.failure(request):
            return failure_response
        try:
            return await self._record(request, await request.aread())
        except ValidationError as invalid:
            errors = [{"code": "schema", "pointer": "/".join(map(str, error["loc"]))} for error in invalid.errors()]
            return httpx.Response(422, json={"type": "/problems/schema", "errors": errors}, headers=PROBLEM)
        except RequestError as refusal:
            errors = [{"code": fault.code, "pointer": fault.pointer} for fault in refusal.faults]
            problem = {"type": f"/problems/{refusal.code}", "errors": errors}
            return httpx.Response(refusal.status, json=problem, headers=PROBLEM)

    async def _record(self, request: httpx.Request, content: bytes) -> httpx.Response:
        service, path = request.url.path.split("/")[1], request.url.path.split("/")[4:]
        by, key = request.headers["authorization"].removeprefix("Bearer "), request.headers["idempotency-key"]
        study_id, stream_id, facts = _parse_request(path, json.loads(content), by)
        facts_read = tuple(catalogue.fact_class(service, name).model_validate(data) for name, data in facts)
        whole = f"{request.method} {request.url.path} ".encode() + content
        if service == "enrollment":
            pointers = tuple(f"/facts/{index}/data" for index in range(len(facts_read)))
            opens = stream_id == study_id and facts[0][0] == "study.opened"
            statement = RecordFacts(study_id, stream_id, facts_read, pointers, by, whole, key, opens_study=opens)
            recording = await self._command_handler.record(statement)
            if stream_id == study_id:  # an old version of the study would cost the next request a pause
                await self._studies.reload(study_id)
        else:
            recording = await self._record_downstream(service, study_id, stream_id or "", facts_read, by, key)
        if "participants" in path:
            self.participant_requests.append((service, request.headers.get("quartal-after")))
        self._remember(recording, stream_id, [name for name, _ in facts], key)
        ids = [str(event_id) for event_id in recording.event_ids]
        answer = {"participant_id": recording.stream_id, "recorded_at": recording.recorded_at.isoformat()}
        headers = {"quartal-version": f"{service}={recording.version}", **self.headers}
        return httpx.Response(201, json={**answer, "event_id": ids[0], "event_ids": ids}, headers=headers)

    def _remember(self, recording: RecordedFacts, stream_id: str | None, names: list[str], key: str) -> None:
        if self.event_ids.issuperset(recording.event_ids):
            return
        self.event_ids.update(recording.event_ids)
        if recording.stream_id != recording.study_id:
            self.recorded_facts += [(recording.stream_id, name) for name in names]
        if stream_id is None:
            self.participant_ids_by_key[key] = recording.stream_id
        self.on_recorded()

    async def _record_downstream(
        self, service: str, study_id: str, participant_id: str, facts: tuple[Fact, ...], by: str, key: str
    ) -> RecordedFacts:
        """Records facts in a service that has received every event. Only the current site sees the participant."""
        async with self._store.unit(Tenant(study_id, EVERY_SITE)) as unit:
            enrollment_stream = await unit.load_stream(participant_id)
        state, site = await self._studies.current(study_id), enrollment_stream.head.site_id
        if not site or not state.rights(by).has_role_at(site, facts[0].stated_by_roles):
            raise NotFound
        today = Clock(self._todays, lambda: NOW).today(study_id)
        return self._downstream_services[service].record(
            study_id,
            participant_id,
            facts,
            key,
            state.record,
            today,
            site,
            current_record(stated_facts(enrollment_stream.events)),
        )


class DownstreamService:
    """The facts of toxicity or followup: its rules, its gate, and the same response to a repeated key."""

    def __init__(self, service: str) -> None:
        self._service, (self._rules, self._gate) = service, DOWNSTREAM_SERVICES[service]
        self._evaluated_records: dict[str, EvaluatedRecord] = {}
        self._results_by_key: dict[str, RecordedFacts] = {}

    def record(
        self,
        study_id: str,
        participant_id: str,
        facts: tuple[Fact, ...],
        key: str,
        study: Record,
        today: date,
        site: str,
        enrollment_record: Record,
    ) -> RecordedFacts:
        if key in self._results_by_key:
            return self._results_by_key[key]
        ids = tuple(legacy_event_id(f"{self._service}/{key}", index) for index in range(len(facts)))
        before = self._evaluated_records.get(participant_id, EvaluatedRecord.evaluate((), self._rules))
        participant_gate = self._gate(
            study, today, site, enrollment_record=enrollment_record, record_before=lambda: before.record
        )
        stated = [StatedFact(*pair) for pair in zip(ids, facts, strict=True)]
        try:
            self._evaluated_records[participant_id] = before.accept(stated, self._rules, participant_gate.objections)
        except RuleViolation as refused:
            pointers = tuple(f"/{index}/data" for index in range(len(facts)))
            raise to_request_error(refused, stated, pointers) from None
        version = len(self._evaluated_records[participant_id].history)
        self._results_by_key[key] = RecordedFacts(study_id, participant_id, version, ids, NOW)
        return self._results_by_key[key]


DOWNSTREAM_SERVICES: dict[str, tuple[Rules, Callable[..., ParticipantGate]]] = {
    "toxicity": (toxicity_rules.objections, ToxicityGate),
    "followup": (followup_rules.objections, FollowUpGate),
}


def _parse_request(path: list[str], body: Any, caller: str) -> tuple[str, str | None, list[tuple[str, dict[str, Any]]]]:
    """Returns study, stream or None for a new participant, and (type, content) of each fact.

    The caller that opens a study becomes its administrator.
    """
    match path:
        case []:
            study_id = body.pop("study_id")
            administrator_grant = {"member": caller, "role": "administrator"}
            return study_id, study_id, [("study.opened", body), ("study.member_granted", administrator_grant)]
        case [study_id, "facts", type_name]:
            return study_id, study_id, [(type_name, body)]
        case [study_id, "participants"]:
            batch = body.get("facts", [{"type": "participant.screened", "data": body}])
            return study_id, None, [(fact["type"], fact["data"]) for fact in batch]
        case [study_id, "participants", participant_id, "facts"]:
            return study_id, participant_id, [(fact["type"], fact["data"]) for fact in body]
        case [study_id, "participants", participant_id, "facts", type_name]:
            return study_id, participant_id, [(type_name, body)]
    raise AssertionError(path)


def fail_once(failure: Callable[[httpx.Request], httpx.Response]) -> Callable[[httpx.Request], httpx.Response | None]:
    """Fails the first request and no other."""
    failures = [failure]
    return lambda request: failures.pop()(request) if failures else None


@pytest.fixture
def quartal() -> FakeQuartal:
    return FakeQuartal(date(2025, 1, 31))
