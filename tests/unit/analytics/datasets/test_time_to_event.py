"""ADTTE: its times are those of the figures, and the reasons of censoring say why observation ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.datasets.adverse_events import make_adverse_events
from services.analytics.datasets.lesion_assessments import make_lesion_assessments
from services.analytics.datasets.lesion_times import TreatedLesionTime, make_lesion_times
from services.analytics.datasets.participant_endpoints import PARAMETERS, READING_CODES
from services.analytics.datasets.responses import make_responses
from services.analytics.datasets.subject_level import make_subjects
from services.analytics.datasets.time_to_event import TimeToEvent, make_times
from services.analytics.endpoints.sensitivity import SensitivityName
from services.analytics.figures.follow_up import FollowUp
from services.analytics.figures.incidence_numbers import IncidencePlan, incidence_group
from services.analytics.figures.locoregional_control import LocoregionalControl
from services.analytics.figures.overall_survival import OverallSurvival
from services.analytics.figures.progression_free_survival import ProgressionFreeSurvival
from services.analytics.figures.severe_toxicity import SevereToxicity
from services.analytics.figures.survival_figure import SurvivalFigure
from services.analytics.figures.survival_numbers import survival_group
from shared.kernel.fact import Fact
from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as follow_up
from tests.unit.analytics.datasets.support import (
    CUT_DAY,
    cut_cohort,
    linked_cohort,
    observations_of,
    times_of,
    various_cohort,
)
from tests.unit.analytics.endpoints.cohorts import (
    FOUR_CASES_CUT,
    alive,
    cohort_of,
    dead,
    four_cases,
    selection,
    treated,
)
from tests.unit.analytics.endpoints.known_lives import COHORTS, KnownLife

SURVIVAL: dict[str, type[SurvivalFigure]] = {
    "OS": OverallSurvival,
    "PFS": ProgressionFreeSurvival,
    "FUP": FollowUp,
}


@given(COHORTS, st.integers(0, 35), st.sampled_from([*SURVIVAL]))
def test_curves_from_the_set_are_those_of_the_figures(cohort: list[KnownLife], cut: int, code: str) -> None:
    snapshot = cohort_of([life.facts() for life in cohort])
    (group,) = SURVIVAL[code].compute(snapshot, selection(cut)).groups
    months = [round(landmark.time / 30.4375) for landmark in group.landmarks]
    ticks = [row.time for row in group.risk_table]
    assert survival_group("all", observations_of(times_of(snapshot, cut, code)), months, ticks) == group


@pytest.mark.parametrize("cut", [0, 95, 110, 150, 200, 201, 260, 400])
@pytest.mark.parametrize("code", SURVIVAL)
def test_curves_from_the_set_are_those_of_the_figures_at_linked_sites(code: str, cut: int) -> None:
    snapshot = linked_cohort()
    (group,) = SURVIVAL[code].compute(snapshot, selection(cut)).groups
    months = [round(landmark.time / 30.4375) for landmark in group.landmarks]
    ticks = [row.time for row in group.risk_table]
    assert survival_group("all", observations_of(times_of(snapshot, cut, code)), months, ticks) == group


def test_days_that_a_registry_reports_on_are_those_of_the_participant() -> None:
    times = {time.usubjid: time for time in times_of(linked_cohort(), 400, "OS")}
    ends = {name: (time.aval - 1, time.cnsr, time.srcvar, time.cnsdtdsc) for name, time in times.items()}
    until = "LAST KNOWN ALIVE BY A REGISTRY"
    assert ends["P00"] == (400, 2, "", "")
    assert ends["P03"] == (220, 0, "DTHDT", "")
    assert ends["P04"] == (400, 2, "", ""), "the withdrawal ends nothing where a registry may be asked"
    assert ends["P05"] == (180, 5, "REGALVDT", until)
    assert ends["P08"] == (200, 1, "REGALVDT", until), "the last day of the link"
    assert ends["P10"] == (200, 1, "REGALVDT", until)
    assert ends["P13"] == (119, 1, "REGALVDT", until), "the last day at the linked site"
    assert ends["P15"] == (90, 3, "LSTALVDT", "LAST KNOWN ALIVE")
    days = {row.usubjid: row.regalvdt for row in make_subjects(cut_cohort(linked_cohort(), 400))}
    assert [name for name, time in times.items() if time.srcvar == "REGALVDT" and days[name] != time.adt] == []


@pytest.mark.parametrize("reading", get_args(SensitivityName))
def test_every_other_reading_of_survival_has_its_parameter(reading: SensitivityName) -> None:
    assert {f"{endpoint}{READING_CODES[reading]}" for endpoint in ("OS", "PFS")} <= PARAMETERS.keys()


@pytest.mark.parametrize(("code", "figure_type"), [("LRC", LocoregionalControl), ("TOX3", SevereToxicity)])
def test_incidences_from_the_set_are_those_of_the_figures(
    code: str, figure_type: type[LocoregionalControl] | type[SevereToxicity]
) -> None:
    snapshot = various_cohort()
    (group,) = figure_type.compute(snapshot, selection(CUT_DAY)).groups
    plan = IncidencePlan(("death",), (6, 12, 24), [row.time for row in group.risk_table])
    observations = observations_of(times_of(snapshot, CUT_DAY, code), by_cause=True)
    assert incidence_group("all", observations, plan) == group.model_copy(update={"rate": None})


def censoring(cut: int, *stated: Fact) -> tuple[int, int, str, str | None]:
    """Returns the day, the code and the words of the only time of a participant."""
    (time,) = times_of(cohort_of([treated(*stated)]), cut, "OS")
    return time.aval - 1, time.cnsr, time.evntdesc, time.cnsdtdsc


EXAMPLES: dict[str, tuple[Sequence[Fact], tuple[int, int, str, str | None]]] = {
    "death": ([*alive(60), dead(90)], (90, 0, "DEATH", "")),
    "last known alive": (alive(60), (60, 1, "LAST KNOWN ALIVE", "")),
    "alive on the cut-off": (alive(60, 250), (200, 2, "DATA CUT-OFF", "")),
    "death after the cut-off": ([*alive(60), dead(250)], (200, 2, "DATA CUT-OFF", "")),
    "withdrawal": (
        [*alive(60), facts.consent_withdrawn(90), dead(100)],
        (60, 3, "WITHDRAWAL OF CONSENT", "LAST KNOWN ALIVE"),
    ),
    "loss": ([*alive(60), follow_up.lost_to_follow_up(120)], (60, 4, "LOST TO FOLLOW-UP", "LAST KNOWN ALIVE")),
    "death without a day": ([*alive(60), dead(None)], (60, 5, "DEATH WITHOUT A KNOWN DAY", "LAST KNOWN ALIVE")),
}


@pytest.mark.parametrize(("stated", "expected"), EXAMPLES.values(), ids=[*EXAMPLES])
def test_censoring_has_its_reason(stated: Sequence[Fact], expected: tuple[int, int, str, str | None]) -> None:
    assert censoring(200, *stated) == expected


def test_competing_death_is_neither_event_nor_censored() -> None:
    (time,) = times_of(cohort_of([treated(dead(90))]), 200, "LRC")
    assert (time.cnsr, time.evntcd, time.evntdesc, time.srcdom, time.srcvar) == (9, 2, "DEATH", "ADSL", "DTHDT")


def test_delayed_entry_begins_the_day_after() -> None:
    (time,) = times_of(cohort_of([treated(dead(90), start=0, enrolled=40)]), 200, "OS")
    assert (time.aentry, time.aval) == (41, 91)
    (prompt,) = times_of(cohort_of([treated(dead(0))]), 200, "OS")
    assert (prompt.aentry, prompt.aval) == (0, 1)


def test_imputed_days_are_flagged() -> None:
    (time,) = [time for time in times_of(various_cohort(), CUT_DAY, "OS") if time.usubjid == "P-PARTIALXX"]
    assert (str(time.adt), time.adtf, time.startdtf) == ("2024-09-15", "D", "")


def test_four_published_cases_have_the_numbers_of_the_review() -> None:
    times = {time.usubjid: (time.aval - 1, time.cnsr) for time in times_of(four_cases(), FOUR_CASES_CUT, "OS")}
    assert times == {"CASE-1": (246, 0), "CASE-2": (145, 0), "CASE-3": (599, 5), "CASE-4": (345, 1)}
    stereotactic = {time.usubjid: time.aval - 1 for time in times_of(four_cases(), FOUR_CASES_CUT, "OSSRT")}
    assert stereotactic == {"CASE-1": 246, "CASE-2": 25, "CASE-3": 543, "CASE-4": 58}


def test_lesions_of_the_four_cases_have_death_competing() -> None:
    times = [time for time in make_lesion_times(cut_cohort(four_cases())) if time.paramcd == "LFSRT"]
    assert sorted((time.aval - 1, time.evntcd, time.lesstat) for time in times) == [
        (0, 0, "never_imaged"),
        (25, 2, "never_imaged"),
        (51, 0, "indeterminate"),
        (246, 2, "controlled"),
        (246, 2, "controlled"),
    ]


def test_every_date_is_traced_to_its_record() -> None:
    cohort = cut_cohort(various_cohort())
    records: dict[tuple[str, str, int], tuple[str, object]] = {
        **{("ADRS", row.usubjid, row.aseq): (row.paramcd, row.adt) for row in make_responses(cohort)},
        **{("ADAE", row.usubjid, row.aseq): ("", row.astdt) for row in make_adverse_events(cohort)},
        **{("ADLES", row.usubjid, row.aseq): (row.avalc, row.adt) for row in make_lesion_assessments(cohort)},
    }
    times: list[TimeToEvent | TreatedLesionTime] = [*make_times(cohort), *make_lesion_times(cohort)]
    traced = [
        (time, records[time.srcdom or "", time.usubjid, time.srcseq or 0])
        for time in times
        if time.srcdom in ("ADRS", "ADAE", "ADLES")
    ]
    assert {time.paramcd for time, _ in traced} >= {"PFS", "LRC", "DMC", "FF", "TOX3", "TOX3R", "LF", "LFSRT"}
    assert [time for time, (_, day) in traced if day != time.adt] == []
    kinds = {(time.paramcd, time.cnsr == 0): kind for time, (kind, _) in traced}
    assert (kinds["PFS", True], kinds["LRC", False], kinds["LF", True]) == ("PROG", "DISASS", "progressed")


def test_severe_event_is_the_graded_record() -> None:
    (time,) = [time for time in times_of(various_cohort(), CUT_DAY, "TOX3") if time.usubjid == "P-TOXICXXXX"]
    assert (time.cnsr, time.srcdom, time.srcvar, time.srcseq) == (0, "ADAE", "ASTDT", 2)
