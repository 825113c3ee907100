"""`/metrics` as Prometheus reads it: what this process counts, and what its databases say at the time of asking."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import asyncpg
from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from shared.inbox.lag import lags, standstill

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Measured:
    """One number; whatever has the same name has the same `means` and the same labels."""

    name: str
    means: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


Measure = Callable[[FastAPI], Awaitable[list[Measured]]]
"""An entry of `app.state.measures`: reads numbers for an app that has started."""


async def exposition(apps: Iterable[FastAPI]) -> Response:
    """What a database cannot tell just now is left out, rather than shown as it was."""
    found = [each for app in apps for measure in app.state.measures for each in await _tried(app, measure)]
    registry = CollectorRegistry()
    registry.register(_Read(found))
    return Response(generate_latest() + generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


async def _tried(app: FastAPI, measure: Measure) -> list[Measured]:
    try:
        return await measure(app)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as away:
        _log.warning("metrics of %s could not be read: %s", app.state.service, type(away).__name__)
        return []


class _Read(Collector):
    def __init__(self, found: Iterable[Measured]) -> None:
        self._found = list(found)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        families: dict[str, GaugeMetricFamily] = {}
        for each in self._found:
            family = families.setdefault(each.name, GaugeMetricFamily(each.name, each.means, labels=list(each.labels)))
            family.add_metric(list(each.labels.values()), each.value)
        yield from families.values()


async def of_inbox(app: FastAPI) -> list[Measured]:
    """How far a consumer is behind, what stands still, and how old the oldest of these numbers is."""
    service, topics, still = (
        {"service": app.state.service},
        await lags(app.state.pool),
        await standstill(app.state.pool),
    )
    found = [
        Measured("quartal_inbox_lag_messages", "Messages not taken in", each.behind, {**service, "topic": each.topic})
        for each in topics
    ]
    if still:
        looked = max([still.age, *(each.age for each in topics)])
        found += [
            Measured("quartal_inbox_parked_streams", "Streams that stand still", still.parked, service),
            Measured("quartal_inbox_unreadable_messages", "Messages of no stream", still.unreadable, service),
            Measured("quartal_inbox_oldest_wait_seconds", "How long they wait", still.oldest or 0.0, service),
            Measured(
                "quartal_inbox_worker_seconds",
                "Seconds since the worker last wrote down what it measured",
                still.age,
                service,
            ),
            Measured("quartal_inbox_looked_seconds", "Age of the oldest of these numbers", looked, service),
        ]
    return found
