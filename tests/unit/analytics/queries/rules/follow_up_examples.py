"""Histories in which rules about follow-up have something to ask, and histories in which they have not."""

from __future__ import annotations

from shared.testing.builders import facts
from shared.testing.builders.follow_up_facts import disease_progressed, disease_status, follow_up_recorded, visit_missed
from shared.testing.builders.toxicity_facts import toxicity_assessed
from tests.unit.analytics.support import VISIT_1, VISIT_2, RuleExample, enrolled_participant, treated_participant

WITH_QUERY: list[RuleExample] = [
    ("imprecise_contact", treated_participant(follow_up_recorded("2024-06"))),
    ("visit_slot_conflict", treated_participant(follow_up_recorded(VISIT_1, visit=2))),
    ("visit_slot_conflict", treated_participant(toxicity_assessed(VISIT_2, visit=1))),
    ("visit_slot_conflict", treated_participant(follow_up_recorded(40, visit=1))),
    ("visit_slot_conflict", treated_participant(follow_up_recorded("2024-03", visit=1))),
    ("visit_slot_conflict", treated_participant(follow_up_recorded(VISIT_1, visit=9))),
    ("visit_slot_conflict", enrolled_participant(facts.radiotherapy_started(), follow_up_recorded(VISIT_1, visit=1))),
    ("missed_visit_not_planned", treated_participant(visit_missed(120, 9))),
    ("visit_missed_though_done", treated_participant(visit_missed(120, 1), follow_up_recorded(VISIT_1))),
    ("visit_missed_though_done", enrolled_participant(visit_missed(120, 1), follow_up_recorded(VISIT_1, visit=1))),
    (
        "local_progression_not_stated",
        treated_participant(follow_up_recorded(VISIT_1, disease=disease_status("L1", status="progressed"))),
    ),
    (
        "local_progression_not_stated",
        treated_participant(
            follow_up_recorded(VISIT_1, disease=disease_status("L1", status="progressed")),
            disease_progressed(VISIT_1 + 31, "L1"),
        ),
    ),
    (
        "local_progression_not_stated",
        treated_participant(
            follow_up_recorded(VISIT_1, disease=disease_status("L1", status="progressed")),
            disease_progressed(VISIT_1, "L2"),
        ),
    ),
    (
        "regional_progression_not_stated",
        treated_participant(follow_up_recorded(VISIT_1, disease=disease_status(regional="progressed"))),
    ),
    (
        "distant_progression_not_stated",
        treated_participant(
            follow_up_recorded(VISIT_1, disease=disease_status(distant="progressed")), disease_progressed(VISIT_1, "L1")
        ),
    ),
    ("response_without_progression", treated_participant(follow_up_recorded(VISIT_1, response="PD"))),
    (
        "lesion_before_it_was_found",
        treated_participant(
            facts.lesion_registered("L2", 80), follow_up_recorded(70, disease=disease_status("L2", status="controlled"))
        ),
    ),
    (
        "lesion_before_it_was_found",
        treated_participant(facts.lesion_registered("L2", 80), disease_progressed(70, "L2")),
    ),
]
WITHOUT_QUERY: list[RuleExample] = [
    (
        "visit_slot_conflict",
        treated_participant(follow_up_recorded(VISIT_1, visit=1), toxicity_assessed(VISIT_2, visit=2)),
    ),
    (
        "visit_slot_conflict",
        treated_participant(follow_up_recorded("2024-08", visit=1), follow_up_recorded("2024-08", visit=2)),
    ),
    ("visit_slot_conflict", treated_participant(follow_up_recorded(40))),
    ("missed_visit_not_planned", treated_participant(visit_missed(120, 8))),
    ("visit_missed_though_done", treated_participant(visit_missed(120, 1), follow_up_recorded(VISIT_2))),
    ("visit_missed_though_done", treated_participant(visit_missed(120, 1), follow_up_recorded(40))),
    (
        "visit_missed_though_done",
        treated_participant(visit_missed(120, 1), follow_up_recorded(VISIT_1, mode="registry")),
    ),
    (
        "local_progression_not_stated",
        treated_participant(
            follow_up_recorded(VISIT_1, disease=disease_status("L1", status="progressed")),
            disease_progressed(VISIT_1 - 30, "L1"),
        ),
    ),
    (
        "local_progression_not_stated",
        treated_participant(
            follow_up_recorded(VISIT_1, disease=disease_status("L1", status="progressed")),
            disease_progressed("2024-06", "L1"),
        ),
    ),
    (
        "local_progression_not_stated",
        treated_participant(follow_up_recorded(VISIT_1, disease=disease_status("L1", status="necrosis"))),
    ),
    (
        "regional_progression_not_stated",
        treated_participant(
            follow_up_recorded(VISIT_1, disease=disease_status(regional="progressed")),
            disease_progressed(VISIT_1 + 30, kind="regional"),
        ),
    ),
    (
        "distant_progression_not_stated",
        treated_participant(
            follow_up_recorded(VISIT_1, disease=disease_status(distant="progressed")),
            disease_progressed(VISIT_1),
        ),
    ),
    (
        "response_without_progression",
        treated_participant(
            follow_up_recorded(VISIT_1, response="PD", disease=disease_status("L1", status="progressed"))
        ),
    ),
    (
        "response_without_progression",
        treated_participant(follow_up_recorded(VISIT_1, response="PD"), disease_progressed(VISIT_1)),
    ),
    (
        "lesion_before_it_was_found",
        treated_participant(
            facts.lesion_registered("L2", 80),
            follow_up_recorded(70, disease=disease_status("L2", status="not_assessed")),
        ),
    ),
    (
        "lesion_before_it_was_found",
        treated_participant(facts.lesion_registered("L2", "2024-04"), disease_progressed(70, "L2")),
    ),
]
