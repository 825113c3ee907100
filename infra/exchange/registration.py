"""Finds or registers the participant of a ref.

A ref names one participant of one site in the study, for good. The Idempotency-Key of the request is made of the ref,
not of the screening. So the service refuses a ref that was used for another screening, and a changed screening in the
file registers no second participant.
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
from shared.kernel.errors import KeyReused
from shared.kernel.fact import Correction, Fact
from shared.kernel.ids import legacy_event_id

_LEGACY_VERSION = "5"


@dataclass(frozen=True)
class RegisteredParticipant:
    """A participant's screening; `contents` has it as recorded, then as corrected since."""

    participant_id: str
    event_id: str
    site: str
    contents: tuple[str, ...]


@dataclass(frozen=True)
class RefMatch:
    """Match of a ref: `participant_id`, '' for a new one in a dry run; `after` is its version in enrollment."""

    participant_id: str
    is_new: bool
    after: str = ""


@dataclass
class Registration:
    """Finds and registers the participants of refs; `screenings` are those in the study."""

    study: TargetStudy
    dry_run: bool
    screenings: Sequence[RegisteredParticipant] = field(default_factory=list)

    async def read(self) -> None:
        self.screenings = [screening async for screening in _read_screenings(self.study)]

    @cached_property
    def _by_event_id(self) -> dict[str, RegisteredParticipant]:
        return {screening.event_id: screening for screening in self.screenings}

    @cached_property
    def _legacy_screenings(self) -> list[RegisteredParticipant]:
        return [screening for screening in self.screenings if screening.event_id[14] == _LEGACY_VERSION]

    async def find(self, ref: str, screening: ImportFact) -> RefMatch:
        """Returns the participant of a ref, registered now if there is none; raises InvalidLine if that is refused."""
        if legacy := self._find_legacy(ref, screening):
            if canonical_content(screening.fact) in legacy.contents:
                return RefMatch(legacy.participant_id, is_new=False)
            raise InvalidLine(ref_reused(ref))
        response = await self._request(ref, screening_body(screening.fact), dry_run=self.dry_run)
        if response.is_success:
            is_new = REPLAYED_HEADER not in response.headers
            participant_id = "" if is_new and self.dry_run else str(response.json()["participant_id"])
            return RefMatch(participant_id, is_new, response.headers.get("Quartal-Version", ""))
        faults = response_faults(response)
        if faults[0].code != KeyReused.code:
            raise InvalidLine(*faults)
        if participant_id := await self._find_restated(ref, screening):
            return RefMatch(participant_id, is_new=False)
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
        """Returns the participant of the ref whose corrected screening equals the one in the file; '' if none.

        A dry run with the screening as first recorded shows whether the ref is theirs.
        """
        content, site = canonical_content(screening.fact), screening_body(screening.fact)["site_id"]
        for registered in self.screenings:
            if registered.site != site or content not in registered.contents[1:]:
                continue
            first_screening = await self._first_screening(registered)
            response = await self._request(ref, first_screening, dry_run=True) if first_screening else None
            if response is not None and response.is_success and REPLAYED_HEADER in response.headers:
                return str(response.json()["participant_id"])
        return ""

    async def _first_screening(self, registered: RegisteredParticipant) -> dict[str, Any] | None:
        """Returns the screening as the site sent it; None if the caller may not read it."""
        path = f"{self.study.base}/participants/{registered.participant_id}/history"
        response = require_usable(await self.study.client.request("GET", path, ("site", registered.site)))
        rows = response.json()["events"] if response.is_success else []
        row = next((row for row in rows if row["event_id"] == registered.event_id), None)
        return screening_body(_read_row(row)) if row else None

    def _find_legacy(self, ref: str, screening: ImportFact) -> RegisteredParticipant | None:
        """Returns the participant that an earlier version of Quartal registered under the ref.

        Legacy: the key was made of the ref and the screening, and the event's id (a version 5 UUID) of the key, without
        a secret. So the screening that was registered is the one whose content gives its own event id.
        """
        site = screening_body(screening.fact)["site_id"]
        expected_id = self._legacy_id(site, ref, canonical_content(screening.fact))
        if registered := self._by_event_id.get(expected_id):
            return registered
        legacy_at_site = (legacy for legacy in self._legacy_screenings if legacy.site == site)
        matching = (
            legacy for legacy in legacy_at_site if legacy.event_id == self._legacy_id(site, ref, legacy.contents[0])
        )
        return next(matching, None)

    def _legacy_id(self, site: str, ref: str, content: str) -> str:
        return legacy_screening_id(self.study.id, site, ref, content)


def legacy_screening_id(study_id: str, site: str, ref: str, content: str) -> str:
    """Returns the event id that an earlier version gave to the screening of a ref."""
    parts = json.dumps([study_id, ref, content], sort_keys=True).encode()
    key = f"import-{hashlib.sha256(parts).hexdigest()}"
    return str(legacy_event_id(f"{study_id}/enrollment/{site}/{key}", 0))


def screening_body(fact: Fact) -> dict[str, Any]:
    """Returns the request of a screening, without empty optional members, so that it stays the same request."""
    non_default = fact.model_dump(mode="json", exclude_defaults=True)
    required = {name for name, member in type(fact).model_fields.items() if member.is_required()}
    return {
        name: value
        for name, value in stated_content(fact).items()
        if name in required or (name in non_default and value)
    }


async def _read_screenings(study: TargetStudy) -> AsyncIterator[RegisteredParticipant]:
    """Yields every screening that the caller may see, with its corrections."""
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
            registered.participant_id, event_id, registered.site, (*registered.contents, *restated.get(event_id, ()))
        )


def _restated_content(row: dict[str, Any]) -> str:
    fact = _read_row(row)
    restated_fact = fact.replacement_fact if isinstance(fact, Correction) else None
    return canonical_content(restated_fact) if restated_fact and restated_fact.type_name == SCREENED else ""


def _read_row(row: dict[str, Any]) -> Fact:
    kind = PARTICIPANT.facts[row["type"]]
    return PARTICIPANT.read(row["type"], row.get("schema_version", kind.schema_version), json.dumps(row["data"]))
