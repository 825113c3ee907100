"""Who exported what is kept for good, and shown within its study only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest

from shared.security.read_log import Page, exports, note_export
from shared.security.tenancy import Tenant, transaction
from tests.conftest import Database

AT = datetime(2025, 1, 31, 12, tzinfo=UTC)


async def test_pages_of_an_export_are_told_as_one(enrollment_database: Database, study_id: str) -> None:
    first, second = uuid4(), uuid4()
    for minute, (export, after, rows) in enumerate([(first, "", 100), (second, "", 7), (first, "K7F2-9QXA-3.2", 50)]):
        page = Page(export, "facts", "monitor", AT + timedelta(minutes=minute), "rome", after, rows)
        await note_export(enrollment_database.app, study_id, page)
    told = await exports(enrollment_database.app, study_id, after=0, limit=10)
    assert [(each.export_id, each.pages, each.rows) for each in told] == [(first, 2, 150), (second, 1, 7)]
    assert (told[0].begun_at, told[0].ended_at) == (AT, AT + timedelta(minutes=2))
    assert await exports(enrollment_database.app, study_id, after=told[0].place, limit=10) == told[1:]
    assert await exports(enrollment_database.app, f"{study_id}-other", after=0, limit=10) == []


@pytest.mark.parametrize("change", ["update export_log set row_count = 0", "delete from export_log"])
async def test_nobody_changes_what_was_kept(enrollment_database: Database, study_id: str, change: str) -> None:
    await note_export(enrollment_database.app, study_id, Page(uuid4(), "facts", "monitor", AT, None, "", 1))
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


async def test_the_log_is_not_shown_to_one_site(enrollment_database: Database, study_id: str) -> None:
    await note_export(enrollment_database.app, study_id, Page(uuid4(), "facts", "monitor", AT, None, "", 1))
    for site, seen in (("*", 1), ("rome", 0)):
        async with transaction(enrollment_database.app, Tenant(study_id, site)) as connection:
            assert await connection.fetchval("select count(*) from export_log") == seen
