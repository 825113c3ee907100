"""`quartal clock advance`, as its user types it at the running demo."""

from __future__ import annotations

import re
import subprocess
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from infra.local.data_folder import DataFolder
from shared.clock_file import ClockFile
from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as followup
from tests.api.support.clock import write_days
from tests.api.support.study import StudyUnderTest, find_event_id, open_study
from tests.demo import Demo
from tests.quartal_command import run_quartal


def advance(demo: Demo, study_id: str, *options: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return run_quartal(["clock", "advance", "--study", study_id, *options], {**demo.environment, **settings})


def timeline(study: StudyUnderTest, participant_id: str) -> dict[str, Any]:
    answer = study.get_analytics(f"participants/{participant_id}/timeline.json")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def days(study: StudyUnderTest, participant_id: str) -> dict[str, str]:
    return {entry["event_id"]: entry["day"] for entry in timeline(study, participant_id)["entries"]}


def test_study_goes_on_day_by_day_and_its_recorded_days_stay(demo: Demo) -> None:
    with open_study(demo) as study:
        participant_id = study.wait_until_known(study.enroll_at("rome"))
        today = date.fromisoformat(timeline(study, participant_id)["today"])
        in_three_days = facts.procedure_performed((today + timedelta(days=3)).isoformat())
        assert study.record_fact(participant_id, facts.procedure_performed(str(today.year))).status_code == 201
        assert study.record_fact(participant_id, in_three_days).status_code == 422
        study.wait_for_analytics()
        before = days(study, participant_id)

        result = advance(demo, study.study_id, "--days", "3")
        assert result.returncode == 0, result.stderr
        reported_days = re.findall(r"it is (\S+)\.", result.stdout)
        assert reported_days == [(today + timedelta(days=day)).isoformat() for day in (1, 2, 3)]
        assert f"all {study.expected_position} facts" in result.stdout
        assert days(study, participant_id) == before
        assert date.fromisoformat(timeline(study, participant_id)["today"]) == today + timedelta(days=3)
        assert study.record_fact(participant_id, in_three_days).status_code == 201
        with open_study(demo) as other:
            other_number = other.wait_until_known(other.enroll_at("rome"))
            assert other.record_fact(other_number, in_three_days).status_code == 422


def test_clock_that_steps_back_refuses_nothing_that_was_recorded_and_moves_no_day(demo: Demo) -> None:
    with open_study(demo) as study:
        participant_id = study.wait_until_known(study.enroll_at("rome"))
        assert advance(demo, study.study_id, "--days", "2").returncode == 0
        tomorrow = date.fromisoformat(timeline(study, participant_id)["today"]) - timedelta(days=1)
        assert study.record_fact(participant_id, facts.procedure_performed(tomorrow.isoformat())).status_code == 201
        assert study.record_fact(participant_id, followup.participant_died(f"{tomorrow:%Y}")).status_code == 201
        study.wait_for_analytics()
        before, figure = days(study, participant_id), study.figure("flow", cut=date(2025, 1, 1).isoformat())

        write_days(demo, study.study_id, 0)
        assert days(study, participant_id) == before
        assert study.figure("flow", cut=date(2025, 1, 1).isoformat()) == figure
        assert study.record_fact(participant_id, facts.lesion_registered("L1", "2025-01-02")).status_code == 201
        study.wait_for_analytics()
        assert days(study, participant_id).items() > before.items()
        lesion = UUID(find_event_id(study, participant_id, "lesion.registered"))
        assert study.record_fact(participant_id, facts.correction(lesion, None)).status_code == 201
        study.wait_for_analytics()
        assert days(study, participant_id) == before


def test_study_that_does_not_exist_is_not_advanced(demo: Demo) -> None:
    result = advance(demo, "no-such-study")
    assert (result.returncode, result.stderr) == (2, "There is no study no-such-study.\n")
    assert "no-such-study" not in ClockFile(DataFolder(demo.data).clock_file).advanced_days()


@pytest.mark.parametrize("number_of_days", ["0", "-1", "many"])
def test_only_days_to_come_are_accepted(demo: Demo, number_of_days: str) -> None:
    assert advance(demo, "atc-rt", f"--days={number_of_days}").returncode == 2


def test_deployment_is_not_advanced(demo: Demo, tmp_path: Path) -> None:
    """The command refuses a data folder that no `quartal up` holds, whatever the settings of a deployment."""
    result = advance(demo, "atc-rt", QUARTAL_DATA=str(tmp_path))
    assert result.returncode == 1
    assert "can be advanced" in result.stderr
    assert not (tmp_path / "clock.json").exists()
