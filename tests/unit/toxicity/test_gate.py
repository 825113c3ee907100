from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

import shared.terminology
from services.toxicity.gate import ToxicityGate
from services.toxicity.rules import objections
from shared.kernel.errors import MAX_FAULTS
from shared.kernel.fact import Fact
from shared.kernel.objection import Objection, RuleViolation
from shared.kernel.record import Record
from shared.terminology.ctcae import DICTIONARY_NAMES
from shared.testing.builders import facts
from shared.testing.builders.facts import (
    ENROLLMENT_FACTS,
    START_DATE,
    consent_withdrawn,
    correction,
    protocol,
    protocol_amended,
    radiotherapy_started,
    site_activated,
    study_opened,
    systemic_therapy_started,
)
from shared.testing.builders.toxicity_facts import (
    DYSPHAGIA,
    attributions,
    finding,
    serious_event_reported,
    serious_event_resolved,
    serious_event_updated,
    toxicity_assessed,
)
from shared.testing.spec import Spec, numbered_facts

TODAY = START_DATE + timedelta(days=400)
MAX_FINDINGS = MAX_FAULTS  # of which each may be objected to: a response lists no more
V5_ANEMIA, V3_HYPOTHERMIA, V3_DRY_MOUTH = "5.0:0001", "3.0:0083", "3.0:0149"
TABLES = Path(shared.terminology.__path__[0]) / "dictionaries"


def protocol_with_dictionary(name: str) -> Any:
    return protocol(toxicity={"dictionary": name})


def gate_spec(
    *study_facts: Fact,
    enrollment_facts: Iterable[Fact] = ENROLLMENT_FACTS,
    today: date = TODAY,
    dictionary: str = "ctcae-3.0",
    earlier: tuple[Fact, ...] = (),
) -> Spec:
    """Returns the spec of a participant with these facts in enrollment, in a study with this dictionary."""
    study = Record(
        tuple(numbered_facts((study_opened(protocol_with_dictionary(dictionary)), site_activated(), *study_facts)))
    )
    earlier_record = Record(tuple(numbered_facts(earlier)))
    participant_gate = ToxicityGate(
        study,
        today,
        "rome",
        enrollment_record=Record(tuple(numbered_facts(enrollment_facts))),
        record_before=lambda: earlier_record,
    )
    return Spec(objections, participant_gate.objections).given(*earlier)


def objections_of(spec: Spec) -> list[Objection]:
    try:
        spec.then_admitted()
    except RuleViolation as violation:
        return sorted(
            (objection for _, objection in violation.raised_objections), key=lambda objection: objection.pointer
        )
    return []


def members_with_code(spec: Spec, code: str) -> list[str]:
    objections_found = objections_of(spec)
    assert {objection.code for objection in objections_found} == {code}
    return [objection.pointer for objection in objections_found]


def rows(name: str) -> list[dict[str, str]]:
    with (TABLES / f"{name}.csv").open(encoding="utf-8", newline="") as table:
        return list(csv.DictReader(table))


def refused_terms(name: str, grade: int) -> set[str]:
    """Returns the terms of a dictionary that do not have a grade, from assessments with as many findings as allowed."""
    terms, refused = [row["term_id"] for row in rows(name)], set()
    for start in range(0, len(terms), MAX_FINDINGS):
        chunk = terms[start : start + MAX_FINDINGS]
        assessment = toxicity_assessed(0, *(finding(term, grade) for term in chunk))
        for objection in objections_of(gate_spec(dictionary=name).given().when(assessment)):
            match = re.fullmatch("/findings/([0-9]+)/grade", objection.pointer)
            assert match, objection
            refused.add(chunk[int(match[1])])
    return refused


@pytest.mark.parametrize(
    ("name", "missing"), [("ctcae-3.0", 819), ("ctcae-4.03", 901), ("ctcae-5.0", 1000), ("ctcae-6.0", 1015)]
)
def test_exactly_the_grades_without_description_are_refused(name: str, missing: int) -> None:
    without_text = {(row["term_id"], grade) for row in rows(name) for grade in range(1, 6) if not row[f"grade{grade}"]}
    assert {(term, grade) for grade in range(6) for term in refused_terms(name, grade)} == without_text
    assert len(without_text) == missing


def test_refusal_of_a_grade_lists_the_grades_of_the_term() -> None:
    (objection,) = objections_of(gate_spec().given().when(toxicity_assessed(0, finding(), finding(V3_DRY_MOUTH, 4))))
    assert (objection.code, objection.pointer) == ("no-such-grade", "/findings/1/grade")
    assert objection.message == "This term does not have that grade. Its grades are 0, 1, 2, 3."


def test_grade_0_and_not_graded_are_accepted_for_every_term() -> None:
    gate_spec().given().when(
        toxicity_assessed(0, finding(V3_HYPOTHERMIA, 0), finding(V3_DRY_MOUTH, None))
    ).then_admitted()


def test_term_must_be_in_the_dictionary_of_the_study() -> None:
    assessment = toxicity_assessed(0, finding(), finding(V5_ANEMIA), finding("3.0:1060"))
    assert members_with_code(gate_spec().given().when(assessment), "no-such-term") == [
        "/findings/1/term",
        "/findings/2/term",
    ]
    assert members_with_code(
        gate_spec(dictionary="ctcae-5.0").given().when(serious_event_reported()), "no-such-term"
    ) == ["/term"]
    gate_spec(dictionary="ctcae-5.0").given().when(toxicity_assessed(0, finding(V5_ANEMIA))).then_admitted()


def test_all_objections_to_an_assessment_are_returned_at_once() -> None:
    assessment = toxicity_assessed(
        0, finding(V5_ANEMIA), finding(V3_HYPOTHERMIA, 1), finding(attribution=attributions("course:X"))
    )
    gate_spec().given().when(assessment).then_refused("no-such-term", "no-such-grade", "no-such-course")


def test_dictionary_is_that_of_the_protocol_on_the_day_of_the_fact() -> None:
    spec = gate_spec(protocol_amended(10, protocol_with_dictionary("ctcae-5.0")))
    spec.given().when(toxicity_assessed(9, finding()), toxicity_assessed(10, finding(V5_ANEMIA))).then_admitted()
    spec.given().when(toxicity_assessed(10, finding())).then_refused("no-such-term")
    spec.given().when(toxicity_assessed(9, finding(V5_ANEMIA))).then_refused("no-such-term")
    spec.given().when(
        serious_event_reported(when=9), serious_event_reported("SAE2", 10, term=V5_ANEMIA)
    ).then_admitted()


def test_partial_date_allows_the_dictionary_of_any_possible_protocol() -> None:
    spec = gate_spec(protocol_amended(10, protocol_with_dictionary("ctcae-5.0")))
    for term in (DYSPHAGIA, V5_ANEMIA):
        spec.given().when(toxicity_assessed("2024-02", finding(term))).then_admitted()
    spec.given().when(toxicity_assessed("2024-03", finding())).then_refused("no-such-term")
    spec.given().when(toxicity_assessed("2024-01", finding(V5_ANEMIA))).then_refused("no-such-term")


def test_assessment_must_not_mix_dictionaries() -> None:
    spec = gate_spec(protocol_amended(10, protocol_with_dictionary("ctcae-5.0")))
    mixed = toxicity_assessed("2024-02", finding(), finding(V5_ANEMIA))
    assert members_with_code(spec.given().when(mixed), "no-such-term") == ["/findings/0/term"]


def test_correction_uses_the_dictionary_of_the_day_of_the_fact() -> None:
    spec = gate_spec(protocol_amended(10, protocol_with_dictionary("ctcae-5.0")))
    graded_spec = spec.given(toxicity_assessed(5, finding()))
    graded_spec.when(correction(1, toxicity_assessed(5, finding(grade=2)))).then_admitted()
    correction_of_day = correction(1, toxicity_assessed(15, finding()))
    assert members_with_code(graded_spec.when(correction_of_day), "no-such-term") == [
        "/replacement/data/findings/0/term"
    ]
    graded_spec.when(correction(1, None)).then_admitted()


def test_serious_event_may_keep_the_dictionary_of_its_report() -> None:
    spec = gate_spec(protocol_amended(10, protocol_with_dictionary("ctcae-5.0"))).given(serious_event_reported(when=5))
    spec.when(serious_event_updated(term=DYSPHAGIA, grade=4)).then_admitted()
    spec.when(serious_event_resolved(term=DYSPHAGIA, resolved_on=facts.day(20))).then_admitted()
    spec.when(serious_event_updated(term=V5_ANEMIA, aware_at="2024-02-11T08:00:00+01:00")).then_admitted()
    spec.when(serious_event_updated(term="4.03:0001")).then_refused("no-such-term")


def test_undated_update_counts_from_the_day_of_awareness() -> None:
    spec = gate_spec(protocol_amended(10, protocol_with_dictionary("ctcae-5.0"))).given(serious_event_reported())
    spec.when(serious_event_updated(term=V5_ANEMIA, aware_at="2024-02-11T08:00:00+01:00")).then_admitted()
    spec.when(serious_event_updated(term=V5_ANEMIA, aware_at="2024-02-10T08:00:00+01:00")).then_refused("no-such-term")


@pytest.mark.parametrize("sequel", [serious_event_updated, serious_event_resolved])
def test_awareness_after_withdrawal_is_refused(sequel: Any) -> None:
    spec = gate_spec(enrollment_facts=(*ENROLLMENT_FACTS, facts.consent_withdrawn(5))).given(serious_event_reported())
    assert members_with_code(spec.when(sequel(aware_at="2024-02-08T08:00:00+01:00")), "after-withdrawal") == [
        "/aware_at"
    ]
    spec.when(sequel(aware_at="2024-02-04T08:00:00+01:00")).then_admitted()


def test_update_learned_after_a_withdrawal_stays_correctable() -> None:
    recorded = (serious_event_reported(), serious_event_updated(aware_at="2024-02-08T08:00:00+01:00"))
    spec = gate_spec(enrollment_facts=(*ENROLLMENT_FACTS, facts.consent_withdrawn(5)), earlier=recorded)
    for better in ({"aware_at": "2024-02-08T09:00:00+01:00"}, {"aware_at": "2024-02-09T08:00:00+01:00"}):
        spec.when(correction(2, serious_event_updated(**better))).then_admitted()
        spec.when(correction(2, serious_event_updated(**better, onset_on=facts.day(7)))).then_admitted()
    assert members_with_code(spec.when(correction(1, serious_event_reported(when=6))), "after-withdrawal") == [
        "/replacement/data/onset_on"
    ]


def test_correction_cannot_move_an_invalid_grade_to_another_event() -> None:
    recorded = (
        serious_event_reported(term=V3_DRY_MOUTH, grade=3),
        serious_event_updated(grade=4),
        serious_event_reported("SAE2", term=V3_DRY_MOUTH, grade=3),
    )
    spec = gate_spec(earlier=recorded)
    spec.when(correction(2, serious_event_updated(grade=4, aware_at="2024-02-05T09:00:00+01:00"))).then_admitted()
    within = members_with_code(spec.when(correction(2, serious_event_updated("SAE2", grade=4))), "no-such-grade")
    assert within == ["/replacement/data/grade"]


@pytest.mark.parametrize("sequel", [serious_event_updated, serious_event_resolved])
def test_later_grade_must_exist_for_the_reported_term(sequel: Any) -> None:
    reported = gate_spec().given(serious_event_reported(term=V3_DRY_MOUTH, grade=3))
    reported.when(sequel(grade=2)).then_admitted()
    assert members_with_code(reported.when(sequel(grade=4)), "no-such-grade") == ["/grade"]
    reported.when(sequel(grade=4, term=DYSPHAGIA)).then_admitted()
    assert members_with_code(reported.when(sequel(grade=1, term=V3_HYPOTHERMIA)), "no-such-grade") == ["/grade"]
    reported.when(sequel()).then_admitted()


def test_later_grade_may_exist_for_an_updated_term() -> None:
    restated = gate_spec().given(serious_event_reported(term=V3_DRY_MOUTH), serious_event_updated(term=DYSPHAGIA))
    restated.when(serious_event_updated(grade=4)).then_admitted()
    other = gate_spec().given(
        serious_event_reported(term=V3_DRY_MOUTH),
        serious_event_reported("SAE2"),
        serious_event_updated("SAE2", term=DYSPHAGIA),
    )
    other.when(serious_event_updated(grade=4)).then_refused("no-such-grade")


def test_grade_is_not_checked_for_an_unknown_term() -> None:
    gate_spec().given().when(serious_event_reported(term="3.0:9999"), serious_event_updated(grade=4)).then_refused(
        "no-such-term"
    )


def test_grade_is_not_checked_for_an_unreported_event() -> None:
    gate_spec().given().when(serious_event_updated(grade=5)).then_refused("no-such-serious-event")


def test_unknown_treatments_of_an_assessment_are_refused_as_not_known_yet() -> None:
    causes = attributions("course:RT1", "line:S1", "disease", "other")
    assessment = toxicity_assessed(0, finding(attribution=causes), course_id="RT1")
    gate_spec(enrollment_facts=(*ENROLLMENT_FACTS, radiotherapy_started(), systemic_therapy_started())).given().when(
        assessment
    ).then_admitted()
    objections_found = objections_of(gate_spec().given().when(assessment))
    assert [(objection.code, objection.pointer) for objection in objections_found] == [
        ("no-such-course", "/course_id"),
        ("no-such-course", "/findings/0/attribution/0/to"),
        ("no-such-line", "/findings/0/attribution/1/to"),
    ]
    assert all(objection.may_arrive_later for objection in objections_found)


def test_course_ids_and_line_ids_are_not_interchangeable() -> None:
    treated = gate_spec(
        enrollment_facts=(*ENROLLMENT_FACTS, radiotherapy_started(name="A"), systemic_therapy_started(name="B"))
    )
    crossed = toxicity_assessed(0, finding(attribution=attributions("course:B", "line:A")))
    treated.given().when(crossed).then_refused("no-such-course", "no-such-line")


def test_assessment_may_precede_the_course_it_names() -> None:
    """Data queries compare dates of two services; the gate does not."""
    gate_spec(enrollment_facts=(*ENROLLMENT_FACTS, radiotherapy_started(10))).given().when(
        toxicity_assessed(0, course_id="RT1")
    ).then_admitted()


def test_faults_that_waiting_cannot_resolve_are_final() -> None:
    objections_found = objections_of(
        gate_spec().given().when(toxicity_assessed(0, finding(V5_ANEMIA), finding(V3_HYPOTHERMIA, 1)))
    )
    assert [(objection.code, objection.may_arrive_later) for objection in objections_found] == [
        ("no-such-term", False),
        ("no-such-grade", False),
    ]


@pytest.mark.parametrize("make_fact", [serious_event_reported, serious_event_updated, serious_event_resolved])
def test_awareness_after_today_at_the_site_is_refused(make_fact: Any) -> None:
    spec = gate_spec(today=START_DATE).given(serious_event_reported("SAE1"))
    name = "SAE2" if make_fact is serious_event_reported else "SAE1"
    for timestamp in ("2024-02-01T22:59:59Z", "2024-02-02T12:59:59+14:00", "2024-02-01T11:59:59-11:00"):
        spec.when(make_fact(name, aware_at=timestamp)).then_admitted()
    for timestamp in ("2024-02-01T23:00:00Z", "2024-02-02T13:00:00+14:00", "2024-02-01T12:00:00-11:00"):
        assert members_with_code(spec.when(make_fact(name, aware_at=timestamp)), "in-the-future") == ["/aware_at"]


def test_late_report_is_accepted() -> None:
    gate_spec().given().when(serious_event_reported(aware_at="2020-01-01T00:00:00Z")).then_admitted()


def test_common_gate_checks_apply_to_toxicity() -> None:
    gate_spec(enrollment_facts=(*ENROLLMENT_FACTS, consent_withdrawn(5))).given().when(
        toxicity_assessed(6)
    ).then_refused("after-withdrawal")
    gate_spec(today=START_DATE).given().when(toxicity_assessed(1)).then_refused("in-the-future")
    gate_spec().given().when(toxicity_assessed("1946")).then_refused("before-birth")


def test_voiding_an_assessment_is_not_checked_by_the_gate() -> None:
    gate_spec(enrollment_facts=ENROLLMENT_FACTS).given(toxicity_assessed(0, course_id="RT1")).when(
        correction(1, None)
    ).then_admitted()


def test_correction_may_keep_a_treatment_that_is_no_longer_known() -> None:
    causes = attributions("course:RT1", "line:S1")
    spec = gate_spec(earlier=(toxicity_assessed(0, finding(attribution=causes), course_id="RT1"),))
    spec.when(
        correction(1, toxicity_assessed(0, finding(grade=2, attribution=causes), course_id="RT1"))
    ).then_admitted()
    spec.when(correction(1, toxicity_assessed(0, finding(), course_id="RT2"))).then_refused("no-such-course")
    spec.when(correction(1, toxicity_assessed(0, finding(), course_id="S1"))).then_refused("no-such-course")


def test_same_day_correction_may_keep_the_earlier_dictionary() -> None:
    spec = gate_spec(
        protocol_amended(0, protocol_with_dictionary("ctcae-5.0")),
        earlier=(toxicity_assessed(5, finding()), serious_event_reported(when=5)),
    )
    spec.when(correction(1, toxicity_assessed(5, finding(grade=2)))).then_admitted()
    spec.when(correction(1, toxicity_assessed(5, finding(V5_ANEMIA)))).then_admitted()
    spec.when(correction(2, serious_event_reported(when=5, grade=4))).then_admitted()
    spec.when(correction(1, toxicity_assessed(6, finding()))).then_refused("no-such-term")
    spec.when(correction(1, toxicity_assessed(5, finding(), finding(V5_ANEMIA)))).then_refused("no-such-term")


def test_all_dictionaries_are_tested() -> None:
    assert {path.stem for path in TABLES.glob("*.csv")} == set(DICTIONARY_NAMES)
