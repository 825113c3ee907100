"""Exports the facts of a study as JSON objects: those of the study, then of every participant, service by service.

The objects are lines of an import. No export has sealed texts, not even those of the exporter's own site.

Sites report while an export is read. So each service is read as of one moment, the services from the last to the first,
and the study at the end: a fact is read before the facts that it depends on, which were recorded before it. Every fact
recorded before the start of the export is in it; later facts may be.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import IO, Any
from uuid import UUID

import httpx

from infra.client.study_client import StudyClient
from infra.exchange.access import can_see, visible_sites
from infra.exchange.fact_conversion import public_content
from infra.exchange.target_study import (
    ADMINISTRATOR,
    NO_STUDY,
    Caller,
    ExchangeAborted,
    TargetStudy,
    read_recorded_facts,
    require_usable,
)
from infra.reference.study import member_grant
from infra.services import SERVICES
from shared.contracts import catalogue
from shared.kernel.clock import real_time

_EARLIEST_TIME = datetime.min.replace(tzinfo=UTC)


@dataclass
class Export:
    """One export. The services log it under `id`; with `site` it has only the facts that this site recorded.

    `may_grant`: grant the caller's role as the administrator if the study lacks the grant. After the last line, the
    export is complete up to `started_at`, `newer_count` is the number of later facts in it, `visible_sites` are the
    sites that the caller may see, and `sites` are all sites.
    """

    client: StudyClient
    caller: Caller
    id: UUID
    services: Sequence[str]
    site: str | None = None
    may_grant: bool = False
    started_at: datetime = _EARLIEST_TIME
    newer_count: int = 0
    visible_sites: frozenset[str] = frozenset()
    sites: Sequence[str] = field(default_factory=list)

    async def lines(self) -> AsyncIterator[dict[str, Any]]:
        """Yields the lines. Raises ExchangeAborted if the caller may not read the facts."""
        self.started_at = _answered_at(
            require_usable(
                await self.client.request("GET", f"/enrollment/v1/studies/{self.client.study_id}", self.caller)
            )
        )
        study = await self._open_study()
        with ExitStack() as stack:
            files = {name: stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8")) for name in SERVICES}
            for service in reversed([name for name in SERVICES if name in self.services]):
                await self._spool_service(study, service, files[service])
            await study.read(self.caller)
            for name, data in study.facts:
                yield {"study": study.id, "type": name, "data": data}
            for file in files.values():
                file.seek(0)
                for line in file:
                    yield json.loads(line)

    async def _spool_service(self, study: TargetStudy, service: str, file: IO[str]) -> None:
        """Writes the lines of the service to a file, until the other services are read."""
        query = {"export": str(self.id), **({"site": self.site} if self.site else {})}
        async for row in read_recorded_facts(self.client, service, self.caller, **query):
            self.newer_count += datetime.fromisoformat(row["recorded_at"]) > self.started_at
            file.write(json.dumps(_export_line(study.id, service, row)) + "\n")

    async def _open_study(self) -> TargetStudy:
        study = TargetStudy(self.client)
        await study.read(ADMINISTRATOR if self.may_grant else self.caller)
        if not study.version:
            raise ExchangeAborted(NO_STUDY, can_resume=False)
        if self.site and self.site not in study.sites:
            raise ExchangeAborted(
                f"The study has no such site. Its sites are {', '.join(study.sites)}.", can_resume=False
            )
        if self.may_grant and not study.has_grant(missing_grant := member_grant(study.id, *self.caller)):
            await study.record_grants([missing_grant])
            await study.wait_for_grant(self.caller, self.services)
            await study.read()
        self._check_access(study)
        return study

    def _check_access(self, study: TargetStudy) -> None:
        self.visible_sites = visible_sites(study.facts, self.client.token_for(*self.caller))
        self.sites = study.sites
        if not self.visible_sites:
            raise ExchangeAborted(
                "The role of the token may not see participants, so it cannot export their facts.", can_resume=False
            )
        if self.site and not can_see(self.visible_sites, self.site):
            raise ExchangeAborted(
                f"The token may see only the facts of {', '.join(sorted(self.visible_sites))}.", can_resume=False
            )


def _export_line(study_id: str, service: str, row: dict[str, Any]) -> dict[str, Any]:
    """Returns the line of a fact, upcast to the present schema version."""
    stream = catalogue.find_stream(service, is_study=False)
    fact = stream.read(row["type"], row["schema_version"], json.dumps(row["data"]))
    return {
        "study": study_id,
        "service": service,
        "participant": row["participant_id"],
        "type": row["type"],
        "schema_version": fact.schema_version,
        "event_id": row["event_id"],
        "version": row["version"],
        "recorded_at": row["recorded_at"],
        "data": public_content(fact),
    }


def _answered_at(response: httpx.Response) -> datetime:
    """Returns when the service answered, by its own clock."""
    date_header = response.headers.get("Date")
    return parsedate_to_datetime(date_header) if date_header else real_time().replace(microsecond=0)
