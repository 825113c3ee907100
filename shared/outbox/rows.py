"""An event as the relay reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from shared.contracts.event import Event


def event(service: str, row: Mapping[str, Any]) -> Event:
    """An event of the store as it is published: without its sealed texts."""
    return Event(
        row["study_id"], service, row["stream_id"], row["version"], UUID(int=row["event_id"].int), row["type"],
        row["schema_version"], row["site_id"], row["data"], row["recorded_at"], _published(row["meta"]),
    )  # fmt: skip


def _published(meta: str) -> dict[str, Any]:
    """Of most events nothing that `meta` says is published, and the relay reads a great many."""
    published = '"corrects"' in meta or '"traceparent"' in meta
    return dict(json.loads(meta)) if published else {}
