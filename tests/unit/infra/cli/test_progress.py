"""Progress messages of long commands."""

from __future__ import annotations

import pytest

from infra.cli import progress

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
