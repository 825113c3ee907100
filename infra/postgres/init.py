"""`python -m infra.postgres.init`: makes databases, roles and the present schema on the server of DATABASE_URL.

A deployment runs it once before each start of the services. Roles and passwords are those of the URLs in the settings
(`QUARTAL_ENROLLMENT_OWNER_URL` …). Safe to repeat.
"""

from __future__ import annotations

import asyncio
import os
import sys
from urllib.parse import unquote, urlsplit

from infra.postgres.roles import PURPOSES, ensure_databases
from services.analytics.__main__ import SERVICE_PROCESS as ANALYTICS
from services.enrollment.__main__ import SERVICE_PROCESS as ENROLLMENT
from services.followup.__main__ import SERVICE_PROCESS as FOLLOWUP
from services.toxicity.__main__ import SERVICE_PROCESS as TOXICITY
from shared.runtime.service_process import migrate
from shared.settings import SERVICES, Settings

PROCESSES = (ENROLLMENT, TOXICITY, FOLLOWUP, ANALYTICS)


def passwords(settings: Settings) -> dict[str, str]:
    """Returns the passwords by role. Raises ValueError if a URL is missing or names another role."""
    passwords_by_role = {}
    for service in SERVICES:
        for purpose in PURPOSES:
            role, url_parts = f"quartal_{service}_{purpose}", urlsplit(settings.database_url(service, purpose))
            if url_parts.username != role or not url_parts.password:
                raise ValueError(f"QUARTAL_{service.upper()}_{purpose.upper()}_URL is not one of {role} and a password")
            passwords_by_role[role] = unquote(url_parts.password)
    return passwords_by_role


async def prepare(server: str, settings: Settings) -> list[str]:
    """Makes or completes the databases; returns the names of the migrations that were applied."""
    await ensure_databases(server, passwords(settings))
    applied = [await migrate(process.name, settings, process.migrations) for process in PROCESSES]
    return [name for names in applied for name in names]


def main() -> None:
    server = os.environ.get("DATABASE_URL")
    if not server:
        sys.exit("DATABASE_URL is not set: give the URL of a superuser on the server to prepare")
    applied = asyncio.run(prepare(server, Settings()))
    print(f"{len(applied)} migrations applied", flush=True)


if __name__ == "__main__":
    main()
