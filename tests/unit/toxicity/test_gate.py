from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

import shared.terminology
from services.toxicity.assessment import objections
from services.toxicity.gate import World
from shared.kernel.fact import Fact
from shared.kernel.record import Objection, Record, Refused
from shared.kernel.refusal import MOST_FAULTS
from shared.terminology.ctcae import NAMES
from shared.testing import facts
from shared.testing.facts import ON_STUDY, START, amended, course, line, opened, protocol, site_activated, withdrawn
from shared.testing.spec import Spec, history
from shared.testing.toxicity_facts import (
    DYSPHAGIA,
    assessed,
    correction,
    due_to,
    finding,
    serious,
    serious_resolved,
    serious_updated,
)

TODAY = START + timedelta(days=400)
MOST_FINDINGS = MOST_FAULTS  # of which each may be objected to: an answer lists no more
V5_ANEMIA, V3_HYPOTHERMIA, V3_DRY_MOUTH = "5.0:0001", "3.0:0083", "3.0:0149"
TABLES = Path(shared.terminology.__path__[0]) / "dictionaries"


def grading_by(name: str) -> Any:
    return protocol(toxicity={"dictionary": name})


def at(
    *said: Fact, known: Iterable[Fact] = ON_STUDY, today: date = TODAY, by: str = "ctcae-3.0",
    earlier: tuple[Fact, ...] = (),
) -> Spec:  # fmt: skip
    """A participant of whom enrollment has stated what is `known`, in a study that grades by that dictionary."""
    study = Record(tuple(history((opened(grading_by(by)), site_activated(), *said))))
    there = Record(tuple(history(earlier)))
    world = World(study, today, "rome", participant=Record(tuple(history(known))), earlier=lambda: there)
    return Spec(objections, world.gate).given(*earlier)


def objected(spec: Spec) -> list[Objection]:
    try:
        spec.then_admitted()
    except Refused as refusal:
        return sorted((objection for _, objection in refusal.raised), key=lambda objection: objection.member)
    return []


def members(spec: Spec, code: str) -> list[str]:
    said = objected(spec)
    assert {objection.code for objection in said} == {code}
    return [objection.member for objection in said]


def rows(name: str) -> list[dict[str, str]]:
    with (TABLES / f"{name}.csv").open(encoding="utf-8", newline="") as table:
        return list(csv.DictReader(table))


def refused_terms(name: str, grade: int) -> set[str]:
    """Of all the terms of a dictionary those that are not taken with that grade; asked by a hundred."""
    terms, found = [row["term_id"] for row in rows(name)], set()
    for start in range(0, len(terms), MOST_FINDINGS):
        some = terms[start : start + MOST_FINDINGS]
        stated = assessed(0, *(finding(term, grade) for term in some))
        for objection in objected(at(by=name).given().when(stated)):
            where = re.fullmatch("/findings/([0-9]+)/grade", objection.member)
            assert where, objection
            found.add(some[int(where[1])])
    return found


@pytest.mark.parametrize(
    ("name", "missing"), [("ctcae-3.0", 819), ("ctcae-4.03", 901), ("ctcae-5.0", 1000), ("ctcae-6.0", 1015)]
)
def test_every_grade_that_a_term_lacks_is_refused_and_every_other_is_taken(name: str, missing: int) -> None:
    without_text = {(row["term_id"], grade) for row in rows(name) for grade in range(1, 6) if not row[f"grade{grade}"]}
    assert {(term, grade) for grade in range(6) for term in refused_terms(name, grade)} == without_text
    assert len(without_text) == missing


def test_a_refused_grade_is_answered_with_those_that_there_are() -> None:
    (said,) = objected(at().given().when(assessed(0, finding(), finding(V3_DRY_MOUTH, 4))))
    assert (said.code, said.member) == ("no-such-grade", "/findings/1/grade")
    assert said.message == "This term does not have that grade. Its grades are 0, 1, 2, 3."


def test_grade_zero_and_not_graded_suit_every_term() -> None:
    at().given().when(assessed(0, finding(V3_HYPOTHERMIA, 0), finding(V3_DRY_MOUTH, None))).then_admitted()


def test_a_term_is_of_the_studys_dictionary() -> None:
    stated = assessed(0, finding(), finding(V5_ANEMIA), finding("3.0:1060"))
    assert members(at().given().when(stated), "no-such-term") == ["/findings/1/term", "/findings/2/term"]
    assert members(at(by="ctcae-5.0").given().when(serious()), "no-such-term") == ["/term"]
    at(by="ctcae-5.0").given().when(assessed(0, finding(V5_ANEMIA))).then_admitted()


def test_every_fault_is_told_at_once() -> None:
    stated = assessed(0, finding(V5_ANEMIA), finding(V3_HYPOTHERMIA, 1), finding(attribution=due_to("course:X")))
    at().given().when(stated).then_refused("no-such-term", "no-such-grade", "no-such-course")


def test_the_dictionary_is_that_of_the_protocol_on_the_facts_day() -> None:
    changing = at(amended(10, grading_by("ctcae-5.0")))
    changing.given().when(assessed(9, finding()), assessed(10, finding(V5_ANEMIA))).then_admitted()
    changing.given().when(assessed(10, finding())).then_refused("no-such-term")
    changing.given().when(assessed(9, finding(V5_ANEMIA))).then_refused("no-such-term")
    changing.given().when(serious(when=9), serious("SAE2", 10, term=V5_ANEMIA)).then_admitted()


def test_where_the_date_leaves_open_which_protocol_held_one_of_them_is_enough() -> None:
    changing = at(amended(10, grading_by("ctcae-5.0")))
    for term in (DYSPHAGIA, V5_ANEMIA):
        changing.given().when(assessed("2024-02", finding(term))).then_admitted()
    changing.given().when(assessed("2024-03", finding())).then_refused("no-such-term")
    changing.given().when(assessed("2024-01", finding(V5_ANEMIA))).then_refused("no-such-term")


def test_an_assessment_does_not_mix_two_versions() -> None:
    changing = at(amended(10, grading_by("ctcae-5.0")))
    mixed = assessed("2024-02", finding(), finding(V5_ANEMIA))
    assert members(changing.given().when(mixed), "no-such-term") == ["/findings/0/term"]


def test_what_was_graded_before_an_amendment_is_corrected_by_the_dictionary_of_its_day() -> None:
    changing = at(amended(10, grading_by("ctcae-5.0")))
    graded = changing.given(assessed(5, finding()))
    graded.when(correction(1, assessed(5, finding(grade=2)))).then_admitted()
    moved = correction(1, assessed(15, finding()))
    assert members(graded.when(moved), "no-such-term") == ["/replacement/data/findings/0/term"]
    graded.when(correction(1, None)).then_admitted()


def test_a_serious_event_goes_on_in_the_dictionary_that_it_was_reported_in() -> None:
    changing = at(amended(10, grading_by("ctcae-5.0"))).given(serious(when=5))
    changing.when(serious_updated(term=DYSPHAGIA, grade=4)).then_admitted()
    changing.when(serious_resolved(term=DYSPHAGIA, resolved_on=facts.day(20))).then_admitted()
    changing.when(serious_updated(term=V5_ANEMIA, aware_at="2024-02-11T08:00:00+01:00")).then_admitted()
    changing.when(serious_updated(term="4.03:0001")).then_refused("no-such-term")


def test_an_update_without_a_date_is_of_the_day_on_which_the_site_became_aware() -> None:
    changing = at(amended(10, grading_by("ctcae-5.0"))).given(serious())
    changing.when(serious_updated(term=V5_ANEMIA, aware_at="2024-02-11T08:00:00+01:00")).then_admitted()
    changing.when(serious_updated(term=V5_ANEMIA, aware_at="2024-02-10T08:00:00+01:00")).then_refused("no-such-term")


@pytest.mark.parametrize("sequel", [serious_updated, serious_resolved])
def test_what_a_site_became_aware_of_after_a_withdrawal_is_after_it(sequel: Any) -> None:
    gone = at(known=(*ON_STUDY, facts.withdrawn(5))).given(serious())
    assert members(gone.when(sequel(aware_at="2024-02-08T08:00:00+01:00")), "after-withdrawal") == ["/aware_at"]
    gone.when(sequel(aware_at="2024-02-04T08:00:00+01:00")).then_admitted()


def test_what_was_learnt_after_a_withdrawal_stays_correctable() -> None:
    told = (serious(), serious_updated(aware_at="2024-02-08T08:00:00+01:00"))
    gone = at(known=(*ON_STUDY, facts.withdrawn(5)), earlier=told)
    for better in ({"aware_at": "2024-02-08T09:00:00+01:00"}, {"aware_at": "2024-02-09T08:00:00+01:00"}):
        gone.when(correction(2, serious_updated(**better))).then_admitted()
        gone.when(correction(2, serious_updated(**better, onset_on=facts.day(7)))).then_admitted()
    assert members(gone.when(correction(1, serious(when=6))), "after-withdrawal") == ["/replacement/data/onset_on"]


def test_a_grade_that_one_event_has_left_over_is_not_carried_to_another() -> None:
    told = (serious(term=V3_DRY_MOUTH, grade=3), serious_updated(grade=4), serious("SAE2", term=V3_DRY_MOUTH, grade=3))
    mended = at(earlier=told)
    mended.when(correction(2, serious_updated(grade=4, aware_at="2024-02-05T09:00:00+01:00"))).then_admitted()
    within = members(mended.when(correction(2, serious_updated("SAE2", grade=4))), "no-such-grade")
    assert within == ["/replacement/data/grade"]


@pytest.mark.parametrize("sequel", [serious_updated, serious_resolved])
def test_a_later_grade_is_one_of_the_reported_term(sequel: Any) -> None:
    reported = at().given(serious(term=V3_DRY_MOUTH, grade=3))
    reported.when(sequel(grade=2)).then_admitted()
    assert members(reported.when(sequel(grade=4)), "no-such-grade") == ["/grade"]
    reported.when(sequel(grade=4, term=DYSPHAGIA)).then_admitted()
    assert members(reported.when(sequel(grade=1, term=V3_HYPOTHERMIA)), "no-such-grade") == ["/grade"]
    reported.when(sequel()).then_admitted()


def test_a_later_grade_may_be_one_of_a_term_that_was_restated() -> None:
    restated = at().given(serious(term=V3_DRY_MOUTH), serious_updated(term=DYSPHAGIA))
    restated.when(serious_updated(grade=4)).then_admitted()
    other = at().given(serious(term=V3_DRY_MOUTH), serious("SAE2"), serious_updated("SAE2", term=DYSPHAGIA))
    other.when(serious_updated(grade=4)).then_refused("no-such-grade")


def test_a_grade_of_an_event_whose_term_there_is_not_is_not_judged() -> None:
    at().given().when(serious(term="3.0:9999"), serious_updated(grade=4)).then_refused("no-such-term")


def test_a_grade_of_an_event_that_nobody_reported_is_not_judged() -> None:
    at().given().when(serious_updated(grade=5)).then_refused("no-such-serious-event")


def test_treatments_that_an_assessment_names_are_known() -> None:
    causes = due_to("course:RT1", "line:S1", "disease", "other")
    stated = assessed(0, finding(attribution=causes), course_id="RT1")
    at(known=(*ON_STUDY, course(), line())).given().when(stated).then_admitted()
    said = objected(at().given().when(stated))
    assert [(each.code, each.member) for each in said] == [
        ("no-such-course", "/course_id"),
        ("no-such-course", "/findings/0/attribution/0/to"),
        ("no-such-line", "/findings/0/attribution/1/to"),
    ]
    assert all(each.not_known for each in said)


def test_a_course_is_no_line_and_a_line_no_course() -> None:
    treated = at(known=(*ON_STUDY, course(name="A"), line(name="B")))
    crossed = assessed(0, finding(attribution=due_to("course:B", "line:A")))
    treated.given().when(crossed).then_refused("no-such-course", "no-such-line")


def test_an_assessment_may_be_dated_before_the_course_that_it_names() -> None:
    """Dates of two services are compared by queries, not here."""
    at(known=(*ON_STUDY, course(10))).given().when(assessed(0, course_id="RT1")).then_admitted()


def test_what_no_other_service_will_tell_is_refused_for_good() -> None:
    said = objected(at().given().when(assessed(0, finding(V5_ANEMIA), finding(V3_HYPOTHERMIA, 1))))
    assert [(objection.code, objection.not_known) for objection in said] == [
        ("no-such-term", False),
        ("no-such-grade", False),
    ]


@pytest.mark.parametrize("told", [serious, serious_updated, serious_resolved])
def test_nobody_is_aware_of_an_event_tomorrow_by_the_sites_calendar(told: Any) -> None:
    today = at(today=START).given(serious("SAE1"))
    name = "SAE2" if told is serious else "SAE1"
    for moment in ("2024-02-01T22:59:59Z", "2024-02-02T12:59:59+14:00", "2024-02-01T11:59:59-11:00"):
        today.when(told(name, aware_at=moment)).then_admitted()
    for moment in ("2024-02-01T23:00:00Z", "2024-02-02T13:00:00+14:00", "2024-02-01T12:00:00-11:00"):
        assert members(today.when(told(name, aware_at=moment)), "in-the-future") == ["/aware_at"]


def test_a_late_report_is_taken() -> None:
    at().given().when(serious(aware_at="2020-01-01T00:00:00Z")).then_admitted()


def test_doors_that_every_service_asks_about_are_asked_about_here() -> None:
    at(known=(*ON_STUDY, withdrawn(5))).given().when(assessed(6)).then_refused("after-withdrawal")
    at(today=START).given().when(assessed(1)).then_refused("in-the-future")
    at().given().when(assessed("1946")).then_refused("before-birth")


def test_a_voided_assessment_is_not_asked_about_the_world() -> None:
    at(known=ON_STUDY).given(assessed(0, course_id="RT1")).when(correction(1, None)).then_admitted()


def test_a_correction_may_keep_a_treatment_that_is_known_no_more() -> None:
    causes = due_to("course:RT1", "line:S1")
    gone = at(earlier=(assessed(0, finding(attribution=causes), course_id="RT1"),))
    gone.when(correction(1, assessed(0, finding(grade=2, attribution=causes), course_id="RT1"))).then_admitted()
    gone.when(correction(1, assessed(0, finding(), course_id="RT2"))).then_refused("no-such-course")
    gone.when(correction(1, assessed(0, finding(), course_id="S1"))).then_refused("no-such-course")


def test_a_correction_on_the_same_day_may_keep_the_dictionary_though_that_day_has_another_since() -> None:
    graded = at(amended(0, grading_by("ctcae-5.0")), earlier=(assessed(5, finding()), serious(when=5)))
    graded.when(correction(1, assessed(5, finding(grade=2)))).then_admitted()
    graded.when(correction(1, assessed(5, finding(V5_ANEMIA)))).then_admitted()
    graded.when(correction(2, serious(when=5, grade=4))).then_admitted()
    graded.when(correction(1, assessed(6, finding()))).then_refused("no-such-term")
    graded.when(correction(1, assessed(5, finding(), finding(V5_ANEMIA)))).then_refused("no-such-term")


def test_all_dictionaries_are_tried_here() -> None:
    assert {path.stem for path in TABLES.glob("*.csv")} == set(NAMES)
