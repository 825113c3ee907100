"""An event as the relay reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from shared.contracts.event import Event


def event_from_row(service: str, row: Mapping[str, Any]) -> Event:
    """An event of the store as it is published: without its sealed texts."""
    return Event(
        row["study_id"],
        service,
        row["stream_id"],
        row["version"],
        UUID(int=row["event_id"].int),
        row["type"],
        row["schema_version"],
        row["site_id"],
        row["data"],
        row["recorded_at"],
        _published_meta(row["meta"]),
    )


def _published_meta(meta: str) -> dict[str, Any]:
    """Of most events nothing that `meta` says is published, and the relay reads a great many."""
    has_published_members = '"corrects"' in meta or '"traceparent"' in meta
    return dict(json.loads(meta)) if has_published_members else {}
