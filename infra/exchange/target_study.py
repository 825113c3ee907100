"""The study of an import or export: its own facts, its grants, and the facts of its services."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from infra.client.study_client import ApiError, StudyClient, interruptible_sleep
from infra.exchange.fact_conversion import canonical_content, stated_content
from infra.exchange.statement_order import ImportFact
from infra.reference.study import MemberGrant, member_grant
from shared.contracts.catalogue import STUDY
from shared.kernel.errors import Fault
from shared.retry import Backoff

Caller = tuple[str, str | None]
READER: Caller = ("coordinator", None)
ADMINISTRATOR: Caller = ("administrator", None)
PAGE_SIZE = 1000
POLL_DELAYS_SECONDS = tuple(Backoff(0.05, 5.0).delays(11))
"""Seconds between polls of a service, which receives grants and participants through Kafka."""
REPLAYED_HEADER = "Idempotency-Replayed"
"""The header of a response that repeats the response to an earlier request."""
NO_STUDY = "There is no study of that id, or the token's subject is no member of it."
_REFUSED_ACCESS_MESSAGE = "The token is not accepted, or has expired."


class ExchangeAborted(Exception):
    """The import or export cannot continue; recorded facts stay. `can_resume`: the same command continues later."""

    def __init__(self, message: str, *, can_resume: bool = True) -> None:
        self.can_resume = can_resume
        super().__init__(message)


def require_usable(response: httpx.Response) -> httpx.Response:
    """Returns the response; raises ExchangeAborted if the token is refused or the service is unavailable."""
    if response.status_code == 401:
        raise ExchangeAborted(f"{_REFUSED_ACCESS_MESSAGE} {response_faults(response)[0].message}")
    if response.status_code == 429 or response.status_code >= 500:
        raise ExchangeAborted(
            f"The service is unavailable or busy ({response.status_code}). {response_faults(response)[0].message}"
        )
    return response


def response_faults(response: httpx.Response) -> list[Fault]:
    """Returns the faults of a problem document, at least one."""
    is_problem = response.headers.get("content-type", "").startswith("application/problem+json")
    problem: dict[str, Any] = response.json() if is_problem else {}
    errors = [Fault(error["code"], error["message"], error["pointer"]) for error in problem.get("errors", ())]
    code = str(problem.get("type", "unnamed")).rpartition("/")[2]
    return errors or [Fault(code, str(problem.get("title", f"Answered with {response.status_code}.")))]


def idempotency_key(*parts: Any) -> str:
    """Returns an idempotency key that does not reveal its parts."""
    return f"import-{hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()}"


@dataclass
class TargetStudy:
    """A study. `version` is 0 if the caller may see no such study; `run_id` distinguishes this import from others."""

    client: StudyClient
    version: int = 0
    run_id: str = field(default_factory=lambda: secrets.token_hex(16))
    facts: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    @property
    def id(self) -> str:
        return self.client.study_id

    @property
    def base(self) -> str:
        return f"/enrollment/v1/studies/{self.id}"

    @property
    def sites(self) -> list[str]:
        """The sites that were ever activated."""
        return [data["site_id"] for name, data in self.facts if name == "study.site_activated"]

    @property
    def criteria(self) -> set[str]:
        """The ids of the criteria of every protocol that the study has had."""
        protocols = (data["protocol"] for _, data in self.facts if "protocol" in data)
        return {criterion["id"] for protocol in protocols for criterion in protocol["criteria"]}

    async def read(self, caller: Caller = ADMINISTRATOR) -> None:
        response = require_usable(await self.client.request("GET", self.base, caller))
        if response.status_code == 200:
            self.version = response.json()["version"]
            self.facts = [(fact["type"], fact["data"]) for fact in response.json()["facts"]]

    def count_contents(self) -> Counter[str]:
        """Returns how often each content is recorded."""
        return Counter(canonical_content(STUDY.facts[name].model_validate(data)) for name, data in self.facts)

    async def record_fact(self, fact: ImportFact, occurrence: int, *, dry_run: bool) -> httpx.Response:
        """Records a fact of the study as the administrator."""
        is_opening = fact.line.type == "study.opened"
        body = {"study_id": self.id, **stated_content(fact.fact)} if is_opening else stated_content(fact.fact)
        path = "/enrollment/v1/studies" if is_opening else f"{self.base}/facts/{fact.line.type}"
        key = idempotency_key(self.id, canonical_content(fact.fact), occurrence)
        response = await self.client.request(
            "POST",
            path,
            ADMINISTRATOR,
            json=body,
            headers={} if dry_run else {"Idempotency-Key": key},
            params={"dry_run": "true"} if dry_run else None,
        )
        return require_usable(response)

    async def record_grants(self, grants: list[MemberGrant]) -> None:
        """Records grants as the administrator; raises ExchangeAborted if one is refused."""
        try:
            await self.client.record_grants(grants)
        except ApiError as refused:
            raise ExchangeAborted(f"A missing grant was refused ({refused.code}).") from None

    async def wait_for_grant(self, caller: Caller, services: Sequence[str]) -> None:
        """Returns when the services know a new grant, or after the last of the polls."""
        for service in services:
            path = f"/{service}/v1/studies/{self.id}/participants"
            for seconds in POLL_DELAYS_SECONDS:
                response = require_usable(await self.client.request("GET", path, caller, params={"limit": "1"}))
                if response.status_code != 404:
                    break
                await interruptible_sleep(self.client.stop, seconds)

    async def wait_for_analytics(self, caller: Caller) -> None:
        """Returns when analytics knows a new grant, or after the last of the polls."""
        for seconds in POLL_DELAYS_SECONDS:
            path = f"/analytics/v1/studies/{self.id}/figures"
            if require_usable(await self.client.request("GET", path, caller)).status_code != 404:
                break
            await interruptible_sleep(self.client.stop, seconds)

    def missing_grants(self) -> list[MemberGrant]:
        """Returns the grants that the development issuer's default subjects lack to read and record facts."""
        required = [member_grant(self.id, *READER), *(member_grant(self.id, "site", site) for site in self.sites)]
        return [grant for grant in required if not self.has_grant(grant)]

    def has_grant(self, grant: MemberGrant) -> bool:
        """Returns whether the grant is current: the last fact on its member, role and site grants it."""
        member_facts = [name for name, data in self.facts if name.startswith("study.member_") and data == grant]
        return bool(member_facts) and member_facts[-1] == "study.member_granted"


async def read_recorded_facts(
    client: StudyClient, service: str, caller: Caller, **query: str
) -> AsyncIterator[dict[str, Any]]:
    """Yields every fact of a service that the caller may read, as of the first page, in the order of recording.

    Raises ExchangeAborted if the caller may not read them.
    """
    cursor = ""
    while True:
        params = {**query, "limit": str(PAGE_SIZE), "since": cursor}
        response = require_usable(
            await client.request("GET", f"/{service}/v1/studies/{client.study_id}/facts", caller, params=params)
        )
        if not response.is_success:
            raise ExchangeAborted(f"The facts of {service} cannot be read: {response_faults(response)[0].message}")
        rows, cursor = response.json()["rows"], response.json()["cursor"]
        for row in rows:
            yield row
        if len(rows) < PAGE_SIZE:
            return


async def read_feed(client: StudyClient, service: str, caller: Caller, **query: str) -> AsyncIterator[dict[str, Any]]:
    """Yields every fact of a service that the caller may read, in feed order; raises ExchangeAborted if refused."""
    after: str | None = ""
    while after is not None:
        params = {**query, "limit": str(PAGE_SIZE), **({"after": after} if after else {})}
        response = require_usable(
            await client.request("GET", f"/{service}/v1/studies/{client.study_id}/facts", caller, params=params)
        )
        if not response.is_success:
            raise ExchangeAborted(f"The facts of {service} cannot be read: {response_faults(response)[0].message}")
        for row in response.json()["rows"]:
            yield row
        after = response.json()["next"]
