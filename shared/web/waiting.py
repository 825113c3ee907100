"""A service that, for now, only takes in what others publish: health, metrics, and no fact of its own yet."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from shared.security.tenancy import open_pool, refuse_unsafe_role
from shared.settings import Settings
from shared.web.app import create_service_app
from shared.web.service import admission, verifier


def create_waiting_app(name: str, settings: Settings) -> FastAPI:
    @asynccontextmanager
    async def start(app: FastAPI) -> AsyncIterator[None]:
        async with await open_pool(settings.database(name, "app"), largest=settings.pool_size) as app.state.pool:
            await refuse_unsafe_role(app.state.pool)
            app.state.admit = admission(verifier(settings, settings.study_clock()))
            yield

    return create_service_app(name, f"Quartal {name}", start, [])
