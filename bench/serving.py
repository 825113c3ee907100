"""`python -m bench.serving followup | toxicity | smallest PORT`: servers of benches, run by the same server program."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from fastapi import FastAPI

from services.followup.app import create_app as followup
from services.toxicity.app import create_app as toxicity
from shared.contracts.followup import FollowUpRecorded
from shared.observability.logging import configure
from shared.security.tenancy import open_pool
from shared.settings import Settings
from shared.web.server import serve

OURS = {"followup": followup, "toxicity": toxicity}
READY = "/ready"
TABLE = "create table smallest (id uuid primary key, participant_id text, data jsonb, recorded_at timestamptz)"
INSERT = "insert into smallest values ($1, $2, $3, now())"


def smallest(settings: Settings) -> FastAPI:
    """The smallest honest handler: it validates the same model, inserts one row, and commits."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        url = settings.database("followup", "owner")
        async with await open_pool(url, largest=settings.pool_size) as app.state.pool:
            await app.state.pool.execute(TABLE)
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get(READY)
    async def ready() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/participants/{participant_id}/facts/followup.recorded", status_code=201)
    async def recorded(participant_id: str, fact: FollowUpRecorded) -> dict[str, str]:
        event_id = uuid4()
        await app.state.pool.execute(INSERT, event_id, participant_id, fact.model_dump_json())
        return {"participant_id": participant_id, "event_id": str(event_id)}

    return app


def main() -> None:
    settings = Settings()
    configure("bench")
    if made := OURS.get(sys.argv[1]):
        serve(made(settings), settings)
    else:
        serve(smallest(settings), settings.model_copy(update={"port": int(sys.argv[2])}))


if __name__ == "__main__":
    main()
