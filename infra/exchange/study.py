"""The study that is imported into: its own facts, and who may state what."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from infra.exchange.fact import canonical, stated
from infra.exchange.order import Said
from infra.reference.load import NotAccepted, StudyApi, pause
from infra.reference.study import Grant, grant
from shared.contracts.catalogue import STUDY
from shared.kernel.refusal import Fault

Caller = tuple[str, str | None]
READER: Caller = ("coordinator", None)
ADMINISTRATOR: Caller = ("administrator", None)
PAGE = 1000
LOOKS_AFTER = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, *(5.0,) * 4)
"""Seconds between looks at a service, which hears of grants and participants by Kafka."""
REPLAYED = "Idempotency-Replayed"
"""The header of an answer that repeats what came of an earlier request."""
NO_STUDY = "There is no study of that id, or the token's subject is no member of it."
_NO_LONGER = "The token is not accepted, or not any more."


class Ended(Exception):
    """The import cannot go on; what was recorded stays. `may_go_on`: the same command goes on from there later."""

    def __init__(self, why: str, *, may_go_on: bool = True) -> None:
        self.may_go_on = may_go_on
        super().__init__(why)


def checked(answer: httpx.Response) -> httpx.Response:
    """The answer, unless it says that nothing can be done now; then raises Ended."""
    if answer.status_code == 401:
        raise Ended(f"{_NO_LONGER} {faults_of(answer)[0].message}")
    if answer.status_code == 429 or answer.status_code >= 500:
        raise Ended(f"The service is away or busy ({answer.status_code}). {faults_of(answer)[0].message}")
    return answer


def faults_of(answer: httpx.Response) -> list[Fault]:
    """What a problem document objects to; at least one fault."""
    known = answer.headers.get("content-type", "").startswith("application/problem+json")
    problem: dict[str, Any] = answer.json() if known else {}
    errors = [Fault(each["code"], each["message"], each["pointer"]) for each in problem.get("errors", ())]
    code = str(problem.get("type", "unnamed")).rpartition("/")[2]
    return errors or [Fault(code, str(problem.get("title", f"Answered with {answer.status_code}.")))]


def key_of(*parts: Any) -> str:
    """An idempotency key that says nothing of what it is made of."""
    return f"import-{hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()}"


@dataclass
class Study:
    """`version` 0: there is no such study, or it is not the caller's to see. `run` names this import among others."""

    api: StudyApi
    version: int = 0
    run: str = field(default_factory=lambda: secrets.token_hex(16))
    facts: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    @property
    def id(self) -> str:
        return self.api.study_id

    @property
    def base(self) -> str:
        return f"/enrollment/v1/studies/{self.id}"

    @property
    def sites(self) -> list[str]:
        """Every site that was ever activated."""
        return [data["site_id"] for name, data in self.facts if name == "study.site_activated"]

    @property
    def criteria(self) -> set[str]:
        """The criteria of every protocol that the study has had, by their ids."""
        protocols = (data["protocol"] for _, data in self.facts if "protocol" in data)
        return {each["id"] for protocol in protocols for each in protocol["criteria"]}

    async def read(self, caller: Caller = ADMINISTRATOR) -> None:
        answer = checked(await self.api.ask("GET", self.base, caller))
        if answer.status_code == 200:
            self.version = answer.json()["version"]
            self.facts = [(each["type"], each["data"]) for each in answer.json()["facts"]]

    def holds(self) -> Counter[str]:
        """How often each content is stated."""
        return Counter(canonical(STUDY.facts[name].model_validate(data)) for name, data in self.facts)

    async def state(self, said: Said, occurrence: int, *, dry_run: bool) -> httpx.Response:
        """State a fact of the study, in the administrator's name."""
        opens = said.line.type == "study.opened"
        body = {"study_id": self.id, **stated(said.fact)} if opens else stated(said.fact)
        path = "/enrollment/v1/studies" if opens else f"{self.base}/facts/{said.line.type}"
        key = key_of(self.id, canonical(said.fact), occurrence)
        answer = await self.api.ask(
            "POST", path, ADMINISTRATOR, json=body, headers={} if dry_run else {"Idempotency-Key": key},
            params={"dry_run": "true"} if dry_run else None,
        )  # fmt: skip
        return checked(answer)

    async def grant(self, wanted: list[Grant]) -> None:
        """Record grants, in the administrator's name; Ended where that is refused."""
        try:
            await self.api.grant(wanted)
        except NotAccepted as refused:
            raise Ended(f"A grant that is lacking was refused ({refused.code}).") from None

    async def honoured(self, caller: Caller, services: Sequence[str]) -> None:
        """Return when the services have heard of a grant that was recorded just now, or have had time enough to."""
        for service in services:
            path = f"/{service}/v1/studies/{self.id}/participants"
            for seconds in LOOKS_AFTER:
                answer = checked(await self.api.ask("GET", path, caller, params={"limit": "1"}))
                if answer.status_code != 404:
                    break
                await pause(self.api.stop, seconds)

    def lacking(self) -> list[Grant]:
        """The grants that the development issuer's default subjects still need, to read and to state facts."""
        wanted = [grant(self.id, *READER), *(grant(self.id, "site", site) for site in self.sites)]
        return [each for each in wanted if not self.grants(each)]

    def grants(self, wanted: Grant) -> bool:
        """Is that the last word on that member, role and site?"""
        said = [name for name, data in self.facts if name.startswith("study.member_") and data == wanted]
        return bool(said) and said[-1] == "study.member_granted"


async def recorded(api: StudyApi, service: str, caller: Caller, **asked: str) -> AsyncIterator[dict[str, Any]]:
    """Every fact that the caller may read of a service, as it was when the first page was read; Ended where it may not.

    In the order of recording; what is recorded meanwhile is left for the next time.
    """
    cursor = ""
    while True:
        params = {**asked, "limit": str(PAGE), "since": cursor}
        answer = checked(await api.ask("GET", f"/{service}/v1/studies/{api.study_id}/facts", caller, params=params))
        if not answer.is_success:
            raise Ended(f"The facts of {service} cannot be read: {faults_of(answer)[0].message}")
        rows, cursor = answer.json()["rows"], answer.json()["cursor"]
        for row in rows:
            yield row
        if len(rows) < PAGE:
            return


async def pages(api: StudyApi, service: str, caller: Caller, **asked: str) -> AsyncIterator[dict[str, Any]]:
    """Every fact that the caller may read of a service, in the feed's order; Ended where it may not."""
    after: str | None = ""
    while after is not None:
        params = {**asked, "limit": str(PAGE), **({"after": after} if after else {})}
        answer = checked(await api.ask("GET", f"/{service}/v1/studies/{api.study_id}/facts", caller, params=params))
        if not answer.is_success:
            raise Ended(f"The facts of {service} cannot be read: {faults_of(answer)[0].message}")
        for row in answer.json()["rows"]:
            yield row
        after = answer.json()["next"]
