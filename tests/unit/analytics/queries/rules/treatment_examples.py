"""Histories in which rules about treatment have something to ask, and histories in which they have not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.kernel.fact import Fact
from shared.testing.builders import facts
from shared.testing.builders.follow_up_facts import lost_to_follow_up, participant_died
from shared.testing.builders.toxicity_facts import toxicity_assessed
from tests.unit.analytics.support import QueriedHistory, RuleExample, enrolled_participant, treated_participant


def sbrt_target(fractions: int, dose_per_fraction: int) -> dict[str, Any]:
    return facts.target(fractions=fractions, cgy_per_fraction=dose_per_fraction, delivery="SBRT")


def second_course(label: str, *more: Fact, lesions: Sequence[str] = (), lesion_site: str = "brain") -> QueriedHistory:
    """Returns a participant whose index course treats the lesion L1, and whose second course has such a target.

    `lesions`: those that the target names. `more`: facts that follow.
    """
    return enrolled_participant(
        facts.lesion_registered("L1", body_site=lesion_site),
        facts.radiotherapy_started(0, "RT1", facts.target("T1", "L1")),
        facts.radiotherapy_completed(),
        facts.radiotherapy_started(200, "RT2", facts.target("T1", *lesions, label=label), index=False),
        facts.radiotherapy_completed(210, "RT2"),
        *more,
    )


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
    ("course_names_no_lesion", second_course("PTV_Brain")),
    ("course_names_no_lesion", second_course("PTV_High")),
    ("course_names_no_lesion", second_course("ptv-lymphnode_R", lesion_site="lymph_node")),
    (
        "course_names_no_lesion",
        treated_participant(
            facts.radiotherapy_started(200, "RT2", facts.target("T1", "L1", label="PTV_Brain"), index=False)
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
    ("course_names_no_lesion", second_course("PTV_Lung_L")),
    ("course_names_no_lesion", second_course("PTV_Brain", lesions=["L1"])),
    ("course_names_no_lesion", treated_participant()),
    (
        "course_names_no_lesion",
        enrolled_participant(
            facts.radiotherapy_started(0, "RT1", facts.target(label="PTV_Brain")),
            facts.radiotherapy_completed(),
            facts.lesion_registered("L1", 150),
            facts.radiotherapy_started(200, "RT2", facts.target("T1", "L1", label="PTV_Brain"), index=False),
        ),
    ),
    (
        "course_names_no_lesion",
        second_course("PTV_Brain", facts.prescription_changed(205, "RT2", facts.target("T1", "L1"))),
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
