"""The report on the health of reminders of all studies."""

from __future__ import annotations

from services.analytics.reminders.health import describe_health


def test_report_names_the_weightiest_fault_of_any_study_and_counts_the_others() -> None:
    report = describe_health([["derivation"], [], ["mail", "facts", "derivation"], ["stopped"]])
    assert report == {
        "status": "stopped",
        "studies": 3,
        "causes": {"stopped": 1, "mail": 1, "facts": 1, "derivation": 2},
    }
    causes = report["causes"]
    assert isinstance(causes, dict)
    assert list(causes) == ["stopped", "mail", "facts", "derivation"]


def test_comparison_weighs_more_than_kafka_and_kafka_more_than_the_derivation() -> None:
    assert describe_health([["derivation"], ["kafka"]])["status"] == "kafka"
    assert describe_health([["kafka"], ["comparison"]])["status"] == "comparison"


def test_report_without_a_fault_is_ready() -> None:
    assert describe_health([[], []]) == {"status": "ready"}
