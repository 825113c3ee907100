"""The log of exports cannot be changed, and is visible within its study only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest

from shared.postgres.tenancy import Tenant, transaction
from shared.security.read_log import ExportLogEntry, list_exports, log_export_page
from tests.conftest import Database

EXPORTED_AT = datetime(2025, 1, 31, 12, tzinfo=UTC)


async def test_pages_of_one_export_are_listed_as_one_export(enrollment_database: Database, study_id: str) -> None:
    first, second = uuid4(), uuid4()
    for minute, (export, after, rows) in enumerate([(first, "", 100), (second, "", 7), (first, "K7F2-9QXA-3.2", 50)]):
        page = ExportLogEntry(export, "facts", "monitor", EXPORTED_AT + timedelta(minutes=minute), "rome", after, rows)
        await log_export_page(enrollment_database.app, study_id, page)
    entries = await list_exports(enrollment_database.app, study_id, after=0, limit=10)
    assert [(entry.export_id, entry.pages, entry.rows) for entry in entries] == [(first, 2, 150), (second, 1, 7)]
    assert (entries[0].begun_at, entries[0].ended_at) == (EXPORTED_AT, EXPORTED_AT + timedelta(minutes=2))
    assert await list_exports(enrollment_database.app, study_id, after=entries[0].position, limit=10) == entries[1:]
    assert await list_exports(enrollment_database.app, f"{study_id}-other", after=0, limit=10) == []


@pytest.mark.parametrize("change", ["update export_log set row_count = 0", "delete from export_log"])
async def test_export_log_cannot_be_changed(enrollment_database: Database, study_id: str, change: str) -> None:
    await log_export_page(
        enrollment_database.app, study_id, ExportLogEntry(uuid4(), "facts", "monitor", EXPORTED_AT, None, "", 1)
    )
    for pool in (enrollment_database.app, enrollment_database.system):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with transaction(pool, Tenant(study_id)) as connection:
                await connection.execute(change)
    superuser = await asyncpg.connect(enrollment_database.superuser_url)
    try:
        with pytest.raises(asyncpg.PostgresError, match="never changed"):
            await superuser.execute(change)
    finally:
        await superuser.close()


async def test_export_log_is_hidden_from_a_single_site(enrollment_database: Database, study_id: str) -> None:
    await log_export_page(
        enrollment_database.app, study_id, ExportLogEntry(uuid4(), "facts", "monitor", EXPORTED_AT, None, "", 1)
    )
    for site, expected in (("*", 1), ("rome", 0)):
        async with transaction(enrollment_database.app, Tenant(study_id, site)) as connection:
            assert await connection.fetchval("select count(*) from export_log") == expected
