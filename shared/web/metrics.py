"""Metrics for Prometheus: counters of this process, and numbers read from its databases at each request."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from shared.inbox.lag import load_lags, load_stuck_counts
from shared.postgres.errors import FAILED_QUERY

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sample:
    """One number. Samples of one name have the same description and the same label names."""

    name: str
    description: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


MetricsCollector = Callable[[FastAPI], Awaitable[list[Sample]]]
"""Reads numbers for an app that has started; an entry of `app.state.measures`."""


async def metrics_response(apps: Iterable[FastAPI]) -> Response:
    """Return the metrics of the apps. Numbers that a database cannot give at present are left out."""
    samples = [sample for app in apps for collector in app.state.measures for sample in await _collect(app, collector)]
    registry = CollectorRegistry()
    registry.register(_SampleCollector(samples))
    return Response(generate_latest() + generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


async def _collect(app: FastAPI, collector: MetricsCollector) -> list[Sample]:
    try:
        return await collector(app)
    except FAILED_QUERY as error:
        _log.warning("metrics of %s could not be read: %s", app.state.service, type(error).__name__)
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


async def inbox_metrics(app: FastAPI) -> list[Sample]:
    """Return lag, parked streams and unreadable messages of a consumer, and the age of the oldest number."""
    service, topics, stuck = (
        {"service": app.state.service},
        await load_lags(app.state.pool),
        await load_stuck_counts(app.state.pool),
    )
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
