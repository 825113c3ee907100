"""What an operator sees of a study in the running demo: what stands still, who lacks a screening, and the lag."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from shared.contracts.followup import FollowUpRecorded
from shared.testing import facts
from tests.api.own_study import EVERYBODY, OwnStudy, own_study
from tests.chaos.processes import eventually
from tests.demo import CHECKOUT, Demo
from tests.integration.publishing import publish
from tests.integration.stated import Telling, enrolled, lesion, participant, screened

SEEN_WITHIN = 30.0  # seconds until a promise counts as broken
CONSUMERS = ("toxicity", "followup", "analytics")
OPERATING = {"administrator", "investigator", "monitor", "auditor"}


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[OwnStudy]:
    with own_study(demo) as opened:
        opened.at_site("rome", facts.lesion())
        opened.position()
        yield opened


def seen(study: OwnStudy, who: str = "administrator") -> dict[str, Any]:
    answer = study.read("operations.json", who)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def page(study: OwnStudy, who: str) -> httpx.Response:
    return study.http.get(f"/analytics/studies/{study.study_id}/operations", headers=study.bearer(who))


def metric(study: OwnStudy, name: str, path: str = "/metrics", /, **labels: str) -> float | None:
    """The one value with these labels."""
    wanted = {f'{label}="{value}"' for label, value in labels.items()}
    for line in study.http.get(path).text.splitlines():
        found = re.fullmatch(r"(\w+)\{(.*)\} (\S+)", line)
        if found and found[1] == name and wanted <= set(found[2].split(",")):
            return float(found[3])
    return None


def quartal(demo: Demo, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "infra.cli", "parked", *arguments]
    return subprocess.run(
        command, cwd=CHECKOUT, env=demo.environment, capture_output=True, text=True, timeout=60, check=False
    )


def standing_still(demo: Demo, source: str) -> set[tuple[str, ...]]:
    """Consumer and subject of each stream of that source."""
    said = quartal(demo, "list")
    assert said.returncode == 0, said.stderr
    rows = [line.split("\t") for line in said.stdout.splitlines()]
    return {(row[0], row[2]) for row in rows if row[1] == source}


def counted(study: OwnStudy) -> bool:
    """Does every consumer count two streams that stand still, on its own address and on the common one?"""
    names = "quartal_inbox_parked_streams"
    found = [
        metric(study, names, path, service=name) for name in CONSUMERS for path in ("/metrics", f"/{name}/metrics")
    ]
    return all((value or 0) >= 2 for value in found)


def test_a_gap_and_poison_stop_their_own_streams_are_shown_everywhere_and_can_be_passed_over(
    demo: Demo, study: OwnStudy
) -> None:
    gapped, poisoned = participant(study.study_id, lesion()), participant(study.study_id)
    poisoned.correct(gapped.events[0], None)  # of a stream that is not its own
    poisoned.tell(lesion())
    publish(demo, [gapped.events[0], gapped.events[2], *poisoned.events])
    study.others += 3
    study.at_site("milan")
    assert study.position() == study.facts, "others go on"

    eventually(lambda: len(seen(study)["parked"]) == 2, "the streams are parked", SEEN_WITHIN)
    shown = {row["subject"]: (row["version"], row["reason"], row["waiting"]) for row in seen(study)["parked"]}
    assert shown == {gapped.stream_id: (1, "version-missing", 1), poisoned.stream_id: (2, "no-such-event", 2)}
    assert all(subject in page(study, "administrator").text for subject in shown)
    everywhere = {(service, subject) for service in CONSUMERS for subject in shown}
    eventually(lambda: standing_still(demo, gapped.source) == everywhere, "all have them", SEEN_WITHIN)
    eventually(lambda: counted(study), "all count them", SEEN_WITHIN)

    assert quartal(demo, "retry", "toxicity", poisoned.source, poisoned.stream_id).returncode == 1
    for service in CONSUMERS:
        said = "discard", service, poisoned.source, poisoned.stream_id, "--reason", "sent in error", "--yes"
        assert quartal(demo, *said).returncode == 0
    study.others += 1
    publish(demo, [gapped.events[1]])
    study.others += 2
    assert study.position() == study.facts
    assert seen(study)["parked"] == []
    eventually(lambda: not standing_still(demo, gapped.source), "all go on", SEEN_WITHIN)


def test_who_was_never_screened_is_in_no_figure_and_listed_until_a_screening_comes(demo: Demo, study: OwnStudy) -> None:
    before = study.figure("flow")
    late = Telling(study.study_id, service="followup")
    late.tell(FollowUpRecorded.model_validate({"seen_on": "2024-05-01", "mode": "clinic"}))
    publish(demo, late.events)
    eventually(lambda: seen(study)["without_screening"]["count"], "it is listed", SEEN_WITHIN)
    study.others += 1
    missing = seen(study)["without_screening"]
    (row,) = missing["rows"]
    assert (missing["count"], row["participant_id"], row["services"], row["facts"]) == (
        1, late.stream_id, ["followup"], 1
    )  # fmt: skip
    assert late.stream_id in page(study, "investigator").text
    assert metric(study, "quartal_participants_without_screening", study=study.study_id) == 1
    counted = {"position": study.position()}
    assert study.figure("flow") | counted == {**before, **counted, "recorded_at": study.figure("flow")["recorded_at"]}
    assert late.stream_id not in json.dumps([study.figure(name) for name in ("flow", "accrual", "treatments")])

    screening = Telling(study.study_id, late.stream_id, site="rome")
    screening.tell(screened("rome"), enrolled())
    publish(demo, screening.events)
    study.others += 2
    assert study.position() == study.facts
    assert seen(study)["without_screening"] == {"count": 0, "rows": []}
    assert metric(study, "quartal_participants_without_screening", study=study.study_id) == 0
    assert study.figure("flow")["screened"] == before["screened"] + 1


def test_the_lag_of_every_topic_is_told_and_comes_down_to_nothing(study: OwnStudy) -> None:
    topics = ["quartal.enrollment.v1", "quartal.followup.v1", "quartal.toxicity.v1"]
    eventually(lambda: len(seen(study)["lag"]) == 3, "the worker has looked", SEEN_WITHIN)
    assert [row["topic"] for row in seen(study)["lag"]] == topics
    eventually(lambda: seen(study)["lag"][1]["behind"] == 0, "all of followup is taken in", SEEN_WITHIN)
    for service in CONSUMERS:
        assert metric(study, "quartal_inbox_lag_messages", service=service, topic=topics[0]) is not None
        looked = metric(study, "quartal_inbox_looked_seconds", service=service)
        assert looked is not None
        assert looked < SEEN_WITHIN


@pytest.mark.parametrize("who", EVERYBODY)
def test_operations_are_for_those_who_oversee_the_whole_study(study: OwnStudy, who: str) -> None:
    expected = 200 if who in OPERATING else 403
    assert study.read("operations.json", who).status_code == expected
    assert page(study, who).status_code == expected


def test_a_stranger_sees_no_study_and_a_visitor_signs_in_first(study: OwnStudy) -> None:
    assert study.read("operations.json", "monitor@rome").status_code == 404
    assert page(study, "monitor@rome").status_code == 404
    visitor = study.http.get(f"/analytics/studies/{study.study_id}/operations")
    assert (visitor.status_code, visitor.headers["location"].partition("?")[0]) == (303, "/session")
    assert study.http.get(study.address("operations.json", "analytics")).status_code == 401
