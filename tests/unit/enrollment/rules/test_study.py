from __future__ import annotations

from datetime import date, timedelta
from functools import partial
from itertools import pairwise, permutations
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from services.enrollment.rules.study import gate_objections, objections
from shared.contracts.study import SiteActivated, StudyOpened
from shared.eventstore.command import to_request_error
from shared.gate import study_timeline as studies
from shared.kernel.fact import Fact
from shared.kernel.objection import RuleViolation
from shared.kernel.partial_date import PartialDate
from shared.kernel.record import Record, all_objections, current_record, decide
from shared.testing.builders.facts import (
    accrual_closed,
    cut_taken,
    day,
    member_granted,
    member_revoked,
    protocol,
    protocol_amended,
    site_activated,
    site_closed,
    study_closed,
    study_opened,
)
from shared.testing.spec import Spec, numbered_facts, open_gate

TODAY = day(9)
study_spec = Spec(objections, partial(gate_objections, date.fromisoformat(TODAY)))
FIRST, SECOND, THIRD = protocol(("a",)), protocol(("b",)), protocol(("c",))


def make_record(*facts: Fact) -> Record:
    return current_record(numbered_facts(facts))


def parse_day(when: int | str) -> PartialDate:
    return PartialDate.parse(day(when))


def criterion_ids(study_record: Record, when: int | str) -> list[str]:
    return [plan.criteria[0].id for plan, _ in studies.protocols_in_force(study_record, parse_day(when))]


@pytest.mark.parametrize(
    ("stated", "pointer"),
    [
        (study_opened(), ""),
        (accrual_closed(), ""),
        (study_closed(), ""),
        (site_activated(), "/site_id"),
        (site_closed(), "/site_id"),
        (cut_taken(), "/name"),
    ],
)
def test_second_of_what_exists_once_is_refused_with_one_fault_that_names_the_first(stated: Fact, pointer: str) -> None:
    past = [study_opened(), site_activated(), *([] if type(stated) in {StudyOpened, SiteActivated} else [stated])]
    first = next(number for number, fact in enumerate(past, 1) if isinstance(fact, type(stated)))
    proposed = numbered_facts([stated], len(past) + 1)
    with pytest.raises(RuleViolation) as violation:
        decide(numbered_facts(past), proposed, objections, open_gate)
    refusal = to_request_error(violation.value, proposed, [""])
    assert [(fault.pointer, fault.because_of) for fault in refusal.faults] == [(pointer, str(UUID(int=first)))]


@pytest.mark.parametrize(
    "stated",
    [
        protocol_amended(0, FIRST),
        site_activated(),
        member_granted("ann", "administrator"),
        accrual_closed(),
        study_closed(),
        cut_taken(),
    ],
)
def test_study_is_opened_before_any_other_fact(stated: Fact) -> None:
    study_spec.given().when(stated).then_refused("study-not-open")
    study_spec.given().when(study_opened(), stated).then_admitted()


@pytest.mark.parametrize("once", [study_opened(), accrual_closed(3), study_closed(3)])
def test_a_study_opens_and_closes_once(once: Fact) -> None:
    study_spec.given(study_opened(), accrual_closed(), study_closed(5)).when(once).then_refused("stated-twice")


def test_a_site_is_activated_once() -> None:
    study_spec.given(study_opened(), site_activated("rome")).when(site_activated("milan")).then_admitted()
    study_spec.given(study_opened(), site_activated("rome")).when(site_activated("rome", 9)).then_refused("site-exists")


def test_site_is_closed_once_and_after_its_activation() -> None:
    study_spec.given(study_opened(), site_activated("rome", 0)).when(site_closed("rome", 0)).then_admitted()
    study_spec.given(study_opened(), site_activated("rome", 0)).when(site_closed("rome", -1)).then_refused(
        "site-not-active"
    )
    study_spec.given(study_opened(), site_activated("rome", 0)).when(site_closed("milan", 5)).then_refused(
        "site-not-active"
    )
    recorded = (study_opened(), site_activated("rome", 0), site_closed("rome", 5))
    study_spec.given(*recorded).when(site_closed("rome", 6)).then_refused("stated-twice")


def test_site_role_requires_a_site() -> None:
    study_spec.given(study_opened()).when(member_granted("sam", "site")).then_refused("site-needed")
    study_spec.given(study_opened()).when(member_granted("sam", "site", "rome")).then_admitted()
    study_spec.given(study_opened()).when(member_granted("cleo", "coordinator")).then_admitted()
    study_spec.given(study_opened()).when(member_granted("cleo", "coordinator", "rome")).then_admitted()


def test_revocation_requires_a_grant_of_the_same_member_role_and_site() -> None:
    recorded = (study_opened(), member_granted("sam", "site", "rome"))
    study_spec.given(*recorded).when(member_revoked("sam", "site", "rome")).then_admitted()
    study_spec.given(*recorded).when(member_revoked("sam", "site", "milan")).then_refused("not-granted")
    study_spec.given(*recorded).when(member_revoked("sam", "coordinator", "rome")).then_refused("not-granted")
    study_spec.given(*recorded).when(member_revoked("ann", "site", "rome")).then_refused("not-granted")


def test_role_may_be_granted_and_revoked_repeatedly() -> None:
    recorded = (study_opened(), member_granted("sam", "site", "rome"), member_revoked("sam", "site", "rome"))
    study_spec.given(*recorded).when(member_granted("sam", "site", "rome")).then_admitted()
    study_spec.given(*recorded, member_granted("sam", "site", "rome")).when(
        member_revoked("sam", "site", "rome")
    ).then_admitted()


def test_data_cut_cannot_be_in_the_future() -> None:
    study_spec.given(study_opened()).when(cut_taken("today", 9)).then_admitted()
    study_spec.given(study_opened()).when(cut_taken("tomorrow", 10)).then_refused("in-the-future")


def test_names_of_data_cuts_are_unique() -> None:
    study_spec.given(study_opened(), cut_taken("first")).when(cut_taken("first", 9)).then_refused("cut-exists")
    study_spec.given(study_opened(), cut_taken("first")).when(cut_taken("second")).then_admitted()


@pytest.mark.parametrize(
    "later", [protocol_amended(1, FIRST), site_activated("milan", 1), site_closed("rome", 1), accrual_closed(1)]
)
def test_facts_dated_after_the_end_of_the_study_are_refused(later: Fact) -> None:
    study_spec.given(study_opened(), site_activated(), study_closed(0)).when(later).then_refused("study-closed")


@pytest.mark.parametrize("stated", [accrual_closed(-9), member_granted("ann", "auditor"), cut_taken("c", 9)])
def test_closed_study_accepts_earlier_facts_and_grants(stated: Fact) -> None:
    study_spec.given(study_opened(), site_activated(), study_closed(0)).when(stated).then_admitted()


@pytest.mark.parametrize("stated", [protocol_amended(0, FIRST), site_activated("milan", -3)])
def test_closed_study_accepts_no_amendments_and_no_sites(stated: Fact) -> None:
    study_spec.given(study_opened(), site_activated(), study_closed(0)).when(stated).then_refused("study-closed")


def test_objections_do_not_depend_on_arrival_order() -> None:
    stated = numbered_facts(
        [
            site_activated("rome", 3),
            site_closed("rome", 2),
            member_revoked("sam", "site"),
            member_granted("sam", "site"),
        ]
    )
    verdicts = [all_objections(Record(order), objections) for order in permutations(stated)]
    assert verdicts[0]
    assert all(verdict == verdicts[0] for verdict in verdicts)


def test_initial_protocol_applies_before_the_first_amendment() -> None:
    study_record = make_record(study_opened(FIRST), protocol_amended(10, SECOND), protocol_amended(20, THIRD))
    assert [criterion_ids(study_record, when) for when in (-400, 9, 10, 19, 20, 400)] == [
        ["a"],
        ["a"],
        ["b"],
        ["b"],
        ["c"],
        ["c"],
    ]


def test_amendments_apply_by_effective_day_and_not_by_recording_order() -> None:
    study_record = make_record(
        study_opened(FIRST), protocol_amended(20, THIRD, "A2"), protocol_amended(10, SECOND, "A1")
    )
    assert [criterion_ids(study_record, when) for when in (9, 10, 20)] == [["a"], ["b"], ["c"]]
    assert [studies.amendment_on(study_record, parse_day(when)) for when in (9, 10, 20)] == [None, "A1", "A2"]


def test_follow_up_plans_are_in_force_on_every_day_once() -> None:
    study_record = make_record(
        study_opened(FIRST), protocol_amended(20, THIRD), protocol_amended(10, SECOND), protocol_amended(10, FIRST)
    )
    plans = studies.follow_up_plans(study_record)
    assert [period.plan for period in plans] == [plan.follow_up for plan in (FIRST, FIRST, THIRD)]
    assert (plans[0].first_day, plans[-1].last_day) == (date.min, date.max)
    assert all(later.first_day == earlier.last_day + timedelta(days=1) for earlier, later in pairwise(plans))


def test_later_recorded_of_two_same_day_amendments_applies() -> None:
    study_record = make_record(
        study_opened(FIRST), protocol_amended(10, SECOND, "A1"), protocol_amended(10, THIRD, "A2")
    )
    assert criterion_ids(study_record, 10) == ["c"]
    assert studies.amendment_on(study_record, parse_day(10)) == "A2"


def test_partial_date_may_span_several_protocols() -> None:
    study_record = make_record(
        study_opened(FIRST), protocol_amended("2024-02-11", SECOND), protocol_amended("2024-03-01", THIRD)
    )
    assert [criterion_ids(study_record, when) for when in ("2024-01", "2024-02", "2024-03", "2024")] == [
        ["a"],
        ["a", "b"],
        ["c"],
        ["a", "b", "c"],
    ]
    days = [
        (span.earliest.day, span.latest.day)
        for _, span in studies.protocols_in_force(study_record, parse_day("2024-02"))
    ]
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
def test_consent_form_is_valid_until_the_next_one(when: str, versions: set[str]) -> None:
    assert studies.consent_versions_on(protocol(), PartialDate.parse(when)) == versions


@pytest.mark.parametrize(
    ("when", "active"),
    [
        (-1, False),
        (0, True),
        (9, True),
        (10, False),
        ("2024-01", False),
        ("2024-02", True),
        ("2024", True),
        ("2024-03", False),
        ("2023", False),
        ("2025", False),
    ],
)
def test_a_site_is_active_from_its_first_to_its_last_day(when: int | str, active: bool) -> None:
    study_record = make_record(study_opened(), site_activated("rome", 0), site_closed("rome", 9))
    assert studies.site_was_active(study_record, "rome", parse_day(when)) is active
    assert not studies.site_was_active(study_record, "milan", parse_day(when))


@pytest.mark.parametrize(
    "closure", [(studies.accrual_closed_before, accrual_closed), (studies.closed_before, study_closed)]
)
def test_closure_refuses_only_dates_entirely_after_its_day(closure: Any) -> None:
    objections_after, close = closure
    study_record = make_record(study_opened(), close(0))
    codes = {
        when: [raised.pointer for raised in objections_after(study_record, parse_day(when), "on")]
        for when in (-1, 0, 1, "2024-02", "2024-03")
    }
    assert codes == {-1: [], 0: [], 1: ["/on"], "2024-02": [], "2024-03": ["/on"]}


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: site_activated(zone="Rome"),
        lambda: site_activated(zone="Europe/rome"),
        lambda: site_activated("no site"),
        lambda: site_activated("*"),
        lambda: site_activated(when="2024-02"),
        lambda: member_granted("*", "reader"),
        lambda: member_granted("ann", "king"),
        lambda: member_granted("", "reader"),
        lambda: protocol(("a", "a")),
        lambda: protocol(()),
        lambda: protocol(consent_versions=[]),
        lambda: protocol(minimum_age=-1),
        lambda: protocol(toxicity={"dictionary": "ctcae-2"}),
        lambda: protocol(follow_up={"window_days": [{"before": 14, "after": 14}]}),
        lambda: protocol(follow_up={"every_months": 3, "for_months": 2}),
        lambda: protocol(registry_links=[{"site_id": "rome"}]),
        lambda: protocol(registry_links=[{"site_id": "rome", "from": "2024"}]),
        lambda: protocol(registry_links=[{"site_id": "rome", "from": "2024-03-02", "until": "2024-03-01"}]),
    ],
)
def test_invalid_study_facts_are_refused_by_their_schema(wrong: Any) -> None:
    with pytest.raises(ValidationError):
        wrong()


def test_protocol_requires_criteria_consent_toxicity_and_follow_up() -> None:
    content = protocol().model_dump()
    required = {name: content[name] for name in ("criteria", "consent_versions", "toxicity", "follow_up")}
    assert protocol().model_validate(required).small_cell == 5
    assert protocol().model_validate(required).registry_links == ()
    for name in required:
        with pytest.raises(ValidationError):
            protocol().model_validate({other: value for other, value in required.items() if other != name})


def test_a_registry_link_lasts_from_its_first_day_until_its_last_or_on() -> None:
    ended = {"site_id": "rome", "from": "2022-01-01", "until": "2022-01-01"}
    ended_link, open_link = protocol(registry_links=[ended, {"site_id": "rome", "from": "2024-01-01"}]).registry_links
    assert ended_link.days == (date(2022, 1, 1), date(2022, 1, 1))
    assert open_link.days == (date(2024, 1, 1), date.max)
