"""Operations page of a study in the running demo: parked streams, participants without screening, and the lag."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from services.analytics.figures.registry import FIGURES
from shared.testing.builders import facts
from shared.testing.builders.events import EventStream
from shared.testing.builders.facts import lesion_registered, participant_enrolled, participant_screened
from shared.testing.builders.follow_up_facts import follow_up_recorded
from shared.testing.builders.participant_history import participant_stream
from tests.api.support.study import ALL_USERS, StudyUnderTest, open_study
from tests.chaos.support.processes import wait_until
from tests.demo import Demo
from tests.integration.support.publisher import publish_events
from tests.quartal_command import run_quartal

TIMEOUT_SECONDS = 30.0  # seconds until a promise counts as broken
CONSUMERS = ("toxicity", "followup", "analytics")
OPERATIONS_USERS = {"administrator", "investigator", "monitor", "auditor"}


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[StudyUnderTest]:
    with open_study(demo) as study:
        study.enroll_at("rome", facts.lesion_registered())
        study.wait_for_analytics()
        yield study


def read_operations(study: StudyUnderTest, user: str = "administrator") -> dict[str, Any]:
    response = study.get_analytics("operations.json", user)
    assert response.status_code == 200, response.text
    return dict(response.json())


def get_operations_page(study: StudyUnderTest, user: str) -> httpx.Response:
    return study.http.get(f"/analytics/studies/{study.study_id}/operations", headers=study.authorization(user))


def read_metric(study: StudyUnderTest, name: str, path: str = "/metrics", /, **labels: str) -> float | None:
    """The one value with these labels."""
    expected_labels = {f'{label}="{value}"' for label, value in labels.items()}
    for line in study.http.get(path).text.splitlines():
        sample = re.fullmatch(r"(\w+)\{(.*)\} (\S+)", line)
        if sample and sample[1] == name and expected_labels <= set(sample[2].split(",")):
            return float(sample[3])
    return None


def run_parked_command(demo: Demo, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_quartal(["parked", *arguments], demo.environment)


def parked_subjects(demo: Demo, source: str) -> set[tuple[str, ...]]:
    """Consumer and subject of each stream of that source."""
    result = run_parked_command(demo, "list")
    assert result.returncode == 0, result.stderr
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    return {(row[0], row[2]) for row in rows if row[1] == source}


def is_counted_everywhere(study: StudyUnderTest) -> bool:
    """Returns whether every consumer counts two parked streams, on its own address and on the common one."""
    metric_name = "quartal_inbox_parked_streams"
    values = [
        read_metric(study, metric_name, path, service=name)
        for name in CONSUMERS
        for path in ("/metrics", f"/{name}/metrics")
    ]
    return all((value or 0) >= 2 for value in values)


def test_version_gap_and_rejected_event_park_only_their_streams_until_discarded(
    demo: Demo, study: StudyUnderTest
) -> None:
    gapped, poisoned = participant_stream(study.study_id, lesion_registered()), participant_stream(study.study_id)
    poisoned.correct(gapped.events[0], None)  # of a stream that is not its own
    poisoned.record(lesion_registered())
    publish_events(demo, [gapped.events[0], gapped.events[2], *poisoned.events])
    study.external_event_count += 3
    study.enroll_at("milan")
    assert study.wait_for_analytics() == study.expected_position, "others go on"

    wait_until(lambda: len(read_operations(study)["parked"]) == 2, "the streams are parked", TIMEOUT_SECONDS)
    parked_by_subject = {
        row["subject"]: (row["version"], row["reason"], row["waiting"]) for row in read_operations(study)["parked"]
    }
    assert parked_by_subject == {
        gapped.stream_id: (1, "version-missing", 1),
        poisoned.stream_id: (2, "no-such-event", 2),
    }
    assert all(subject in get_operations_page(study, "administrator").text for subject in parked_by_subject)
    expected = {(service, subject) for service in CONSUMERS for subject in parked_by_subject}
    wait_until(lambda: parked_subjects(demo, gapped.source) == expected, "all have them", TIMEOUT_SECONDS)
    wait_until(lambda: is_counted_everywhere(study), "all count them", TIMEOUT_SECONDS)

    assert run_parked_command(demo, "retry", "toxicity", poisoned.source, poisoned.stream_id).returncode == 1
    for service in CONSUMERS:
        arguments = "discard", service, poisoned.source, poisoned.stream_id, "--reason", "sent in error", "--yes"
        assert run_parked_command(demo, *arguments).returncode == 0
    study.external_event_count += 1
    publish_events(demo, [gapped.events[1]])
    study.external_event_count += 2
    assert study.wait_for_analytics() == study.expected_position
    assert read_operations(study)["parked"] == []
    wait_until(lambda: not parked_subjects(demo, gapped.source), "all go on", TIMEOUT_SECONDS)


def test_participant_without_a_screening_is_listed_and_in_no_figure_until_screened(
    demo: Demo, study: StudyUnderTest
) -> None:
    before = study.figure("flow")
    unscreened_stream = EventStream(study.study_id, service="followup")
    unscreened_stream.record(follow_up_recorded("2024-05-01"))
    publish_events(demo, unscreened_stream.events)
    wait_until(lambda: read_operations(study)["without_screening"]["count"], "it is listed", TIMEOUT_SECONDS)
    study.external_event_count += 1
    unscreened_list = read_operations(study)["without_screening"]
    (row,) = unscreened_list["rows"]
    assert (unscreened_list["count"], row["participant_id"], row["services"], row["facts"]) == (
        1,
        unscreened_stream.stream_id,
        ["followup"],
        1,
    )
    assert unscreened_stream.stream_id in get_operations_page(study, "investigator").text
    assert read_metric(study, "quartal_participants_without_screening", study=study.study_id) == 1
    position_member = {"position": study.wait_for_analytics()}
    assert study.figure("flow") | position_member == {
        **before,
        **position_member,
        "recorded_at": study.figure("flow")["recorded_at"],
    }
    assert unscreened_stream.stream_id not in json.dumps([study.figure(name) for name in FIGURES])

    screening_stream = EventStream(study.study_id, unscreened_stream.stream_id, site_id="rome")
    screening_stream.record(participant_screened(site_id="rome"), participant_enrolled())
    publish_events(demo, screening_stream.events)
    study.external_event_count += 2
    assert study.wait_for_analytics() == study.expected_position
    assert read_operations(study)["without_screening"] == {"count": 0, "rows": []}
    assert read_metric(study, "quartal_participants_without_screening", study=study.study_id) == 0
    assert study.figure("flow")["screened"] == before["screened"] + 1


def test_lag_of_every_topic_is_reported_and_returns_to_zero(study: StudyUnderTest) -> None:
    topics = ["quartal.enrollment.v1", "quartal.followup.v1", "quartal.toxicity.v1"]
    wait_until(lambda: len(read_operations(study)["lag"]) == 3, "the worker has looked", TIMEOUT_SECONDS)
    assert [row["topic"] for row in read_operations(study)["lag"]] == topics
    wait_until(lambda: read_operations(study)["lag"][1]["behind"] == 0, "all of followup is taken in", TIMEOUT_SECONDS)
    for service in CONSUMERS:
        assert read_metric(study, "quartal_inbox_lag_messages", service=service, topic=topics[0]) is not None
        measurement_age = read_metric(study, "quartal_inbox_looked_seconds", service=service)
        assert measurement_age is not None
        assert measurement_age < TIMEOUT_SECONDS


@pytest.mark.parametrize("user", ALL_USERS)
def test_operations_page_is_readable_only_by_study_wide_oversight_roles(study: StudyUnderTest, user: str) -> None:
    expected = 200 if user in OPERATIONS_USERS else 403
    assert study.get_analytics("operations.json", user).status_code == expected
    assert get_operations_page(study, user).status_code == expected


def test_operations_page_is_404_to_outsiders_and_redirects_anonymous_visitors(study: StudyUnderTest) -> None:
    assert study.get_analytics("operations.json", "monitor@rome").status_code == 404
    assert get_operations_page(study, "monitor@rome").status_code == 404
    visitor = study.http.get(f"/analytics/studies/{study.study_id}/operations")
    assert (visitor.status_code, visitor.headers["location"].partition("?")[0]) == (303, "/session")
    assert study.http.get(study.address("operations.json", "analytics")).status_code == 401
