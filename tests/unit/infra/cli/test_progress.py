"""Progress messages of long commands, and the users of the demo's links."""

from __future__ import annotations

import pytest

from infra.cli import progress
from infra.local.demo_links import LIVE_STUDY, demo_links
from infra.reference.study import SITE_ID, STUDY_ID, default_grants

TERMINAL_VARIABLES = ("FORCE_COLOR", "TTY_COMPATIBLE")


def test_progress_is_printed_as_lines_without_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in TERMINAL_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    with progress.progress("Loading", "facts") as report_progress:
        report_progress(1, 30)
        monkeypatch.setattr(progress, "PRINT_INTERVAL_SECONDS", 0.0)
        report_progress(20, 30)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "Loading: 20 of 30 facts\n")


def test_progress_is_shown_as_a_bar_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in TERMINAL_VARIABLES:
        monkeypatch.setenv(name, "1")  # as on a terminal
    with progress.progress("Loading", "facts") as report_progress:
        report_progress(20, 30)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "20/30" in captured.err


def test_each_granted_role_has_one_demo_link() -> None:
    granted = {"administrator", *(grant["role"] for grant in default_grants(STUDY_ID, [SITE_ID]))}
    for study in (STUDY_ID, LIVE_STUDY):
        assert sorted(door.role for door in demo_links() if door.study == study) == sorted(granted)
