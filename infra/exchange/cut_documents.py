"""Fetches the documents that are kept with a data cut, and checks their bytes."""

from __future__ import annotations

import re
from base64 import b64decode
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import httpx

from infra.callbacks import Report, ShowProgress
from infra.client.study_client import StudyClient, interruptible_sleep
from infra.exchange.target_study import Caller, ExchangeAborted, require_usable, response_faults
from shared.progress import ReportProgress

_POLL_SECONDS, _MOST_IDLE_POLLS = 2.0, 300
_REPORT = "report.pdf"
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
    client: StudyClient, caller: Caller, query: dict[str, str], report: Report, show_progress: ShowProgress
) -> list[CutDocument]:
    """Returns the documents of a data cut. It waits for a cut that is being sealed, ten minutes without progress.

    Readers get the report alone, of which they see no list, and do not wait for it. `query`: `at` and perhaps `site`.
    Raises ExchangeAborted if the caller may not have the documents, if there is no such cut, or if bytes are not those
    of their SHA-256.
    """
    answer = await _list_documents(client, caller, query)
    if answer is None:
        return [await _fetch_document(client, caller, _REPORT, None, query)]
    if not answer["complete"]:
        report("The data cut is being sealed, which takes some minutes.")
        with show_progress("Being sealed", "files") as report_progress:
            answer = await _wait_for_seal(client, caller, query, answer, report_progress)
    rows, documents = answer["rows"], list[CutDocument]()
    with show_progress("Files", "files") as report_progress:
        for number, row in enumerate(rows):
            report_progress(number, len(rows))
            documents.append(await _fetch_document(client, caller, str(row["name"]), row["sha256"], query))
        report_progress(len(rows), len(rows))
    return documents


async def _list_documents(client: StudyClient, caller: Caller, query: dict[str, str]) -> dict[str, Any] | None:
    """Returns the list of documents; None for readers."""
    path = f"/analytics/v1/studies/{client.study_id}/documents"
    response = require_usable(await client.request("GET", path, caller, params=query))
    if not response.is_success:
        fault = response_faults(response)[0]
        if fault.code == "readers-see-cuts":
            return None
        raise ExchangeAborted(fault.message)
    answer: dict[str, Any] = response.json()
    return answer


async def _wait_for_seal(
    client: StudyClient, caller: Caller, query: dict[str, str], answer: dict[str, Any], report_progress: ReportProgress
) -> dict[str, Any]:
    """Returns the answer that has every document. Raises ExchangeAborted after ten minutes without progress.

    A sealing that fails is tried again and again: it has progress only where it comes further than before.
    """
    furthest, idle_polls = _progress(answer), 0
    while not answer["complete"]:
        if idle_polls == _MOST_IDLE_POLLS:
            raise ExchangeAborted("Nothing of the data cut was sealed for ten minutes. The log of analytics says why.")
        if progress := answer.get("progress"):
            report_progress(progress["done"], progress["total"])
        await interruptible_sleep(client.stop, _POLL_SECONDS)
        answer = await _list_documents(client, caller, query) or answer
        idle_polls = 0 if _progress(answer) > furthest else idle_polls + 1
        furthest = max(furthest, _progress(answer))
    return answer


def _progress(answer: dict[str, Any]) -> tuple[bool, int]:
    """Returns whether figures are sealed, and how many files are made since then; it grows as a sealing gets on."""
    progress = answer.get("progress") or {}  # servers of earlier versions do not say it
    return progress.get("stage") == "documents", progress.get("done", 0)


async def _fetch_document(
    client: StudyClient, caller: Caller, name: str, digest: str | None, query: dict[str, str]
) -> CutDocument:
    """Returns a document. `digest`: its SHA-256 in hexadecimal; None: that which the answer states (RFC 9530)."""
    if not _FILE_NAME.fullmatch(name):
        raise ExchangeAborted("The answer names a file that this command does not write.")
    path = f"/analytics/v1/studies/{client.study_id}/{name}"
    response = require_usable(await client.request("GET", path, caller, params=query))
    if not response.is_success:
        raise ExchangeAborted(f"{name}: {response_faults(response)[0].message}")
    document = CutDocument(name, response.content)
    if document.digest != (digest or _stated_digest(response)):
        raise ExchangeAborted(f"{name} did not arrive whole: its SHA-256 is not the stored one. Try again.")
    return document


def _stated_digest(response: httpx.Response) -> str:
    stated = re.fullmatch(r"sha-256=:([A-Za-z0-9+/=]+):", response.headers.get("Repr-Digest", ""))
    return b64decode(stated[1]).hex() if stated else ""
