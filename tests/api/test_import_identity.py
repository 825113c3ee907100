"""Participants that lines of an import name: by ref and number, by two refs, or at another site."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.testing.builders import facts
from tests.api.support.import_files import fact_line, versions_by_participant
from tests.api.support.study import StudyUnderTest, open_study
from tests.api.test_import_outcomes import import_lines, lines_for_number, outcome_codes
from tests.demo import Demo


@pytest.fixture
def study(demo: Demo) -> Iterator[StudyUnderTest]:
    with open_study(demo) as study:
        yield study


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.mark.parametrize("options", [("--dry-run",), ()])
def test_two_refs_with_one_local_reference_register_one_participant(
    study: StudyUnderTest, folder: Path, options: tuple[str, ...]
) -> None:
    """The dry run says so too, and which of them is registered does not depend on which was faster."""
    lines = [
        fact_line(facts.participant_screened(birth_year=1940, local_reference="MRN 1"), "r1"),
        fact_line(facts.consent_signed(), "r1"),
        fact_line(facts.participant_screened(birth_year=1941, local_reference="mrn  1"), "r2"),
        fact_line(facts.consent_signed(), "r2"),
    ]
    command, report = import_lines(study, folder, lines, *options)
    outcome = "would-record" if options else "recorded"
    assert (command.code, outcome_codes(report)) == (1, [outcome, outcome, "already-registered", "not-registered"])
    assert "Line 1 registers another ref with this local_reference" in report[2]["errors"][0]["message"]
    assert "MRN" not in command.stdout.upper() + command.stderr.upper()


def test_participant_named_by_number_and_ref_has_each_fact_counted_once(study: StudyUnderTest, folder: Path) -> None:
    import_lines(study, folder, [fact_line(facts.participant_screened(), "r1")])
    (participant_id,) = versions_by_participant(study)
    lines = [
        fact_line(facts.participant_screened(), "r1"),
        fact_line(facts.procedure_performed(), "r1"),
        *lines_for_number(participant_id, facts.procedure_performed()),
    ]
    _, report = import_lines(study, folder, lines)
    assert sorted(outcome_codes(report)) == ["recorded", "there-already", "there-already"]
    assert versions_by_participant(study)[participant_id] == 2


def test_ref_of_a_transferred_participant_is_refused_for_the_old_site(study: StudyUnderTest, folder: Path) -> None:
    lines = [
        fact_line(fact, "r1")
        for fact in (facts.participant_screened(), facts.consent_signed(), facts.participant_enrolled())
    ]
    import_lines(study, folder, lines)
    (participant_id,) = versions_by_participant(study)
    assert study.record_fact(participant_id, facts.participant_transferred()).status_code == 201
    token = study.demo.token("site", "rome", study.study_id)
    command, report = import_lines(study, folder, lines, "--token", token)
    assert command.code == 1
    assert (report[0]["errors"][0]["code"], report[0]["errors"][0]["pointer"]) == ("not-found", "/ref")
    assert "run the import again" not in command.stdout
