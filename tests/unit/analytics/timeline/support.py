"""Timelines of participants that are screened, and their entries."""

from __future__ import annotations

from datetime import date
from typing import Any

from shared.kernel.fact import Fact
from shared.testing.builders import facts
from shared.testing.builders.participant_history import participant_events
from tests.unit.analytics.support import TODAY, timeline_json

Entries = list[dict[str, Any]]


def timeline_of(*facts_recorded: Fact, today: date = TODAY, **options: Any) -> dict[str, Any]:
    return timeline_json(participant_events([facts.participant_screened(), *facts_recorded]), today, **options)


def entries_of(*facts_recorded: Fact, **options: Any) -> Entries:
    """Returns all entries but the screening."""
    return [
        entry for entry in timeline_of(*facts_recorded, **options)["entries"] if entry["type"] != "participant.screened"
    ]


def type_suffixes(entries: Entries) -> list[str]:
    return [entry["type"].rpartition(".")[2] for entry in entries]


def single_entry(type_name: str, entries: Entries) -> dict[str, Any]:
    (entry,) = [row for row in entries if row["type"] == type_name]
    return entry
