"""Events of the outbox as the relay publishes them."""

from __future__ import annotations

import json
from typing import Any

from shared.contracts.event import Event, Row


def event_from_row(service: str, row: Row) -> Event:
    """Returns the event of a row, without its sealed texts and with the published part of its metadata."""
    return Event.from_row(
        row,
        study_id=row["study_id"],
        service=service,
        stream_id=row["stream_id"],
        meta=_published_meta(row["meta"]),
    )


def _published_meta(meta: str) -> dict[str, Any]:
    """Returns the metadata as published. Avoids parsing JSON without published members: it is the relay's hot path."""
    has_published_members = '"corrects"' in meta or '"traceparent"' in meta
    return dict(json.loads(meta)) if has_published_members else {}
