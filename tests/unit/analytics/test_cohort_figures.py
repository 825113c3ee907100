"""What the figures count, and whom: given facts, when a figure is computed, then these numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from services.analytics.asking import withheld
from services.analytics.cohort import Cohort, Selection, cohort
from services.analytics.queries.case import cases
from services.analytics.statistics.accrual import accrual
from services.analytics.statistics.flow import flow
from services.analytics.statistics.treatments import treatments
from services.analytics.timeline import timeline
from shared.contracts import catalogue
from shared.contracts.event import Event
from shared.contracts.study import Opened, ProtocolAmended
from shared.gate.study import in_force
from shared.kernel.dates import PartialDate
from shared.kernel.fact import Stated
from shared.kernel.record import Record
from shared.testing import facts

TODAY = date(2025, 1, 31)
NOW = datetime(2025, 1, 31, tzinfo=UTC)
PROTOCOL: dict[str, Any] = {
    "criteria": [{"id": "histology", "text": "confirmed", "kind": "inclusion"}],
    "consent_versions": [{"version": "1", "valid_from": "2020-01-01"}],
    "toxicity": {"dictionary": "ctcae-3.0"},
    "follow_up": {},
    "accrual_target": {"participants": 10, "by": "2025-12-31"},
}
OPENED = Opened.model_validate({"title": "A study", "ethics_approval": "1", "protocol": PROTOCOL})
STUDY = Record((Stated(uuid4(), OPENED),))
Facts = Sequence[tuple[str, dict[str, Any]]]


def event(participant: str, version: int, name: str, data: dict[str, Any]) -> Event:
    service = "followup" if name in catalogue.FOLLOWUP.declared else "enrollment"
    content = catalogue.fact_class(service, name).model_validate(data).model_dump_json()
    return Event("s", service, participant, version, uuid4(), name, 1, "a", content, NOW)


def of(people: Mapping[str, Facts], *, out: Sequence[str] = ()) -> Cohort:
    events = [event(who, at, *fact) for who, facts in people.items() for at, fact in enumerate(facts, 1)]
    return cohort(STUDY, events, frozenset(out), TODAY)


def screened(on: str = "2024-01-01", site: str = "a", sex: str = "female") -> tuple[str, dict[str, Any]]:
    said = {"site_id": site, "screened_on": on, "sex": sex, "birth_year": 1950, "criteria": {"histology": "met"}}
    return "participant.screened", said


def enrolled(on: str = "2024-01-02") -> tuple[str, dict[str, Any]]:
    return "participant.enrolled", {"enrolled_on": on}


def course(
    on: str = "2024-02-01", delivery: str = "conventional", lesions: Sequence[str] = (), *, index: bool = True
) -> tuple[str, dict[str, Any]]:
    target = {
        "target_id": "T", "lesion_ids": list(lesions), "label": "PTV", "modality": "photons", "technique": "VMAT",
        "delivery": delivery, "fractions": 1, "dose_per_fraction_cgy": 2000, "total_dose_cgy": 2000,
    }  # fmt: skip
    said = {"course_id": f"C-{delivery}-{on}", "started_on": on, "intent": "palliative", "index": index}
    return "radiotherapy.started", {**said, "targets": [target]}


def lesion(name: str, kind: str) -> tuple[str, dict[str, Any]]:
    return "lesion.registered", {"lesion_id": name, "kind": kind, "body_site": "brain", "found_on": "2024-01-03"}


def ended(on: str, of_course: tuple[str, dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    return "radiotherapy.completed", {"course_id": of_course[1]["course_id"], "ended_on": on}


AT = Selection(TODAY)


def test_an_empty_study_has_no_share_rather_than_nought_percent() -> None:
    counted = flow(of({}), AT)
    assert (counted["enrolled"], counted["stereotactic_percent"], counted["stereotactic_interval"]) == (0, None, None)


def test_stereotactic_is_a_stereotactic_target_that_treats_a_metastasis_or_no_named_lesion() -> None:
    people = {
        "metastasis": [screened(), enrolled(), lesion("M", "metastasis"), course(delivery="SRS", lesions=["M"])],
        "primary": [screened(), enrolled(), lesion("P", "primary"), course(delivery="SBRT", lesions=["P"])],
        "unnamed": [screened(), enrolled(), course(delivery="FSRT")],
        "later": [screened(), enrolled(), course(), course("2024-06-01", "SRS", index=False)],
        "conventional": [screened(), enrolled(), lesion("M", "metastasis"), course(lesions=["M"])],
    }
    counted = flow(of(people), AT)
    assert (counted["enrolled"], counted["stereotactic"], counted["stereotactic_percent"]) == (5, 3, 60.0)


def test_a_changed_prescription_counts_as_it_reads_last() -> None:
    start = course()
    changed = {"course_id": start[1]["course_id"], "on": "2024-02-02", "reason_code": "toxicity"}
    target = {**course(delivery="SRS")[1]["targets"][0]}
    facts = [screened(), enrolled(), start, ("radiotherapy.prescription_changed", {**changed, "targets": [target]})]
    assert flow(of({"p": facts}), AT)["stereotactic"] == 1
    assert flow(of({"p": facts}), Selection(date(2024, 2, 1)))["stereotactic"] == 0


TWICE_CHANGED = (("2024-02-02", 1000, "2024-02-02", 2000), ("2024-02", 2000, "2024-02-10", 1000))
"""Two days of a change, each with what was prescribed then; the dose of 20 Gy holds."""


@pytest.mark.parametrize(("one_day", "one_dose", "other_day", "other_dose"), TWICE_CHANGED)
def test_of_two_changed_prescriptions_figure_and_timeline_take_the_same_in_whatever_order_they_were_stated(
    one_day: str, one_dose: int, other_day: str, other_dose: int
) -> None:
    start = course()
    one, other = changed(start, one_day, one_dose), changed(start, other_day, other_dose)
    for stated in ([one, other], [other, one]):
        told = [screened(), enrolled(), start, *stated, ended("2024-03-01", start)]
        (row,) = treatments(of({"p": told}), AT)["targets"]
        entries = timeline([event("p", at, *fact) for at, fact in enumerate(told, 1)], TODAY)["entries"]
        (end,) = (entry for entry in entries if entry["type"] == "radiotherapy.completed")
        assert (row["total_dose_gy"], end["delivered"][0]["dose_gy"]) == (20.0, 20.0)


def changed(start: tuple[str, dict[str, Any]], on: str, dose: int) -> tuple[str, dict[str, Any]]:
    target = {**start[1]["targets"][0], "dose_per_fraction_cgy": dose, "total_dose_cgy": dose}
    said = {"course_id": start[1]["course_id"], "on": on, "reason_code": "toxicity", "targets": [target]}
    return "radiotherapy.prescription_changed", said


def test_of_two_amendments_of_one_day_figures_go_by_the_one_that_every_other_part_goes_by() -> None:
    told = [Stated(uuid4(), OPENED), *(Stated(uuid4(), amended(*deliveries)) for deliveries in ([], ["SRS"]))]
    events = [event("p", at, *fact) for at, fact in enumerate([screened(), enrolled(), course(delivery="SRS")], 1)]
    seen = cohort(Record(tuple(told)), events, frozenset(), TODAY)
    assert seen.protocol == in_force(seen.study, PartialDate.of(TODAY))[-1][0]
    assert flow(seen, AT)["stereotactic"] == 1


def amended(*deliveries: str) -> ProtocolAmended:
    plan = {**PROTOCOL, "stereotactic": {"deliveries": deliveries}}
    said = {"amendment": "A1", "effective_on": "2024-01-01", "protocol": plan, "reason": "Experience."}
    return ProtocolAmended.model_validate(said)


def test_each_enrolled_participant_stands_in_one_place_death_first() -> None:
    old, recent = course("2021-01-04"), course("2024-12-02")
    died = ("participant.died", {"died_on": "2024-12-20", "cause": "tumour"})
    lost = ("participant.lost", {"on": "2024-12-21", "reason_code": "moved"})
    found = ("participant.follow_up_resumed", {"on": "2024-12-28"})
    withdrawn = ("participant.withdrawn", {"withdrawn_on": "2024-12-22", "scope": "follow_up"})
    people = {
        "waiting": [screened(), enrolled()],
        "treated": [screened(), enrolled(), recent, ended("2024-12-20", recent)],
        "done": [screened(), enrolled(), old, ended("2021-02-01", old)],
        "died": [screened(), enrolled(), recent, died, lost, withdrawn],
        "withdrawn": [screened(), enrolled(), recent, withdrawn, lost],
        "lost": [screened(), enrolled(), recent, lost],
        "found": [screened(), enrolled(), recent, lost, found],
    }
    counted = flow(of(people), AT)
    standings = {name: counted[name] for name in ("awaiting_treatment", "completed", "died", "withdrawn", "lost")}
    assert standings == {"awaiting_treatment": 1, "completed": 1, "died": 1, "withdrawn": 1, "lost": 1}
    assert counted["in_follow_up"] == 2
    assert sum(standings.values()) + 2 == counted["enrolled"] == 7


def test_the_cut_leaves_out_what_happened_later() -> None:
    people = {"p": [screened("2024-01-01"), enrolled("2024-01-02"), course("2024-02-01")]}
    assert [flow(of(people), Selection(date(2024, 1, 1)))[name] for name in ("screened", "enrolled")] == [1, 0]


def test_a_month_is_taken_for_its_middle_but_never_for_a_day_to_come() -> None:
    people = {"p": [screened("2024-03"), enrolled("2025-01")], "q": [screened("2025-01-29"), enrolled("2025-01-30")]}
    counted = accrual(of(people), AT)
    assert counted["groups"][0]["curve"] == [
        {"on": "2025-01-15", "cumulative": 1},
        {"on": "2025-01-30", "cumulative": 2},
    ]
    assert counted["imputed_dates"] == 1


def test_who_was_never_screened_is_in_no_figure_and_who_is_out_is_counted_as_left_out() -> None:
    people = {"p": [screened(), enrolled()], "stranger": [enrolled()], "gone": [screened(), enrolled()]}
    seen = of(people, out=["gone"])
    assert (flow(seen, AT)["screened"], AT.left_out(seen)) == (1, 1)
    assert Selection(TODAY, frozenset({"b"})).left_out(seen) == 0


def test_accrual_is_divided_by_the_enrolling_site() -> None:
    people = {"p": [screened(site="a"), enrolled("2024-01-02")], "q": [screened(site="b"), enrolled("2024-01-03")]}
    groups = accrual(of(people), Selection(TODAY, by="site"))["groups"]
    assert [(group["name"], group["enrolled"]) for group in groups] == [("a", 1), ("b", 1)]
    assert accrual(of(people), Selection(TODAY, frozenset({"b"})))["groups"][0]["enrolled"] == 1


def test_a_target_in_the_brain_has_its_dose_for_nervous_tissue_too() -> None:
    people = {"p": [screened(), enrolled(), lesion("M", "metastasis"), course(delivery="SRS", lesions=["M"])]}
    row = treatments(of(people), AT)["targets"][0]
    assert (row["bed_10"], row["eqd2_10"], row["bed_2"], row["eqd2_2"]) == (60.0, 50.0, 220.0, 110.0)
    other = treatments(of({"p": [screened(), enrolled(), course(delivery="SRS")]}), AT)["targets"][0]
    assert "bed_2" not in other


def test_of_two_amendments_from_one_day_the_one_stated_later_is_the_plan() -> None:
    amended = [facts.amended(9, facts.protocol(small_cell=cell)) for cell in (7, 9)]
    study = Record(tuple(Stated(uuid4(), fact) for fact in (facts.opened(facts.protocol()), *amended)))
    plans = [cohort(study, [], frozenset(), facts.START + timedelta(days=day)).protocol for day in (8, 9)]
    assert [plan.small_cell for plan in plans] == [5, 9]


def test_a_reader_is_shown_no_small_cell_of_a_site() -> None:
    counted = {**flow(of({"p": [screened(), enrolled()]}), AT)}
    assert withheld(counted, 5, whole=True)["enrolled"] == 1
    of_site = withheld(counted, 5, whole=False)
    assert (of_site["enrolled"], of_site["stereotactic_percent"], of_site["died"]) == (None, None, 0)
    divided = accrual(of({"p": [screened(), enrolled()]}), Selection(TODAY, by="site"))
    assert withheld(divided, 5, whole=True)["groups"] == [{"name": "a", "enrolled": None, "curve": []}]


def test_a_timeline_takes_an_imprecise_date_for_one_of_the_days_that_it_may_have_been_whatever_the_cut() -> None:
    events = [event("p", at, *fact) for at, fact in enumerate([screened(), enrolled("2024-03")], 1)]
    entry = timeline(events, date(2024, 3, 10), known_on=date(2024, 3, 20))["entries"][-1]
    assert [entry[name] for name in ("from", "day", "until")] == ["2024-03-01", "2024-03-15", "2024-03-20"]


@pytest.mark.parametrize("day", [1, 10, 20])
def test_an_imprecise_date_is_never_taken_for_a_day_after_it_was_known_nor_pulled_to_an_earlier_cut(day: int) -> None:
    events = [event("p", at, *fact) for at, fact in enumerate([screened("2024-03"), enrolled("2024-03")], 1)]
    seen = cohort(STUDY, events, frozenset(), TODAY, date(2024, 3, day))
    taken = min(day, 15)
    for cut in (date(2024, 3, taken), TODAY):
        (group,) = accrual(seen, Selection(cut))["groups"]
        assert group["curve"] == [{"on": f"2024-03-{taken:02}", "cumulative": 1}]
    assert accrual(seen, Selection(date(2024, 3, taken) - timedelta(days=1)))["groups"][0]["curve"] == []


def test_a_registry_may_know_of_somebody_alive_after_a_withdrawal_in_the_same_month() -> None:
    alive = ("vital_status.confirmed", {"alive_on": "2024-09", "source": "registry"})
    died = ("participant.died", {"died_on": None, "cause": "unknown"})
    told = [screened(), enrolled(), withdrawn("2024-08-10"), alive, died]
    seen = of({"p": told})
    assert [flow(seen, Selection(date(2024, 9, day)))["died"] for day in (14, 15)] == [0, 1]
    events = [event("p", at, *fact) for at, fact in enumerate(told, 1)]
    assert timeline(events, TODAY)["ends_on"] == "2024-09-15"


def test_what_is_dated_after_a_withdrawal_has_left_the_analysis_but_for_death() -> None:
    withdrawn = ("participant.withdrawn", {"withdrawn_on": "2024-01-15", "scope": "follow_up"})
    died = ("participant.died", {"died_on": "2024-06-01", "cause": "unknown"})
    facts = [screened(), enrolled(), course("2024-02-01"), withdrawn, died]
    counted = flow(of({"p": facts}), AT)
    assert (counted["enrolled"], counted["treated"], counted["died"], counted["withdrawn"]) == (1, 0, 1, 0)


def withdrawn(on: str) -> tuple[str, dict[str, Any]]:
    return "participant.withdrawn", {"withdrawn_on": on, "scope": "follow_up"}


@pytest.mark.parametrize(
    ("on", "facts_before"),
    [
        ("2024-09", [screened("2024-09-18"), enrolled("2024-09-20")]),
        ("2024", [screened("2024-09-18"), enrolled("2024-09-20")]),
        ("2024-09-20", [screened("2024-09-18"), enrolled("2024-09")]),
        ("2024-09-10", [screened("2024-09"), enrolled("2024-09")]),
        ("2024-09", [screened("2024"), enrolled("2024-09")]),
    ],
)
def test_a_withdrawal_is_not_taken_for_a_day_before_what_may_have_been_before_it(on: str, facts_before: Facts) -> None:
    counted = flow(of({"p": [*facts_before, withdrawn(on)]}), AT)
    assert [counted[name] for name in ("screened", "enrolled", "withdrawn")] == [1, 1, 1]


def test_a_course_in_the_month_of_a_withdrawal_counts_and_one_that_is_surely_later_does_not() -> None:
    told = [
        screened(),
        enrolled(),
        course("2024-09-20"),
        course("2024-10-01", "SRS", index=False),
        withdrawn("2024-09"),
    ]
    counted = flow(of({"p": told}), AT)
    assert (counted["treated"], counted["stereotactic"], counted["withdrawn"]) == (1, 0, 1)


@pytest.mark.parametrize("on", ["2024-09", "2024-09-10"])
def test_figure_timeline_and_queries_take_a_withdrawal_and_what_was_before_it_for_the_same_days(on: str) -> None:
    told = [screened("2024-09"), enrolled("2024-09-10"), course("2024-09-20"), withdrawn(on)]
    events = [event("p", at, *fact) for at, fact in enumerate(told, 1)]
    (one,) = cohort(STUDY, events, frozenset(), TODAY).participants
    days = [one.day(each.stated().fact).isoformat() for each in events]
    entries = {entry["event_id"]: entry["day"] for entry in timeline(events, TODAY)["entries"]}
    assert [entries[str(each.event_id)] for each in events] == days
    (case,) = cases(STUDY, events, frozenset(), lambda _: TODAY)
    assert [case.day(each.stated().fact).isoformat() for each in events] == days
    assert case.followed_until.isoformat() == days[-1]


def test_a_death_in_a_month_is_not_taken_for_a_day_before_the_last_contact() -> None:
    contact = ("followup.recorded", {"seen_on": "2024-11-20", "mode": "clinic"})
    declared = ("followup.visit_missed", {"visit": 1, "declared_on": "2024-11-28", "reason_code": "too_ill"})
    died = ("participant.died", {"died_on": "2024-11", "cause": "tumour"})
    seen = of({"p": [screened(), enrolled(), contact, declared, died]})
    counts = [flow(seen, Selection(date(2024, 11, day)))["died"] for day in (15, 19, 20)]
    assert counts == [0, 0, 1]


def test_a_death_without_a_day_does_not_count_before_the_last_contact() -> None:
    contact = ("followup.recorded", {"seen_on": "2024-11-20", "mode": "clinic"})
    seen = of({"p": [screened(), enrolled(), contact, ("participant.died", {"died_on": None, "cause": "tumour"})]})
    assert [flow(seen, Selection(date(2024, 11, day)))["died"] for day in (19, 20)] == [0, 1]


def test_an_imprecise_end_is_never_taken_for_a_day_before_the_start_and_is_counted_as_imputed() -> None:
    start = course("2024-03-20")
    seen = of({"p": [screened(), enrolled(), start, ended("2024-03", start)]})
    (one,) = seen.participants
    assert one.ended_on(one.index_course(TODAY), TODAY) == date(2024, 3, 20)  # type: ignore[arg-type] # there is one
    assert (flow(seen, AT)["imputed_dates"], treatments(seen, AT)["imputed_dates"]) == (1, 1)
