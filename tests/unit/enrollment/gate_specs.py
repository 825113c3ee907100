"""Specs of participants' facts with enrollment's gate."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from services.enrollment.gate import EnrollmentGate
from services.enrollment.rules.participant import objections
from shared.kernel.fact import Fact
from shared.kernel.objection import Objection, RuleViolation
from shared.kernel.record import Record
from shared.testing.builders.facts import START_DATE, site_activated, study_opened
from shared.testing.spec import Spec, numbered_facts

TODAY = START_DATE + timedelta(days=400)
SITES = site_activated("rome"), site_activated("milan", 0)


def gate_spec(*study_facts: Fact, today: date = TODAY, site: str = "rome", enrolling_site: str = "rome") -> Spec:
    """Returns the spec of a participant at a site, in a study with these facts besides its opening and its sites."""
    facts = (
        study_facts if any(fact.type_name == "study.opened" for fact in study_facts) else (study_opened(), *study_facts)
    )
    participant_gate = EnrollmentGate(Record(tuple(numbered_facts((*facts, *SITES)))), today, site, enrolling_site)
    return Spec(objections, participant_gate.objections)


def objections_of(spec: Spec) -> list[Objection]:
    with pytest.raises(RuleViolation) as violation:
        spec.then_admitted()
    return [objection for _, objection in violation.value.raised_objections]
