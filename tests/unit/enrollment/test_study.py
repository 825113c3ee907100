from __future__ import annotations

from datetime import date
from functools import partial
from itertools import permutations
from typing import Any

import pytest
from pydantic import ValidationError

from services.enrollment.study import gate, objections
from shared.gate import study as studies
from shared.kernel.dates import PartialDate
from shared.kernel.fact import Fact
from shared.kernel.record import Record, judge, standing
from shared.testing.facts import (
    accrual_closed,
    amended,
    cut_taken,
    day,
    granted,
    opened,
    protocol,
    revoked,
    site_activated,
    site_closed,
    study_closed,
)
from shared.testing.spec import Spec, history

TODAY = day(9)
study = Spec(objections, partial(gate, date.fromisoformat(TODAY)))
FIRST, SECOND, THIRD = protocol(("a",)), protocol(("b",)), protocol(("c",))


def record(*facts: Fact) -> Record:
    return standing(history(facts))


def on(when: int | str) -> PartialDate:
    return PartialDate.parse(day(when))


def criteria(said: Record, when: int | str) -> list[str]:
    return [plan.criteria[0].id for plan, _ in studies.in_force(said, on(when))]


@pytest.mark.parametrize(
    "stated",
    [
        amended(0, FIRST),
        site_activated(),
        granted("ann", "administrator"),
        accrual_closed(),
        study_closed(),
        cut_taken(),
    ],
)
def test_a_study_is_opened_before_anything_else_is_stated_of_it(stated: Fact) -> None:
    study.given().when(stated).then_refused("study-not-open")
    study.given().when(opened(), stated).then_admitted()


@pytest.mark.parametrize("once", [opened(), accrual_closed(3), study_closed(3)])
def test_a_study_opens_and_closes_once(once: Fact) -> None:
    study.given(opened(), accrual_closed(), study_closed(5)).when(once).then_refused("stated-twice")


def test_a_site_is_activated_once() -> None:
    study.given(opened(), site_activated("rome")).when(site_activated("milan")).then_admitted()
    study.given(opened(), site_activated("rome")).when(site_activated("rome", 9)).then_refused("site-exists")


def test_a_site_is_closed_once_and_after_it_was_activated() -> None:
    study.given(opened(), site_activated("rome", 0)).when(site_closed("rome", 0)).then_admitted()
    study.given(opened(), site_activated("rome", 0)).when(site_closed("rome", -1)).then_refused("site-not-active")
    study.given(opened(), site_activated("rome", 0)).when(site_closed("milan", 5)).then_refused("site-not-active")
    past = (opened(), site_activated("rome", 0), site_closed("rome", 5))
    study.given(*past).when(site_closed("rome", 6)).then_refused("stated-twice")


def test_the_staff_of_a_site_is_granted_its_role_at_that_site() -> None:
    study.given(opened()).when(granted("sam", "site")).then_refused("site-needed")
    study.given(opened()).when(granted("sam", "site", "rome")).then_admitted()
    study.given(opened()).when(granted("cleo", "coordinator")).then_admitted()
    study.given(opened()).when(granted("cleo", "coordinator", "rome")).then_admitted()


def test_what_is_revoked_was_granted_to_the_same_member_role_and_site() -> None:
    past = (opened(), granted("sam", "site", "rome"))
    study.given(*past).when(revoked("sam", "site", "rome")).then_admitted()
    study.given(*past).when(revoked("sam", "site", "milan")).then_refused("not-granted")
    study.given(*past).when(revoked("sam", "coordinator", "rome")).then_refused("not-granted")
    study.given(*past).when(revoked("ann", "site", "rome")).then_refused("not-granted")


def test_a_role_may_be_granted_and_revoked_again_and_again() -> None:
    past = (opened(), granted("sam", "site", "rome"), revoked("sam", "site", "rome"))
    study.given(*past).when(granted("sam", "site", "rome")).then_admitted()
    study.given(*past, granted("sam", "site", "rome")).when(revoked("sam", "site", "rome")).then_admitted()


def test_a_cut_is_taken_of_no_day_to_come() -> None:
    study.given(opened()).when(cut_taken("today", 9)).then_admitted()
    study.given(opened()).when(cut_taken("tomorrow", 10)).then_refused("in-the-future")


def test_the_name_of_a_cut_is_never_used_twice() -> None:
    study.given(opened(), cut_taken("first")).when(cut_taken("first", 9)).then_refused("cut-exists")
    study.given(opened(), cut_taken("first")).when(cut_taken("second")).then_admitted()


@pytest.mark.parametrize(
    "later", [amended(1, FIRST), site_activated("milan", 1), site_closed("rome", 1), accrual_closed(1)]
)
def test_nothing_is_dated_after_the_end_of_the_study(later: Fact) -> None:
    study.given(opened(), site_activated(), study_closed(0)).when(later).then_refused("study-closed")


@pytest.mark.parametrize("stated", [accrual_closed(-9), granted("ann", "auditor"), cut_taken("c", 9)])
def test_a_closed_study_takes_what_was_before_and_who_may_read_it(stated: Fact) -> None:
    study.given(opened(), site_activated(), study_closed(0)).when(stated).then_admitted()


@pytest.mark.parametrize("stated", [amended(0, FIRST), site_activated("milan", -3)])
def test_a_closed_study_takes_no_other_plan_and_no_other_site(stated: Fact) -> None:
    study.given(opened(), site_activated(), study_closed(0)).when(stated).then_refused("study-closed")


def test_the_order_of_arrival_does_not_change_what_is_objected() -> None:
    stated = history(
        [site_activated("rome", 3), site_closed("rome", 2), revoked("sam", "site"), granted("sam", "site")]
    )
    verdicts = [judge(Record(order), objections) for order in permutations(stated)]
    assert verdicts[0]
    assert all(verdict == verdicts[0] for verdict in verdicts)


def test_before_the_first_amendment_the_opened_protocol_holds() -> None:
    said = record(opened(FIRST), amended(10, SECOND), amended(20, THIRD))
    assert [criteria(said, when) for when in (-400, 9, 10, 19, 20, 400)] == [["a"], ["a"], ["b"], ["b"], ["c"], ["c"]]


def test_amendments_hold_by_the_day_they_take_effect_not_by_when_they_were_told() -> None:
    said = record(opened(FIRST), amended(20, THIRD, "A2"), amended(10, SECOND, "A1"))
    assert [criteria(said, when) for when in (9, 10, 20)] == [["a"], ["b"], ["c"]]
    assert [studies.amendment_on(said, on(when)) for when in (9, 10, 20)] == [None, "A1", "A2"]


def test_of_two_amendments_on_one_day_the_later_told_holds() -> None:
    said = record(opened(FIRST), amended(10, SECOND, "A1"), amended(10, THIRD, "A2"))
    assert criteria(said, 10) == ["c"]
    assert studies.amendment_on(said, on(10)) == "A2"


def test_a_date_in_part_may_lie_under_several_protocols() -> None:
    said = record(opened(FIRST), amended("2024-02-11", SECOND), amended("2024-03-01", THIRD))
    assert [criteria(said, when) for when in ("2024-01", "2024-02", "2024-03", "2024")] == [
        ["a"],
        ["a", "b"],
        ["c"],
        ["a", "b", "c"],
    ]
    days = [(span.earliest.day, span.latest.day) for _, span in studies.in_force(said, on("2024-02"))]
    assert days == [(1, 10), (11, 29)]


@pytest.mark.parametrize(
    ("when", "versions"),
    [
        ("2019-12-31", set()),
        ("2020-01-01", {"2.1"}),
        ("2024-05-31", {"2.1"}),
        ("2024-06-01", {"3.0"}),
        ("2024-06", {"3.0"}),
        ("2024", {"2.1", "3.0"}),
        ("2019", set()),
    ],
)
def test_a_consent_form_is_valid_until_the_day_of_the_next(when: str, versions: set[str]) -> None:
    assert studies.consent_versions_on(protocol(), PartialDate.parse(when)) == versions


@pytest.mark.parametrize(
    ("when", "active"),
    [(-1, False), (0, True), (9, True), (10, False), ("2024-01", False), ("2024-02", True), ("2024", True),
     ("2024-03", False), ("2023", False), ("2025", False)],
)  # fmt: skip
def test_a_site_is_active_from_its_first_to_its_last_day(when: int | str, active: bool) -> None:
    said = record(opened(), site_activated("rome", 0), site_closed("rome", 9))
    assert studies.was_active(said, "rome", on(when)) is active
    assert not studies.was_active(said, "milan", on(when))


@pytest.mark.parametrize("door", [(studies.after_accrual, accrual_closed), (studies.after_closing, study_closed)])
def test_a_door_closes_on_the_day_after_and_only_where_no_day_of_the_date_would_do(door: Any) -> None:
    ask, close = door
    said = record(opened(), close(0))
    codes = {when: [raised.member for raised in ask(said, on(when), "on")] for when in (-1, 0, 1, "2024-02", "2024-03")}
    assert codes == {-1: [], 0: [], 1: ["/on"], "2024-02": [], "2024-03": ["/on"]}


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: site_activated(zone="Rome"),
        lambda: site_activated(zone="Europe/rome"),
        lambda: site_activated("no site"),
        lambda: site_activated("*"),
        lambda: site_activated(when="2024-02"),
        lambda: granted("*", "reader"),
        lambda: granted("ann", "king"),
        lambda: granted("", "reader"),
        lambda: protocol(("a", "a")),
        lambda: protocol(()),
        lambda: protocol(consent_versions=[]),
        lambda: protocol(minimum_age=-1),
        lambda: protocol(toxicity={"dictionary": "ctcae-2"}),
        lambda: protocol(follow_up={"window_days": {"before": 45, "after": 45}}),
        lambda: protocol(follow_up={"window_days": [{"before": 14, "after": 14}]}),
        lambda: protocol(follow_up={"every_months": 3, "for_months": 2}),
    ],
)
def test_what_makes_no_sense_of_a_study_cannot_be_said(wrong: Any) -> None:
    with pytest.raises(ValidationError):
        wrong()


def test_a_protocol_needs_criteria_consent_toxicity_and_follow_up_only() -> None:
    said = protocol().model_dump()
    needed = {name: said[name] for name in ("criteria", "consent_versions", "toxicity", "follow_up")}
    assert protocol().model_validate(needed).small_cell == 5
    for name in needed:
        with pytest.raises(ValidationError):
            protocol().model_validate({other: value for other, value in needed.items() if other != name})
