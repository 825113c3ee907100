"""The swimmer plot: who has a lane, what a lane shows, its order and pages, and how it is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.endpoints.overall_survival import overall_survival
from services.analytics.figures.lane_rows import SwimmerLane
from services.analytics.figures.publishing import publish
from services.analytics.figures.row_pages import PageRequest
from services.analytics.figures.swimmer import Swimmer
from services.analytics.figures.treatments import Treatments
from services.analytics.snapshot.columns import day_number
from services.analytics.snapshot.selection import LaneOrder
from shared.kernel.errors import ReadersSeeCuts
from shared.kernel.fact import Fact
from shared.terminology.ctcae import TermNames
from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as follow_up
from shared.testing.builders.toxicity_facts import DYSPHAGIA, finding, toxicity_assessed
from tests.svg import parse_svg
from tests.unit.analytics.endpoints.cohorts import (
    FOUR_CASES_CUT,
    Time,
    alive,
    cohort_of,
    dead,
    four_cases,
    selection,
    stereotactic_course,
    times_of,
    treated,
)
from tests.unit.analytics.endpoints.known_lives import COHORTS, DAYS, KnownLife
from tests.unit.analytics.figures.example_answers import SVG, context_of, treatments
from tests.unit.analytics.support import day_after_start

ORDERS: tuple[LaneOrder, ...] = get_args(LaneOrder)
CONTEXT = context_of(treatments())
DYSPHAGIA_NAME = TermNames()[DYSPHAGIA]


def swimmer_of(cut: int, *participants: Sequence[Fact], **changes: Any) -> Swimmer:
    return Swimmer.compute(cohort_of(participants), selection(cut, **changes))


def lane_of(cut: int, *stated: Fact, **changes: Any) -> SwimmerLane:
    """Returns the lane of a participant who is treated from day 0."""
    (lane,) = swimmer_of(cut, treated(*stated), **changes).lanes
    return lane


def shapes(figure: Swimmer) -> list[str]:
    """Returns the texts of the picture."""
    return [element.text or "" for element in parse_svg(figure.draw(CONTEXT)).iter(f"{SVG}text")]


class TestLane:
    def test_given_the_four_published_cases_then_lanes_end_where_the_review_of_the_statistics_has_them(self) -> None:
        figure = Swimmer.compute(four_cases(), selection(FOUR_CASES_CUT, sort="participant"))
        assert [(lane.exit, lane.end) for lane in figure.lanes] == [
            (246, "death"),
            (145, "death"),
            (599, "undated_death"),
            (345, "last_proof_of_life"),
        ]
        second, third = figure.lanes[1:3]
        assert [(course.started, course.stereotactic) for course in second.courses] == [(0, False), (120, True)]
        assert [(row.day, row.grade) for row in second.toxicities] == [(141, 5)]
        assert [(row.day, row.kind) for row in third.progressions] == [(147, "distant")]
        assert (figure.participants, figure.first_day, figure.last_day) == (4, -8, 599)
        assert {end: count for end, count in figure.ends.items() if count} == {
            "death": 2,
            "undated_death": 1,
            "last_proof_of_life": 1,
        }

    def test_given_courses_lines_progressions_and_toxicity_then_each_stands_on_its_day(self) -> None:
        lane = lane_of(
            300,
            facts.lesion_registered("N", kind="node"),
            facts.radiotherapy_completed(40),
            facts.systemic_therapy_started(50),
            facts.systemic_therapy_stopped(90),
            follow_up.disease_progressed(100, "N"),
            toxicity_assessed(60, finding(grade=3), finding("3.0:0534", grade=2)),
            *alive(200),
        )
        assert [(row.course_id, row.started, row.ended) for row in lane.courses] == [("RT1", 0, 40)]
        assert [(row.line_id, row.started, row.stopped) for row in lane.lines] == [("S1", 50, 90)]
        assert [(row.day, row.kind, row.lesion_kind) for row in lane.progressions] == [(100, "local", "node")]
        assert [(row.day, row.term, row.grade, row.relation) for row in lane.toxicities] == [
            (60, "3.0:0150", 3, "not_stated")
        ]

    def test_given_facts_before_the_origin_then_their_days_are_negative(self) -> None:
        before = treated(facts.systemic_therapy_started(20), follow_up.disease_progressed(25), start=50)
        figure = swimmer_of(300, before)
        assert [row.started for row in figure.lanes[0].lines] == [-30]
        assert [row.day for row in figure.lanes[0].progressions] == [-25]
        assert figure.first_day == -30

    def test_given_events_on_day_0_then_they_stand_on_day_0(self) -> None:
        lane = lane_of(300, follow_up.disease_progressed(0), toxicity_assessed(0, finding(grade=4)), dead(0))
        assert (lane.exit, lane.event) == (0, True)
        assert (lane.progressions[0].day, lane.toxicities[0].day) == (0, 0)

    def test_given_a_cut_off_then_nothing_after_it_shows(self) -> None:
        later = [
            facts.radiotherapy_completed(40),
            facts.systemic_therapy_started(30),
            facts.systemic_therapy_stopped(90),
            stereotactic_course(80),
            follow_up.disease_progressed(60),
            toxicity_assessed(70, finding(grade=3)),
            dead(100),
        ]
        lane = lane_of(35, *later)
        assert (lane.exit, lane.end) == (35, "cut_off")
        assert [(row.started, row.ended) for row in lane.courses] == [(0, None)]
        assert [(row.started, row.stopped) for row in lane.lines] == [(30, None)]
        assert (lane.progressions, lane.toxicities) == ((), ())

    @pytest.mark.parametrize(
        ("stated", "expected"),
        [
            ([*alive(120), dead(None)], (120, "undated_death")),
            ([*alive(100), facts.consent_withdrawn(110), dead(150)], (100, "withdrawal")),
            ([*alive(100), facts.consent_withdrawn(110), dead(None)], (100, "withdrawal")),
            ([*alive(100), dead(110), facts.consent_withdrawn(120)], (110, "death")),
            ([*alive(120)], (120, "last_proof_of_life")),
            ([*alive(300)], (300, "cut_off")),
            ([dead(301)], (300, "cut_off")),
        ],
    )
    def test_given_an_end_of_observation_then_the_lane_says_which(
        self, stated: list[Fact], expected: tuple[int, str]
    ) -> None:
        lane = lane_of(300, *stated)
        assert (lane.exit, lane.end) == expected
        assert lane.event is (expected[1] == "death")

    def test_given_two_grades_of_a_term_on_one_day_then_the_highest_stands_once(self) -> None:
        graded = [toxicity_assessed(60, finding(grade=grade)) for grade in (3, 4, 3)]
        assert [(row.day, row.grade) for row in lane_of(300, *graded).toxicities] == [(60, 4)]

    def test_given_a_partial_date_of_the_origin_then_it_is_stated_as_it_was_recorded(self) -> None:
        lane = swimmer_of(300, [*facts.ENROLLMENT_FACTS, facts.radiotherapy_started("2024-02"), *alive(90)]).lanes[0]
        assert (lane.origin_on, lane.exit) == ("2024-02", 76)


class TestWhoHasALane:
    def test_given_nobody_then_there_is_no_lane_and_the_picture_says_so(self) -> None:
        figure = swimmer_of(300)
        assert (figure.lanes, figure.participants, figure.first_day, figure.last_day) == ((), 0, 0, 0)
        assert "No participant is counted yet" in shapes(figure)

    def test_given_no_treatment_then_there_is_a_lane_from_enrollment_alone(self) -> None:
        untreated = [*facts.ENROLLMENT_FACTS, *alive(70)]
        figure = swimmer_of(300, untreated)
        assert (figure.lanes, [(row.reason, row.participants) for row in figure.not_counted]) == (
            (),
            [("no_origin", 1)],
        )
        (lane,) = swimmer_of(300, untreated, origin="enrolled").lanes
        assert (lane.exit, lane.courses) == (70, ())

    def test_given_an_enrollment_after_the_origin_then_the_entry_is_delayed(self) -> None:
        (lane,) = swimmer_of(300, treated(*alive(90), enrolled=14)).lanes
        assert (lane.entry, lane.exit) == (14, 90)

    def test_given_an_excluded_participant_then_there_is_no_lane(self) -> None:
        snapshot = cohort_of({"P1": treated(*alive(50)), "P2": treated(*alive(60))}, excluded=["P1"])
        figure = Swimmer.compute(snapshot, selection(300))
        assert ([lane.participant_id for lane in figure.lanes], figure.left_out) == (["P2"], 1)

    def test_readers_never_see_it(self) -> None:
        with pytest.raises(ReadersSeeCuts):
            publish(swimmer_of(300, treated()), 5, day_after_start(300))


class TestOrder:
    cohort = (
        treated(*alive(90), start=10, site="rome"),
        treated(*alive(200), start=30, site="milan"),
        treated(*alive(60), start=0, site="rome"),
        treated(*alive(170), start=0, site="milan"),
    )

    @pytest.mark.parametrize(
        ("order", "expected"),
        [
            ("duration", ["P01", "P03", "P00", "P02"]),
            ("origin", ["P02", "P03", "P00", "P01"]),
            ("participant", ["P00", "P01", "P02", "P03"]),
            ("site", ["P01", "P03", "P00", "P02"]),
        ],
    )
    def test_given_an_order_then_lanes_stand_in_it(self, order: LaneOrder, expected: list[str]) -> None:
        figure = swimmer_of(300, *self.cohort, sort=order)
        assert [lane.participant_id for lane in figure.lanes] == expected

    def test_given_the_order_by_site_then_each_site_has_a_heading(self) -> None:
        assert [text for text in shapes(swimmer_of(300, *self.cohort, sort="site")) if text in ("milan", "rome")] == [
            "milan",
            "rome",
        ]
        assert "milan" not in shapes(swimmer_of(300, *self.cohort))


EXTRA = st.lists(
    st.one_of(
        st.builds(follow_up.disease_progressed, DAYS, kind=st.sampled_from(["regional", "distant"])),
        st.builds(lambda day, grade: toxicity_assessed(day, finding(grade=grade)), DAYS, st.integers(1, 5)),
        st.builds(facts.systemic_therapy_started, DAYS),
    ),
    max_size=3,
)


@given(COHORTS, st.lists(EXTRA, min_size=6, max_size=6), st.integers(0, 35), st.sampled_from(ORDERS))
def test_lanes_have_the_numbers_of_overall_survival_and_of_treatments(
    cohort: list[KnownLife], extra: list[list[Fact]], cut: int, order: LaneOrder
) -> None:
    snapshot = cohort_of([[*life.facts(), *more] for life, more in zip(cohort, extra, strict=False)])
    chosen = selection(cut, sort=order)
    figure = Swimmer.compute(snapshot, chosen)
    lanes = sorted(figure.lanes, key=lambda lane: lane.participant_id)
    survival = overall_survival(snapshot, chosen)
    assert [Time(lane.entry, lane.exit, lane.event) for lane in lanes] == times_of(survival)
    assert {row.reason: row.participants for row in figure.not_counted} == {
        reason: count for reason, count in survival.not_counted.items() if count
    }
    rows = Treatments.compute(snapshot, chosen).targets
    for lane in lanes:
        origin = number_of(lane.origin_on)
        assert [
            (course.course_id, course.index, course.started + origin, target.target_id, target.total_dose_gy)
            for course in lane.courses
            for target in course.targets
        ] == [
            (row.course_id, row.index, number_of(row.started_on), row.target_id, row.total_dose_gy)
            for row in rows
            if row.participant_id == lane.participant_id
        ]
        facts_on = [row.day for row in lane.progressions] + [row.day for row in lane.toxicities]
        days = [*facts_on, *(row.started for row in lane.lines), *(row.started for row in lane.courses)]
        assert all(figure.first_day <= day <= chosen.cut_number - origin for day in days)
        assert max([lane.exit, *days]) <= figure.last_day


def number_of(text: str) -> int:
    """Returns the number of an exact day."""
    return day_number(date.fromisoformat(text))


@given(COHORTS, st.integers(1, 3), st.sampled_from(ORDERS))
def test_pages_joined_are_all_lanes_in_every_order(cohort: list[KnownLife], limit: int, order: LaneOrder) -> None:
    snapshot, chosen = cohort_of([life.facts() for life in cohort]), selection(35, sort=order)
    whole, joined = Swimmer.compute(snapshot, chosen), list[SwimmerLane]()
    request = PageRequest(limit=limit)
    while True:
        page = Swimmer.compute(snapshot, chosen, request.selector(["list"]))
        of_page = {"page", "next", "lanes"}
        assert page.model_dump(exclude=of_page) == whole.model_dump(exclude=of_page)
        joined += page.lanes
        if page.next is None:
            break
        request = PageRequest(after=page.next, limit=limit)
    assert tuple(joined) == whole.lanes


class TestPicture:
    figure = swimmer_of(
        300,
        treated(
            stereotactic_course(60),
            facts.systemic_therapy_started(10),
            follow_up.disease_progressed(100),
            follow_up.disease_progressed(101, kind="regional"),
            follow_up.disease_progressed(200),
            toxicity_assessed(150, finding(grade=3)),
            toxicity_assessed(151, finding(grade=4)),
            dead(250),
        ),
    )

    def test_marks_differ_by_shape_letter_and_number(self) -> None:
        texts = shapes(self.figure)[shapes(self.figure).index("P00") :]
        assert [text for text in texts if len(text) == 1 and not text.isspace()] == ["S", "M", "D", "4"]

    def test_days_before_the_axis_stand_at_its_left_edge(self) -> None:
        long_ago = swimmer_of(4000, treated(facts.systemic_therapy_started("2004-02-01"), *alive(90)))
        picture = parse_svg(long_ago.draw(CONTEXT))
        assert all(float(rect.attrib["x"]) >= 0 for rect in picture.iter(f"{SVG}rect"))
        assert long_ago.first_day == -7305

    def test_table_has_a_row_for_each_lane(self) -> None:
        header, rows = self.figure.table()
        first = dict(zip(header, rows[0], strict=True))
        assert (first["exit"], first["event"], first["end"]) == ("250", "yes", "death")
        assert first["courses"] == "RT1 0 on: hypofractionated 50 Gy; SRT 60 on: SRS 20 Gy"
        assert first["progressions"] == "distant 100; regional 101; distant 200"
        assert first["toxicities"] == f"{DYSPHAGIA_NAME} grade 3 150; {DYSPHAGIA_NAME} grade 4 151"

    def test_caption_says_what_lanes_are_and_which_are_shown(self) -> None:
        caption = self.figure.caption(CONTEXT)
        assert caption.startswith("A lane for each participant from the start of the index course to death")
        assert "1 participant: 1 died. Lanes 1 to 1, the longest first." in caption
        several = swimmer_of(300, treated(dead(90)), treated(*alive(80), dead(None)), treated(*alive(300)), treated())
        assert (
            "4 participants: 1 died, 1 died on a day that is not known, 1 alive on the data cut-off and "
            "1 last known alive before it."
        ) in several.caption(CONTEXT)
