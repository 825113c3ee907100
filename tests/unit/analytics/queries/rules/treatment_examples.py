"""Histories in which rules about treatment have something to ask, and histories in which they have not."""

from __future__ import annotations

from typing import Any

from shared.testing.builders import facts
from shared.testing.builders.follow_up_facts import lost_to_follow_up, participant_died
from shared.testing.builders.toxicity_facts import toxicity_assessed
from tests.unit.analytics.support import RuleExample, enrolled_participant, treated_participant


def sbrt_target(fractions: int, dose_per_fraction: int) -> dict[str, Any]:
    return facts.target(fractions=fractions, cgy_per_fraction=dose_per_fraction, delivery="SBRT")


WITH_QUERY: list[RuleExample] = [
    (
        "imprecise_course_end",
        enrolled_participant(facts.radiotherapy_started(), facts.radiotherapy_completed("2024-03")),
    ),
    ("course_without_end", enrolled_participant(facts.radiotherapy_started())),
    (
        "sbrt_fractionation",
        enrolled_participant(facts.radiotherapy_started(0, "RT1", sbrt_target(6, 600)), facts.radiotherapy_completed()),
    ),
    (
        "sbrt_fractionation",
        enrolled_participant(facts.radiotherapy_started(0, "RT1", sbrt_target(5, 499)), facts.radiotherapy_completed()),
    ),
    ("sbrt_fractionation", treated_participant(facts.prescription_changed(5, "RT1", sbrt_target(8, 500)))),
    (
        "two_prescriptions_on_one_day",
        treated_participant(
            facts.prescription_changed(5), facts.prescription_changed(5, "RT1", facts.target(fractions=18))
        ),
    ),
    (
        "two_prescriptions_on_one_day",
        treated_participant(
            facts.prescription_changed("2024-02"),
            facts.prescription_changed("2024-02-15", "RT1", facts.target(fractions=18)),
        ),
    ),
    (
        "high_fraction_dose",
        enrolled_participant(
            facts.radiotherapy_started(0, "RT1", facts.target(fractions=1, cgy_per_fraction=2401)),
            facts.radiotherapy_completed(),
        ),
    ),
    (
        "fraction_dose_improbable",
        enrolled_participant(
            facts.radiotherapy_started(0, "RT1", facts.target(fractions=30, cgy_per_fraction=2)),
            facts.radiotherapy_completed(),
        ),
    ),
    (
        "fraction_dose_improbable",
        treated_participant(
            facts.prescription_changed(5, "RT1", facts.target(cgy_per_fraction=49, modality="protons"))
        ),
    ),
    (
        "no_assessment_after_index_course",
        enrolled_participant(
            facts.radiotherapy_started(), facts.radiotherapy_completed(), toxicity_assessed(27, timepoint="during_rt")
        ),
    ),
    (
        "no_assessment_after_index_course",
        enrolled_participant(facts.radiotherapy_started(), facts.radiotherapy_completed(), participant_died(200)),
    ),
]
WITHOUT_QUERY: list[RuleExample] = [
    ("two_prescriptions_on_one_day", treated_participant(facts.prescription_changed(5), facts.prescription_changed(5))),
    (
        "two_prescriptions_on_one_day",
        treated_participant(
            facts.prescription_changed(5), facts.prescription_changed(6, "RT1", facts.target(fractions=18))
        ),
    ),
    (
        "two_prescriptions_on_one_day",
        enrolled_participant(
            facts.radiotherapy_started(),
            facts.radiotherapy_started(90, "RT2", index=False),
            facts.prescription_changed(5),
            facts.prescription_changed(5, "RT2", facts.target(fractions=18)),
        ),
    ),
    (
        "imprecise_course_end",
        treated_participant(
            facts.radiotherapy_started(200, "RT2", index=False), facts.radiotherapy_completed("2024-09", "RT2")
        ),
    ),
    ("course_without_end", enrolled_participant(facts.radiotherapy_started(), facts.radiotherapy_discontinued())),
    (
        "sbrt_fractionation",
        enrolled_participant(facts.radiotherapy_started(0, "RT1", sbrt_target(5, 500)), facts.radiotherapy_completed()),
    ),
    ("sbrt_fractionation", treated_participant()),
    (
        "high_fraction_dose",
        enrolled_participant(
            facts.radiotherapy_started(0, "RT1", facts.target(fractions=1, cgy_per_fraction=2400)),
            facts.radiotherapy_completed(),
        ),
    ),
    (
        "fraction_dose_improbable",
        enrolled_participant(
            facts.radiotherapy_started(0, "RT1", facts.target(cgy_per_fraction=50)), facts.radiotherapy_completed()
        ),
    ),
    (
        "fraction_dose_improbable",
        enrolled_participant(
            facts.radiotherapy_started(0, "RT1", facts.target(cgy_per_fraction=40, modality="brachytherapy_pdr")),
            facts.radiotherapy_completed(),
        ),
    ),
    ("no_assessment_after_index_course", treated_participant()),
    (
        "no_assessment_after_index_course",
        enrolled_participant(facts.radiotherapy_started(), facts.radiotherapy_completed(), participant_died(60)),
    ),
    (
        "no_assessment_after_index_course",
        enrolled_participant(facts.radiotherapy_started(), facts.radiotherapy_completed(), participant_died(None)),
    ),
    (
        "no_assessment_after_index_course",
        enrolled_participant(facts.radiotherapy_started(), facts.radiotherapy_completed(), lost_to_follow_up(60)),
    ),
    (
        "no_assessment_after_index_course",
        enrolled_participant(
            facts.radiotherapy_started(), facts.radiotherapy_completed(), toxicity_assessed("2024-02")
        ),
    ),
]
