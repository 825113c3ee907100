"""What a command says while it is at something long, and whom the demo's links are for."""

from __future__ import annotations

import pytest

from infra.cli import progress
from infra.local.roles import LIVE_STUDY, doors
from infra.reference.study import SITE_ID, STUDY_ID, members

SAYS_WHAT_A_TERMINAL_IS = ("FORCE_COLOR", "TTY_COMPATIBLE")


def test_where_there_is_no_terminal_lines_tell_now_and_then_how_far_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in SAYS_WHAT_A_TERMINAL_IS:
        monkeypatch.delenv(name, raising=False)
    with progress.progress("Loading", "facts") as told:
        told(1, 30)
        monkeypatch.setattr(progress, "TOLD_EVERY", 0.0)
        told(20, 30)
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "Loading: 20 of 30 facts\n")


def test_on_a_terminal_a_bar_tells_it(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SAYS_WHAT_A_TERMINAL_IS:
        monkeypatch.setenv(name, "1")  # as on a terminal
    with progress.progress("Loading", "facts") as told:
        told(20, 30)
    said = capsys.readouterr()
    assert said.out == ""
    assert "20/30" in said.err


def test_each_role_that_a_study_grants_has_one_door_to_it() -> None:
    granted = {"administrator", *(grant["role"] for grant in members(STUDY_ID, [SITE_ID]))}
    for study in (STUDY_ID, LIVE_STUDY):
        assert sorted(door.role for door in doors() if door.study == study) == sorted(granted)
