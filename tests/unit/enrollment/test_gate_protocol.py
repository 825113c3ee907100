"""Facts at the gate of enrollment: the protocol's criteria, waivers, minimum age, consent forms and amendments."""

from __future__ import annotations

from typing import Any

import pytest

from shared.testing.builders.facts import (
    CRITERIA_MET,
    consent_signed,
    correction,
    participant_enrolled,
    participant_screened,
    protocol,
    protocol_amended,
    screening_failed,
    study_opened,
)
from tests.unit.enrollment.gate_specs import gate_spec, objections_of


def test_screening_answers_exactly_the_protocol_criteria() -> None:
    gate_spec().given().when(participant_screened(criteria={"histology": "met"})).then_refused("criterion-unanswered")
    gate_spec().given().when(participant_screened(criteria={})).then_refused("criterion-unanswered")
    gate_spec().given().when(participant_screened(criteria={**CRITERIA_MET, "age": "met"})).then_refused(
        "no-such-criterion"
    )
    renamed = {"histology": "met", "age": "met"}
    gate_spec().given().when(participant_screened(criteria=renamed)).then_refused(
        "criterion-unanswered", "no-such-criterion"
    )
    gate_spec().given().when(participant_screened(criteria={**CRITERIA_MET, "histology": "not_met"})).then_admitted()


def test_unknown_criterion_is_refused_without_repeating_its_name() -> None:
    objections_raised = objections_of(
        gate_spec().given().when(participant_screened(criteria={"rossi": "met"}, waivers={"rossi": "agreed by phone"}))
    )
    assert sorted((raised.code, raised.pointer) for raised in objections_raised) == [
        ("criterion-unanswered", "/criteria/histology"),
        ("criterion-unanswered", "/criteria/rt-indicated"),
        ("no-such-criterion", "/criteria"),
        ("not-waived", "/waivers"),
    ]
    assert not any("rossi" in raised.message for raised in objections_raised)


def test_waivers_belong_to_waived_criteria() -> None:
    waived = {**CRITERIA_MET, "histology": "waived"}
    gate_spec().given().when(
        participant_screened(criteria=waived, waivers={"histology": "agreed by phone"})
    ).then_admitted()
    gate_spec().given().when(participant_screened(criteria=waived)).then_admitted()
    gate_spec().given().when(participant_screened(waivers={"histology": "agreed by phone"})).then_refused("not-waived")


AMENDED = study_opened(protocol(("a",))), protocol_amended("2024-02-11", protocol(("a", "b"), minimum_age=80))


@pytest.mark.parametrize(
    ("when", "answers", "codes"),
    [
        ("2024-02-10", {"a": "met"}, ()),
        ("2024-02-10", {"a": "met", "b": "met"}, ("no-such-criterion",)),
        ("2024-02-11", {"a": "met"}, ("criterion-unanswered", "too-young")),
        ("2024-02-11", {"a": "met", "b": "met"}, ("too-young",)),
        ("2024-02", {"a": "met"}, ()),
        ("2024-02", {"a": "met", "b": "met"}, ("too-young",)),
        ("2024-03", {"a": "met"}, ("criterion-unanswered", "too-young")),
    ],
)
def test_protocol_in_force_on_the_date_of_the_fact_applies(when: str, answers: Any, codes: tuple[str, ...]) -> None:
    spec = gate_spec(*AMENDED).given().when(participant_screened(when, criteria=answers))
    if codes:
        spec.then_refused(*codes)
    else:
        spec.then_admitted()


def test_amendment_does_not_apply_to_earlier_screenings() -> None:
    early = participant_screened(0, criteria={"a": "met"})
    gate_spec(*AMENDED).given(early, consent_signed()).when(participant_enrolled(30)).then_admitted()
    gate_spec(*AMENDED).given(early).when(correction(1, participant_screened(1, criteria={"a": "met"}))).then_admitted()
    gate_spec(*AMENDED).given(early).when(correction(1, participant_screened(30, criteria={"a": "met"}))).then_refused(
        "criterion-unanswered", "too-young"
    )


@pytest.mark.parametrize("born", [2006, 1900])
def test_participant_who_may_be_old_enough_is_screened(born: int) -> None:
    gate_spec().given().when(participant_screened(birth_year=born)).then_admitted()


def test_participant_below_the_minimum_age_is_refused() -> None:
    gate_spec().given().when(participant_screened(birth_year=2007)).then_refused("too-young")
    gate_spec().given().when(participant_screened("2024", birth_year=2007)).then_refused("too-young")
    objections_raised = objections_of(
        gate_spec().given(participant_screened()).when(correction(1, participant_screened(birth_year=2007)))
    )
    assert [raised.pointer for raised in objections_raised] == ["/replacement/data/birth_year"]


@pytest.mark.parametrize(
    ("when", "version"), [(0, "2.1"), ("2024-06-01", "3.0"), ("2024", "2.1"), ("2024", "3.0"), ("2020", "2.1")]
)
def test_consent_form_may_be_signed_while_valid(when: int | str, version: str) -> None:
    gate_spec().given(participant_screened()).when(consent_signed(when, version)).then_admitted()


@pytest.mark.parametrize(("when", "version"), [(0, "3.0"), ("2024-06-01", "2.1"), (0, "9"), ("2019", "2.1")])
def test_consent_form_cannot_be_signed_before_or_after_its_validity(when: int | str, version: str) -> None:
    gate_spec().given(participant_screened()).when(consent_signed(when, version)).then_refused("consent-version")
    gate_spec().given(participant_screened(), consent_signed()).when(
        correction(2, consent_signed(when, version))
    ).then_refused("consent-version")


def test_an_amendment_may_replace_the_consent_forms() -> None:
    only = protocol(consent_versions=[{"version": "4", "valid_from": "2024-02-11"}])
    study = study_opened(), protocol_amended("2024-02-11", only)
    gate_spec(*study).given(participant_screened()).when(consent_signed(9)).then_admitted()
    gate_spec(*study).given(participant_screened()).when(consent_signed(10)).then_refused("consent-version")
    gate_spec(*study).given(participant_screened()).when(
        consent_signed("2024-02", "2.1"), consent_signed("2024-02", "4")
    ).then_admitted()


@pytest.mark.parametrize("reason", ["histology", "rt-indicated", "refused", "died", "other"])
def test_a_screening_fails_for_a_criterion_or_a_known_reason(reason: str) -> None:
    gate_spec().given(participant_screened()).when(screening_failed(0, reason)).then_admitted()
    gate_spec().given(participant_screened()).when(screening_failed(0, reason, "weather")).then_refused(
        "no-such-reason"
    )
