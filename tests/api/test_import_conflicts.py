"""Files that contradict themselves, and imports that others get in the way of."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as followup
from shared.testing.builders import toxicity_facts as toxicity
from tests.api.support.import_files import (
    ENROLLMENT_FACTS,
    fact_line,
    participant_lines,
    run_import,
    versions_by_participant,
    write_file,
)
from tests.api.support.study import StudyUnderTest, open_study
from tests.chaos.support.processes import find_processes
from tests.demo import CHECKOUT, Demo

REGISTRATION_LINES = [fact_line(fact, "p0") for fact in ENROLLMENT_FACTS]


@pytest.fixture
def study(demo: Demo) -> Iterator[StudyUnderTest]:
    with open_study(demo) as study:
        yield study


def count_facts(study: StudyUnderTest, service: str) -> int:
    """Returns the number of participants' facts in the service."""
    return len(study.get_from(service, "facts", "coordinator", limit=1000).json()["rows"])


def start_import(study: StudyUnderTest, file: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "infra.cli", "import", file, "--study", study.study_id]
    return subprocess.Popen(
        command,
        cwd=CHECKOUT,
        env=study.demo.environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


@pytest.mark.parametrize("options", [("--dry-run",), ()])
def test_contradictory_file_has_only_its_invalid_line_refused(
    study: StudyUnderTest, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """A death before the birth contradicts the contacts and the true death; without it they are recorded."""
    assert run_import(study, write_file(tmp_path, REGISTRATION_LINES)).code == 0
    valid_facts = [
        followup.follow_up_recorded(30),
        followup.follow_up_recorded(60),
        followup.participant_died("2024-06"),
        toxicity.toxicity_assessed(30),
    ]
    lines = [
        fact_line(followup.participant_died("1900"), "p0"),
        *(fact_line(fact, "p0") for fact in valid_facts),
        REGISTRATION_LINES[0],
    ]
    report = tmp_path / "refused.jsonl"
    result = run_import(study, write_file(tmp_path, lines), "--report", str(report), *options)
    entries = [json.loads(line) for line in report.read_text().splitlines()]
    refused = [entry for entry in entries if entry["outcome"] == "refused"]
    assert [(entry["line"], entry["errors"][0]["code"]) for entry in refused] == [(1, "before-birth")]
    recorded = "would be recorded" if options else "recorded"
    assert result.counts == {"sent": 6, recorded: 4, "there already": 1, "refused": 1}, result
    assert count_facts(study, "followup") == (0 if options else 3)


@contextmanager
def paused_worker(demo: Demo, service: str) -> Iterator[None]:
    """Pauses the service's worker for the block, so that it applies no events of other services."""
    (worker,) = (
        pid for pid, command in find_processes(demo.data).items() if re.match(rf"\S+ -m services.{service} w", command)
    )
    os.kill(worker, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(worker, signal.SIGCONT)


@pytest.mark.parametrize("service", ["toxicity", "followup"])
def test_import_of_a_transferred_participant_records_nothing_twice(
    study: StudyUnderTest, tmp_path: Path, service: str
) -> None:
    """The file now has the transfer, which the other services have not received yet."""
    lines = [
        *REGISTRATION_LINES,
        fact_line(toxicity.toxicity_assessed(30), "p0"),
        fact_line(followup.follow_up_recorded(30), "p0"),
    ]
    assert run_import(study, write_file(tmp_path, lines)).code == 0
    later_facts = [
        facts.participant_transferred("milan", 40),
        toxicity.toxicity_assessed(60),
        followup.follow_up_recorded(60),
    ]
    with paused_worker(study.demo, service):
        process = start_import(study, write_file(tmp_path, [*lines, *(fact_line(fact, "p0") for fact in later_facts)]))
        while count_facts(study, "enrollment") < 4:
            assert process.poll() is None, "it was done before it could be held up"
        for _ in range(50):  # answers to us, and between them to the import, which looks for what is there
            count_facts(study, service)
    stdout, stderr = process.communicate(timeout=120)
    summary = "8 lines: 3 were recorded, 5 are there already, 0 were refused."
    assert (process.returncode, stdout.splitlines()[0]) == (0, summary), stderr
    assert [count_facts(study, service) for service in ("enrollment", "toxicity", "followup")] == [4, 2, 2]


def test_concurrent_imports_of_one_file_record_it_once(study: StudyUnderTest, tmp_path: Path) -> None:
    count = 30
    transfer = facts.participant_transferred("milan", 40)
    file = write_file(
        tmp_path,
        participant_lines(
            count,
            transfer,
            toxicity.toxicity_assessed(30),
            followup.follow_up_recorded(30),
            followup.follow_up_recorded(60),
        ),
    )
    processes = [start_import(study, file) for _ in range(2)]
    for process in processes:
        stdout, stderr = process.communicate(timeout=120)
        assert process.returncode == 0, (stdout[-2000:], stderr)
    assert [count_facts(study, service) for service in ("enrollment", "toxicity", "followup")] == [
        count * 7,
        count,
        count * 2,
    ]


def test_interrupted_import_reports_progress_and_how_to_continue(study: StudyUnderTest, tmp_path: Path) -> None:
    process = start_import(study, write_file(tmp_path, participant_lines(60)))
    while not versions_by_participant(study):
        assert process.poll() is None, "it was done before it could be interrupted"
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert " lines: " in stdout
    assert stderr == "The import is incomplete: It was interrupted. Run the command again to continue.\n"


def test_facts_of_a_voided_participant_can_be_imported(study: StudyUnderTest, tmp_path: Path) -> None:
    facts_and_void = [facts.participant_voided(), toxicity.toxicity_assessed(30), followup.follow_up_recorded(30)]
    result = run_import(
        study, write_file(tmp_path, [fact_line(fact, "p0") for fact in (*facts_and_void, *ENROLLMENT_FACTS)])
    )
    assert (result.code, result.counts["recorded"]) == (0, 6), result
