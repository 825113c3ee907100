"""Metrics for Prometheus: counters of this process, and numbers read from its databases at each request."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from fastapi import Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from shared.inbox.lag import load_lags, load_stuck_counts
from shared.outbox.maintenance import load_relay_age
from shared.postgres.errors import FAILED_QUERY

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sample:
    """One number. Samples of one name have the same description and the same label names."""

    name: str
    description: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


MetricsCollector = Callable[[], Awaitable[Sequence[Sample]]]
"""Reads numbers for an application that has started."""


async def metrics_response(collectors_by_service: Mapping[str, Sequence[MetricsCollector]]) -> Response:
    """The numbers of these services. Those that a database cannot give now are left out."""
    samples = [
        sample
        for service, collectors in collectors_by_service.items()
        for collect in collectors
        for sample in await _collect(service, collect)
    ]
    registry = CollectorRegistry()
    registry.register(_SampleCollector(samples))
    return Response(generate_latest() + generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


async def _collect(service: str, collector: MetricsCollector) -> Sequence[Sample]:
    try:
        return await collector()
    except FAILED_QUERY as error:
        _log.warning("metrics of %s could not be read: %s", service, type(error).__name__)
        return []


class _SampleCollector(Collector):
    def __init__(self, samples: Iterable[Sample]) -> None:
        self._samples = list(samples)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        families: dict[str, GaugeMetricFamily] = {}
        for sample in self._samples:
            family = families.setdefault(
                sample.name, GaugeMetricFamily(sample.name, sample.description, labels=list(sample.labels))
            )
            family.add_metric(list(sample.labels.values()), sample.value)
        yield from families.values()


async def collect_inbox_metrics(name: str, pool: asyncpg.Pool[Any]) -> list[Sample]:
    """Returns lag, parked streams and unreadable messages of a consumer, and the age of the oldest number."""
    service, topics, stuck = {"service": name}, await load_lags(pool), await load_stuck_counts(pool)
    samples = [
        Sample("quartal_inbox_lag_messages", "Messages not applied yet", lag.behind, {**service, "topic": lag.topic})
        for lag in topics
    ]
    if stuck:
        oldest_age = max([stuck.age, *(topic_lag.age for topic_lag in topics)])
        samples += [
            Sample("quartal_inbox_parked_streams", "Parked streams", stuck.parked, service),
            Sample("quartal_inbox_unreadable_messages", "Unreadable messages", stuck.unreadable, service),
            Sample(
                "quartal_inbox_oldest_wait_seconds",
                "Age of the oldest parked stream or unreadable message",
                stuck.oldest or 0.0,
                service,
            ),
            Sample(
                "quartal_inbox_worker_seconds",
                "Seconds since the last measurement by the worker",
                stuck.age,
                service,
            ),
            Sample("quartal_inbox_looked_seconds", "Age of the oldest of these measurements", oldest_age, service),
        ]
    return samples


async def collect_relay_metrics(name: str, pool: asyncpg.Pool[Any]) -> Sequence[Sample]:
    """Returns the age of the relay of a service, without one no number."""
    seconds = await load_relay_age(pool)
    description = "Seconds since the relay had published everything that is recorded"
    return [] if seconds is None else [Sample("quartal_relay_seconds", description, seconds, {"service": name})]
