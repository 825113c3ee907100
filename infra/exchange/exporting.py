"""A study's facts as stated, one JSON object a line: the study's own, then every participant's, service by service.

The lines are those of an import. Sealed texts are in no export, not even the exporter's own site's.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from infra.exchange.fact import published
from infra.exchange.study import ADMINISTRATOR, Caller, Ended, Study, pages
from infra.reference.load import StudyApi
from infra.reference.study import grant
from shared.contracts import catalogue


@dataclass(frozen=True)
class Export:
    """Under `id` the services record who exported what; `site`: only what that site stated.

    `grants`: record the caller's grant where the study lacks it, as the administrator.
    """

    api: StudyApi
    caller: Caller
    id: UUID
    services: Sequence[str]
    site: str | None = None
    grants: bool = False

    async def lines(self) -> AsyncIterator[dict[str, Any]]:
        """Raises Ended where the caller may not read."""
        study = await self._study()
        for name, data in study.facts:
            yield {"study": study.id, "type": name, "data": data}
        asked = {"export": str(self.id), **({"site": self.site} if self.site else {})}
        for service in self.services:
            async for row in pages(self.api, service, self.caller, **asked):
                yield _line(study.id, service, row)

    async def _study(self) -> Study:
        study = Study(self.api)
        await study.read(ADMINISTRATOR if self.grants else self.caller)
        if not study.version:
            raise Ended("There is no study of that id, or it is not yours to see.")
        if self.site and self.site not in study.sites:
            raise Ended("There is no site of that id in the study.")
        if self.grants and not study.grants(wanted := grant(study.id, *self.caller)):
            await study.grant([wanted])
            await study.honoured(self.caller, self.services)
            await study.read()
        return study


def _line(study_id: str, service: str, row: dict[str, Any]) -> dict[str, Any]:
    """In today's schema version: what was written in an earlier one is brought up."""
    stream = catalogue.stream(service, of_study=False)
    fact = stream.read(row["type"], row["schema_version"], json.dumps(row["data"]))
    return {
        "study": study_id, "service": service, "participant": row["participant_id"], "type": row["type"],
        "schema_version": fact.schema_version, "event_id": row["event_id"], "version": row["version"],
        "recorded_at": row["recorded_at"], "data": published(fact),
    }  # fmt: skip
