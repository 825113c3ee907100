"""The operations page says so when nothing new comes in, and why."""

from __future__ import annotations

import re

import pytest

from services.analytics.operations import Missing, Operations, TopicLag
from services.analytics.pages.render import Pages, Study
from shared.inbox.lag import KAFKA_SILENT, WORKER_SILENT, Lag, Standstill, silence

STUDY = Study("atc-rt", "A study", 7, "2024-03-01T10:00:00Z", "", "/live", [], [], "somebody")
KAFKA = "Kafka has not answered the analytics worker for 40 s. Figures and pages change again when Kafka answers."
WORKER = "The analytics worker has measured nothing for 90 s. Figures and pages change again when the worker runs."


def page(kafka: float | None, worker: float | None) -> str:
    """The page, so many seconds after Kafka answered and after the worker looked; None: never."""
    topics = [] if kafka is None else [Lag("quartal.enrollment.v1", 3, 1.0), Lag("quartal.toxicity.v1", 0, kafka)]
    still = None if worker is None else Standstill(0, 0, None, worker)
    lag = [TopicLag(topic=each.topic, behind=each.behind, looked_seconds=each.age) for each in topics]
    told = Operations(
        study_id="atc-rt", position=7, epoch="", recorded_at=None, lag=lag, unreadable=0, parked=[],
        without_screening=Missing(count=0, rows=[]),
    )  # fmt: skip
    return Pages().operations(STUDY, told, silence(topics, still))


@pytest.mark.parametrize(
    ("kafka", "worker", "sentence"),
    [
        (KAFKA_SILENT + 25, 4.0, KAFKA),
        (WORKER_SILENT + 30, WORKER_SILENT + 30, WORKER),
        (None, WORKER_SILENT + 30, WORKER),
    ],
)
def test_the_page_says_which_part_is_silent_and_what_follows(kafka: float, worker: float, sentence: str) -> None:
    (shown,) = re.findall(r'<p class="hint" id="silence" role="status">(.*)</p>', page(kafka, worker))
    assert shown == sentence


@pytest.mark.parametrize(("kafka", "worker"), [(4.0, 4.0), (KAFKA_SILENT, WORKER_SILENT), (None, 4.0), (None, None)])
def test_the_page_says_nothing_of_it_while_the_worker_looks_or_before_it_first_looked(
    kafka: float | None, worker: float | None
) -> None:
    assert "silence" not in page(kafka, worker)
