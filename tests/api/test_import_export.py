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
from shared.contracts.catalogue import FOLLOWUP
from shared.testing import facts
from shared.testing import followup_facts as followup
from shared.testing import toxicity_facts as toxicity
from tests.api.files import TREATED, Command, bring, line, people, quartal, versions, written
from tests.api.own_study import OwnStudy, body, own_study
from tests.demo import CHECKOUT, Demo

FIGURES = ("flow", "accrual", "treatments")
OWN = {"study_id", "position", "recorded_at", "participant_id", "epoch"}
"""Members of a figure that name what may differ between two studies of equal facts."""


@pytest.fixture
def study(demo: Demo) -> Iterator[OwnStudy]:
    with own_study(demo) as opened:
        yield opened


def test_a_file_is_imported_once_however_often_it_is_sent(study: OwnStudy, tmp_path: Path) -> None:
    file = written(tmp_path, people(3, facts.procedure(), facts.procedure(1)))
    first = bring(study, file)
    assert (first.code, first.counts) == (0, {"sent": 24, "recorded": 24, "there already": 0, "refused": 0}), first
    there = versions(study)
    assert sorted(there.values()) == [8, 8, 8]
    again = bring(study, file)
    assert (again.code, again.counts) == (0, {"sent": 24, "recorded": 0, "there already": 24, "refused": 0}), again
    assert versions(study) == there


def test_a_file_that_has_grown_adds_what_is_new(study: OwnStudy, tmp_path: Path) -> None:
    bring(study, written(tmp_path, people(2)))
    grown = bring(study, written(tmp_path, people(3, facts.procedure(detail="stent"))))
    assert grown.counts == {"sent": 21, "recorded": 9, "there already": 12, "refused": 0}
    assert sorted(versions(study).values()) == [7, 7, 7]


def test_a_table_adds_to_participants_by_their_numbers(study: OwnStudy, tmp_path: Path) -> None:
    number = study.at_site("milan")
    table = tmp_path / "lines.csv"
    table.write_text(
        "participant;line_id;on;agents/0/name;setting;planned_cycles\r\n"
        f"{number};S1;2024-03-07;doxorubicin;palliative;6\r\n", "utf-8-sig",
    )  # fmt: skip
    told = bring(study, str(table), "--type", "systemic_therapy.started")
    assert (told.code, told.counts["recorded"]) == (0, 1), told
    assert versions(study)[number] == 4
    recorded_by = study.get(f"participants/{number}/history", "site@milan").json()["events"][-1]["recorded_by"]
    assert recorded_by == subject(study.study_id, "site", "milan")


WRONG = [
    "not JSON",
    line(facts.enrolled(), "nobody"),
    '{"type": "participant.enrolled", "ref": "p0", "data": {"enrolled_on": "someday"}}',
    line(facts.lesion("L2", "2099"), "p0"),
    line(facts.course(2, "RT2", facts.target("T1", "L7"), index=False), "p1"),
    line(facts.screened(birth_year=2020), "young"),
    line(facts.consented(), "young"),
    line(facts.procedure(), "p1", participant="K7F2-9QXA-3"),
]
CODES = {1: "malformed", 2: "not-registered", 3: "schema-value-error", 4: "in-the-future", 5: "no-such-lesion",
         6: "too-young", 7: "not-registered", 8: "participant-or-ref"}  # fmt: skip


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_every_refusal_is_told_with_its_line_and_the_rest_stands(
    study: OwnStudy, tmp_path: Path, options: tuple[str, ...]
) -> None:
    report = tmp_path / "refused.jsonl"
    told = bring(study, written(tmp_path, WRONG + people(2)), "--report", str(report), *options)
    assert told.code == 1, told
    recorded = "would be recorded" if options else "recorded"
    assert told.counts == {"sent": 20, recorded: 12, "there already": 0, "refused": 8}, told
    lines = [json.loads(each) for each in report.read_text().splitlines()]
    assert [each["line"] for each in lines] == list(range(1, 21))
    refused = [each for each in lines if each["outcome"] == "refused"]
    assert {each["line"]: each["errors"][0]["code"] for each in refused} == CODES
    assert refused[3]["errors"][0]["pointer"] == "/found_on"
    assert {each["outcome"] for each in lines[8:]} == {"would-record" if options else "recorded"}
    assert report.stat().st_mode & 0o777 == 0o600
    assert [int(number) for number in re.findall(r"^line (\d+)", told.out, re.MULTILINE)] == sorted(CODES)
    assert sorted(versions(study).values()) == ([] if options else [6, 6])


def test_a_dry_run_records_nothing_and_knows_what_is_there(study: OwnStudy, tmp_path: Path) -> None:
    bring(study, written(tmp_path, people(2)))
    there = versions(study)
    dry = bring(study, written(tmp_path, people(3, facts.procedure())), "--dry-run")
    assert (dry.code, dry.counts) == (
        0, {"sent": 21, "would be recorded": 9, "there already": 12, "refused": 0},
    ), dry  # fmt: skip
    assert versions(study) == there


def test_what_depends_on_facts_that_are_not_recorded_yet_is_checked_by_form(study: OwnStudy, tmp_path: Path) -> None:
    assessed = {"assessed_on": "2024-02-01", "timepoint": "baseline", "findings": [], "checklist_complete": True}
    known = json.dumps({"type": "toxicity.assessed", "ref": "p0", "data": assessed})
    wrong = json.dumps({"type": "toxicity.assessed", "ref": "p0", "data": {**assessed, "timepoint": "teatime"}})
    dry = bring(study, written(tmp_path, [*people(1), known, wrong]), "--dry-run")
    assert dry.counts == {
        "sent": 8, "would be recorded": 6, "there already": 0, "refused": 1, "checked by form only": 1,
    }, dry  # fmt: skip
    assert dry.code == 1


def test_an_import_that_is_killed_is_completed_by_the_next(study: OwnStudy, tmp_path: Path) -> None:
    file = written(tmp_path, people(60))
    begun = subprocess.Popen(
        [sys.executable, "-m", "infra.cli", "import", file, "--study", study.study_id],
        cwd=CHECKOUT, env=study.demo.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while len([each for each in versions(study).values() if each > 1]) < 3:
        assert begun.poll() is None, "it was done before it could be killed"
        time.sleep(0.005)
    begun.send_signal(signal.SIGKILL)
    begun.wait()
    done = bring(study, file)
    assert done.code == 0, done
    assert 0 < done.counts["there already"] < 360
    assert done.counts["recorded"] + done.counts["there already"] == 360
    assert list(versions(study).values()) == [6] * 60


def figures(study: OwnStudy) -> dict[str, Any]:
    study.position()
    seen = {name: _without_names(study.figure(name, "coordinator")) for name in FIGURES}
    queries = study.read("queries.json", "coordinator").json()["rows"]
    return {**seen, "queries": sorted(query["rule"] for query in queries)}


def _without_names(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_names(member) for name, member in value.items() if name not in OWN}
    if isinstance(value, list):
        return sorted((_without_names(member) for member in value), key=repr)
    return value


def eventful(study: OwnStudy) -> None:
    """Participants of whom everything is stated that makes an import difficult: corrections, voids, closed doors."""
    study.at_site("milan", *TREATED, facts.line())
    number = study.at_site("rome", *TREATED, facts.procedure(detail="private"), local_reference="MRN-1")
    lesion = study.state(number, facts.lesion("L2")).json()["event_id"]
    assert study.state(number, facts.correction(UUID(lesion), facts.lesion("L3", 5))).status_code == 201
    assert study.state(number, facts.correction(UUID(lesion), None, reason="mine")).status_code == 201
    told_of(study, number)
    assert study.state(number, facts.withdrawn(40, reason="hers")).status_code == 201
    assert study.state(number, followup.died("2024-04", detail="private")).status_code == 201
    gone = study.at_site("rome", facts.procedure(90))
    assert study.state(gone, facts.withdrawn(40)).status_code == 201
    twice = study.at_site("rome")
    voided = facts.voided("duplicate").model_copy(update={"duplicate_of": number})
    assert study.state(twice, voided).status_code == 201
    moved = study.at_site("rome", facts.lesion())
    assert study.state(moved, facts.transferred("milan", 20)).status_code == 201
    assert study.state(moved, facts.course(25), who="site@milan").status_code == 201
    waived = facts.screened(criteria={"histology": "met", "rt-indicated": "waived"}, waivers={"rt-indicated": "why"})
    study.participant(waived, facts.screen_failed())


def told_of(study: OwnStudy, number: str) -> None:
    """Toxicity and follow-up, with sealed texts, a fact that is restated and one that is void."""
    graded = toxicity.finding(attribution=toxicity.due_to("course:RT1"))
    first = study.state(number, toxicity.assessed(10, graded, toxicity.finding("3.0:0664", None)))
    for fact in (
        toxicity.correction(UUID(first.json()["event_id"]), toxicity.assessed(11, graded), reason="private"),
        toxicity.serious("SAE1", 12), toxicity.serious_updated("SAE1"), toxicity.serious_resolved("SAE1"),
        followup.contact(30, "L1", note="private"), followup.progressed(30, "L1"), followup.missed(31),
        followup.lost(32), followup.resumed(33),
    ):  # fmt: skip
        assert study.state(number, fact).status_code == 201, fact
    gone = study.state(number, followup.alive(34)).json()["event_id"]
    void = FOLLOWUP.correction(event_id=gone, reason_code="entered_in_error", replacement=None)
    path = study.address(f"participants/{number}/facts/record.corrected", "followup")
    assert study.send(path, body(void)).status_code == 201


def exported(study: OwnStudy, out: Path, *more: str) -> Command:
    told = quartal(study.demo, "export", "facts", "--study", study.study_id, "--out", str(out), *more)
    assert told.code == 0, told
    return told


def test_an_export_changes_nothing_in_its_own_study_and_makes_an_equal_one_elsewhere(
    study: OwnStudy, tmp_path: Path
) -> None:
    eventful(study)
    out = tmp_path / "study.jsonl"
    exported(study, out)
    lines = [json.loads(each) for each in out.read_text("utf-8").splitlines()]
    there, before = versions(study), figures(study)
    again = bring(study, str(out))
    assert (again.code, again.counts) == (
        0, {"sent": len(lines), "recorded": 0, "there already": len(lines), "refused": 0},
    ), again  # fmt: skip
    assert versions(study) == there
    other = OwnStudy(study.demo, study.http)
    told = bring(other, str(out))
    assert told.code == 0, told
    grants = sum(each["type"].startswith("study.member_") for each in lines)
    assert told.counts["left out"] == grants
    assert "stated as withheld: 3.\n" in told.out  # a waiver, a reason why not graded, a narrative
    assert sorted(versions(other).values()) == sorted(there.values())
    assert not set(versions(other)) & set(there)
    other.others = told.counts["recorded"] + 1 + 3  # the opener's grant, and three that the import needed
    assert figures(other) == before
    repeated = bring(other, str(out))
    assert (repeated.counts["recorded"], repeated.counts["refused"]) == (0, 0), repeated


def test_an_export_has_no_sealed_text_whoever_makes_it(study: OwnStudy, tmp_path: Path) -> None:
    eventful(study)
    for place, options in enumerate([(), ("--site", "rome")]):
        out = tmp_path / f"{place}.jsonl"
        exported(study, out, *options)
        assert not re.search("private|MRN-1|mine|hers|why", out.read_text("utf-8"))
        assert out.stat().st_mode & 0o077 == 0


def test_who_exported_what_is_recorded(study: OwnStudy, tmp_path: Path) -> None:
    study.at_site("milan", facts.lesion())
    study.at_site("rome")
    exported(study, tmp_path / "all.jsonl")
    exported(study, tmp_path / "rome.jsonl", "--site", "rome")
    study.get("facts", "monitor")
    rows = study.get("exports", "auditor").json()["rows"]
    assert [(row["what"], row["exported_by"], row["site_id"], row["rows"]) for row in rows] == [
        ("facts", subject(study.study_id, "coordinator"), None, 7),
        ("facts", subject(study.study_id, "site", "rome"), "rome", 3),
    ]
    first = study.get("exports", "auditor", limit=1).json()
    assert (first["rows"], study.get("exports", "auditor", after=first["next"]).json()["rows"]) == (rows[:1], rows[1:])


def test_an_export_that_may_not_be_made_leaves_no_file(study: OwnStudy, tmp_path: Path) -> None:
    out = tmp_path / "none.jsonl"
    unknown = "The study has no such site. Its sites are rome, milan."
    for name, why, options in (
        ("no-such-study", "no study of that id", ()),
        (study.study_id, unknown, ("--site", "x")),
    ):
        told = quartal(study.demo, "export", "facts", "--study", name, "--out", str(out), *options)
        assert (told.code, list(tmp_path.iterdir())) == (1, [])
        assert why in told.err


def test_what_an_export_and_a_dry_run_lack_of_grants_is_recorded_or_told(study: OwnStudy, tmp_path: Path) -> None:
    """In a study that only its administrator is in, as when it has just been opened."""
    out, other = tmp_path / "study.jsonl", OwnStudy(study.demo, study.http)
    exported(study, out)
    assert bring(other, str(out)).code == 0
    dry = bring(other, written(tmp_path, people(1)), "--dry-run")
    assert dry.counts["checked by form only"] == 6
    assert "before 3 grants are recorded" in dry.out
    assert "5 of the study" in exported(other, out).err


def test_a_token_of_ones_own_states_what_it_may(study: OwnStudy, tmp_path: Path) -> None:
    lines = people(1) + [line(fact, "m0") for fact in (facts.screened(site_id="milan"), facts.consented())]
    file, token = written(tmp_path, lines), study.demo.token("site", "rome", study.study_id)
    told = bring(study, file, "--token", token)
    assert (told.code, told.counts["recorded"], told.counts["refused"]) == (1, 6, 2), told
    spoiled = bring(study, file, "--token", f"{token[:-4]}AAAA")
    assert spoiled.code == 1
    assert "token" in spoiled.err


def test_a_template_is_printed_and_can_be_stated(demo: Demo, tmp_path: Path) -> None:
    """Its example is of the reference study."""
    told = quartal(demo, "import", "--template", "participant.screened")
    assert (told.code, len(told.out.splitlines())) == (0, 2)
    file = tmp_path / "template.csv"
    file.write_text(told.out, "utf-8")
    dry = quartal(demo, "import", str(file), "--study", "atc-rt", "--dry-run")
    assert (dry.code, dry.counts["would be recorded"]) == (0, 1), dry


@pytest.mark.parametrize("arguments", [(), ("--template", "participant.admired"), ("nowhere.csv", "--study", "x")])
def test_what_is_asked_wrongly_ends_with_code_2(demo: Demo, arguments: tuple[str, ...]) -> None:
    assert quartal(demo, "import", *arguments).code == 2
