"""The followup service: for now it knows, from Kafka, the studies and participants of which it will take facts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from shared.security.tenancy import open_pool, refuse_unsafe_role
from shared.settings import Settings
from shared.web.app import create_service_app
from shared.web.service import admission, verifier


def create_app(settings: Settings) -> FastAPI:
    @asynccontextmanager
    async def start(app: FastAPI) -> AsyncIterator[None]:
        app.state.pool = await open_pool(settings.database("followup", "app"), largest=settings.pool_size)
        await refuse_unsafe_role(app.state.pool)
        app.state.admit = admission(verifier(settings, settings.study_clock()))
        yield
        await app.state.pool.close()

    return create_service_app("followup", "Quartal followup", start, [])
