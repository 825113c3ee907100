"""A tick without anything to send takes as many statements in a study of twelve sites as in one of two."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from shared.testing.builders import facts
from tests.conftest import Database
from tests.integration.support.reminded_study import RemindedStudy, subscriber


async def count_statements(study: RemindedStudy, sites: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Returns the number of queries of the second tick within the hours of a digest."""
    names = [f"site-{number}" for number in range(sites)]
    study.subscribers = [subscriber(f"nurse@{name}", name) for name in names]
    await study.open(*(facts.site_activated(name, zone="Europe/Berlin", country="DE") for name in names))
    await study.treat("2025-01-15", site=names[0])
    await study.live("2025-04-02", "2025-04-02")
    queries, fetch = list[str](), asyncpg.Connection.fetch

    async def counted_fetch(connection: asyncpg.Connection[Any], query: str, *values: Any, **options: Any) -> Any:
        queries.append(query)
        return await fetch(connection, query, *values, **options)

    with monkeypatch.context() as patched:
        patched.setattr(asyncpg.Connection, "fetch", counted_fetch)
        await study.tick()
    return len(queries)


async def test_statements_of_a_quiet_tick_do_not_grow_with_the_sites(
    analytics_database: Database, study_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, many = [
        await count_statements(RemindedStudy(analytics_database, f"{study_id}-{sites}"), sites, monkeypatch)
        for sites in (2, 12)
    ]
    assert 0 < few == many
