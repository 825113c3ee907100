from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import pytest

from services.enrollment.gate import World
from services.enrollment.participant import objections
from shared.contracts.enrollment import Consented
from shared.kernel.fact import Fact
from shared.kernel.record import Objection, Record, Refused, decide, standing
from shared.testing.facts import (
    MET,
    ON_STUDY,
    START,
    accrual_closed,
    amended,
    baseline,
    completed,
    consented,
    correction,
    course,
    enrolled,
    lesion,
    line,
    opened,
    procedure,
    protocol,
    screen_failed,
    screened,
    site_activated,
    site_closed,
    study_closed,
    transferred,
    voided,
    withdrawn,
)
from shared.testing.spec import Spec, history

TODAY = START + timedelta(days=400)
SITES = site_activated("rome"), site_activated("milan", 0)


def at(*said: Fact, today: date = TODAY, site: str = "rome", began: str = "rome") -> Spec:
    """The participant of a site, in a study of which that is stated besides its opening and its sites."""
    facts = said if any(fact.type_name == "study.opened" for fact in said) else (opened(), *said)
    world = World(Record(tuple(history((*facts, *SITES)))), today, site, began)
    return Spec(objections, world.gate)


def refused(spec: Spec) -> list[Objection]:
    with pytest.raises(Refused) as refusal:
        spec.then_admitted()
    return [objection for _, objection in refusal.value.raised]


@pytest.mark.parametrize(
    ("stated", "members"),
    [
        (consented(1), ["/signed_on"]),
        (procedure("2024-03"), ["/performed_on"]),
        (procedure("2025"), ["/performed_on"]),
        (lesion(when=1), ["/found_on"]),
        (baseline(1, diagnosed_on="2024-05"), ["/assessed_on", "/diagnosed_on"]),
        (course(1), ["/started_on"]),
        (withdrawn(1), ["/withdrawn_on"]),
        (transferred("milan", 1), ["/on"]),
        (correction(2, consented(1)), ["/replacement/data/signed_on"]),
    ],
)
def test_nothing_lies_wholly_in_the_future_of_the_sites_today(stated: Fact, members: list[str]) -> None:
    said = refused(at(today=START).given(*ON_STUDY).when(stated))
    assert sorted(raised.member for raised in said if raised.code == "in-the-future") == members


@pytest.mark.parametrize("when", [0, "2024-02", "2024", "2023", -1])
def test_today_and_what_may_be_today_are_not_the_future(when: int | str) -> None:
    at(today=START).given(*ON_STUDY).when(procedure(when)).then_admitted()


def test_the_future_of_a_screening_is_refused_as_well() -> None:
    at(today=START).given().when(screened(1)).then_refused("in-the-future")


def test_only_an_active_site_screens() -> None:
    at().given().when(screened("2020-12-01")).then_admitted()
    at().given().when(screened("2020-11-30")).then_refused("site-not-active")
    at(site="oslo", began="oslo").given().when(screened(site_id="oslo")).then_refused("site-not-active")


def test_after_the_closing_of_a_site_only_what_was_before_is_stated_there() -> None:
    closing = site_closed("rome", 10)
    at(closing).given().when(screened(10)).then_admitted()
    at(closing).given().when(screened(11)).then_refused("site-not-active")
    at(closing).given(*ON_STUDY).when(procedure(10), course("2024-02")).then_admitted()
    at(closing).given(*ON_STUDY).when(procedure(11)).then_refused("site-closed")
    at(closing).given(*ON_STUDY).when(procedure("2024-03")).then_refused("site-closed")
    at(site_closed("milan", 10)).given(*ON_STUDY).when(procedure(11)).then_admitted()


def test_a_participant_leaves_a_closed_site_for_an_active_one() -> None:
    at(site_closed("rome", 10)).given(*ON_STUDY).when(transferred("milan", 20)).then_admitted()
    at(site_closed("milan", 10)).given(*ON_STUDY).when(transferred("milan", 11)).then_refused("site-not-active")
    at(site_closed("milan", 10)).given(*ON_STUDY).when(transferred("milan", "2024-02")).then_admitted()
    at().given(*ON_STUDY).when(transferred("oslo", 20)).then_refused("site-not-active")
    at().given(*ON_STUDY).when(transferred("milan", -1)).then_refused("site-not-active")


def test_what_is_corrected_at_a_closed_site_stays_correctable() -> None:
    at(site_closed("rome", 10)).given(*ON_STUDY, procedure(5)).when(correction(4, procedure(12))).then_admitted()


def test_after_the_accrual_nobody_is_screened_or_enrolled() -> None:
    closed = accrual_closed(10)
    at(closed).given().when(screened(10), consented(10), enrolled(10)).then_admitted()
    at(closed).given().when(screened(11)).then_refused("accrual-closed")
    at(closed).given(screened(), consented()).when(enrolled(11)).then_refused("accrual-closed")
    at(closed).given(screened(), consented()).when(enrolled("2024-02")).then_admitted()
    at(closed).given(screened(), consented()).when(enrolled("2024-03")).then_refused("accrual-closed")


def test_after_the_accrual_everything_else_goes_on() -> None:
    closed = accrual_closed(10)
    at(closed).given(*ON_STUDY).when(consented(20), procedure(20), course(20), withdrawn(20)).then_admitted()
    at(closed).given(screened()).when(screen_failed(20)).then_admitted()


def test_after_the_study_only_what_was_before_is_stated() -> None:
    at(study_closed(10)).given(*ON_STUDY).when(procedure(10), course("2024-02")).then_admitted()
    at(study_closed(10)).given(*ON_STUDY).when(procedure(11)).then_refused("study-closed")
    at(study_closed(10)).given().when(screened(11)).then_refused("study-closed")
    (raised,) = refused(at(study_closed(10)).given(*ON_STUDY).when(lesion(when=11)))
    assert (raised.member, raised.because_of) == ("/found_on", history([opened(), study_closed(10)])[1].event_id)


@pytest.mark.parametrize("mend", [correction(4, procedure(20)), correction(4, None), correction(2, consented(-1))])
def test_corrections_pass_when_the_study_is_closed(mend: Fact) -> None:
    at(study_closed(10)).given(*ON_STUDY, procedure(5)).when(mend).then_admitted()


def test_a_mistaken_participant_can_be_voided_when_all_is_closed() -> None:
    at(study_closed(0), site_closed("rome", 0), accrual_closed(0)).given(*ON_STUDY).when(voided()).then_admitted()


def test_every_criterion_of_the_protocol_is_answered_and_no_other() -> None:
    at().given().when(screened(criteria={"histology": "met"})).then_refused("criterion-unanswered")
    at().given().when(screened(criteria={})).then_refused("criterion-unanswered")
    at().given().when(screened(criteria={**MET, "age": "met"})).then_refused("no-such-criterion")
    renamed = {"histology": "met", "age": "met"}
    at().given().when(screened(criteria=renamed)).then_refused("criterion-unanswered", "no-such-criterion")
    at().given().when(screened(criteria={**MET, "histology": "not_met"})).then_admitted()


def test_answers_are_pointed_at_as_a_whole_and_a_name_that_is_unknown_is_not_repeated() -> None:
    said = refused(at().given().when(screened(criteria={"rossi": "met"}, waivers={"rossi": "agreed by phone"})))
    assert sorted((raised.code, raised.member) for raised in said) == [
        ("criterion-unanswered", "/criteria"),
        ("no-such-criterion", "/criteria"),
        ("not-waived", "/waivers"),
    ]
    assert not any("rossi" in raised.message for raised in said)


def test_a_waiver_is_given_for_what_is_waived() -> None:
    waived = {**MET, "histology": "waived"}
    at().given().when(screened(criteria=waived, waivers={"histology": "agreed by phone"})).then_admitted()
    at().given().when(screened(criteria=waived)).then_admitted()
    at().given().when(screened(waivers={"histology": "agreed by phone"})).then_refused("not-waived")


AMENDED = opened(protocol(("a",))), amended("2024-02-11", protocol(("a", "b"), minimum_age=80))


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
def test_the_protocol_in_force_on_the_facts_date_is_asked(when: str, answers: Any, codes: tuple[str, ...]) -> None:
    said = at(*AMENDED).given().when(screened(when, criteria=answers))
    if codes:
        said.then_refused(*codes)
    else:
        said.then_admitted()


def test_who_was_screened_before_an_amendment_is_not_judged_again() -> None:
    early = screened(0, criteria={"a": "met"})
    at(*AMENDED).given(early, consented()).when(enrolled(30)).then_admitted()
    at(*AMENDED).given(early).when(correction(1, screened(1, criteria={"a": "met"}))).then_admitted()
    at(*AMENDED).given(early).when(correction(1, screened(30, criteria={"a": "met"}))).then_refused(
        "criterion-unanswered", "too-young"
    )


@pytest.mark.parametrize("born", [2006, 1900])
def test_who_may_be_old_enough_is_screened(born: int) -> None:
    at().given().when(screened(birth_year=born)).then_admitted()


def test_who_is_surely_below_the_minimum_age_is_not_screened() -> None:
    at().given().when(screened(birth_year=2007)).then_refused("too-young")
    at().given().when(screened("2024", birth_year=2007)).then_refused("too-young")
    said = refused(at().given(screened()).when(correction(1, screened(birth_year=2007))))
    assert [raised.member for raised in said] == ["/replacement/data/birth_year"]


@pytest.mark.parametrize(
    ("when", "version"), [(0, "2.1"), ("2024-06-01", "3.0"), ("2024", "2.1"), ("2024", "3.0"), ("2020", "2.1")]
)
def test_a_consent_form_is_signed_while_it_is_valid(when: int | str, version: str) -> None:
    at().given(screened()).when(consented(when, version)).then_admitted()


@pytest.mark.parametrize(("when", "version"), [(0, "3.0"), ("2024-06-01", "2.1"), (0, "9"), ("2019", "2.1")])
def test_a_consent_form_is_not_signed_before_or_after_it_is_valid(when: int | str, version: str) -> None:
    at().given(screened()).when(consented(when, version)).then_refused("consent-version")
    at().given(screened(), consented()).when(correction(2, consented(when, version))).then_refused("consent-version")


def test_an_amendment_may_replace_the_consent_forms() -> None:
    only = protocol(consent_versions=[{"version": "4", "valid_from": "2024-02-11"}])
    study = opened(), amended("2024-02-11", only)
    at(*study).given(screened()).when(consented(9)).then_admitted()
    at(*study).given(screened()).when(consented(10)).then_refused("consent-version")
    at(*study).given(screened()).when(consented("2024-02", "2.1"), consented("2024-02", "4")).then_admitted()


@pytest.mark.parametrize("reason", ["histology", "rt-indicated", "refused", "died", "other"])
def test_a_screening_fails_for_a_criterion_or_a_known_reason(reason: str) -> None:
    at().given(screened()).when(screen_failed(0, reason)).then_admitted()
    at().given(screened()).when(screen_failed(0, reason, "weather")).then_refused("no-such-reason")


def test_the_site_of_a_screening_cannot_be_corrected() -> None:
    said = refused(at().given(screened()).when(correction(1, screened(site_id="milan"))))
    assert [(raised.code, raised.member) for raised in said] == [("site-fixed", "/replacement/data/site_id")]
    at().given(screened()).when(correction(1, screened(3))).then_admitted()


def test_another_site_corrects_the_screening_of_a_participant_who_came_to_it() -> None:
    moved = at(site="milan", began="rome").given(*ON_STUDY, transferred("milan", 5))
    moved.when(correction(1, screened(local_reference="M-1"))).then_admitted()
    moved.when(correction(1, screened(site_id="milan", local_reference="M-1"))).then_refused("site-fixed")


def test_a_late_report_of_something_before_the_withdrawal_is_welcome() -> None:
    past = at().given(*ON_STUDY, course(), withdrawn(60))
    past.when(completed(40)).then_admitted()
    past.when(completed(60)).then_admitted()
    past.when(completed(61)).then_refused("after-withdrawal")
    past.when(completed("2024-04")).then_admitted()
    past.when(completed("2024-05")).then_refused("after-withdrawal")


@pytest.mark.parametrize("scope", ["follow_up", "data_use"])
def test_after_a_withdrawal_of_either_scope_nothing_later_is_stated_but_the_other_scope(scope: str) -> None:
    other = {"follow_up": "data_use", "data_use": "follow_up"}[scope]
    past = at().given(*ON_STUDY, withdrawn(30, scope))
    for later in (procedure(31), line(31), consented(31), course(31), lesion(when=31), transferred("milan", 31)):
        past.when(later).then_refused("after-withdrawal")
    past.when(withdrawn(50, other)).then_admitted()
    past.when(voided()).then_admitted()
    past.when(procedure(30)).then_admitted()


def test_a_withdrawal_does_not_judge_what_is_recorded_already() -> None:
    at().given(*ON_STUDY, procedure(40)).when(withdrawn(30)).then_admitted()
    at().given(*ON_STUDY, procedure(40)).when(withdrawn(30), procedure(41)).then_refused("after-withdrawal")


def test_a_correction_that_dates_a_fact_after_the_withdrawal_is_refused() -> None:
    past = at().given(*ON_STUDY, procedure(20), withdrawn(30))
    past.when(correction(4, procedure(29))).then_admitted()
    (raised,) = refused(past.when(correction(4, procedure(31))))
    assert (raised.code, raised.member) == ("after-withdrawal", "/replacement/data/performed_on")
    past.when(correction(4, None)).then_admitted()
    past.when(correction(5, withdrawn(10))).then_admitted()


def test_a_voided_withdrawal_closes_nothing() -> None:
    at().given(*ON_STUDY, withdrawn(30), correction(4, None)).when(procedure(40)).then_admitted()
    at().given(*ON_STUDY, withdrawn(30)).when(correction(4, withdrawn(50)), procedure(40)).then_admitted()


def test_a_voided_participant_takes_nothing_new() -> None:
    past = at().given(*ON_STUDY, voided())
    for new in (procedure(), consented(), withdrawn(), transferred("milan", 5), lesion()):
        past.when(new).then_refused("participant-voided")
    past.when(voided("duplicate")).then_refused("participant-voided", "stated-twice")


def test_a_voided_participant_stays_correctable() -> None:
    past = at().given(*ON_STUDY, procedure(), voided())
    past.when(correction(4, procedure(1))).then_admitted()
    past.when(correction(4, None)).then_admitted()
    past.when(correction(5, voided("duplicate"))).then_admitted()


def test_the_voiding_of_a_participant_can_itself_be_voided() -> None:
    at().given(*ON_STUDY, voided()).when(correction(4, None)).then_admitted()
    at().given(*ON_STUDY, voided()).when(correction(4, None), procedure()).then_admitted()
    at().given(*ON_STUDY, voided(), correction(4, None)).when(procedure()).then_admitted()
    at().given(*ON_STUDY, voided(), correction(4, None)).when(correction(4, voided())).then_admitted()


def test_nothing_is_stated_together_with_a_void_of_the_participant() -> None:
    at().given(*ON_STUDY).when(voided(), procedure()).then_refused("participant-voided")


def test_voids_pass_whatever_the_world_has_come_to() -> None:
    world = at(study_closed(0), site_closed("rome", 0), accrual_closed(0), today=date(2024, 1, 1))
    past = world.given(*ON_STUDY, procedure(50), withdrawn(10), voided())
    for event in (4, 5, 6):
        past.when(correction(event, None)).then_admitted()


def test_the_gate_is_never_asked_about_what_is_recorded_already() -> None:
    past = history([screened(criteria={}), consented(900, "9"), procedure(900), withdrawn(-900)])
    world = World(standing(history([opened()])), START, "oslo", "rome")
    decide(past, history([voided()], 5), objections, world.gate)


def mending(*past: Fact, said: Sequence[Fact], site: str = "rome") -> Spec:
    """What stands, and what was stated of the study since then."""
    study = said if any(fact.type_name == "study.opened" for fact in said) else (opened(), *said)
    world = World(
        Record(tuple(history((*study, *SITES)))), TODAY, site, "rome", earlier=lambda: standing(history(past))
    )
    return Spec(objections, world.gate).given(*past)


def test_the_day_of_a_transfer_can_be_mended_at_the_site_where_it_led() -> None:
    there = mending(*ON_STUDY, transferred("milan", 5), said=(), site="milan")
    there.when(correction(4, transferred("milan", 7))).then_admitted()
    there.when(transferred("milan", 9)).then_refused("already-there")


def test_a_transfer_is_not_mended_into_one_to_a_site_that_was_not_active() -> None:
    there = mending(*ON_STUDY, transferred("milan", 5), said=(site_closed("milan", 10),), site="milan")
    there.when(correction(4, transferred("milan", 10))).then_admitted()
    there.when(correction(4, transferred("milan", 11))).then_refused("site-not-active")
    there.when(correction(4, transferred("milan", -1))).then_refused("site-not-active")
    there.when(correction(4, transferred("oslo", 5))).then_refused("site-not-active")


def test_an_accrual_that_was_closed_for_a_day_before_does_not_stand_in_the_way_of_mending() -> None:
    past = mending(*ON_STUDY, said=(accrual_closed(-5),))
    past.when(correction(1, screened(-1, birth_year=1950))).then_admitted()
    past.when(correction(3, enrolled(1))).then_admitted()


def test_a_site_that_was_closed_for_a_day_before_does_not_stand_in_the_way_of_mending_but_the_day() -> None:
    past = mending(*ON_STUDY, said=(site_closed("rome", -5),))
    past.when(correction(1, screened(birth_year=1950))).then_admitted()
    past.when(correction(1, screened(-5))).then_admitted()
    past.when(correction(1, screened(-1))).then_refused("site-not-active")
    past.when(correction(1, screened("2020-11-30"))).then_refused("site-not-active")


def test_nobody_is_moved_behind_the_end_of_the_accrual_by_a_correction() -> None:
    past = mending(*ON_STUDY, said=(accrual_closed(5),))
    past.when(correction(3, enrolled(5))).then_admitted()
    past.when(correction(3, enrolled(6))).then_refused("accrual-closed")


def test_a_protocol_that_was_amended_since_asks_a_correction_for_what_it_changes_only() -> None:
    later = opened(protocol(("a",))), amended(-5, protocol(("a", "b"), minimum_age=80))
    past = mending(screened(criteria={"a": "met"}), said=later)
    past.when(correction(1, screened(criteria={"a": "met"}, sex="male"))).then_admitted()
    past.when(correction(1, screened(criteria={"a": "not_met"}))).then_admitted()
    past.when(correction(1, screened(criteria={"a": "met", "b": "met"}))).then_admitted()
    past.when(correction(1, screened(criteria={}))).then_refused("criterion-unanswered")
    past.when(correction(1, screened(criteria={"a": "met", "c": "met"}))).then_refused("no-such-criterion")
    past.when(correction(1, screened(criteria={"a": "met"}, birth_year=1999))).then_refused("too-young")
    past.when(correction(1, screened(-6, criteria={"a": "met"}))).then_admitted()
    past.when(correction(1, screened(-1, criteria={"a": "met"}))).then_refused("criterion-unanswered", "too-young")


def test_a_criterion_that_was_dropped_since_may_keep_its_answer() -> None:
    later = opened(protocol(("a", "b"))), amended(-5, protocol(("a",)))
    past = mending(screened(criteria={"a": "met", "b": "met"}), said=later)
    past.when(correction(1, screened(criteria={"a": "not_met", "b": "met"}))).then_admitted()
    past.when(correction(1, screened(criteria={"a": "met"}))).then_admitted()
    past.when(correction(1, screened(criteria={"a": "met", "b": "met", "c": "met"}))).then_refused("no-such-criterion")
    past.when(correction(1, screened(-1, criteria={"a": "met", "b": "met"}))).then_refused("no-such-criterion")


def test_a_consent_to_a_form_that_is_no_longer_valid_for_its_day_is_mended_but_not_by_another_of_that_kind() -> None:
    forms = [{"version": "4", "valid_from": "2024-06-01"}]
    past = mending(screened(), consented(), said=(opened(), amended(-5, protocol(consent_versions=forms))))
    more = Consented.model_validate({**consented().model_dump(), "options": {"registry": True}})
    past.when(correction(2, more)).then_admitted()
    past.when(correction(2, consented(0, "9"))).then_refused("consent-version")
    past.when(correction(2, consented("2019-06-01"))).then_refused("consent-version")


def test_a_day_that_has_not_come_is_refused_whatever_stood_before() -> None:
    mending(*ON_STUDY, procedure(500), said=()).when(correction(4, procedure(499))).then_refused("in-the-future")
