"""Reminders of a protocol at the gate of a study: the steps that it may choose."""

from __future__ import annotations

from datetime import date
from functools import partial

import pytest

from services.enrollment.rules.study import gate_objections, objections
from shared.kernel.fact import Fact
from shared.kernel.objection import RuleViolation
from shared.testing.builders.facts import protocol, protocol_amended, study_opened
from shared.testing.spec import Spec

study_spec = Spec(objections, partial(gate_objections, date(2030, 1, 1)))
BAD_STEPS = {"steps": ["open", "escalation", "target"]}


def refusals(fact: Fact, *earlier_facts: Fact) -> list[tuple[str, str]]:
    """The codes and pointers of the objections."""
    with pytest.raises(RuleViolation) as violation:
        study_spec.given(*earlier_facts).when(fact).then_admitted()
    return [(objection.code, objection.pointer) for _, objection in violation.value.raised_objections]


def test_a_study_is_not_opened_with_a_step_that_is_not_chosen() -> None:
    opened = study_opened(protocol(reminders=BAD_STEPS))
    assert refusals(opened) == [("no-such-step", "/protocol/reminders/steps/1")]


def test_an_amendment_chooses_among_the_same_steps() -> None:
    amended = protocol_amended("2025-01-01", protocol(reminders=BAD_STEPS), "A1")
    assert refusals(amended, study_opened()) == [("no-such-step", "/protocol/reminders/steps/1")]


@pytest.mark.parametrize("steps", [[], ["overdue"], ["open", "target", "overdue"]])
def test_a_protocol_may_leave_steps_out(steps: list[str]) -> None:
    study_spec.given().when(study_opened(protocol(reminders={"steps": steps}))).then_admitted()
