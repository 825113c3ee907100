"""The figure of local control: its numbers, its words, its picture, and what readers see of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.figures.figure import FigureContext
from services.analytics.figures.filters import FigureFilters
from services.analytics.figures.local_control import LocalControl
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import StudySnapshot
from shared.kernel.errors import SmallGroups
from shared.kernel.fact import Fact
from tests.svg import parse_svg
from tests.unit.analytics.endpoints.cohorts import FOUR_CASES_CUT, cohort_of, dead, four_cases, selection, treated
from tests.unit.analytics.endpoints.lesion_cohorts import course, imaged, nine_lesions, with_lesions
from tests.unit.analytics.support import RECORDED_AT

SVG = "{http://www.w3.org/2000/svg}"
CONTEXT = FigureContext(
    study_id="s", position=1, recorded_at=RECORDED_AT, cut_date=FOUR_CASES_CUT, filters=FigureFilters()
)


def answer(snapshot: StudySnapshot, chosen: Selection) -> Any:
    return LocalControl.compute(snapshot, chosen).to_json()


def test_numbers_of_the_stereotactic_lesions_of_the_four_cases_are_those_of_r() -> None:
    """F2."""
    json = answer(four_cases(), selection(FOUR_CASES_CUT, subset="stereotactic"))
    assert (json["event"], json["definition"]) == ("failure", {"id": "local-control", "version": 1})
    assert (json["lesions"], json["participants"]) == (5, 4)
    statuses = {"controlled": 2, "indeterminate": 1, "necrosis": 0, "progressed": 0, "never_imaged": 2}
    assert json["status"] == statuses
    (group,) = json["groups"]
    assert (group["n"], group["events"], group["events_by_cause"]) == (5, 0, {"death": 3, "retreatment": 0})
    names = ("time", "at_risk", "events", "censored", "estimate", "competing", "event_free")
    assert [[row[name] for name in names] for row in group["curve"]] == [
        [0, 5, 0, 1, 0, 0, 1],
        [25, 4, 0, 0, 0, 0.25, 0.75],
        [51, 3, 0, 1, 0, 0.25, 0.75],
        [246, 2, 0, 0, 0, 1, 0],
    ]
    assert all((row["lower"], row["upper"]) == (None, None) for row in group["curve"])
    assert group["curve"][-1]["by_cause"] == {"death": 1, "retreatment": 0}
    assert group["curve"][-1]["events_by_cause"] == {"death": 2, "retreatment": 0}
    (line,) = json["sensitivity"]
    assert (line["name"], line["lesions"], line["events_by_cause"]["death"]) == ("undated_as_event", 5, 4)
    assert (json["not_counted"], json["lesions_not_counted"], json["warnings"]) == ([], [], [])


def test_limits_of_nine_lesions_are_those_of_influences_summed_within_participants() -> None:
    """W10."""
    (group,) = answer(nine_lesions(), selection(400))["groups"]
    row = next(row for row in group["curve"] if row["time"] == 120)
    assert row["estimate"] == pytest.approx(1 / 3, abs=1e-12)
    assert [row["lower"], row["upper"]] == pytest.approx([0.0488675060863, 0.6704328796933], abs=1e-12)
    assert group["curve"][-2]["by_cause"] == pytest.approx({"death": 4 / 9, "retreatment": 1 / 9}, abs=1e-12)
    assert group["proportion"] == {"estimate": 3 / 9, "lower": None, "upper": None}


def test_estimate_competing_and_event_free_add_up_to_1() -> None:
    for row in answer(nine_lesions(), selection(400))["groups"][0]["curve"]:
        assert row["estimate"] + sum(row["by_cause"].values()) + row["event_free"] == pytest.approx(1, abs=1e-12)
        assert row["competing"] == pytest.approx(sum(row["by_cause"].values()), abs=1e-15)


def test_groups_of_lesions_have_no_test_because_lesions_of_a_participant_are_alike() -> None:
    for is_named_cut in (False, True):
        json = answer(nine_lesions(), selection(400, by="subset", is_named_cut=is_named_cut))
        assert (json["test"], json["reason"]) == (None, "clustered")
    assert [(group["name"], group["n"]) for group in json["groups"]] == [("other", 9), ("stereotactic", 0)]
    assert not {"test", "reason"} & answer(nine_lesions(), selection(400, is_named_cut=True)).keys()


def test_group_without_any_event_is_drawn_flat_beside_one_with_events() -> None:
    """W18."""
    women = with_lesions(course(0, "L1"))
    men = with_lesions(course(0, "L1"), imaged(40, "L1", status="progressed"))
    men[0] = men[0].model_copy(update={"sex": "male"})
    json = answer(cohort_of([women, men]), selection(400, by="sex"))
    assert [[row["estimate"] for row in group["curve"]] for group in json["groups"]] == [[0], [0, 1]]


def test_necrosis_is_an_incidence_of_its_own_on_request() -> None:
    snapshot = cohort_of([with_lesions(course(0, "L1", "L2"), imaged(40, "L1", status="necrosis"), imaged(60, "L2"))])
    figure = LocalControl.compute(snapshot, selection(400, event="necrosis"))
    assert (figure.event, figure.groups[0].events, figure.status.necrosis) == ("necrosis", 1, 1)
    assert "Cumulative incidence of necrosis of treated lesions" in figure.caption(CONTEXT)
    assert "2 lesions, 1 necrosis, 0 with death" in figure.caption(CONTEXT)
    assert answer(snapshot, selection(400))["groups"][0]["events"] == 0


def test_caption_states_ends_statuses_who_is_not_counted_and_other_readings() -> None:
    caption = LocalControl.compute(four_cases(), selection(FOUR_CASES_CUT)).caption(CONTEXT)
    assert "11 lesions, 1 local failure, 5 with death and 0 with re-treatment before it; at 6 months 17.1 %" in caption
    assert "At the last imaging: 2 controlled, 1 indeterminate, 0 necrosis, 1 progressed and 7 never imaged." in caption
    assert "3 lesions had no imaging in the 183 days before the death." in caption
    words = "With deaths without a date on the day after the last proof of life: 1 local failure, 7 with death"
    assert words in caption
    late = with_lesions(course(0, "L1"), imaged(20, "L1"), enrolled=30)
    figure = LocalControl.compute(cohort_of([late, treated()]), selection(400))
    assert (
        "Enrolled and not counted: 1 without a treated lesion and 1 never at risk after the enrollment. "
        "Treated lesions not counted: 1 never at risk after the enrollment." in figure.caption(CONTEXT)
    )
    assert figure.headline(CONTEXT)[0] == ("lesions", "0", "treated lesions of 0 participants")


def test_emptied_risk_set_is_a_warning_and_has_no_median() -> None:
    early = with_lesions(course(0, "L1"), imaged(5, "L1", status="progressed"))
    late = with_lesions(course(0, "L1"), imaged(30, "L1"), enrolled=10)
    json = answer(cohort_of([early, late]), selection(400))
    assert (json["warnings"], json["groups"][0]["median"]["estimate"]) == (["risk_set_emptied"], None)


def test_table_has_a_row_for_every_row_of_a_curve() -> None:
    header, rows = LocalControl.compute(four_cases(), selection(FOUR_CASES_CUT)).table()
    assert {len(row) for row in rows} == {len(header)}
    chosen = next(row for row in rows if row[1] == "106")
    assert chosen[:7] == ["all", "106", "5", "1", "0", "0", "0"]
    assert float(chosen[7]) == pytest.approx(0.171428571428571, abs=1e-14)


COHORTS = {
    "nobody": [],
    "one, never imaged": [with_lesions(course(0, "L1"))],
    "one, dead on day 0": [with_lesions(course(0, "L1"), dead(0))],
    "all censored": [with_lesions(course(0, "L1"), imaged(day, "L1")) for day in (10, 40, 90)],
    "nobody censored": [with_lesions(course(0, "L1"), imaged(day, "L1", status="progressed")) for day in (10, 40, 90)],
}


@pytest.mark.parametrize("name", COHORTS)
@pytest.mark.parametrize("by", [None, "subset"])
def test_small_cohorts_draw_what_is_known(name: str, by: str | None) -> None:
    figure = LocalControl.compute(cohort_of(COHORTS[name]), selection(300, by=by))
    texts = [element.text for element in parse_svg(figure.draw(CONTEXT)).iter(f"{SVG}text")]
    assert ("Nobody is at risk" in texts) is (name == "nobody")
    assert {"At risk", "Events", "Competing", "Censored", "0.25"} <= set(texts)
    assert figure.published(5, FOUR_CASES_CUT).draw(CONTEXT).startswith("<svg")


# Readers


def failing(days: Sequence[int]) -> list[list[Fact]]:
    return [with_lesions(course(0, "L1"), imaged(day, "L1", status="progressed")) for day in days]


def test_readers_get_a_life_table_without_days_of_events() -> None:
    cohort = [*failing([11, 12, 13, 14, 15]), *[with_lesions(course(0, "L1"), dead(day)) for day in range(41, 51)]]
    published: Any = LocalControl.compute(cohort_of(cohort), selection(300)).published(5, FOUR_CASES_CUT).to_json()
    assert not {"test", "reason", "sensitivity", "warnings", "deaths_without_imaging"} & published.keys()
    (group,) = published["groups"]
    assert "risk_table" not in group
    (point,) = group["curve"]
    assert point == {
        "time": 30,
        "month": 1,
        "at_risk": 10,
        "estimate": 0.33,
        "lower": None,
        "upper": None,
        "competing": 0,
        "by_cause": {"death": 0, "retreatment": 0},
        "event_free": 0.67,
    }
    assert (published["lesions"], published["status"]["progressed"], group["events"]) == (15, 5, 5)


def test_death_of_one_participant_with_many_lesions_is_no_point_for_readers() -> None:
    many = with_lesions(course(0, *"ABCDE"), dead(45), lesions="ABCDE")
    later = [with_lesions(course(0, "L1"), imaged(300, "L1")) for _ in range(8)]
    published = LocalControl.compute(cohort_of([many, *later]), selection(400)).published(5, FOUR_CASES_CUT)
    assert (published.groups[0].curve, published.groups[0].events_by_cause["death"]) == ((), 5)


def test_figure_is_never_divided_for_readers() -> None:
    assert not LocalControl.DISCLOSURE.divisible
    with pytest.raises(SmallGroups):
        LocalControl.members(four_cases(), selection(FOUR_CASES_CUT, by="site"))


@given(st.lists(st.integers(1, 30), min_size=6, max_size=12), st.data())
def test_day_of_one_failure_within_its_block_does_not_show(days: list[int], data: st.DataObject) -> None:
    index, other = data.draw(st.integers(0, len(days) - 1)), data.draw(st.integers(1, 30))
    studies = (days, [*days[:index], other, *days[index + 1 :]])
    published = [
        LocalControl.compute(cohort_of(failing(study)), selection(300)).published(5, FOUR_CASES_CUT)
        for study in studies
    ]
    assert published[0].to_json() == published[1].to_json()
    assert len({figure.draw(CONTEXT) for figure in published}) == 1
