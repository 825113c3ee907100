"""Files go in and come out through the command line, on a running stack."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from infra.reference.study import subject
from services.analytics.figures.registry import FIGURES
from shared.contracts.catalogue import FOLLOWUP
from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as followup
from shared.testing.builders import toxicity_facts as toxicity
from tests.api.support.import_files import (
    TREATMENT_FACTS,
    CommandResult,
    fact_line,
    participant_lines,
    run_import,
    run_quartal,
    versions_by_participant,
    write_file,
)
from tests.api.support.study import StudyUnderTest, body, open_study
from tests.demo import CHECKOUT, Demo

STUDY_SPECIFIC_MEMBERS = {"study_id", "position", "recorded_at", "participant_id", "epoch"}
"""Members of a figure that name what may differ between two studies of equal facts."""


@pytest.fixture
def study(demo: Demo) -> Iterator[StudyUnderTest]:
    with open_study(demo) as study:
        yield study


def test_file_imported_twice_is_recorded_once(study: StudyUnderTest, tmp_path: Path) -> None:
    file = write_file(tmp_path, participant_lines(3, facts.procedure_performed(), facts.procedure_performed(1)))
    first = run_import(study, file)
    assert (first.code, first.counts) == (0, {"sent": 24, "recorded": 24, "there already": 0, "refused": 0}), first
    recorded_versions = versions_by_participant(study)
    assert sorted(recorded_versions.values()) == [8, 8, 8]
    repeated = run_import(study, file)
    assert (repeated.code, repeated.counts) == (0, {"sent": 24, "recorded": 0, "there already": 24, "refused": 0}), (
        repeated
    )
    assert versions_by_participant(study) == recorded_versions


def test_extended_file_adds_only_new_facts(study: StudyUnderTest, tmp_path: Path) -> None:
    run_import(study, write_file(tmp_path, participant_lines(2)))
    second = run_import(study, write_file(tmp_path, participant_lines(3, facts.procedure_performed(detail="stent"))))
    assert second.counts == {"sent": 21, "recorded": 9, "there already": 12, "refused": 0}
    assert sorted(versions_by_participant(study).values()) == [7, 7, 7]


def test_csv_table_adds_facts_by_participant_number(study: StudyUnderTest, tmp_path: Path) -> None:
    participant_id = study.enroll_at("milan")
    table = tmp_path / "lines.csv"
    table.write_text(
        "participant;line_id;on;agents/0/name;setting;planned_cycles\r\n"
        f"{participant_id};S1;2024-03-07;doxorubicin;palliative;6\r\n",
        "utf-8-sig",
    )
    result = run_import(study, str(table), "--type", "systemic_therapy.started")
    assert (result.code, result.counts["recorded"]) == (0, 1), result
    assert versions_by_participant(study)[participant_id] == 4
    recorded_by = study.get(f"participants/{participant_id}/history", "site@milan").json()["events"][-1]["recorded_by"]
    assert recorded_by == subject(study.study_id, "site", "milan")


INVALID_LINES = [
    "not JSON",
    fact_line(facts.participant_enrolled(), "nobody"),
    '{"type": "participant.enrolled", "ref": "p0", "data": {"enrolled_on": "someday"}}',
    fact_line(facts.lesion_registered("L2", "2099"), "p0"),
    fact_line(facts.radiotherapy_started(2, "RT2", facts.target("T1", "L7"), index=False), "p1"),
    fact_line(facts.participant_screened(birth_year=2020), "young"),
    fact_line(facts.consent_signed(), "young"),
    fact_line(facts.procedure_performed(), "p1", participant="K7F2-9QXA-3"),
]
EXPECTED_CODES = {
    1: "malformed",
    2: "not-registered",
    3: "schema-value-error",
    4: "in-the-future",
    5: "no-such-lesion",
    6: "too-young",
    7: "not-registered",
    8: "participant-or-ref",
}


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_every_refused_line_is_reported_and_the_rest_is_recorded(
    study: StudyUnderTest, tmp_path: Path, options: tuple[str, ...]
) -> None:
    report = tmp_path / "refused.jsonl"
    result = run_import(
        study, write_file(tmp_path, INVALID_LINES + participant_lines(2)), "--report", str(report), *options
    )
    assert result.code == 1, result
    recorded = "would be recorded" if options else "recorded"
    assert result.counts == {"sent": 20, recorded: 12, "there already": 0, "refused": 8}, result
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    assert [line["line"] for line in lines] == list(range(1, 21))
    refused = [line for line in lines if line["outcome"] == "refused"]
    assert {line["line"]: line["errors"][0]["code"] for line in refused} == EXPECTED_CODES
    assert refused[3]["errors"][0]["pointer"] == "/found_on"
    assert {line["outcome"] for line in lines[8:]} == {"would-record" if options else "recorded"}
    assert report.stat().st_mode & 0o777 == 0o600
    assert [int(line_number) for line_number in re.findall(r"^line (\d+)", result.stdout, re.MULTILINE)] == sorted(
        EXPECTED_CODES
    )
    assert sorted(versions_by_participant(study).values()) == ([] if options else [6, 6])


def test_dry_run_records_nothing_and_recognizes_existing_facts(study: StudyUnderTest, tmp_path: Path) -> None:
    run_import(study, write_file(tmp_path, participant_lines(2)))
    recorded_versions = versions_by_participant(study)
    result = run_import(study, write_file(tmp_path, participant_lines(3, facts.procedure_performed())), "--dry-run")
    assert (result.code, result.counts) == (
        0,
        {"sent": 21, "would be recorded": 9, "there already": 12, "refused": 0},
    ), result
    assert versions_by_participant(study) == recorded_versions


def test_dry_run_checks_only_the_schema_of_facts_that_depend_on_unrecorded_ones(
    study: StudyUnderTest, tmp_path: Path
) -> None:
    assessed = {"assessed_on": "2024-02-01", "timepoint": "baseline", "findings": [], "checklist_complete": True}
    valid_line = json.dumps({"type": "toxicity.assessed", "ref": "p0", "data": assessed})
    invalid_line = json.dumps({"type": "toxicity.assessed", "ref": "p0", "data": {**assessed, "timepoint": "teatime"}})
    result = run_import(study, write_file(tmp_path, [*participant_lines(1), valid_line, invalid_line]), "--dry-run")
    assert result.counts == {
        "sent": 8,
        "would be recorded": 6,
        "there already": 0,
        "refused": 1,
        "checked by form only": 1,
    }, result
    assert result.code == 1


def test_killed_import_is_completed_by_the_next_one(study: StudyUnderTest, tmp_path: Path) -> None:
    file = write_file(tmp_path, participant_lines(60))
    process = subprocess.Popen(
        [sys.executable, "-m", "infra.cli", "import", file, "--study", study.study_id],
        cwd=CHECKOUT,
        env=study.demo.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while len([version for version in versions_by_participant(study).values() if version > 1]) < 3:
        assert process.poll() is None, "it was done before it could be killed"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    result = run_import(study, file)
    assert result.code == 0, result
    assert 0 < result.counts["there already"] < 360
    assert result.counts["recorded"] + result.counts["there already"] == 360
    assert list(versions_by_participant(study).values()) == [6] * 60


def figures_and_queries(study: StudyUnderTest) -> dict[str, Any]:
    study.wait_for_analytics()
    figures_by_name = {name: _without_study_specifics(study.figure(name, "coordinator")) for name in FIGURES}
    queries = study.get_analytics("queries.json", "coordinator").json()["rows"]
    return {**figures_by_name, "queries": sorted(query["rule"] for query in queries)}


def _without_study_specifics(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: _without_study_specifics(member)
            for name, member in value.items()
            if name not in STUDY_SPECIFIC_MEMBERS
        }
    if isinstance(value, list):
        return sorted((_without_study_specifics(member) for member in value), key=repr)
    return value


def add_difficult_participants(study: StudyUnderTest) -> None:
    """Records what makes an import difficult: corrections, voided facts, transfers, withdrawals."""
    study.enroll_at("milan", *TREATMENT_FACTS, facts.systemic_therapy_started())
    participant_id = study.enroll_at(
        "rome", *TREATMENT_FACTS, facts.procedure_performed(detail="private"), local_reference="MRN-1"
    )
    lesion = study.record_fact(participant_id, facts.lesion_registered("L2")).json()["event_id"]
    assert (
        study.record_fact(participant_id, facts.correction(UUID(lesion), facts.lesion_registered("L3", 5))).status_code
        == 201
    )
    assert study.record_fact(participant_id, facts.correction(UUID(lesion), None, reason="mine")).status_code == 201
    add_toxicity_and_follow_up(study, participant_id)
    assert study.record_fact(participant_id, facts.consent_withdrawn(40, reason="hers")).status_code == 201
    assert study.record_fact(participant_id, followup.participant_died("2024-04", detail="private")).status_code == 201
    withdrawn = study.enroll_at("rome", facts.procedure_performed(90))
    assert study.record_fact(withdrawn, facts.consent_withdrawn(40)).status_code == 201
    duplicate = study.enroll_at("rome")
    voided = facts.participant_voided("duplicate").model_copy(update={"duplicate_of": participant_id})
    assert study.record_fact(duplicate, voided).status_code == 201
    transferred = study.enroll_at("rome", facts.lesion_registered())
    assert study.record_fact(transferred, facts.participant_transferred("milan", 20)).status_code == 201
    assert study.record_fact(transferred, facts.radiotherapy_started(25), user="site@milan").status_code == 201
    waived_screening = facts.participant_screened(
        criteria={"histology": "met", "rt-indicated": "waived"}, waivers={"rt-indicated": "why"}
    )
    study.register(waived_screening, facts.screening_failed())


def add_toxicity_and_follow_up(study: StudyUnderTest, participant_id: str) -> None:
    """Toxicity and follow-up, with sealed texts, a fact that is restated and one that is void."""
    graded_finding = toxicity.finding(attribution=toxicity.attributions("course:RT1"))
    response = study.record_fact(
        participant_id, toxicity.toxicity_assessed(10, graded_finding, toxicity.finding("3.0:0664", None))
    )
    for fact in (
        facts.correction(
            UUID(response.json()["event_id"]), toxicity.toxicity_assessed(11, graded_finding), reason="private"
        ),
        toxicity.serious_event_reported("SAE1", 12),
        toxicity.serious_event_updated("SAE1"),
        toxicity.serious_event_resolved("SAE1"),
        followup.follow_up_recorded(30, "L1", note="private"),
        followup.disease_progressed(30, "L1"),
        followup.visit_missed(31),
        followup.lost_to_follow_up(32),
        followup.follow_up_resumed(33),
    ):
        assert study.record_fact(participant_id, fact).status_code == 201, fact
    voided_event = study.record_fact(participant_id, followup.vital_status_confirmed(34)).json()["event_id"]
    void = FOLLOWUP.correction(event_id=voided_event, reason_code="entered_in_error", replacement=None)
    path = study.address(f"participants/{participant_id}/facts/record.corrected", "followup")
    assert study.send(path, body(void)).status_code == 201


def export_facts(study: StudyUnderTest, file: Path, *options: str) -> CommandResult:
    result = run_quartal(study.demo, "export", "facts", "--study", study.study_id, "--out", str(file), *options)
    assert result.code == 0, result
    return result


def test_export_is_a_no_op_in_its_study_and_recreates_an_equal_study(study: StudyUnderTest, tmp_path: Path) -> None:
    add_difficult_participants(study)
    file = tmp_path / "study.jsonl"
    export_facts(study, file)
    lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    recorded_versions, figures_before = versions_by_participant(study), figures_and_queries(study)
    reimported = run_import(study, str(file))
    assert (reimported.code, reimported.counts) == (
        0,
        {"sent": len(lines), "recorded": 0, "there already": len(lines), "refused": 0},
    ), reimported
    assert versions_by_participant(study) == recorded_versions
    other = StudyUnderTest(study.demo, study.http)
    imported = run_import(other, str(file))
    assert imported.code == 0, imported
    grants = sum(line["type"].startswith("study.member_") for line in lines)
    assert imported.counts["left out"] == grants
    assert "stated as withheld: 3.\n" in imported.stdout  # a waiver, a reason why not graded, a narrative
    assert sorted(versions_by_participant(other).values()) == sorted(recorded_versions.values())
    assert not set(versions_by_participant(other)) & set(recorded_versions)
    assert figures_and_queries(other) == figures_before
    repeated = run_import(other, str(file))
    assert (repeated.counts["recorded"], repeated.counts["refused"]) == (0, 0), repeated


def test_export_contains_no_sealed_text(study: StudyUnderTest, tmp_path: Path) -> None:
    add_difficult_participants(study)
    for index, options in enumerate([(), ("--site", "rome")]):
        file = tmp_path / f"{index}.jsonl"
        export_facts(study, file, *options)
        assert not re.search("private|MRN-1|mine|hers|why", file.read_text("utf-8"))
        assert file.stat().st_mode & 0o077 == 0


def test_exports_are_logged_with_user_site_and_row_count(study: StudyUnderTest, tmp_path: Path) -> None:
    study.enroll_at("milan", facts.lesion_registered())
    study.enroll_at("rome")
    export_facts(study, tmp_path / "all.jsonl")
    export_facts(study, tmp_path / "rome.jsonl", "--site", "rome")
    study.get("facts", "monitor")
    rows = study.get("exports", "auditor").json()["rows"]
    assert [(row["what"], row["exported_by"], row["site_id"], row["rows"]) for row in rows] == [
        ("facts", subject(study.study_id, "coordinator"), None, 7),
        ("facts", subject(study.study_id, "site", "rome"), "rome", 3),
    ]
    first = study.get("exports", "auditor", limit=1).json()
    assert (first["rows"], study.get("exports", "auditor", after=first["next"]).json()["rows"]) == (rows[:1], rows[1:])


def test_refused_export_leaves_no_file(study: StudyUnderTest, tmp_path: Path) -> None:
    file = tmp_path / "none.jsonl"
    unknown_site = "The study has no such site. Its sites are rome, milan."
    for name, message, options in (
        ("no-such-study", "no study of that id", ()),
        (study.study_id, unknown_site, ("--site", "x")),
    ):
        result = run_quartal(study.demo, "export", "facts", "--study", name, "--out", str(file), *options)
        assert (result.code, list(tmp_path.iterdir())) == (1, [])
        assert message in result.stderr


def test_import_records_missing_grants_and_a_dry_run_reports_them(study: StudyUnderTest, tmp_path: Path) -> None:
    """The administrator is the only member of the new study."""
    file, other = tmp_path / "study.jsonl", StudyUnderTest(study.demo, study.http)
    export_facts(study, file)
    assert run_import(other, str(file)).code == 0
    result = run_import(other, write_file(tmp_path, participant_lines(1)), "--dry-run")
    assert result.counts["checked by form only"] == 6
    assert "before 3 grants are recorded" in result.stdout
    assert "5 of the study" in export_facts(other, file).stderr


def test_import_with_a_personal_token_records_what_it_may(study: StudyUnderTest, tmp_path: Path) -> None:
    lines = participant_lines(1) + [
        fact_line(fact, "m0") for fact in (facts.participant_screened(site_id="milan"), facts.consent_signed())
    ]
    file, token = write_file(tmp_path, lines), study.demo.token("site", "rome", study.study_id)
    result = run_import(study, file, "--token", token)
    assert (result.code, result.counts["recorded"], result.counts["refused"]) == (1, 6, 2), result
    invalid_token_result = run_import(study, file, "--token", f"{token[:-4]}AAAA")
    assert invalid_token_result.code == 1
    assert "token" in invalid_token_result.stderr


def test_template_is_valid_for_import(demo: Demo, tmp_path: Path) -> None:
    """Its example is of the reference study."""
    result = run_quartal(demo, "import", "--template", "participant.screened")
    assert (result.code, len(result.stdout.splitlines())) == (0, 2)
    file = tmp_path / "template.csv"
    file.write_text(result.stdout, "utf-8")
    dry_run = run_quartal(demo, "import", str(file), "--study", "atc-rt", "--dry-run")
    assert (dry_run.code, dry_run.counts["would be recorded"]) == (0, 1), dry_run


@pytest.mark.parametrize("arguments", [(), ("--template", "participant.admired"), ("nowhere.csv", "--study", "x")])
def test_invalid_import_arguments_exit_with_code_2(demo: Demo, arguments: tuple[str, ...]) -> None:
    assert run_quartal(demo, "import", *arguments).code == 2
