"""What a client is told when the database is away, and when we are at fault."""

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
from shared.testing import facts
from shared.web.app import bare_app
from tests.api.own_study import SITE, OwnStudy, body, environment, own_study
from tests.demo import Demo

CANARY = "Zw-Mueller-1949"


@dataclass
class Way:
    """A port of our own through which a server is reached, for as long as the way is open."""

    host: str
    port: int
    server: asyncio.Server | None = None
    lines: set[asyncio.StreamWriter] = field(default_factory=set)

    async def open(self, at: int = 0) -> int:
        self.server = await asyncio.start_server(self._join, "127.0.0.1", at)
        return int(self.server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        assert self.server
        self.server.close()
        for line in list(self.lines):
            line.transport.abort()
        await self.server.wait_closed()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(self.host, self.port)
        self.lines |= {writer, far_writer}
        await asyncio.gather(_pass_on(reader, far_writer), _pass_on(far_reader, writer))
        self.lines -= {writer, far_writer}


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
    except OSError:
        return  # one end was cut, the other is told
    finally:
        writer.close()


@asynccontextmanager
async def reached_through(way: Way, told: dict[str, str]) -> AsyncIterator[dict[str, httpx.AsyncClient]]:
    """Enrollment and analytics in this process, on the demo's databases, by way of `way`."""
    port = await way.open()
    there = f":{way.port}/"
    moved = {name: value.replace(there, f":{port}/") for name, value in told.items()}
    members = {name.removeprefix("QUARTAL_").lower(): value for name, value in moved.items() if name[:7] == "QUARTAL"}
    settings = Settings(**members, KAFKA_BOOTSTRAP="")  # type: ignore[arg-type] # parsed
    apps = {"enrollment": enrollment(settings), "analytics": analytics(settings)}
    async with AsyncExitStack() as entered:
        for app in apps.values():
            await entered.enter_async_context(app.router.lifespan_context(app))
        yield {
            name: await entered.enter_async_context(
                httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here")
            )
            for name, app in apps.items()
        }
    await way.close()


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[OwnStudy]:
    with own_study(demo) as opened:
        yield opened


async def test_while_the_database_is_away_a_client_is_asked_to_come_again(study: OwnStudy) -> None:
    study.position()
    told = environment(study.demo)
    server = urlsplit(told["QUARTAL_ENROLLMENT_APP_URL"])
    way = Way(str(server.hostname), int(server.port or 0))
    said, screening = study.bearer(SITE), body(facts.screened(local_reference=CANARY))
    async with reached_through(way, told) as clients:

        async def asked() -> list[httpx.Response]:
            reads = [clients["enrollment"].get(study.address("participants"), headers=said),
                     clients["analytics"].get(study.address("figures/flow.json", "analytics"), headers=said),
                     clients["enrollment"].get("/enrollment/health/ready")]  # fmt: skip
            return [await clients["enrollment"].post(study.address("participants"), json=screening, headers=said),
                    *[await read for read in reads]]  # fmt: skip

        port = way.server.sockets[0].getsockname()[1] if way.server else 0
        assert [answer.status_code for answer in await asked()] == [201, 200, 200, 200]
        await way.close()
        for answer in await asked():
            assert answer.status_code == 503
            assert answer.headers["Retry-After"] == "1"
            assert answer.json()["type"] == "/problems/busy"
            assert CANARY not in answer.text
        assert (await clients["enrollment"].get("/enrollment/health/live")).status_code == 200
        counted = await clients["analytics"].get("/analytics/metrics")
        assert counted.status_code == 200
        assert "quartal_http_requests_total" in counted.text
        assert "quartal_inbox" not in counted.text, "what is not known is not shown as it was"
        await way.open(port)
        assert [answer.status_code for answer in await asked()] == [409, 200, 200, 200]


async def test_whom_a_deadlock_has_undone_is_asked_to_come_again() -> None:
    app: FastAPI = bare_app("undone", lambda _: nullcontext())

    @app.get("/undone")
    async def undone() -> None:
        raise asyncpg.DeadlockDetectedError(CANARY)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
        answer = await client.get("/undone")
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/busy")
    assert CANARY not in answer.text


async def test_a_fault_of_ours_tells_neither_the_client_nor_the_log_what_was_sent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app: FastAPI = bare_app("faulty", lambda _: nullcontext())

    @app.get("/faulty")
    async def faulty() -> None:
        patient = {"name": CANARY}
        raise ValueError(f"cannot bear {patient}")

    with caplog.at_level(logging.DEBUG):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
            answer = await client.get("/faulty")
    assert (answer.status_code, answer.json()["type"]) == (500, "/problems/unforeseen")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "ValueError" in caplog.text
    assert "faulty" in caplog.text
    assert CANARY not in caplog.text + answer.text
    assert not [record for record in caplog.records if record.exc_info]
