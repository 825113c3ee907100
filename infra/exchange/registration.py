"""Whom a ref names: somebody who was registered under it before, or somebody new.

A ref is a name for one participant of one site in the study, for good. It is a part of the request's Idempotency-Key,
and the screening is not: a ref that was used for another screening is refused by the service, and nobody is registered
a second time because a screening was changed in the file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import httpx

from infra.exchange.fact import canonical, stated
from infra.exchange.line import Wrong
from infra.exchange.order import SCREENED, Said
from infra.exchange.refusals import reused
from infra.exchange.study import READER, REPLAYED, Study, checked, faults_of, key_of, pages
from shared.contracts.catalogue import PARTICIPANT
from shared.kernel.fact import Corrected, Fact
from shared.kernel.ids import legacy_event_id

_LEGACY_VERSION = "5"
_REUSED = "idempotency-key-reused"


@dataclass(frozen=True)
class Registered:
    """A participant's screening, as stated and as restated since: `contents`, the first one first."""

    number: str
    event: str
    site: str
    contents: tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """`number` '' in a dry run for somebody who is to be registered. `after`: enrollment's version."""

    number: str
    is_new: bool
    after: str = ""


@dataclass
class Registration:
    """`screenings` are those that the study has."""

    study: Study
    dry_run: bool
    screenings: Sequence[Registered] = field(default_factory=list)

    async def read(self) -> None:
        self.screenings = [each async for each in _screenings(self.study)]

    @cached_property
    def _by_event(self) -> dict[str, Registered]:
        return {each.event: each for each in self.screenings}

    @cached_property
    def _legacy(self) -> list[Registered]:
        return [each for each in self.screenings if each.event[14] == _LEGACY_VERSION]

    async def find(self, ref: str, screening: Said) -> Found:
        """Return the participant of a ref, registered now where there is none; raise Wrong where that is refused."""
        if earlier := self._of_earlier_version(ref, screening):
            if canonical(screening.fact) in earlier.contents:
                return Found(earlier.number, is_new=False)
            raise Wrong(reused(ref))
        answer = await self._ask(ref, body_of(screening.fact), dry_run=self.dry_run)
        if answer.is_success:
            is_new = REPLAYED not in answer.headers
            number = "" if is_new and self.dry_run else str(answer.json()["participant_id"])
            return Found(number, is_new, answer.headers.get("Quartal-Version", ""))
        faults = faults_of(answer)
        if faults[0].code != _REUSED:
            raise Wrong(*faults)
        if number := await self._restated(ref, screening):
            return Found(number, is_new=False)
        raise Wrong(reused(ref))

    async def _ask(self, ref: str, body: dict[str, Any], *, dry_run: bool) -> httpx.Response:
        key = key_of(self.study.id, "ref", body["site_id"], ref)
        return checked(await self.study.api.ask(
            "POST", f"{self.study.base}/participants", ("site", body["site_id"]), json=body,
            headers={"Idempotency-Key": key}, params={"dry_run": "true"} if dry_run else None,
        ))  # fmt: skip

    async def _restated(self, ref: str, screening: Said) -> str:
        """Return the participant whose screening a correction has made what the file says, if the ref is theirs.

        That is tried by a dry run with the screening as it was first stated.
        """
        content, site = canonical(screening.fact), body_of(screening.fact)["site_id"]
        for each in self.screenings:
            if each.site != site or content not in each.contents[1:]:
                continue
            first = await self._first_stated(each)
            answer = await self._ask(ref, first, dry_run=True) if first else None
            if answer is not None and answer.is_success and REPLAYED in answer.headers:
                return str(answer.json()["participant_id"])
        return ""

    async def _first_stated(self, registered: Registered) -> dict[str, Any] | None:
        """Return the screening as the site sent it; None where it is not the caller's to read."""
        path = f"{self.study.base}/participants/{registered.number}/history"
        answer = checked(await self.study.api.ask("GET", path, ("site", registered.site)))
        rows = answer.json()["events"] if answer.is_success else []
        row = next((row for row in rows if row["event_id"] == registered.event), None)
        return body_of(_fact(row)) if row else None

    def _of_earlier_version(self, ref: str, screening: Said) -> Registered | None:
        """Return whom an import of an earlier version registered under the ref.

        Legacy: the key was made of the ref and the screening, and the event's id (a version 5 UUID) of the key, without
        a secret. So the screening that was registered is the one whose content gives its own event id.
        """
        site = body_of(screening.fact)["site_id"]
        likely = self._legacy_id(site, ref, canonical(screening.fact))
        if found := self._by_event.get(likely):
            return found
        of_site = (each for each in self._legacy if each.site == site)
        named = (each for each in of_site if each.event == self._legacy_id(site, ref, each.contents[0]))
        return next(named, None)

    def _legacy_id(self, site: str, ref: str, content: str) -> str:
        return legacy_screening_id(self.study.id, site, ref, content)


def legacy_screening_id(study_id: str, site: str, ref: str, content: str) -> str:
    """Return the id that an earlier version gave to the screening that it registered under a ref."""
    parts = json.dumps([study_id, ref, content], sort_keys=True).encode()
    key = f"import-{hashlib.sha256(parts).hexdigest()}"
    return str(legacy_event_id(f"{study_id}/enrollment/{site}/{key}", 0))


def body_of(fact: Fact) -> dict[str, Any]:
    """Return a screening as it is sent: without members that say nothing, so that it stays the same request."""
    given = fact.model_dump(mode="json", exclude_defaults=True)
    needed = {name for name, member in type(fact).model_fields.items() if member.is_required()}
    return {name: value for name, value in stated(fact).items() if name in needed or (name in given and value)}


async def _screenings(study: Study) -> AsyncIterator[Registered]:
    """Every screening that the caller may see, with what it was restated as."""
    screened: dict[str, Registered] = {}
    restated: dict[str, list[str]] = {}
    async for row in pages(study.api, "enrollment", READER):
        if row["type"] == SCREENED:
            fact = _fact(row)
            first = Registered(row["participant_id"], row["event_id"], row["data"]["site_id"], (canonical(fact),))
            screened[row["event_id"]] = first
        elif row["type"] == Corrected.type_name and (content := _restated_content(row)):
            restated.setdefault(row["data"]["event_id"], []).append(content)
    for event, each in screened.items():
        yield Registered(each.number, event, each.site, (*each.contents, *restated.get(event, ())))


def _restated_content(row: dict[str, Any]) -> str:
    fact = _fact(row)
    again = fact.restated if isinstance(fact, Corrected) else None
    return canonical(again) if again and again.type_name == SCREENED else ""


def _fact(row: dict[str, Any]) -> Fact:
    kind = PARTICIPANT.facts[row["type"]]
    return PARTICIPANT.read(row["type"], row.get("schema_version", kind.schema_version), json.dumps(row["data"]))
