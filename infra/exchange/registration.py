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

from infra.exchange.fact_conversion import canonical_content, stated_content
from infra.exchange.import_faults import ref_reused
from infra.exchange.import_line import InvalidLine
from infra.exchange.statement_order import SCREENED, ImportFact
from infra.exchange.target_study import (
    READER,
    REPLAYED_HEADER,
    TargetStudy,
    idempotency_key,
    read_feed,
    require_usable,
    response_faults,
)
from shared.contracts.catalogue import PARTICIPANT
from shared.kernel.fact import Correction, Fact
from shared.kernel.ids import legacy_event_id

_LEGACY_VERSION = "5"
_KEY_REUSED_CODE = "idempotency-key-reused"


@dataclass(frozen=True)
class RegisteredParticipant:
    """A participant's screening, as stated and as restated since: `contents`, the first one first."""

    number: str
    event_id: str
    site: str
    contents: tuple[str, ...]


@dataclass(frozen=True)
class RefMatch:
    """`number` '' in a dry run for somebody who is to be registered. `after`: enrollment's version."""

    number: str
    is_new: bool
    after: str = ""


@dataclass
class Registration:
    """`screenings` are those that the study has."""

    study: TargetStudy
    dry_run: bool
    screenings: Sequence[RegisteredParticipant] = field(default_factory=list)

    async def read(self) -> None:
        self.screenings = [each async for each in _read_screenings(self.study)]

    @cached_property
    def _by_event_id(self) -> dict[str, RegisteredParticipant]:
        return {each.event_id: each for each in self.screenings}

    @cached_property
    def _legacy_screenings(self) -> list[RegisteredParticipant]:
        return [each for each in self.screenings if each.event_id[14] == _LEGACY_VERSION]

    async def find(self, ref: str, screening: ImportFact) -> RefMatch:
        """Return the participant of a ref, registered now where there is none; raise Wrong where that is refused."""
        if legacy := self._find_legacy(ref, screening):
            if canonical_content(screening.fact) in legacy.contents:
                return RefMatch(legacy.number, is_new=False)
            raise InvalidLine(ref_reused(ref))
        answer = await self._request(ref, screening_body(screening.fact), dry_run=self.dry_run)
        if answer.is_success:
            is_new = REPLAYED_HEADER not in answer.headers
            number = "" if is_new and self.dry_run else str(answer.json()["participant_id"])
            return RefMatch(number, is_new, answer.headers.get("Quartal-Version", ""))
        faults = response_faults(answer)
        if faults[0].code != _KEY_REUSED_CODE:
            raise InvalidLine(*faults)
        if number := await self._find_restated(ref, screening):
            return RefMatch(number, is_new=False)
        raise InvalidLine(ref_reused(ref))

    async def _request(self, ref: str, body: dict[str, Any], *, dry_run: bool) -> httpx.Response:
        key = idempotency_key(self.study.id, "ref", body["site_id"], ref)
        return require_usable(
            await self.study.client.request(
                "POST",
                f"{self.study.base}/participants",
                ("site", body["site_id"]),
                json=body,
                headers={"Idempotency-Key": key},
                params={"dry_run": "true"} if dry_run else None,
            )
        )

    async def _find_restated(self, ref: str, screening: ImportFact) -> str:
        """Return the participant whose screening a correction has made what the file says, if the ref is theirs.

        That is tried by a dry run with the screening as it was first stated.
        """
        content, site = canonical_content(screening.fact), screening_body(screening.fact)["site_id"]
        for registered in self.screenings:
            if registered.site != site or content not in registered.contents[1:]:
                continue
            first_screening = await self._first_screening(registered)
            answer = await self._request(ref, first_screening, dry_run=True) if first_screening else None
            if answer is not None and answer.is_success and REPLAYED_HEADER in answer.headers:
                return str(answer.json()["participant_id"])
        return ""

    async def _first_screening(self, registered: RegisteredParticipant) -> dict[str, Any] | None:
        """Return the screening as the site sent it; None where it is not the caller's to read."""
        path = f"{self.study.base}/participants/{registered.number}/history"
        answer = require_usable(await self.study.client.request("GET", path, ("site", registered.site)))
        rows = answer.json()["events"] if answer.is_success else []
        row = next((row for row in rows if row["event_id"] == registered.event_id), None)
        return screening_body(_read_row(row)) if row else None

    def _find_legacy(self, ref: str, screening: ImportFact) -> RegisteredParticipant | None:
        """Return whom an import of an earlier version registered under the ref.

        Legacy: the key was made of the ref and the screening, and the event's id (a version 5 UUID) of the key, without
        a secret. So the screening that was registered is the one whose content gives its own event id.
        """
        site = screening_body(screening.fact)["site_id"]
        expected_id = self._legacy_id(site, ref, canonical_content(screening.fact))
        if registered := self._by_event_id.get(expected_id):
            return registered
        legacy_at_site = (each for each in self._legacy_screenings if each.site == site)
        matching = (each for each in legacy_at_site if each.event_id == self._legacy_id(site, ref, each.contents[0]))
        return next(matching, None)

    def _legacy_id(self, site: str, ref: str, content: str) -> str:
        return legacy_screening_id(self.study.id, site, ref, content)


def legacy_screening_id(study_id: str, site: str, ref: str, content: str) -> str:
    """Return the id that an earlier version gave to the screening that it registered under a ref."""
    parts = json.dumps([study_id, ref, content], sort_keys=True).encode()
    key = f"import-{hashlib.sha256(parts).hexdigest()}"
    return str(legacy_event_id(f"{study_id}/enrollment/{site}/{key}", 0))


def screening_body(fact: Fact) -> dict[str, Any]:
    """Return a screening as it is sent: without members that say nothing, so that it stays the same request."""
    non_default = fact.model_dump(mode="json", exclude_defaults=True)
    required = {name for name, member in type(fact).model_fields.items() if member.is_required()}
    return {
        name: value
        for name, value in stated_content(fact).items()
        if name in required or (name in non_default and value)
    }


async def _read_screenings(study: TargetStudy) -> AsyncIterator[RegisteredParticipant]:
    """Every screening that the caller may see, with what it was restated as."""
    screened: dict[str, RegisteredParticipant] = {}
    restated: dict[str, list[str]] = {}
    async for row in read_feed(study.client, "enrollment", READER):
        if row["type"] == SCREENED:
            fact = _read_row(row)
            first = RegisteredParticipant(
                row["participant_id"], row["event_id"], row["data"]["site_id"], (canonical_content(fact),)
            )
            screened[row["event_id"]] = first
        elif row["type"] == Correction.type_name and (content := _restated_content(row)):
            restated.setdefault(row["data"]["event_id"], []).append(content)
    for event_id, registered in screened.items():
        yield RegisteredParticipant(
            registered.number, event_id, registered.site, (*registered.contents, *restated.get(event_id, ()))
        )


def _restated_content(row: dict[str, Any]) -> str:
    fact = _read_row(row)
    restated_fact = fact.replacement_fact if isinstance(fact, Correction) else None
    return canonical_content(restated_fact) if restated_fact and restated_fact.type_name == SCREENED else ""


def _read_row(row: dict[str, Any]) -> Fact:
    kind = PARTICIPANT.facts[row["type"]]
    return PARTICIPANT.read(row["type"], row.get("schema_version", kind.schema_version), json.dumps(row["data"]))
