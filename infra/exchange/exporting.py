"""A study's facts as stated, one JSON object a line: the study's own, then every participant's, service by service.

The lines are those of an import. Sealed texts are in no export, not even the exporter's own site's.

Sites report while an export is read. So a service is read as it was at one moment, and the services from the last to
the first, the study at the end: what a fact depends on was recorded before it, and is read after it. What was recorded
before the export began is in it, all of it; of what came since, something may be.
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

from infra.exchange.access import sees, visible_sites
from infra.exchange.fact import published
from infra.exchange.order import SERVICES
from infra.exchange.study import ADMINISTRATOR, NO_STUDY, Caller, Ended, Study, checked, recorded
from infra.reference.load import StudyApi
from infra.reference.study import grant
from shared.contracts import catalogue
from shared.kernel.clock import real_time

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass
class Export:
    """Under `id` the services record who exported what; `site`: only what that site stated.

    `grants`: record the caller's grant where the study lacks it, as the administrator. When all lines are read,
    `begun_at` is until when the file is complete, `newer` counts what is in it of later, and `visible` and `sites` are
    the sites that the caller sees and those that there are.
    """

    api: StudyApi
    caller: Caller
    id: UUID
    services: Sequence[str]
    site: str | None = None
    grants: bool = False
    begun_at: datetime = _NEVER
    newer: int = 0
    visible: frozenset[str] = frozenset()
    sites: Sequence[str] = field(default_factory=list)

    async def lines(self) -> AsyncIterator[dict[str, Any]]:
        """Raises Ended where the caller may not read."""
        self.begun_at = _time_of(checked(await self.api.ask("GET", f"/enrollment/v1/studies/{self.api.study_id}",
                                                            self.caller)))  # fmt: skip
        study = await self._study()
        with ExitStack() as stack:
            files = {name: stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8")) for name in SERVICES}
            for service in reversed([name for name in SERVICES if name in self.services]):
                await self._read(study, service, files[service])
            await study.read(self.caller)
            for name, data in study.facts:
                yield {"study": study.id, "type": name, "data": data}
            for file in files.values():
                file.seek(0)
                for line in file:
                    yield json.loads(line)

    async def _read(self, study: Study, service: str, file: IO[str]) -> None:
        """Keep the service's lines until the others are read."""
        asked = {"export": str(self.id), **({"site": self.site} if self.site else {})}
        async for row in recorded(self.api, service, self.caller, **asked):
            self.newer += datetime.fromisoformat(row["recorded_at"]) > self.begun_at
            file.write(json.dumps(_line(study.id, service, row)) + "\n")

    async def _study(self) -> Study:
        study = Study(self.api)
        await study.read(ADMINISTRATOR if self.grants else self.caller)
        if not study.version:
            raise Ended(NO_STUDY, may_go_on=False)
        if self.site and self.site not in study.sites:
            raise Ended(f"The study has no such site. Its sites are {', '.join(study.sites)}.", may_go_on=False)
        if self.grants and not study.grants(wanted := grant(study.id, *self.caller)):
            await study.grant([wanted])
            await study.honoured(self.caller, self.services)
            await study.read()
        self._check_access(study)
        return study

    def _check_access(self, study: Study) -> None:
        self.visible = visible_sites(study.facts, self.api.token_for(*self.caller))
        self.sites = study.sites
        if not self.visible:
            raise Ended("The token's role sees no participants: their facts are not its to export.", may_go_on=False)
        if self.site and not sees(self.visible, self.site):
            raise Ended(f"The token sees the facts of {', '.join(sorted(self.visible))} only.", may_go_on=False)


def _line(study_id: str, service: str, row: dict[str, Any]) -> dict[str, Any]:
    """In today's schema version: what was written in an earlier one is brought up."""
    stream = catalogue.stream(service, of_study=False)
    fact = stream.read(row["type"], row["schema_version"], json.dumps(row["data"]))
    return {
        "study": study_id, "service": service, "participant": row["participant_id"], "type": row["type"],
        "schema_version": fact.schema_version, "event_id": row["event_id"], "version": row["version"],
        "recorded_at": row["recorded_at"], "data": published(fact),
    }  # fmt: skip


def _time_of(answer: httpx.Response) -> datetime:
    """Return when the service answered, by its own clock."""
    told = answer.headers.get("Date")
    return parsedate_to_datetime(told) if told else real_time().replace(microsecond=0)
