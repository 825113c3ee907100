"""Objects that the requests of one application share: limits and counters always, databases while it is open."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import asyncpg
from fastapi import FastAPI, Request

from shared.eventstore.study_cache import Studies
from shared.kernel.errors import Unauthenticated
from shared.security.tokens import Verifier
from shared.settings import Limits
from shared.web.cookies import Cookies
from shared.web.metrics import MetricsCollector
from shared.web.traffic import Traffic

Authenticate = Callable[[Request], Awaitable[None]]
"""Sets `request.state.caller`. Raises Unauthenticated."""


class Streams(Protocol):
    """Open responses that end only when they are closed."""

    def close(self) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Resources:
    """Resources that every application opens when it starts. Each service adds its own."""

    pool: asyncpg.Pool[Any]
    studies: Studies
    verifier: Verifier
    metrics_collectors: Sequence[MetricsCollector] = ()


OpenResources = Callable[[], AbstractAsyncContextManager[Resources]]
R = TypeVar("R", bound=Resources)


async def refuse_everyone(_: Request) -> None:
    """Refuses requests to an application that has not started."""
    raise Unauthenticated


@dataclass(kw_only=True)
class AppContainer:
    """The one member of `app.state`. `resources` are there while the application is open."""

    service: str
    limits: Limits
    traffic: Traffic
    cookies: Cookies = field(default_factory=Cookies)
    streams: Sequence[Streams] = ()
    authenticate: Authenticate = refuse_everyone
    resources: Resources | None = None

    def get_resources(self, kind: type[R]) -> R:
        """Returns the open resources. Raises TypeError if they are not open yet, or are another service's."""
        if not isinstance(self.resources, kind):
            raise TypeError(f"{self.service} has no open {kind.__name__}")
        return self.resources


def container_of(app: FastAPI) -> AppContainer:
    container: AppContainer = app.state.container
    return container


def get_container(request: Request) -> AppContainer:
    return container_of(request.app)
