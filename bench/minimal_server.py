"""`python -m bench.minimal_server SERVICE | smallest PORT`: runs a server that a bench measures."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from fastapi import FastAPI

from services.analytics.app import create_app as analytics
from services.followup.app import create_app as followup
from services.toxicity.app import create_app as toxicity
from shared.contracts.follow_up import FollowUpRecorded
from shared.postgres.tenancy import open_pool
from shared.runtime.server import serve
from shared.runtime.startup import start_process
from shared.settings import Settings

SERVICES = {"followup": followup, "toxicity": toxicity, "analytics": analytics}
READY_PATH = "/ready"
CREATE_TABLE = "create table smallest (id uuid primary key, participant_id text, data jsonb, recorded_at timestamptz)"
INSERT = "insert into smallest values ($1, $2, $3, now())"


def create_smallest_app(settings: Settings) -> FastAPI:
    """Creates the smallest honest handler: it validates the same model, inserts one row, and commits."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        url = settings.database_url("followup", "owner")
        async with await open_pool(url, max_size=settings.pool_size) as app.state.pool:
            await app.state.pool.execute(CREATE_TABLE)
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get(READY_PATH)
    async def ready() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/participants/{participant_id}/facts/followup.recorded", status_code=201)
    async def post_fact(participant_id: str, fact: FollowUpRecorded) -> dict[str, str]:
        event_id = uuid4()
        await app.state.pool.execute(INSERT, event_id, participant_id, fact.model_dump_json())
        return {"participant_id": participant_id, "event_id": str(event_id)}

    return app


def main() -> None:
    settings = start_process("bench")
    if create_app := SERVICES.get(sys.argv[1]):
        serve(create_app(settings), settings)
    else:
        serve(create_smallest_app(settings), settings.model_copy(update={"port": int(sys.argv[2])}))


if __name__ == "__main__":
    main()
