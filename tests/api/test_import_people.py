"""Whom lines of an import are about: a person by ref and number, two refs of a person, a person who is elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.testing import facts
from tests.api.files import line, versions
from tests.api.own_study import OwnStudy, own_study
from tests.api.test_import_outcomes import brought, numbered, outcomes
from tests.demo import Demo


@pytest.fixture
def study(demo: Demo) -> Iterator[OwnStudy]:
    with own_study(demo) as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.mark.parametrize("options", [("--dry-run",), ()])
def test_two_refs_with_one_local_reference_are_one_person_at_most(
    study: OwnStudy, folder: Path, options: tuple[str, ...]
) -> None:
    """The dry run says so too, and which of them is registered does not depend on which was faster."""
    told = [
        line(facts.screened(birth_year=1940, local_reference="MRN 1"), "r1"), line(facts.consented(), "r1"),
        line(facts.screened(birth_year=1941, local_reference="mrn  1"), "r2"), line(facts.consented(), "r2"),
    ]  # fmt: skip
    command, found = brought(study, folder, told, *options)
    done = "would-record" if options else "recorded"
    assert (command.code, outcomes(found)) == (1, [done, done, "already-registered", "not-registered"])
    assert "Line 1 registers another ref with this local_reference" in found[2]["errors"][0]["message"]
    assert "MRN" not in command.out.upper() + command.err.upper()


def test_a_participant_who_is_named_by_number_and_by_ref_has_each_fact_counted_once(
    study: OwnStudy, folder: Path
) -> None:
    brought(study, folder, [line(facts.screened(), "r1")])
    (number,) = versions(study)
    told = [line(facts.screened(), "r1"), line(facts.procedure(), "r1"), *numbered(number, facts.procedure())]
    _, found = brought(study, folder, told)
    assert sorted(outcomes(found)) == ["recorded", "there-already", "there-already"]
    assert versions(study)[number] == 2


def test_a_ref_of_somebody_whom_the_site_has_handed_over_is_refused_for_good(study: OwnStudy, folder: Path) -> None:
    told = [line(fact, "r1") for fact in (facts.screened(), facts.consented(), facts.enrolled())]
    brought(study, folder, told)
    (number,) = versions(study)
    assert study.state(number, facts.transferred()).status_code == 201
    token = study.demo.token("site", "rome", study.study_id)
    command, found = brought(study, folder, told, "--token", token)
    assert command.code == 1
    assert (found[0]["errors"][0]["code"], found[0]["errors"][0]["pointer"]) == ("not-found", "/ref")
    assert "run the import again" not in command.out
