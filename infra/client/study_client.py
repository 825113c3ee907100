"""A client of the public API for one study, which states facts as a site's own program would."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import httpx

from infra.callbacks import TokenFor
from infra.reference.study import MemberGrant, ReferenceFact
from infra.services import Service
from shared.contracts import catalogue
from shared.retry import Backoff

RETRY_MIN_SECONDS, RETRY_MAX_SECONDS = 0.25, 10.0
RETRYABLE_STATUSES = frozenset({429, 502, 503, 504})


class Cancelled(Exception):
    """The stop event was set while a request or a pause was under way."""


class ApiError(Exception):
    """A problem document as a response: its status, its code, and (code, JSON pointer) of each of its errors."""

    def __init__(self, request: str, status: int, code: str, errors: tuple[tuple[str, str], ...]) -> None:
        self.status, self.code, self.errors = status, code, errors
        error_list = "; ".join(f"{error} at {pointer or '/'}" for error, pointer in errors)
        super().__init__(f"{request}: {status} {code}" + (f" ({error_list})" if error_list else ""))

    @classmethod
    def from_response(cls, request: str, response: httpx.Response) -> ApiError:
        problem = _problem_document(response)
        code = str(problem.get("type", "")).rstrip("/").rpartition("/")[2] or "unnamed"
        errors = tuple(
            (str(error.get("code", "")), str(error.get("pointer", ""))) for error in problem.get("errors", ())
        )
        return cls(request, response.status_code, code, errors)


def _problem_document(response: httpx.Response) -> dict[str, Any]:
    if not response.headers.get("content-type", "").startswith("application/problem+json"):
        return {}
    body = response.json()
    return body if isinstance(body, dict) else {}


@dataclass(frozen=True)
class StudyClient:
    """Requests about one study, each safe to repeat.

    Transient failures (no connection, 409 with Retry-After, 429, 502 to 504) are retried after a growing pause:
    `attempts` times, or without end if None. Setting `stop` ends every pause with Cancelled. Any other failure raises
    ApiError.
    """

    client: httpx.AsyncClient
    study_id: str
    token_for: TokenFor
    attempts: int | None = 8
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def open_study(self, study_data: dict[str, Any], key: str) -> None:
        body = {"study_id": self.study_id, **study_data}
        await self._post("/enrollment/v1/studies", body, ("administrator", None), key)

    async def record_study_fact(self, type_name: str, data: dict[str, Any], key: str) -> None:
        """Records a fact of the study as its administrator."""
        await self._post(f"{self._enrollment_path}/facts/{type_name}", data, ("administrator", None), key)

    async def take_cut(self, cut: Mapping[str, str]) -> None:
        """Takes a named data cut, once for its name. It has the facts that analytics has applied before it."""
        await self.record_study_fact("study.cut_taken", dict(cut), f"{self.study_id}/cut/{cut['name']}")

    async def record_grants(self, grants: list[MemberGrant]) -> None:
        for grant in grants:
            key = f"{self.study_id}/member/{grant['member']}/{grant['role']}/{grant['site_id'] or '*'}"
            await self.record_study_fact("study.member_granted", dict(grant), key)

    async def register(self, site_id: str, body: dict[str, Any], key: str) -> httpx.Response:
        """Registers a new participant; `body` is the screening, or `{"facts": [...]}` that begin with it."""
        return await self._post(f"{self._enrollment_path}/participants", body, ("site", site_id), key)

    async def record_fact(
        self,
        site_id: str | None,
        participant_id: str,
        fact: ReferenceFact,
        key: str,
        *,
        service: Service = "enrollment",
        after: str | None = None,
    ) -> httpx.Response:
        """Records a fact of a participant, as staff of the site or, without a site, in a study-wide role that may.

        `after` is the `Quartal-Version` of enrollment that another service must have applied before.
        """
        path = f"{self._service_path(service)}/participants/{participant_id}/facts/{fact['type']}"
        roles = catalogue.fact_class(service, fact["type"]).stated_by_roles
        caller = ("site", site_id) if site_id else ("coordinator" if "coordinator" in roles else "administrator", None)
        return await self._post(path, fact["data"], caller, key, after)

    async def record_facts(
        self,
        site_id: str,
        participant_id: str,
        facts: Sequence[ReferenceFact],
        key: str,
        *,
        service: Service,
        after: str | None = None,
    ) -> httpx.Response:
        """Records several facts at once: all or none."""
        path = f"{self._service_path(service)}/participants/{participant_id}/facts"
        return await self._post(path, list(facts), ("site", site_id), key, after)

    def _service_path(self, service: Service) -> str:
        return f"/{service}/v1/studies/{self.study_id}"

    @property
    def _enrollment_path(self) -> str:
        return self._service_path("enrollment")

    async def _post(
        self, path: str, body: Any, caller: tuple[str, str | None], key: str, after: str | None = None
    ) -> httpx.Response:
        headers = {"Idempotency-Key": key, **({"Quartal-After": after} if after else {})}
        response = await self.request("POST", path, caller, json=body, headers=headers)
        if not response.is_success:
            raise ApiError.from_response(f"POST {path}, {key}", response)
        return response

    async def request(
        self,
        method: str,
        path: str,
        caller: tuple[str, str | None],
        *,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Sends a request that is safe to repeat, retries transient failures, returns the last response, even an error.

        Raises httpx.TransportError after the last attempt without a connection, Cancelled if `stop` is set.
        """
        for seconds, is_last in self._retry_delays():
            request_headers = {"Authorization": f"Bearer {self.token_for(*caller)}", **(headers or {})}
            try:
                response = await self.client.request(method, path, json=json, params=params, headers=request_headers)
            except httpx.TransportError:
                if is_last:
                    raise
                await interruptible_sleep(self.stop, seconds)
                continue
            if is_last or not _is_retryable(response):
                return response
            await interruptible_sleep(self.stop, max(seconds, _retry_after_seconds(response)))
        raise Cancelled

    def _retry_delays(self) -> Iterator[tuple[float, bool]]:
        """Seconds to wait before another attempt, and whether the attempt is the last."""
        backoff = Backoff(RETRY_MIN_SECONDS, RETRY_MAX_SECONDS)
        for attempt in count(1):
            if self.stop.is_set():
                return
            yield backoff.next_seconds(), attempt == self.attempts


async def interruptible_sleep(stop: asyncio.Event, seconds: float) -> None:
    """Waits `seconds`; raises Cancelled as soon as `stop` is set."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
    raise Cancelled


def _is_retryable(response: httpx.Response) -> bool:
    return response.status_code in RETRYABLE_STATUSES or (
        response.status_code == 409 and "retry-after" in response.headers
    )


def _retry_after_seconds(response: httpx.Response) -> float:
    """Returns the seconds of Retry-After, at most 30; 0 if the header is missing or a date."""
    header = response.headers.get("retry-after", "")
    return min(30.0, float(header)) if header.isdigit() else 0.0
