"""What an import says of every line: nothing is lost without a word, and nobody is registered twice."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from infra.exchange.fact import stated
from shared.testing import facts
from shared.testing import followup_facts as followup
from shared.testing import toxicity_facts as toxicity
from tests.api.files import Command, bring, line, people, quartal, versions, written
from tests.api.own_study import OwnStudy, own_study
from tests.api.test_import_trouble import importing
from tests.demo import Demo


@pytest.fixture
def study(demo: Demo) -> Iterator[OwnStudy]:
    with own_study(demo) as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def entries(command: Command, report: Path) -> list[dict[str, Any]]:
    """The report's lines, whose outcomes are those that the summary counts."""
    found = [json.loads(each) for each in report.read_text("utf-8").splitlines()]
    counts = Counter(each["outcome"] for each in found)
    assert command.counts["sent"] == len(found)
    assert command.counts.get("recorded", 0) == counts["recorded"]
    assert command.counts["refused"] == counts["refused"]
    return found


def brought(study: OwnStudy, folder: Path, lines: list[str], *more: str) -> tuple[Command, list[dict[str, Any]]]:
    report = folder / "report.jsonl"
    command = bring(study, written(folder, lines), "--report", str(report), *more)
    return command, entries(command, report)


def outcomes(found: list[dict[str, Any]]) -> list[str]:
    return [each["errors"][0]["code"] if each["errors"] else each["outcome"] for each in found]


def numbered(number: str, *told: Any) -> list[str]:
    return [json.dumps({"type": fact.type_name, "participant": number, "data": stated(fact)}) for fact in told]


def test_a_text_that_the_record_lacks_is_refused_until_it_is_corrected(study: OwnStudy, folder: Path) -> None:
    number = study.at_site("rome")
    assert brought(study, folder, numbered(number, facts.procedure()))[0].counts["recorded"] == 1
    with_text = numbered(number, facts.procedure(detail="complication: bleeding"))
    command, found = brought(study, folder, with_text)
    assert (command.code, outcomes(found)) == (1, ["text-not-recorded"])
    assert "bleeding" not in command.out + command.err + json.dumps(found)
    event = study.get(f"participants/{number}/history").json()["events"][-1]["event_id"]
    corrected = facts.correction(UUID(event), facts.procedure(detail="complication: bleeding"))
    assert study.state(number, corrected).status_code == 201
    command, found = brought(study, folder, with_text)
    assert (command.code, outcomes(found)) == (0, ["there-already"])


def test_two_lines_that_differ_in_their_text_are_two_facts_and_a_repeated_line_is_one(
    study: OwnStudy, folder: Path
) -> None:
    number = study.at_site("rome")
    told = numbered(number, *(facts.procedure(detail=text) for text in ("text A", "text B", "text A")))
    command, found = brought(study, folder, told)
    assert outcomes(found) == ["recorded", "recorded", "repeated"]
    assert found[2]["repeats_line"] == 1
    assert "1 line repeats another line" in command.out
    texts = [event["data"]["detail"] for event in study.get(f"participants/{number}/history").json()["events"][3:]]
    assert texts == ["text A", "text B"]
    assert outcomes(brought(study, folder, told)[1]) == ["there-already", "there-already", "repeated"]


def test_a_token_that_reads_no_texts_says_that_they_were_not_compared(study: OwnStudy, folder: Path) -> None:
    number = study.at_site("rome")
    told = numbered(number, facts.procedure(detail="text A"))
    brought(study, folder, told)
    token = study.demo.token("coordinator", None, study.study_id)
    command, found = brought(study, folder, told, "--token", token)
    assert (command.code, outcomes(found)) == (0, ["text-not-compared"])
    assert "not compared" in command.out
    both = [*told, *numbered(number, facts.procedure(detail="text B"))]
    assert outcomes(brought(study, folder, both, "--token", token)[1]) == ["text-not-compared", "text-not-comparable"]
    assert versions(study)[number] == 4


def test_new_participants_are_named_and_recognized(study: OwnStudy, folder: Path) -> None:
    told = [line(facts.screened(), "r82"), line(facts.consented(), "r82")]
    dry, found = brought(study, folder, told, "--dry-run")
    assert "The import would register 1 new participant: line 1, ref r82." in dry.out
    assert found[0] == {"line": 1, "type": "participant.screened", "outcome": "would-record", "new_participant": True,
                        "errors": []}  # fmt: skip
    first, found = brought(study, folder, told)
    (number,) = versions(study)
    assert f"1 new participant was registered: line 1, ref r82, number {number}." in first.out
    assert (found[0]["participant"], found[0]["new_participant"]) == (number, True)
    for options in ((), ("--dry-run",)):
        again, found = brought(study, folder, told, *options)
        assert f"1 participant was recognized from an earlier import: line 1, ref r82, number {number}." in again.out
        assert (found[0]["participant"], found[0]["new_participant"]) == (number, False)


@pytest.mark.parametrize("options", [("--dry-run",), ()])
def test_a_ref_that_was_used_for_another_screening_registers_nobody(
    study: OwnStudy, folder: Path, options: tuple[str, ...]
) -> None:
    told = [line(facts.screened(), "r82"), line(facts.consented(), "r82"), line(facts.enrolled(), "r82")]
    brought(study, folder, told)
    for changed in (facts.screened(birth_year=1951), facts.screened(local_reference="MRN 7")):
        command, found = brought(study, folder, [line(changed, "r82"), *told[1:]], *options)
        assert (command.code, outcomes(found)) == (1, ["ref-used-before"] * 3)
        assert "use another ref" in command.out
        assert list(versions(study).values()) == [3]


def test_a_screening_that_was_corrected_is_recognized_by_its_ref(study: OwnStudy, folder: Path) -> None:
    told = [line(facts.screened(), "r82"), line(facts.consented(), "r82")]
    brought(study, folder, told)
    (number,) = versions(study)
    event = study.get(f"participants/{number}/history").json()["events"][0]["event_id"]
    right = facts.screened(birth_year=1951, local_reference="MRN 7")
    assert study.state(number, facts.correction(UUID(event), right)).status_code == 201
    command, found = brought(study, folder, [line(right, "r82"), told[1], line(facts.enrolled(), "r82")])
    assert (command.code, outcomes(found)) == (0, ["there-already", "there-already", "recorded"])
    other = facts.screened(birth_year=1951, local_reference="MRN 8")
    assert outcomes(brought(study, folder, [line(other, "r82")])[1]) == ["text-differs"]
    assert list(versions(study)) == [number]


def test_a_ref_whose_facts_are_somebody_elses_states_nothing(study: OwnStudy, folder: Path) -> None:
    """Two files use one ref for two people whose screenings say the same."""
    brought(study, folder, [line(facts.screened(), "rW1"), line(facts.consented(2), "rW1")])
    week2 = [line(facts.screened(), "rW1"), line(facts.consented(3), "rW1"), line(facts.procedure(9), "rW1")]
    command, found = brought(study, folder, week2)
    assert (command.code, outcomes(found)) == (1, ["ref-in-doubt"] * 3)
    assert list(versions(study).values()) == [2]


def test_lines_that_are_there_and_lines_that_are_wrong_add_up(study: OwnStudy, folder: Path) -> None:
    number = study.at_site("rome")
    there = numbered(number, *(followup.alive(day) for day in range(30, 47)))
    assert brought(study, folder, there)[0].counts["recorded"] == 17
    new = numbered(number, *(followup.alive(day) for day in range(60, 70)))
    data = {"alive_on": "2024-02-31", "source": "clinic"}
    bad = json.dumps({"type": "vital_status.confirmed", "participant": number, "data": data})
    told = [*there, *there[:2], bad, *new]
    command, found = brought(study, folder, told)
    assert command.code == 1
    assert command.counts == {"sent": 30, "recorded": 10, "there already": 19, "refused": 1}
    assert [each["line"] for each in found if each["outcome"] == "refused"] == [20]
    again, _ = brought(study, folder, told)
    assert again.counts == {"sent": 30, "recorded": 0, "there already": 29, "refused": 1}


def test_two_imports_at_once_count_each_fact_once(study: OwnStudy, folder: Path) -> None:
    file = written(folder, people(20))
    both = [importing(study, file) for _ in range(2)]
    counted = [Command(0, each.communicate(timeout=120)[0], "").counts for each in both]
    assert sum(each["recorded"] for each in counted) == 120
    assert all(each["recorded"] + each["there already"] == 120 for each in counted)


def test_a_site_that_the_study_does_not_have_is_named(study: OwnStudy, folder: Path) -> None:
    command, found = brought(
        study, folder, [line(facts.screened(site_id="paris"), "p0"), line(facts.consented(), "p0")]
    )
    assert outcomes(found) == ["no-such-site", "not-registered"]
    assert (found[0]["errors"][0]["pointer"], command.code) == ("/site_id", 1)
    assert "Its sites are rome, milan." in command.out


def test_an_event_that_an_export_names_is_not_overwritten(study: OwnStudy, folder: Path) -> None:
    number = study.at_site("rome", facts.lesion())
    out = folder / "study.jsonl"
    assert quartal(study.demo, "export", "facts", "--study", study.study_id, "--out", str(out)).code == 0
    (lesion,) = (json.loads(each) for each in out.read_text().splitlines() if "lesion.registered" in each)
    lesion["data"]["size_mm"] = 99
    command, found = brought(study, folder, [json.dumps(lesion)])
    assert outcomes(found) == ["event-says-otherwise"]
    assert "record.corrected" in command.out
    del lesion["event_id"]
    assert outcomes(brought(study, folder, [json.dumps(lesion)])[1])[0] not in ("recorded", "there-already")
    assert versions(study)[number] == 4


def test_an_export_says_of_what_it_is_and_until_when(study: OwnStudy, folder: Path) -> None:
    study.at_site("rome")
    study.at_site("milan")
    out, token = folder / "rome.jsonl", study.demo.token("site", "rome", study.study_id)
    told = quartal(study.demo, "export", "facts", "--study", study.study_id, "--out", str(out), "--token", token)
    assert told.code == 0
    assert "Only site rome is visible to this token: the file has what 1 of 2 sites stated." in told.err
    assert "The file has everything that was recorded before " in told.err
    other = folder / "milan.jsonl"
    options = ("--out", str(other), "--site", "milan", "--token", token)
    refused = quartal(study.demo, "export", "facts", "--study", study.study_id, *options)
    assert (refused.code, other.exists()) == (1, False)
    assert "The token sees the facts of rome only." in refused.err
    assert [row["site_id"] for row in study.get("exports", "auditor").json()["rows"]] == [None]


@pytest.mark.parametrize("command", ["export", "import"])
def test_a_folder_that_is_not_there_is_a_sentence(study: OwnStudy, folder: Path, command: str) -> None:
    missing = str(folder / "missing" / "file.jsonl")
    if command == "export":
        told = quartal(study.demo, "export", "facts", "--study", study.study_id, "--out", missing)
    else:
        told = bring(study, written(folder, people(1)), "--report", missing)
        assert versions(study) == {}
    assert told.code == 2
    assert told.err.startswith("There is no folder ")
    assert "Traceback" not in told.err


def test_a_token_with_a_line_end_is_a_token(study: OwnStudy, folder: Path) -> None:
    token = study.demo.token("site", "rome", study.study_id)
    assert bring(study, written(folder, people(1)), "--token", f"{token}\n").code == 0
    assert bring(study, written(folder, people(1)), "--token", f"{token} x").code == 2


def test_a_study_that_is_not_there_is_said_and_nothing_is_to_be_repeated(study: OwnStudy, folder: Path) -> None:
    other = OwnStudy(study.demo, study.http)
    told = bring(other, written(folder, people(1)))
    assert (told.code, told.counts["not decided"]) == (1, 6)
    assert "Nothing was imported: There is no study of that id" in told.err
    assert "again" not in told.err


def test_an_export_that_is_made_while_a_site_reports_can_be_imported(study: OwnStudy, folder: Path) -> None:
    """Whatever it has of what came meanwhile, nothing in it depends on what it lacks."""
    more = (toxicity.assessed(30), followup.contact(30))
    for place in range(5):
        study.at_site("rome", local_reference=f"MRN {place}")
    reporting = importing(study, written(folder, people(30, *more)))
    while len(versions(study)) < 15:
        assert reporting.poll() is None, "it was done before it could be exported"
    out = folder / "meanwhile.jsonl"
    told = quartal(study.demo, "export", "facts", "--study", study.study_id, "--out", str(out))
    assert told.code == 0
    reporting.communicate(timeout=120)
    assert reporting.returncode == 0
    command = bring(OwnStudy(study.demo, study.http), str(out))
    assert (command.code, command.counts["refused"]) == (0, 0), command


def test_a_table_names_criteria_and_columns_that_are_not_the_studys(study: OwnStudy, folder: Path) -> None:
    table = folder / "screenings.csv"
    table.write_text(
        "type;ref;site_id;screened_on;sex;birth_year;criteria/age;remark\n"
        "participant.screened;p1;rome;2024-03-01;female;1950;met;x\n"
    )
    told = bring(study, str(table))
    assert (told.code, told.err.startswith("The fact participant.screened has no member for column 8, remark")) == (
        2,
        True,
    )
    table.write_text(table.read_text().replace(";remark", ";").replace(";x\n", ";\n"))
    told = bring(study, str(table))
    assert told.code == 1
    assert "no-such-criterion at /criteria/age (column criteria/age)" in told.out
    assert versions(study) == {}
