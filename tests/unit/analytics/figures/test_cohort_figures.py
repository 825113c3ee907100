"""The numbers of figures: given the facts of participants, when a figure is computed, then it counts these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from services.analytics.cohort.cohort import Cohort, Selection, build_cohort
from services.analytics.figures.accrual import Accrual, AccrualStep
from services.analytics.figures.disclosure import withheld_members
from services.analytics.figures.participant_flow import ParticipantFlow
from services.analytics.figures.treatments import Treatments
from services.analytics.queries.case import build_cases
from shared.contracts import catalogue
from shared.contracts.event import Event
from shared.contracts.study import ProtocolAmended, StudyOpened
from shared.gate.study_timeline import protocols_in_force
from shared.kernel.fact import StatedFact
from shared.kernel.partial_date import PartialDate
from shared.kernel.record import Record
from shared.testing.builders import facts
from tests.unit.analytics.published_events import timeline_json

TODAY = date(2025, 1, 31)
NOW = datetime(2025, 1, 31, tzinfo=UTC)
PROTOCOL: dict[str, Any] = {
    "criteria": [{"id": "histology", "text": "confirmed", "kind": "inclusion"}],
    "consent_versions": [{"version": "1", "valid_from": "2020-01-01"}],
    "toxicity": {"dictionary": "ctcae-3.0"},
    "follow_up": {},
    "accrual_target": {"participants": 10, "by": "2025-12-31"},
}
OPENED = StudyOpened.model_validate({"title": "A study", "ethics_approval": "1", "protocol": PROTOCOL})
STUDY = Record((StatedFact(uuid4(), OPENED),))
TypedContents = Sequence[tuple[str, dict[str, Any]]]


def make_event(participant: str, version: int, name: str, data: dict[str, Any]) -> Event:
    service = "followup" if name in catalogue.FOLLOWUP.declared_facts else "enrollment"
    content = catalogue.fact_class(service, name).model_validate(data).model_dump_json()
    return Event("s", service, participant, version, uuid4(), name, 1, "a", content, NOW)


def cohort_of(facts_by_participant: Mapping[str, TypedContents], *, excluded: Sequence[str] = ()) -> Cohort:
    events = [
        make_event(participant_id, at, *fact)
        for participant_id, facts in facts_by_participant.items()
        for at, fact in enumerate(facts, 1)
    ]
    return build_cohort(STUDY, events, frozenset(excluded), TODAY)


def screened(on: str = "2024-01-01", site: str = "a", sex: str = "female") -> tuple[str, dict[str, Any]]:
    content = {"site_id": site, "screened_on": on, "sex": sex, "birth_year": 1950, "criteria": {"histology": "met"}}
    return "participant.screened", content


def enrolled(on: str = "2024-01-02") -> tuple[str, dict[str, Any]]:
    return "participant.enrolled", {"enrolled_on": on}


def course(
    on: str = "2024-02-01", delivery: str = "conventional", lesions: Sequence[str] = (), *, index: bool = True
) -> tuple[str, dict[str, Any]]:
    target = {
        "target_id": "T",
        "lesion_ids": list(lesions),
        "label": "PTV",
        "modality": "photons",
        "technique": "VMAT",
        "delivery": delivery,
        "fractions": 1,
        "dose_per_fraction_cgy": 2000,
        "total_dose_cgy": 2000,
    }
    content = {"course_id": f"C-{delivery}-{on}", "started_on": on, "intent": "palliative", "index": index}
    return "radiotherapy.started", {**content, "targets": [target]}


def lesion(name: str, kind: str) -> tuple[str, dict[str, Any]]:
    return "lesion.registered", {"lesion_id": name, "kind": kind, "body_site": "brain", "found_on": "2024-01-03"}


def course_completed(on: str, of_course: tuple[str, dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    return "radiotherapy.completed", {"course_id": of_course[1]["course_id"], "ended_on": on}


ALL_PARTICIPANTS = Selection(TODAY)


def test_flow_of_an_empty_study_has_no_percentage() -> None:
    flow_counts = ParticipantFlow.compute(cohort_of({}), ALL_PARTICIPANTS)
    assert (flow_counts.enrolled, flow_counts.stereotactic_percent, flow_counts.stereotactic_interval) == (
        0,
        None,
        None,
    )


def test_stereotactic_counts_stereotactic_targets_of_metastases_or_unnamed_lesions() -> None:
    facts_by_participant = {
        "metastasis": [screened(), enrolled(), lesion("M", "metastasis"), course(delivery="SRS", lesions=["M"])],
        "primary": [screened(), enrolled(), lesion("P", "primary"), course(delivery="SBRT", lesions=["P"])],
        "unnamed": [screened(), enrolled(), course(delivery="FSRT")],
        "later": [screened(), enrolled(), course(), course("2024-06-01", "SRS", index=False)],
        "conventional": [screened(), enrolled(), lesion("M", "metastasis"), course(lesions=["M"])],
    }
    counted = ParticipantFlow.compute(cohort_of(facts_by_participant), ALL_PARTICIPANTS)
    assert (counted.enrolled, counted.stereotactic, counted.stereotactic_percent) == (5, 3, 60.0)


def test_last_prescription_change_counts() -> None:
    start = course()
    changed = {"course_id": start[1]["course_id"], "on": "2024-02-02", "reason_code": "toxicity"}
    target = {**course(delivery="SRS")[1]["targets"][0]}
    facts = [screened(), enrolled(), start, ("radiotherapy.prescription_changed", {**changed, "targets": [target]})]
    assert ParticipantFlow.compute(cohort_of({"p": facts}), ALL_PARTICIPANTS).stereotactic == 1
    assert ParticipantFlow.compute(cohort_of({"p": facts}), Selection(date(2024, 2, 1))).stereotactic == 0


TWICE_CHANGED = (("2024-02-02", 1000, "2024-02-02", 2000), ("2024-02", 2000, "2024-02-10", 1000))
"""Two days of a change, each with what was prescribed then; the dose of 20 Gy holds."""


@pytest.mark.parametrize(("one_day", "one_dose", "other_day", "other_dose"), TWICE_CHANGED)
def test_same_day_prescription_changes_resolve_independently_of_order(
    one_day: str, one_dose: int, other_day: str, other_dose: int
) -> None:
    start = course()
    first_change, second_change = (
        prescription_changed(start, one_day, one_dose),
        prescription_changed(start, other_day, other_dose),
    )
    for order in ([first_change, second_change], [second_change, first_change]):
        facts_recorded = [screened(), enrolled(), start, *order, course_completed("2024-03-01", start)]
        (row,) = Treatments.compute(cohort_of({"p": facts_recorded}), ALL_PARTICIPANTS).targets
        entries = timeline_json([make_event("p", at, *fact) for at, fact in enumerate(facts_recorded, 1)], TODAY)[
            "entries"
        ]
        (end,) = (entry for entry in entries if entry["type"] == "radiotherapy.completed")
        assert (row.total_dose_gy, end["delivered"][0]["dose_gy"]) == (20.0, 20.0)


def prescription_changed(start: tuple[str, dict[str, Any]], on: str, dose: int) -> tuple[str, dict[str, Any]]:
    target = {**start[1]["targets"][0], "dose_per_fraction_cgy": dose, "total_dose_cgy": dose}
    content = {"course_id": start[1]["course_id"], "on": on, "reason_code": "toxicity", "targets": [target]}
    return "radiotherapy.prescription_changed", content


def test_figures_use_the_same_protocol_as_in_force_for_same_day_amendments() -> None:
    study_facts = [
        StatedFact(uuid4(), OPENED),
        *(StatedFact(uuid4(), protocol_amended(*deliveries)) for deliveries in ([], ["SRS"])),
    ]
    events = [make_event("p", at, *fact) for at, fact in enumerate([screened(), enrolled(), course(delivery="SRS")], 1)]
    study_cohort = build_cohort(Record(tuple(study_facts)), events, frozenset(), TODAY)
    assert study_cohort.protocol == protocols_in_force(study_cohort.study, PartialDate.from_day(TODAY))[-1][0]
    assert ParticipantFlow.compute(study_cohort, ALL_PARTICIPANTS).stereotactic == 1


def protocol_amended(*deliveries: str) -> ProtocolAmended:
    plan = {**PROTOCOL, "stereotactic": {"deliveries": deliveries}}
    content = {"amendment": "A1", "effective_on": "2024-01-01", "protocol": plan, "reason": "Experience."}
    return ProtocolAmended.model_validate(content)


def test_each_enrolled_participant_has_one_status_and_death_has_precedence() -> None:
    old, recent = course("2021-01-04"), course("2024-12-02")
    died = ("participant.died", {"died_on": "2024-12-20", "cause": "tumour"})
    lost = ("participant.lost", {"on": "2024-12-21", "reason_code": "moved"})
    resumed = ("participant.follow_up_resumed", {"on": "2024-12-28"})
    withdrawn = ("participant.withdrawn", {"withdrawn_on": "2024-12-22", "scope": "follow_up"})
    facts_by_participant = {
        "waiting": [screened(), enrolled()],
        "treated": [screened(), enrolled(), recent, course_completed("2024-12-20", recent)],
        "done": [screened(), enrolled(), old, course_completed("2021-02-01", old)],
        "died": [screened(), enrolled(), recent, died, lost, withdrawn],
        "withdrawn": [screened(), enrolled(), recent, withdrawn, lost],
        "lost": [screened(), enrolled(), recent, lost],
        "found": [screened(), enrolled(), recent, lost, resumed],
    }
    counted = ParticipantFlow.compute(cohort_of(facts_by_participant), ALL_PARTICIPANTS)
    standings = {
        name: getattr(counted, name) for name in ("awaiting_treatment", "completed", "died", "withdrawn", "lost")
    }
    assert standings == {"awaiting_treatment": 1, "completed": 1, "died": 1, "withdrawn": 1, "lost": 1}
    assert counted.in_follow_up == 2
    assert sum(standings.values()) + 2 == counted.enrolled == 7


def test_facts_after_the_cut_off_are_not_counted() -> None:
    facts_by_participant = {"p": [screened("2024-01-01"), enrolled("2024-01-02"), course("2024-02-01")]}
    assert [
        getattr(ParticipantFlow.compute(cohort_of(facts_by_participant), Selection(date(2024, 1, 1))), name)
        for name in ("screened", "enrolled")
    ] == [1, 0]


def test_month_is_imputed_as_its_middle_but_not_in_the_future() -> None:
    facts_by_participant = {
        "p": [screened("2024-03"), enrolled("2025-01")],
        "q": [screened("2025-01-29"), enrolled("2025-01-30")],
    }
    counted = Accrual.compute(cohort_of(facts_by_participant), ALL_PARTICIPANTS)
    assert counted.groups[0].curve == (
        AccrualStep(on=date.fromisoformat("2025-01-15"), cumulative=1),
        AccrualStep(on=date.fromisoformat("2025-01-30"), cumulative=2),
    )
    assert counted.imputed_dates == 1


def test_unscreened_participants_are_ignored_and_excluded_ones_counted() -> None:
    facts_by_participant = {"p": [screened(), enrolled()], "stranger": [enrolled()], "gone": [screened(), enrolled()]}
    study_cohort = cohort_of(facts_by_participant, excluded=["gone"])
    assert (
        ParticipantFlow.compute(study_cohort, ALL_PARTICIPANTS).screened,
        ALL_PARTICIPANTS.count_excluded(study_cohort),
    ) == (1, 1)
    assert Selection(TODAY, frozenset({"b"})).count_excluded(study_cohort) == 0


def test_accrual_is_stratified_by_enrolling_site() -> None:
    facts_by_participant = {
        "p": [screened(site="a"), enrolled("2024-01-02")],
        "q": [screened(site="b"), enrolled("2024-01-03")],
    }
    groups = Accrual.compute(cohort_of(facts_by_participant), Selection(TODAY, by="site")).groups
    assert [(group.name, group.enrolled) for group in groups] == [("a", 1), ("b", 1)]
    assert Accrual.compute(cohort_of(facts_by_participant), Selection(TODAY, frozenset({"b"}))).groups[0].enrolled == 1


def test_brain_targets_have_doses_for_nervous_tissue() -> None:
    facts_by_participant = {
        "p": [screened(), enrolled(), lesion("M", "metastasis"), course(delivery="SRS", lesions=["M"])]
    }
    row = Treatments.compute(cohort_of(facts_by_participant), ALL_PARTICIPANTS).targets[0]
    assert (row.bed_10, row.eqd2_10, row.bed_2, row.eqd2_2) == (60.0, 50.0, 220.0, 110.0)
    other = Treatments.compute(
        cohort_of({"p": [screened(), enrolled(), course(delivery="SRS")]}), ALL_PARTICIPANTS
    ).targets[0]
    assert "bed_2" not in other.model_fields_set


def test_later_recorded_of_two_same_day_amendments_is_the_protocol() -> None:
    amended = [facts.protocol_amended(9, facts.protocol(small_cell=cell)) for cell in (7, 9)]
    study = Record(tuple(StatedFact(uuid4(), fact) for fact in (facts.study_opened(facts.protocol()), *amended)))
    plans = [build_cohort(study, [], frozenset(), facts.START_DATE + timedelta(days=day)).protocol for day in (8, 9)]
    assert [plan.small_cell for plan in plans] == [5, 9]


def test_small_cells_of_a_site_are_suppressed() -> None:
    counted = ParticipantFlow.compute(cohort_of({"p": [screened(), enrolled()]}), ALL_PARTICIPANTS)
    assert withheld_members(counted, 5, is_whole_study=True) == {}
    of_site = withheld_members(counted, 5, is_whole_study=False)
    assert {"enrolled", "screened", "stereotactic_percent", "stereotactic_interval"} <= of_site.keys()
    assert set(of_site.values()) == {None}
    assert not of_site.keys() & {"died", "imputed_dates", "left_out"}, (
        "zero is shown, and a number of dates is no count"
    )
    divided = Accrual.compute(cohort_of({"p": [screened(), enrolled()]}), Selection(TODAY, by="site"))
    assert withheld_members(divided, 5, is_whole_study=True) == {
        "groups": [{"name": "a", "enrolled": None, "curve": []}]
    }


def test_timeline_imputes_partial_dates_independently_of_the_cut_off() -> None:
    events = [make_event("p", at, *fact) for at, fact in enumerate([screened(), enrolled("2024-03")], 1)]
    entry = timeline_json(events, date(2024, 3, 10), known_until=date(2024, 3, 20))["entries"][-1]
    assert [entry[name] for name in ("from", "day", "until")] == ["2024-03-01", "2024-03-15", "2024-03-20"]


@pytest.mark.parametrize("day", [1, 10, 20])
def test_partial_date_is_imputed_by_the_recording_day_and_not_by_the_cut_off(day: int) -> None:
    events = [make_event("p", at, *fact) for at, fact in enumerate([screened("2024-03"), enrolled("2024-03")], 1)]
    study_cohort = build_cohort(STUDY, events, frozenset(), TODAY, date(2024, 3, day))
    imputed_day = min(day, 15)
    for cut_date in (date(2024, 3, imputed_day), TODAY):
        (group,) = Accrual.compute(study_cohort, Selection(cut_date)).groups
        assert group.curve == (AccrualStep(on=date(2024, 3, imputed_day), cumulative=1),)
    assert (
        Accrual.compute(study_cohort, Selection(date(2024, 3, imputed_day) - timedelta(days=1))).groups[0].curve == ()
    )


def test_registry_confirmation_after_withdrawal_delays_an_undated_death() -> None:
    alive = ("vital_status.confirmed", {"alive_on": "2024-09", "source": "registry"})
    died = ("participant.died", {"died_on": None, "cause": "unknown"})
    facts_recorded = [screened(), enrolled(), withdrawn("2024-08-10"), alive, died]
    study_cohort = cohort_of({"p": facts_recorded})
    assert [ParticipantFlow.compute(study_cohort, Selection(date(2024, 9, day))).died for day in (14, 15)] == [0, 1]
    events = [make_event("p", at, *fact) for at, fact in enumerate(facts_recorded, 1)]
    assert timeline_json(events, TODAY)["ends_on"] == "2024-09-15"


def test_facts_after_withdrawal_are_not_counted_except_death() -> None:
    withdrawn = ("participant.withdrawn", {"withdrawn_on": "2024-01-15", "scope": "follow_up"})
    died = ("participant.died", {"died_on": "2024-06-01", "cause": "unknown"})
    facts = [screened(), enrolled(), course("2024-02-01"), withdrawn, died]
    counted = ParticipantFlow.compute(cohort_of({"p": facts}), ALL_PARTICIPANTS)
    assert (counted.enrolled, counted.treated, counted.died, counted.withdrawn) == (1, 0, 1, 0)


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
def test_withdrawal_is_imputed_after_facts_that_may_precede_it(on: str, facts_before: TypedContents) -> None:
    counted = ParticipantFlow.compute(cohort_of({"p": [*facts_before, withdrawn(on)]}), ALL_PARTICIPANTS)
    assert [getattr(counted, name) for name in ("screened", "enrolled", "withdrawn")] == [1, 1, 1]


def test_course_in_the_month_of_a_withdrawal_counts_but_a_later_one_does_not() -> None:
    facts_recorded = [
        screened(),
        enrolled(),
        course("2024-09-20"),
        course("2024-10-01", "SRS", index=False),
        withdrawn("2024-09"),
    ]
    counted = ParticipantFlow.compute(cohort_of({"p": facts_recorded}), ALL_PARTICIPANTS)
    assert (counted.treated, counted.stereotactic, counted.withdrawn) == (1, 0, 1)


@pytest.mark.parametrize("on", ["2024-09", "2024-09-10"])
def test_figures_timeline_and_queries_impute_the_same_days_around_a_withdrawal(on: str) -> None:
    facts_recorded = [screened("2024-09"), enrolled("2024-09-10"), course("2024-09-20"), withdrawn(on)]
    events = [make_event("p", at, *fact) for at, fact in enumerate(facts_recorded, 1)]
    (participant,) = build_cohort(STUDY, events, frozenset(), TODAY).participants
    days = [participant.day(each.stated_fact().fact).isoformat() for each in events]
    entries = {entry["event_id"]: entry["day"] for entry in timeline_json(events, TODAY)["entries"]}
    assert [entries[str(each.event_id)] for each in events] == days
    (case,) = build_cases(STUDY, events, frozenset(), lambda _: TODAY)
    assert [case.day(each.stated_fact().fact).isoformat() for each in events] == days
    assert case.end_of_follow_up.isoformat() == days[-1]


def test_death_in_a_month_is_not_imputed_before_the_last_contact() -> None:
    contact = ("followup.recorded", {"seen_on": "2024-11-20", "mode": "clinic"})
    declared = ("followup.visit_missed", {"visit": 1, "declared_on": "2024-11-28", "reason_code": "too_ill"})
    died = ("participant.died", {"died_on": "2024-11", "cause": "tumour"})
    study_cohort = cohort_of({"p": [screened(), enrolled(), contact, declared, died]})
    counts = [ParticipantFlow.compute(study_cohort, Selection(date(2024, 11, day))).died for day in (15, 19, 20)]
    assert counts == [0, 0, 1]


def test_undated_death_does_not_count_before_the_last_contact() -> None:
    contact = ("followup.recorded", {"seen_on": "2024-11-20", "mode": "clinic"})
    study_cohort = cohort_of(
        {"p": [screened(), enrolled(), contact, ("participant.died", {"died_on": None, "cause": "tumour"})]}
    )
    assert [ParticipantFlow.compute(study_cohort, Selection(date(2024, 11, day))).died for day in (19, 20)] == [0, 1]


def test_partial_course_end_is_imputed_on_or_after_the_start_and_counted() -> None:
    start = course("2024-03-20")
    study_cohort = cohort_of({"p": [screened(), enrolled(), start, course_completed("2024-03", start)]})
    (participant,) = study_cohort.participants
    assert [dates.ended_on for dates in participant.course_dates(TODAY)] == [date(2024, 3, 20)]
    assert (
        ParticipantFlow.compute(study_cohort, ALL_PARTICIPANTS).imputed_dates,
        Treatments.compute(study_cohort, ALL_PARTICIPANTS).imputed_dates,
    ) == (1, 1)
