"""Responses when the database is unavailable, and for internal errors."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from services.analytics.app import create_app as analytics
from services.enrollment.app import create_app as enrollment
from shared.settings import Settings
from shared.testing.builders import facts
from shared.web.app import create_bare_app
from tests.api.support.study import ROME_USER, StudyUnderTest, body, demo_environment, open_study
from tests.demo import Demo

CANARY = "Zw-Mueller-1949"


@dataclass
class TcpProxy:
    """A port of our own through which a server is reached, for as long as the way is open."""

    host: str
    port: int
    server: asyncio.Server | None = None
    connections: set[asyncio.StreamWriter] = field(default_factory=set)

    async def open(self, at: int = 0) -> int:
        self.server = await asyncio.start_server(self._forward_connection, "127.0.0.1", at)
        return int(self.server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        assert self.server
        self.server.close()
        for line in list(self.connections):
            line.transport.abort()
        await self.server.wait_closed()

    async def _forward_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(self.host, self.port)
        self.connections |= {writer, far_writer}
        await asyncio.gather(_copy_stream(reader, far_writer), _copy_stream(far_reader, writer))
        self.connections -= {writer, far_writer}


async def _copy_stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
    except OSError:
        return  # one end was cut, the other is told
    finally:
        writer.close()


@asynccontextmanager
async def proxied_clients(
    proxy: TcpProxy, service_settings: dict[str, str]
) -> AsyncIterator[dict[str, httpx.AsyncClient]]:
    """Enrollment and analytics in this process, on the demo's databases, by way of `way`."""
    port = await proxy.open()
    server_address = f":{proxy.port}/"
    proxied_settings = {name: value.replace(server_address, f":{port}/") for name, value in service_settings.items()}
    settings = Settings.from_variables(proxied_settings | {"KAFKA_BOOTSTRAP": ""})
    apps = {"enrollment": enrollment(settings), "analytics": analytics(settings)}
    async with AsyncExitStack() as exit_stack:
        for app in apps.values():
            await exit_stack.enter_async_context(app.router.lifespan_context(app))
        yield {
            name: await exit_stack.enter_async_context(
                httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here")
            )
            for name, app in apps.items()
        }
    await proxy.close()


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[StudyUnderTest]:
    with open_study(demo) as study:
        yield study


async def test_requests_during_a_database_outage_are_503_and_work_again_after_it(study: StudyUnderTest) -> None:
    study.wait_for_analytics()
    service_settings = demo_environment(study.demo)
    server = urlsplit(service_settings["QUARTAL_ENROLLMENT_APP_URL"])
    proxy = TcpProxy(str(server.hostname), int(server.port or 0))
    authorization, screening = study.authorization(ROME_USER), body(facts.participant_screened(local_reference=CANARY))
    async with proxied_clients(proxy, service_settings) as clients:

        async def send_requests() -> list[httpx.Response]:
            reads = [
                clients["enrollment"].get(study.address("participants"), headers=authorization),
                clients["analytics"].get(study.address("figures/flow.json", "analytics"), headers=authorization),
                clients["enrollment"].get("/enrollment/health/ready"),
            ]
            return [
                await clients["enrollment"].post(study.address("participants"), json=screening, headers=authorization),
                *[await read for read in reads],
            ]

        port = proxy.server.sockets[0].getsockname()[1] if proxy.server else 0
        assert [response.status_code for response in await send_requests()] == [201, 200, 200, 200]
        await proxy.close()
        for response in await send_requests():
            assert response.status_code == 503
            assert response.headers["Retry-After"] == "1"
            assert response.json()["type"] == "/problems/busy"
            assert CANARY not in response.text
        assert (await clients["enrollment"].get("/enrollment/health/live")).status_code == 200
        metrics = await clients["analytics"].get("/analytics/metrics")
        assert metrics.status_code == 200
        assert "quartal_http_requests_total" in metrics.text
        assert "quartal_inbox" not in metrics.text, "what is not known is not shown as it was"
        await proxy.open(port)
        assert [response.status_code for response in await send_requests()] == [409, 200, 200, 200]


async def test_request_undone_by_a_deadlock_is_503() -> None:
    app: FastAPI = create_bare_app("undone", lambda _: nullcontext())

    @app.get("/undone")
    async def raise_deadlock() -> None:
        raise asyncpg.DeadlockDetectedError(CANARY)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
        response = await client.get("/undone")
    assert (response.status_code, response.json()["type"]) == (503, "/problems/busy")
    assert CANARY not in response.text


async def test_internal_error_reveals_no_request_data_to_client_or_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app: FastAPI = create_bare_app("faulty", lambda _: nullcontext())

    @app.get("/faulty")
    async def raise_error() -> None:
        patient = {"name": CANARY}
        raise ValueError(f"cannot bear {patient}")

    with caplog.at_level(logging.DEBUG):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
            response = await client.get("/faulty")
    assert (response.status_code, response.json()["type"]) == (500, "/problems/unforeseen")
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "ValueError" in caplog.text
    assert "faulty" in caplog.text
    assert CANARY not in caplog.text + response.text
    assert not [record for record in caplog.records if record.exc_info]
