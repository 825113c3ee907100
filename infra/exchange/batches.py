"""Batches of facts of one participant: where one ends, and which facts a refusal is about. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

import httpx

from infra.exchange.fact_conversion import canonical_content
from infra.exchange.statement_order import CLOSING_FACTS, TRANSFERRED, ImportFact
from infra.exchange.target_study import response_faults
from shared.contracts.streams import MAX_BATCH_FACTS
from shared.kernel.errors import Fault
from shared.kernel.fact import Correction

MAX_BATCH_BYTES = 900_000  # of the 1 MiB that a request may have
_POINTER_PATTERN = re.compile(r"(?:/facts)?/([0-9]+)(?:/data)?(/.*)?")


def starts_new_batch(batch: Sequence[ImportFact], fact: ImportFact) -> bool:
    """Returns whether the facts of `batch` must be recorded before `fact` can be sent."""
    content = fact.fact
    corrects_batch = isinstance(content, Correction) and any(
        batch_fact.line.event_id == str(content.event_id) for batch_fact in batch
    )
    is_closing = fact.line.is_exported and fact.line.type in CLOSING_FACTS
    batch_bytes = sum(len(canonical_content(batch_fact.fact)) for batch_fact in batch)
    is_full = len(batch) >= MAX_BATCH_FACTS or batch_bytes > MAX_BATCH_BYTES
    return corrects_batch or is_closing or is_full or batch[-1].line.type == TRANSFERRED


def faults_by_line(
    response: httpx.Response, pending: Sequence[ImportFact], offset: int, *, is_registered: bool
) -> dict[int, list[Fault]]:
    """Returns the faults of a refused batch by line number; `offset` facts were sent before those that are pending.

    Every pending line gets the faults of the whole response if none of them is named, and also if the screening of a
    participant who is not registered yet is among the refused.
    """
    faults_in_batch = _faults_by_position(response)
    line_faults = {
        fact.line.number: faults_in_batch[position]
        for position, fact in enumerate(pending, offset)
        if position in faults_in_batch
    }
    if not line_faults or (not is_registered and pending[0].line.number in line_faults and not offset):
        return {fact.line.number: line_faults.get(fact.line.number, response_faults(response)) for fact in pending}
    return line_faults


def _faults_by_position(response: httpx.Response) -> dict[int, list[Fault]]:
    """Returns the faults of a refused batch by position in the batch; pointers are within the fact's content."""
    faults: dict[int, list[Fault]] = {}
    for fault in response_faults(response):
        if match := _POINTER_PATTERN.fullmatch(fault.pointer):
            faults.setdefault(int(match[1]), []).append(Fault(fault.code, fault.message, match[2] or ""))
    return faults
