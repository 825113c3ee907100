"""The file that advances the studies of a local installation."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pytest

from shared.settings import Settings


def write(path: Path, days: Mapping[str, object]) -> None:
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(days))
    os.replace(draft, path)


def test_clock_follows_the_file_without_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "clock.json"
    clock = Settings(clock="2025-01-31", clock_file=path).study_clock()
    assert clock.today("atc-rt") == date(2025, 1, 31)
    for days, today in ((1, date(2025, 2, 1)), (2, date(2025, 2, 2)), (0, date(2025, 1, 31)), (30, date(2025, 3, 2))):
        write(path, {"atc-rt": days})
        assert [clock.today(study) for study in ("atc-rt", "demo-live")] == [today, date(2025, 1, 31)]
    path.unlink()
    assert clock.today("atc-rt") == date(2025, 1, 31)


def test_file_of_another_content_is_refused_and_not_taken_for_no_advance(tmp_path: Path) -> None:
    path = tmp_path / "clock.json"
    clock = Settings(clock_file=path).study_clock()
    write(path, {"atc-rt": "soon"})
    for _ in range(2):
        with pytest.raises(ValueError, match="atc-rt"):
            clock.today("atc-rt")


def test_process_without_the_setting_reads_no_file(tmp_path: Path) -> None:
    write(tmp_path / "clock.json", {"atc-rt": 30})
    assert Settings(clock="2025-01-31", data=tmp_path).study_clock().today("atc-rt") == date(2025, 1, 31)
