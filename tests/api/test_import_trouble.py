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

from shared.testing import facts
from shared.testing import followup_facts as followup
from shared.testing import toxicity_facts as toxicity
from tests.api.files import ON_STUDY, bring, line, people, versions, written
from tests.api.own_study import OwnStudy, own_study
from tests.chaos.processes import processes_of
from tests.demo import CHECKOUT, Demo

REGISTERED = [line(fact, "p0") for fact in ON_STUDY]


@pytest.fixture
def study(demo: Demo) -> Iterator[OwnStudy]:
    with own_study(demo) as opened:
        yield opened


def stated(study: OwnStudy, service: str) -> int:
    """How many facts of the study's participants the service has."""
    return len(study.of(service, "facts", "coordinator", limit=1000).json()["rows"])


def importing(study: OwnStudy, file: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "infra.cli", "import", file, "--study", study.study_id]
    return subprocess.Popen(
        command, cwd=CHECKOUT, env=study.demo.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip


@pytest.mark.parametrize("options", [("--dry-run",), ()])
def test_only_the_line_that_is_wrong_is_refused_whatever_it_contradicts(
    study: OwnStudy, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """Beside a death before the birth, the contacts and the true death cannot be; without it they stand."""
    assert bring(study, written(tmp_path, REGISTERED)).code == 0
    rest = [followup.contact(30), followup.contact(60), followup.died("2024-06"), toxicity.assessed(30)]
    lines = [line(followup.died("1900"), "p0"), *(line(fact, "p0") for fact in rest), REGISTERED[0]]
    report = tmp_path / "refused.jsonl"
    told = bring(study, written(tmp_path, lines), "--report", str(report), *options)
    entries = [json.loads(each) for each in report.read_text().splitlines()]
    refused = [each for each in entries if each["outcome"] == "refused"]
    assert [(each["line"], each["errors"][0]["code"]) for each in refused] == [(1, "before-birth")]
    recorded = "would be recorded" if options else "recorded"
    assert told.counts == {"sent": 6, recorded: 4, "there already": 1, "refused": 1}, told
    assert stated(study, "followup") == (0 if options else 3)


@contextmanager
def hears_nothing(demo: Demo, service: str) -> Iterator[None]:
    """Meanwhile the service does not take in what others publish."""
    (worker,) = (
        pid for pid, said in processes_of(demo.data).items() if re.match(rf"\S+ -m services.{service} w", said)
    )
    os.kill(worker, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(worker, signal.SIGCONT)


@pytest.mark.parametrize("service", ["toxicity", "followup"])
def test_who_is_handed_over_has_nothing_stated_twice(study: OwnStudy, tmp_path: Path, service: str) -> None:
    """When a grown file tells of the transfer, the other services have not heard of it yet."""
    told = [*REGISTERED, line(toxicity.assessed(30), "p0"), line(followup.contact(30), "p0")]
    assert bring(study, written(tmp_path, told)).code == 0
    more = [facts.transferred("milan", 40), toxicity.assessed(60), followup.contact(60)]
    with hears_nothing(study.demo, service):
        grown = importing(study, written(tmp_path, [*told, *(line(fact, "p0") for fact in more)]))
        while stated(study, "enrollment") < 4:
            assert grown.poll() is None, "it was done before it could be held up"
        for _ in range(50):  # answers to us, and between them to the import, which looks for what is there
            stated(study, service)
    out, err = grown.communicate(timeout=120)
    summary = "8 lines: 3 were recorded, 5 are there already, 0 were refused."
    assert (grown.returncode, out.splitlines()[0]) == (0, summary), err
    assert [stated(study, service) for service in ("enrollment", "toxicity", "followup")] == [4, 2, 2]


def test_two_imports_of_one_file_at_once_state_it_once(study: OwnStudy, tmp_path: Path) -> None:
    count = 30
    moved = facts.transferred("milan", 40)
    file = written(tmp_path, people(count, moved, toxicity.assessed(30), followup.contact(30), followup.contact(60)))
    both = [importing(study, file) for _ in range(2)]
    for each in both:
        out, err = each.communicate(timeout=120)
        assert each.returncode == 0, (out[-2000:], err)
    assert [stated(study, service) for service in ("enrollment", "toxicity", "followup")] == [
        count * 7, count, count * 2
    ]  # fmt: skip


def test_an_import_that_is_interrupted_says_what_it_did_and_how_to_go_on(study: OwnStudy, tmp_path: Path) -> None:
    begun = importing(study, written(tmp_path, people(60)))
    while not versions(study):
        assert begun.poll() is None, "it was done before it could be interrupted"
        time.sleep(0.005)
    begun.send_signal(signal.SIGINT)
    out, err = begun.communicate(timeout=60)
    assert begun.returncode == 1
    assert " lines: " in out
    assert err == "The import has not come to its end: It was interrupted. Run it again: it goes on from there.\n"


def test_a_record_that_is_void_has_what_was_stated_of_it(study: OwnStudy, tmp_path: Path) -> None:
    more = [facts.voided(), toxicity.assessed(30), followup.contact(30)]
    told = bring(study, written(tmp_path, [line(fact, "p0") for fact in (*more, *ON_STUDY)]))
    assert (told.code, told.counts["recorded"]) == (0, 6), told
