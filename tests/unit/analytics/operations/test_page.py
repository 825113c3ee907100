"""The operations page names the component from which no measurement arrives."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from services.analytics.operations.api import (
    FailedDerivation,
    FailedDerivationList,
    Operations,
    TopicLag,
    UnscreenedList,
)
from services.analytics.operations.page import render_operations
from shared.inbox.lag import KAFKA_SILENT_SECONDS, WORKER_SILENT_SECONDS, Lag, StuckCounts, detect_silence
from shared.ui.navigation import StudyHeader

STUDY = StudyHeader(
    study_id="atc-rt",
    title="A study",
    heading="Operations",
    position=7,
    recorded_at=datetime(2024, 3, 1, 10, tzinfo=UTC),
    epoch="",
    member="somebody",
)
KAFKA = "Kafka has not answered the analytics worker for 40 s. Figures and pages change again when Kafka answers."
WORKER = "The analytics worker has measured nothing for 90 s. Figures and pages change again when the worker runs."


def render_page(kafka: float | None, worker: float | None, failed: Sequence[FailedDerivation] = ()) -> str:
    """Returns the page so many seconds after Kafka answered and the worker measured; None: they never did."""
    topics = [] if kafka is None else [Lag("quartal.enrollment.v1", 3, 1.0), Lag("quartal.toxicity.v1", 0, kafka)]
    standstill = None if worker is None else StuckCounts(0, 0, None, worker)
    lag = [TopicLag(topic=topic.topic, behind=topic.behind, looked_seconds=topic.age) for topic in topics]
    operations = Operations(
        study_id="atc-rt",
        position=7,
        epoch="",
        recorded_at=None,
        lag=lag,
        unreadable=0,
        parked=[],
        without_screening=UnscreenedList(count=0, rows=[]),
        behind=1,
        not_derived=FailedDerivationList(count=len(failed), rows=list(failed)),
        reminders=None,
    )
    return render_operations(STUDY, operations, detect_silence(topics, standstill))


@pytest.mark.parametrize(
    ("kafka", "worker", "sentence"),
    [
        (KAFKA_SILENT_SECONDS + 25, 4.0, KAFKA),
        (WORKER_SILENT_SECONDS + 30, WORKER_SILENT_SECONDS + 30, WORKER),
        (None, WORKER_SILENT_SECONDS + 30, WORKER),
    ],
)
def test_page_names_the_silent_component_and_the_consequence(kafka: float, worker: float, sentence: str) -> None:
    (hint,) = re.findall(r'<p class="hint" id="silence" role="status">(.*)</p>', render_page(kafka, worker))
    assert hint == sentence


@pytest.mark.parametrize(
    ("kafka", "worker"), [(4.0, 4.0), (KAFKA_SILENT_SECONDS, WORKER_SILENT_SECONDS), (None, 4.0), (None, None)]
)
def test_page_has_no_hint_while_measurements_arrive_or_before_the_first(
    kafka: float | None, worker: float | None
) -> None:
    assert "silence" not in render_page(kafka, worker)


def test_page_lists_participants_whose_rows_cannot_be_derived() -> None:
    failed = FailedDerivation(
        participant_id="K7F2-9QXA-3", reason="KeyError", since=datetime(2024, 3, 1, tzinfo=UTC), position=6
    )
    page = render_page(4.0, 4.0, [failed])
    assert '<b data-number="behind">1</b> fact has been applied since position 7' in page
    assert '<th scope="row">K7F2-9QXA-3</th><td>KeyError</td><td>6</td>' in page
