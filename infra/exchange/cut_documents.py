"""Fetches the documents that are kept with a data cut, and checks their bytes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from infra.callbacks import Report, ReportProgress
from infra.client.study_client import StudyClient, interruptible_sleep
from infra.exchange.target_study import Caller, ExchangeAborted, require_usable, response_faults

_POLL_SECONDS, _MOST_POLLS = 2.0, 300
_FILE_NAME = re.compile(r"[a-z0-9-]{1,60}\.[a-z0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class CutDocument:
    """A document of a data cut: its file name and its bytes, whose SHA-256 has been checked."""

    name: str
    content: bytes

    @property
    def digest(self) -> str:
        """SHA-256 in hexadecimal."""
        return sha256(self.content).hexdigest()


async def fetch_documents(
    client: StudyClient, caller: Caller, query: dict[str, str], report: Report, progress: ReportProgress
) -> list[CutDocument]:
    """Returns the documents of a data cut. It waits up to ten minutes for a cut that is being sealed.

    `query`: `at` and perhaps `site`. Raises ExchangeAborted if the caller may not have them, if there is no such cut,
    or if bytes are not those of their SHA-256.
    """
    rows = await _list_documents(client, caller, query, report)
    documents = list[CutDocument]()
    for number, row in enumerate(rows):
        progress(number, len(rows))
        documents.append(await _fetch_document(client, caller, row, query))
    progress(len(rows), len(rows))
    return documents


async def _list_documents(
    client: StudyClient, caller: Caller, query: dict[str, str], report: Report
) -> Sequence[dict[str, Any]]:
    path = f"/analytics/v1/studies/{client.study_id}/documents"
    for poll in range(_MOST_POLLS):
        response = require_usable(await client.request("GET", path, caller, params=query))
        if not response.is_success:
            raise ExchangeAborted(response_faults(response)[0].message)
        answer = response.json()
        if answer["complete"]:
            return list(answer["rows"])
        if poll == 0:
            report("The data cut is being sealed. This takes some minutes at most.")
        await interruptible_sleep(client.stop, _POLL_SECONDS)
    raise ExchangeAborted("The data cut is not sealed yet. The log of the analytics service says what it waits for.")


async def _fetch_document(
    client: StudyClient, caller: Caller, row: dict[str, Any], query: dict[str, str]
) -> CutDocument:
    name = str(row["name"])
    if not _FILE_NAME.fullmatch(name):
        raise ExchangeAborted("The answer names a file that this command does not write.")
    path = f"/analytics/v1/studies/{client.study_id}/{name}"
    response = require_usable(await client.request("GET", path, caller, params=query))
    if not response.is_success:
        raise ExchangeAborted(f"{name}: {response_faults(response)[0].message}")
    document = CutDocument(name, response.content)
    if document.digest != row["sha256"]:
        raise ExchangeAborted(f"{name} did not arrive whole: its SHA-256 is not the stored one. Try again.")
    return document
