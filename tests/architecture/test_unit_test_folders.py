"""`tests/unit` mirrors the packages: `tests/unit/inbox` tests `shared/inbox`."""

from __future__ import annotations

from pathlib import Path

from tests.architecture.source_files import ROOT, product_files, repository_files

UNIT_TESTS = ROOT / "tests/unit"
PARENTS_OF_PACKAGES = (ROOT / "shared", ROOT / "services", ROOT)


def folders_of_tests() -> set[Path]:
    """Returns the folders of `tests/unit`, relative to it, that have tests."""
    files = [path for path in repository_files(".py") if path.is_relative_to(UNIT_TESTS)]
    return {path.parent.relative_to(UNIT_TESTS) for path in files if path.name.startswith("test_")} - {Path()}


def test_every_folder_of_unit_tests_is_named_after_a_package() -> None:
    packages = {path.parent for path in product_files()}
    tested = {folder: {parent / folder for parent in PARENTS_OF_PACKAGES} for folder in folders_of_tests()}
    assert [folder for folder, candidates in tested.items() if packages.isdisjoint(candidates)] == []


def test_folders_of_unit_tests_are_found() -> None:
    assert {Path("inbox"), Path("infra/exchange"), Path("analytics/cohort")} <= folders_of_tests()
