"""Follow-up plans at the gate of a study: windows that overlap, and what no amendment changes."""

from __future__ import annotations

from datetime import date
from functools import partial
from typing import Any

import pytest

from services.enrollment.rules.study import gate_objections, objections
from shared.contracts.study import StudyOpened
from shared.kernel.fact import Fact
from shared.kernel.objection import RuleViolation
from shared.testing.builders.facts import protocol, protocol_amended, study_opened
from shared.testing.spec import Spec

study_spec = Spec(objections, partial(gate_objections, date(2030, 1, 1)))
WINDOWS = "/protocol/follow_up/window_days"


def window(before: int, after: int) -> dict[str, int]:
    return {"before": before, "after": after}


def opened(**follow_up: Any) -> Fact:
    return study_opened(protocol(follow_up=follow_up))


def amended(on: str, name: str = "A1", **follow_up: Any) -> Fact:
    return protocol_amended(on, protocol(follow_up=follow_up), name)


def refusals(spec: Spec) -> list[tuple[str, str]]:
    """The codes and pointers of the objections."""
    with pytest.raises(RuleViolation) as violation:
        spec.then_admitted()
    return [(objection.code, objection.pointer) for _, objection in violation.value.raised_objections]


@pytest.mark.parametrize(
    "follow_up",
    [
        {"window_days": window(45, 45)},
        {"window_days": window(30, 29), "anchor_policy": "latest"},
        {"every_months": 1, "window_days": window(14, 14)},
        {"every_months": 6, "window_days": window(90, 91)},
    ],
)
def test_study_with_windows_that_overlap_is_not_opened(follow_up: dict[str, Any]) -> None:
    assert refusals(study_spec.given().when(opened(**follow_up))) == [("windows-overlap", WINDOWS)]


@pytest.mark.parametrize(
    "follow_up",
    [
        {"window_days": window(44, 44)},
        {"window_days": window(29, 30), "anchor_policy": "latest"},
        {"every_months": 1, "window_days": window(14, 13)},
        {"every_months": 2, "window_days": window(29, 29)},
        {"every_months": 6, "window_days": window(89, 89)},
        {"every_months": 12, "window_days": window(180, 180)},
    ],
)
def test_study_with_windows_that_just_fit_is_opened(follow_up: dict[str, Any]) -> None:
    study_spec.given().when(opened(**follow_up)).then_admitted()


@pytest.mark.parametrize(
    ("follow_up", "member"),
    [
        ({"every_months": 6}, "every_months"),
        ({"anchor_policy": "latest"}, "anchor_policy"),
        ({"anchor_policy": "per_course"}, "anchor_policy"),
    ],
)
def test_amendment_keeps_the_interval_and_the_anchor_of_visits(follow_up: dict[str, Any], member: str) -> None:
    spec = study_spec.given(opened()).when(amended("2025-03-01", **follow_up))
    assert refusals(spec) == [("schedule-fixed", f"/protocol/follow_up/{member}")]


def test_amendment_may_change_windows_and_length() -> None:
    study_spec.given(opened()).when(amended("2025-03-01", for_months=60, window_days=window(7, 7))).then_admitted()


def test_amendment_with_windows_that_overlap_is_refused() -> None:
    spec = study_spec.given(opened()).when(amended("2025-03-01", window_days=window(14, 75)))
    assert refusals(spec) == [("windows-overlap", WINDOWS)]


def test_windows_of_an_amendment_fit_those_of_the_protocols_before_and_after_it() -> None:
    late, early = window(0, 88), window(88, 0)
    given_late = study_spec.given(opened(window_days=late))
    assert refusals(given_late.when(amended("2025-05-01", window_days=early))) == [("windows-overlap", WINDOWS)]
    given_later = study_spec.given(opened(), amended("2026-01-01", window_days=window(30, 14)))
    before_it = amended("2025-06-01", "A2", window_days=window(14, 60))
    assert refusals(given_later.when(before_it)) == [("windows-overlap", WINDOWS)]
    given_later.when(amended("2025-06-01", "A2", window_days=window(14, 58))).then_admitted()


def test_amendment_of_the_same_day_takes_the_place_of_the_earlier_one() -> None:
    stated = (opened(), amended("2025-03-01", window_days=window(14, 60)))
    study_spec.given(*stated).when(amended("2025-03-01", "A2", window_days=window(60, 14))).then_admitted()


def test_protocol_that_was_recorded_before_stays_readable() -> None:
    stored = opened(window_days=window(60, 60)).model_dump_json()
    recorded: Fact = StudyOpened.model_validate_json(stored)
    study_spec.given(recorded).when(amended("2025-03-01", window_days=window(7, 7))).then_admitted()
