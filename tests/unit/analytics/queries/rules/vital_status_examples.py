"""Histories in which rules about the end of follow-up have something to ask, and histories in which they have not."""

from __future__ import annotations

from shared.testing.builders import facts
from shared.testing.builders.follow_up_facts import (
    disease_progressed,
    follow_up_recorded,
    follow_up_resumed,
    lost_to_follow_up,
    participant_died,
    vital_status_confirmed,
)
from shared.testing.builders.toxicity_facts import toxicity_assessed
from tests.unit.analytics.support import RuleExample, treated_participant

WITH_QUERY: list[RuleExample] = [
    ("fact_after_death", treated_participant(participant_died(60), toxicity_assessed(61))),
    ("fact_after_death", treated_participant(participant_died(60), follow_up_recorded(61))),
    ("fact_after_death", treated_participant(participant_died(60), facts.procedure_performed(61))),
    ("fact_after_death", treated_participant(participant_died("2024-03"), vital_status_confirmed("2024-04"))),
    ("fact_after_withdrawal", treated_participant(facts.consent_withdrawn(60), follow_up_recorded(61))),
    (
        "fact_after_withdrawal",
        treated_participant(facts.consent_withdrawn(60), vital_status_confirmed(61, "registry")),
    ),
    (
        "fact_after_withdrawal",
        treated_participant(
            facts.consent_signed(1, options={"registry": True}),
            facts.consent_withdrawn(60),
            vital_status_confirmed(61, "clinic"),
        ),
    ),
    ("consent_without_data_use", treated_participant(facts.consent_signed(1, options={"data_use": False}))),
    ("death_without_date", treated_participant(participant_died(None))),
    ("contact_after_loss", treated_participant(lost_to_follow_up(60), follow_up_recorded(61))),
    ("contact_after_loss", treated_participant(lost_to_follow_up("2024-03"), vital_status_confirmed("2024-04"))),
    (
        "contact_after_loss",
        treated_participant(follow_up_resumed(40), lost_to_follow_up(60), vital_status_confirmed(61)),
    ),
    ("imprecise_end_of_follow_up", treated_participant(participant_died("2024-07"))),
    ("imprecise_end_of_follow_up", treated_participant(lost_to_follow_up("2024"))),
]
WITHOUT_QUERY: list[RuleExample] = [
    ("fact_after_death", treated_participant(participant_died("2024-03"), follow_up_recorded("2024-03-20"))),
    (
        "fact_after_death",
        treated_participant(
            participant_died(60), facts.lesion_registered("L2", 61), disease_progressed(61, "L1", basis="histology")
        ),
    ),
    ("fact_after_death", treated_participant(participant_died(None), follow_up_recorded(400))),
    (
        "fact_after_withdrawal",
        treated_participant(facts.consent_withdrawn(60), follow_up_recorded(60), participant_died(90)),
    ),
    (
        "fact_after_withdrawal",
        treated_participant(
            facts.consent_signed(1, options={"registry": True}),
            facts.consent_withdrawn(60),
            vital_status_confirmed(61, "registry"),
        ),
    ),
    (
        "consent_without_data_use",
        treated_participant(facts.consent_signed(1, options={"data_use": False}), facts.consent_signed(2)),
    ),
    ("death_without_date", treated_participant(participant_died("2024"))),
    ("contact_after_loss", treated_participant(lost_to_follow_up(60), follow_up_recorded(60))),
    ("contact_after_loss", treated_participant(lost_to_follow_up("2024-03"), follow_up_recorded("2024-03-20"))),
    ("contact_after_loss", treated_participant(lost_to_follow_up(60), follow_up_recorded(61), follow_up_resumed(61))),
    ("imprecise_end_of_follow_up", treated_participant(participant_died(60))),
]
