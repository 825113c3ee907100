"""The drawn histories: the product's rules admit every fact, and all that reminders depend on happens in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache, partial
from uuid import UUID

import pytest

from services.enrollment.gate import EnrollmentGate
from services.enrollment.rules import participant, study
from services.followup import rules as followup_rules
from services.followup.gate import FollowUpGate
from shared.contracts.event import Event, stated_facts
from shared.kernel.fact import Fact, StatedFact
from shared.kernel.record import EvaluatedRecord, Gate, Record, Rules, current_record
from tests.two_years.generated_history import draw_study
from tests.two_years.history import RecordedStudy
from tests.two_years.plain_schedule import local_day
from tests.two_years.stated_events import StatedStudy

SEEDS = range(5)
POLICIES = ("index", "latest", "per_course")
RULES: Mapping[str, Rules] = {"enrollment": participant.objections, "followup": followup_rules.objections}


@cache
def drawn(seed: int, policy: str = "index") -> RecordedStudy:
    return draw_study(seed, policy=policy)


def admit_study(events: Sequence[Event]) -> Record:
    evaluated = EvaluatedRecord.evaluate((), study.objections)
    for event, stated in zip(events, stated_facts(events), strict=True):
        assert event.recorded_on
        evaluated = evaluated.accept([stated], study.objections, partial(study.gate_objections, event.recorded_on))
    return evaluated.record


def gate_of(event: Event, study_record: Record, enrolling_site: str, by_service: Mapping[str, EvaluatedRecord]) -> Gate:
    today, site_id = event.recorded_on, event.site_id
    assert today
    assert site_id
    earlier = partial(current_record, by_service[event.service].history)
    if event.service == "enrollment":
        return EnrollmentGate(study_record, today, site_id, enrolling_site, record_before=earlier).objections
    record = by_service["enrollment"].record
    return FollowUpGate(study_record, today, site_id, enrollment_record=record, record_before=earlier).objections


def admit_participant(events: Sequence[Event], study_record: Record) -> None:
    by_service = {service: EvaluatedRecord.evaluate((), rules) for service, rules in RULES.items()}
    facts: dict[UUID, StatedFact[Fact]] = {stated.event_id: stated for stated in stated_facts(events)}
    for event in events:
        gate = gate_of(event, study_record, events[0].site_id or "", by_service)
        rules = RULES[event.service]
        by_service[event.service] = by_service[event.service].accept([facts[event.event_id]], rules, gate)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("seed", SEEDS)
def test_rules_and_gates_admit_every_fact_when_it_is_recorded(seed: int, policy: str) -> None:
    recorded = drawn(seed, policy)
    events = StatedStudy("study", recorded).events()
    study_record = admit_study([event for event in events if event.stream_id == "study"])
    for person in recorded.participants:
        admit_participant([event for event in events if event.stream_id == person.participant_id], study_record)


def test_everything_happens_that_reminders_depend_on() -> None:
    kinds = Counter(
        type(entry.fact).__name__ for seed in SEEDS for person in drawn(seed).participants for entry in person.facts
    )
    assert set(kinds) == {
        *("EndOfCourse", "VisitContact", "MissedDeclaration", "VisitBooking", "ReminderSnooze", "VisitAcknowledgment"),
        *("DeathReport", "EndOfConsent", "LossReport", "ReturnReport", "MoveToSite", "EnteredInError", "NoneType"),
    }
    assert min(kinds.values()) >= 3


def test_same_seed_draws_the_same_study() -> None:
    assert draw_study(3) == draw_study(3)
    assert draw_study(3) != draw_study(4)


def test_versions_of_a_stream_follow_the_order_of_recording() -> None:
    versions: Counter[tuple[str, str]] = Counter()
    for event in StatedStudy("study", drawn(0)).events():
        versions[event.service, event.stream_id] += 1
        assert event.version == versions[event.service, event.stream_id]


def test_no_contact_lies_in_the_future_of_its_site() -> None:
    recorded = drawn(1)
    for event in StatedStudy("study", recorded).events():
        if event.site_id:
            assert event.recorded_on == local_day(event.recorded_at, recorded.site(event.site_id).zone)
