"""The digest of a data cut: a function of the events up to it, and of nothing else."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from services.analytics.cuts.frontier import Frontier, FrontierDigest

EVENT: dict[str, Any] = {
    "source": "/studies/s/enrollment",
    "subject": "P1",
    "version": 1,
    "event_id": UUID(int=1),
    "type": "participant.screened",
    "schema_version": 1,
    "site_id": "rome",
    "data": '{"a": 1, "b": "x"}',
    "recorded_at": datetime(2024, 2, 1, tzinfo=UTC),
}
LATER: dict[str, Any] = {**EVENT, "version": 2, "event_id": UUID(int=2)}


def frontier(*batches: list[dict[str, Any]]) -> Frontier:
    digest = FrontierDigest()
    for batch in batches:
        digest.add(batch)
    return digest.result()


def test_frontier_has_the_last_version_of_each_stream() -> None:
    other = {**EVENT, "subject": "P2"}
    assert frontier([EVENT, LATER, other]).versions == [
        ("/studies/s/enrollment", "P1", 2),
        ("/studies/s/enrollment", "P2", 1),
    ]


def test_digest_does_not_depend_on_batches_or_on_the_form_of_the_json() -> None:
    reordered = {**EVENT, "data": json.dumps({"b": "x", "a": 1}, indent=1)}
    assert frontier([EVENT], [LATER]).digest == frontier([reordered, LATER]).digest


@pytest.mark.parametrize(
    "change",
    [
        {"data": '{"a": 2, "b": "x"}'},
        {"site_id": None},
        {"type": "participant.enrolled"},
        {"schema_version": 2},
        {"event_id": UUID(int=3)},
        {"subject": "P2"},
        {"source": "/studies/s/toxicity"},
        {"recorded_at": datetime(2024, 2, 2, tzinfo=UTC)},
    ],
)
def test_digest_changes_with_every_part_of_an_event(change: dict[str, Any]) -> None:
    assert frontier([{**EVENT, **change}]).digest != frontier([EVENT]).digest


def test_digest_of_nothing_is_not_that_of_an_event() -> None:
    assert frontier([]).digest != frontier([EVENT]).digest != frontier([EVENT, LATER]).digest
