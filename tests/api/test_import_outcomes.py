"""Outcome of an import for every line: no line is lost silently, and no participant is registered twice."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from infra.exchange.fact_conversion import stated_content
from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as followup
from shared.testing.builders import toxicity_facts as toxicity
from tests.api.support.import_files import (
    CommandResult,
    fact_line,
    participant_lines,
    run_import,
    run_quartal,
    versions_by_participant,
    write_file,
)
from tests.api.support.study import StudyUnderTest, open_study
from tests.api.test_import_conflicts import start_import
from tests.demo import Demo


@pytest.fixture
def study(demo: Demo) -> Iterator[StudyUnderTest]:
    with open_study(demo) as study:
        yield study


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def read_report(command: CommandResult, report: Path) -> list[dict[str, Any]]:
    """The report's lines, whose outcomes are those that the summary counts."""
    report_lines = [json.loads(line) for line in report.read_text("utf-8").splitlines()]
    counts = Counter(line["outcome"] for line in report_lines)
    assert command.counts["sent"] == len(report_lines)
    assert command.counts.get("recorded", 0) == counts["recorded"]
    assert command.counts["refused"] == counts["refused"]
    return report_lines


def import_lines(
    study: StudyUnderTest, folder: Path, lines: list[str], *options: str
) -> tuple[CommandResult, list[dict[str, Any]]]:
    report = folder / "report.jsonl"
    command = run_import(study, write_file(folder, lines), "--report", str(report), *options)
    return command, read_report(command, report)


def outcome_codes(report_lines: list[dict[str, Any]]) -> list[str]:
    return [line["errors"][0]["code"] if line["errors"] else line["outcome"] for line in report_lines]


def lines_for_number(participant_id: str, *stated_facts: Any) -> list[str]:
    return [
        json.dumps({"type": fact.type_name, "participant": participant_id, "data": stated_content(fact)})
        for fact in stated_facts
    ]


def test_text_missing_from_the_record_is_refused_until_corrected(study: StudyUnderTest, folder: Path) -> None:
    participant_id = study.enroll_at("rome")
    assert (
        import_lines(study, folder, lines_for_number(participant_id, facts.procedure_performed()))[0].counts["recorded"]
        == 1
    )
    with_text = lines_for_number(participant_id, facts.procedure_performed(detail="complication: bleeding"))
    command, report = import_lines(study, folder, with_text)
    assert (command.code, outcome_codes(report)) == (1, ["text-not-recorded"])
    assert "bleeding" not in command.stdout + command.stderr + json.dumps(report)
    event = study.get(f"participants/{participant_id}/history").json()["events"][-1]["event_id"]
    correction = facts.correction(UUID(event), facts.procedure_performed(detail="complication: bleeding"))
    assert study.record_fact(participant_id, correction).status_code == 201
    command, report = import_lines(study, folder, with_text)
    assert (command.code, outcome_codes(report)) == (0, ["there-already"])


def test_lines_with_different_texts_are_two_facts_and_a_repeated_line_is_one(
    study: StudyUnderTest, folder: Path
) -> None:
    participant_id = study.enroll_at("rome")
    lines = lines_for_number(
        participant_id, *(facts.procedure_performed(detail=text) for text in ("text A", "text B", "text A"))
    )
    command, report = import_lines(study, folder, lines)
    assert outcome_codes(report) == ["recorded", "recorded", "repeated"]
    assert report[2]["repeats_line"] == 1
    assert "1 line repeats another line" in command.stdout
    texts = [
        event["data"]["detail"] for event in study.get(f"participants/{participant_id}/history").json()["events"][3:]
    ]
    assert texts == ["text A", "text B"]
    assert outcome_codes(import_lines(study, folder, lines)[1]) == ["there-already", "there-already", "repeated"]


def test_import_without_access_to_texts_reports_them_as_not_compared(study: StudyUnderTest, folder: Path) -> None:
    participant_id = study.enroll_at("rome")
    lines = lines_for_number(participant_id, facts.procedure_performed(detail="text A"))
    import_lines(study, folder, lines)
    token = study.demo.token("coordinator", None, study.study_id)
    command, report = import_lines(study, folder, lines, "--token", token)
    assert (command.code, outcome_codes(report)) == (0, ["text-not-compared"])
    assert "not compared" in command.stdout
    two_texts = [*lines, *lines_for_number(participant_id, facts.procedure_performed(detail="text B"))]
    assert outcome_codes(import_lines(study, folder, two_texts, "--token", token)[1]) == [
        "text-not-compared",
        "text-not-comparable",
    ]
    assert versions_by_participant(study)[participant_id] == 4


def test_import_names_new_and_recognized_participants(study: StudyUnderTest, folder: Path) -> None:
    lines = [fact_line(facts.participant_screened(), "r82"), fact_line(facts.consent_signed(), "r82")]
    dry_run, report = import_lines(study, folder, lines, "--dry-run")
    assert "The import would register 1 new participant: line 1, ref r82." in dry_run.stdout
    assert report[0] == {
        "line": 1,
        "type": "participant.screened",
        "outcome": "would-record",
        "new_participant": True,
        "errors": [],
    }
    first_import, report = import_lines(study, folder, lines)
    (participant_id,) = versions_by_participant(study)
    assert f"1 new participant was registered: line 1, ref r82, number {participant_id}." in first_import.stdout
    assert (report[0]["participant"], report[0]["new_participant"]) == (participant_id, True)
    for options in ((), ("--dry-run",)):
        repeated, report = import_lines(study, folder, lines, *options)
        assert (
            f"1 participant was recognized from an earlier import: line 1, ref r82, number {participant_id}."
            in repeated.stdout
        )
        assert (report[0]["participant"], report[0]["new_participant"]) == (participant_id, False)


@pytest.mark.parametrize("options", [("--dry-run",), ()])
def test_ref_used_for_another_screening_registers_nobody(
    study: StudyUnderTest, folder: Path, options: tuple[str, ...]
) -> None:
    lines = [
        fact_line(facts.participant_screened(), "r82"),
        fact_line(facts.consent_signed(), "r82"),
        fact_line(facts.participant_enrolled(), "r82"),
    ]
    import_lines(study, folder, lines)
    for changed in (facts.participant_screened(birth_year=1951), facts.participant_screened(local_reference="MRN 7")):
        command, report = import_lines(study, folder, [fact_line(changed, "r82"), *lines[1:]], *options)
        assert (command.code, outcome_codes(report)) == (1, ["ref-used-before"] * 3)
        assert "use another ref" in command.stdout
        assert list(versions_by_participant(study).values()) == [3]


def test_corrected_screening_is_recognized_by_its_ref(study: StudyUnderTest, folder: Path) -> None:
    lines = [fact_line(facts.participant_screened(), "r82"), fact_line(facts.consent_signed(), "r82")]
    import_lines(study, folder, lines)
    (participant_id,) = versions_by_participant(study)
    event = study.get(f"participants/{participant_id}/history").json()["events"][0]["event_id"]
    corrected_screening = facts.participant_screened(birth_year=1951, local_reference="MRN 7")
    assert study.record_fact(participant_id, facts.correction(UUID(event), corrected_screening)).status_code == 201
    command, report = import_lines(
        study, folder, [fact_line(corrected_screening, "r82"), lines[1], fact_line(facts.participant_enrolled(), "r82")]
    )
    assert (command.code, outcome_codes(report)) == (0, ["there-already", "there-already", "recorded"])
    other_screening = facts.participant_screened(birth_year=1951, local_reference="MRN 8")
    assert outcome_codes(import_lines(study, folder, [fact_line(other_screening, "r82")])[1]) == ["text-differs"]
    assert list(versions_by_participant(study)) == [participant_id]


def test_ref_with_facts_of_another_person_records_nothing(study: StudyUnderTest, folder: Path) -> None:
    """Two files use one ref for two people whose screenings say the same."""
    import_lines(
        study, folder, [fact_line(facts.participant_screened(), "rW1"), fact_line(facts.consent_signed(2), "rW1")]
    )
    second_file = [
        fact_line(facts.participant_screened(), "rW1"),
        fact_line(facts.consent_signed(3), "rW1"),
        fact_line(facts.procedure_performed(9), "rW1"),
    ]
    command, report = import_lines(study, folder, second_file)
    assert (command.code, outcome_codes(report)) == (1, ["ref-in-doubt"] * 3)
    assert list(versions_by_participant(study).values()) == [2]


def test_counts_of_existing_new_and_invalid_lines_add_up(study: StudyUnderTest, folder: Path) -> None:
    participant_id = study.enroll_at("rome")
    existing_lines = lines_for_number(participant_id, *(followup.vital_status_confirmed(day) for day in range(30, 47)))
    assert import_lines(study, folder, existing_lines)[0].counts["recorded"] == 17
    new_lines = lines_for_number(participant_id, *(followup.vital_status_confirmed(day) for day in range(60, 70)))
    data = {"alive_on": "2024-02-31", "source": "clinic"}
    invalid_line = json.dumps({"type": "vital_status.confirmed", "participant": participant_id, "data": data})
    lines = [*existing_lines, *existing_lines[:2], invalid_line, *new_lines]
    command, report = import_lines(study, folder, lines)
    assert command.code == 1
    assert command.counts == {"sent": 30, "recorded": 10, "there already": 19, "refused": 1}
    assert [line["line"] for line in report if line["outcome"] == "refused"] == [20]
    repeated, _ = import_lines(study, folder, lines)
    assert repeated.counts == {"sent": 30, "recorded": 0, "there already": 29, "refused": 1}


def test_concurrent_imports_count_each_fact_once(study: StudyUnderTest, folder: Path) -> None:
    file = write_file(folder, participant_lines(20))
    processes = [start_import(study, file) for _ in range(2)]
    counts = [CommandResult(0, process.communicate(timeout=120)[0], "").counts for process in processes]
    assert sum(count_by_outcome["recorded"] for count_by_outcome in counts) == 120
    assert all(count_by_outcome["recorded"] + count_by_outcome["there already"] == 120 for count_by_outcome in counts)


def test_unknown_site_is_named_in_the_refusal(study: StudyUnderTest, folder: Path) -> None:
    command, report = import_lines(
        study,
        folder,
        [fact_line(facts.participant_screened(site_id="paris"), "p0"), fact_line(facts.consent_signed(), "p0")],
    )
    assert outcome_codes(report) == ["no-such-site", "not-registered"]
    assert (report[0]["errors"][0]["pointer"], command.code) == ("/site_id", 1)
    assert "Its sites are rome, milan." in command.stdout


def test_exported_event_with_changed_content_is_not_overwritten(study: StudyUnderTest, folder: Path) -> None:
    participant_id = study.enroll_at("rome", facts.lesion_registered())
    file = folder / "study.jsonl"
    assert run_quartal(study.demo, "export", "facts", "--study", study.study_id, "--out", str(file)).code == 0
    (lesion,) = (json.loads(line) for line in file.read_text().splitlines() if "lesion.registered" in line)
    lesion["data"]["size_mm"] = 99
    command, report = import_lines(study, folder, [json.dumps(lesion)])
    assert outcome_codes(report) == ["event-says-otherwise"]
    assert "record.corrected" in command.stdout
    del lesion["event_id"]
    assert outcome_codes(import_lines(study, folder, [json.dumps(lesion)])[1])[0] not in ("recorded", "there-already")
    assert versions_by_participant(study)[participant_id] == 4


def test_export_states_its_visible_sites_and_end_time(study: StudyUnderTest, folder: Path) -> None:
    study.enroll_at("rome")
    study.enroll_at("milan")
    file, token = folder / "rome.jsonl", study.demo.token("site", "rome", study.study_id)
    result = run_quartal(study.demo, "export", "facts", "--study", study.study_id, "--out", str(file), "--token", token)
    assert result.code == 0
    assert "Only site rome is visible to this token: the file has the facts of 1 of 2 sites." in result.stderr
    assert "The file is complete up to " in result.stderr
    other_file = folder / "milan.jsonl"
    options = ("--out", str(other_file), "--site", "milan", "--token", token)
    refused = run_quartal(study.demo, "export", "facts", "--study", study.study_id, *options)
    assert (refused.code, other_file.exists()) == (1, False)
    assert "The token may see only the facts of rome." in refused.stderr
    assert [row["site_id"] for row in study.get("exports", "auditor").json()["rows"]] == [None]


@pytest.mark.parametrize("command", ["export", "import"])
def test_missing_folder_is_reported_with_a_sentence(study: StudyUnderTest, folder: Path, command: str) -> None:
    missing_path = str(folder / "missing" / "file.jsonl")
    if command == "export":
        result = run_quartal(study.demo, "export", "facts", "--study", study.study_id, "--out", missing_path)
    else:
        result = run_import(study, write_file(folder, participant_lines(1)), "--report", missing_path)
        assert versions_by_participant(study) == {}
    assert result.code == 2
    assert result.stderr.startswith("There is no folder ")
    assert "Traceback" not in result.stderr


def test_token_with_a_line_break_at_the_end_is_accepted(study: StudyUnderTest, folder: Path) -> None:
    token = study.demo.token("site", "rome", study.study_id)
    assert run_import(study, write_file(folder, participant_lines(1)), "--token", f"{token}\n").code == 0
    assert run_import(study, write_file(folder, participant_lines(1)), "--token", f"{token} x").code == 2


def test_import_into_an_unknown_study_is_refused_without_advice_to_repeat(study: StudyUnderTest, folder: Path) -> None:
    other = StudyUnderTest(study.demo, study.http)
    result = run_import(other, write_file(folder, participant_lines(1)))
    assert (result.code, result.counts["not decided"]) == (1, 6)
    assert "Nothing was imported: There is no study of that id" in result.stderr
    assert "again" not in result.stderr


def test_export_made_while_a_site_reports_can_be_imported(study: StudyUnderTest, folder: Path) -> None:
    """An export during writes may lack new facts, but contains everything that its facts depend on."""
    extra_facts = (toxicity.toxicity_assessed(30), followup.follow_up_recorded(30))
    for index in range(5):
        study.enroll_at("rome", local_reference=f"MRN {index}")
    import_process = start_import(study, write_file(folder, participant_lines(30, *extra_facts)))
    while len(versions_by_participant(study)) < 15:
        assert import_process.poll() is None, "it was done before it could be exported"
    file = folder / "meanwhile.jsonl"
    result = run_quartal(study.demo, "export", "facts", "--study", study.study_id, "--out", str(file))
    assert result.code == 0
    import_process.communicate(timeout=120)
    assert import_process.returncode == 0
    command = run_import(StudyUnderTest(study.demo, study.http), str(file))
    assert (command.code, command.counts["refused"]) == (0, 0), command


def test_table_with_an_unknown_column_or_criterion_is_refused_by_name(study: StudyUnderTest, folder: Path) -> None:
    table = folder / "screenings.csv"
    table.write_text(
        "type;ref;site_id;screened_on;sex;birth_year;criteria/age;remark\n"
        "participant.screened;p1;rome;2024-03-01;female;1950;met;x\n"
    )
    result = run_import(study, str(table))
    assert (
        result.code,
        result.stderr.startswith("The fact participant.screened has no member for column 8, remark"),
    ) == (
        2,
        True,
    )
    table.write_text(table.read_text().replace(";remark", ";").replace(";x\n", ";\n"))
    result = run_import(study, str(table))
    assert result.code == 1
    assert "no-such-criterion at /criteria/age (column criteria/age)" in result.stdout
    assert versions_by_participant(study) == {}
