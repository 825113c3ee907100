"""Events of the outbox as the relay publishes them."""

from __future__ import annotations

import json

from shared.contracts.event import Event, Row


def event_from_row(service: str, row: Row) -> Event:
    """Returns the event of a row, without its sealed texts."""
    return Event.from_row(
        row,
        study_id=row["study_id"],
        service=service,
        stream_id=row["stream_id"],
        meta=json.loads(row["meta"]),
    )
