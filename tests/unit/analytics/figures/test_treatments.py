"""Treatments: the targets that count, their doses, and how the figure shows them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.figures.row_pages import PageRequest
from services.analytics.figures.target_rows import TargetRow
from services.analytics.figures.treatments import Treatments
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import StudySnapshot
from shared.testing.builders import facts
from shared.testing.builders.participant_history import participant_events
from tests.unit.analytics.figures.example_answers import (
    caption_of,
    context_of,
    example_treatments,
    figure_of,
    render_svg,
    svg_texts,
    target,
    treatments,
)
from tests.unit.analytics.support import ENROLLED, SCREENED, TODAY, single_fraction, snapshot_of, timeline_json

ALL_PARTICIPANTS = Selection(TODAY)
CONTEXT = context_of(treatments())
TWICE_CHANGED = (("2024-02-02", 1000, "2024-02-02", 2000), ("2024-02", 2000, "2024-02-10", 1000))
"""Two days of a change, each with what was prescribed then; the dose of 20 Gy holds."""


@pytest.mark.parametrize(("one_day", "one_dose", "other_day", "other_dose"), TWICE_CHANGED)
def test_same_day_prescription_changes_resolve_independently_of_order(
    one_day: str, one_dose: int, other_day: str, other_dose: int
) -> None:
    start = facts.radiotherapy_started()
    changes = [
        facts.prescription_changed(on, "RT1", single_fraction("conventional", cgy=dose))
        for on, dose in ((one_day, one_dose), (other_day, other_dose))
    ]
    for order in (changes, changes[::-1]):
        facts_recorded = [SCREENED, ENROLLED, start, *order, facts.radiotherapy_completed("2024-03-01")]
        (row,) = Treatments.compute(snapshot_of({"p": facts_recorded}), ALL_PARTICIPANTS).targets
        entries = timeline_json(participant_events(facts_recorded), TODAY)["entries"]
        (end,) = (entry for entry in entries if entry["type"] == "radiotherapy.completed")
        assert (row.total_dose_gy, end["delivered"][0]["dose_gy"]) == (20.0, 20.0)


def test_brain_targets_have_doses_for_nervous_tissue() -> None:
    facts_by_participant = {
        "p": [
            SCREENED,
            ENROLLED,
            facts.lesion_registered("M"),
            facts.radiotherapy_started(0, "RT1", single_fraction("SRS", "M")),
        ]
    }
    row = Treatments.compute(snapshot_of(facts_by_participant), ALL_PARTICIPANTS).targets[0]
    assert (row.bed_10, row.eqd2_10, row.bed_2, row.eqd2_2) == (60.0, 50.0, 220.0, 110.0)
    other = Treatments.compute(
        snapshot_of({"p": [SCREENED, ENROLLED, facts.radiotherapy_started(0, "RT1", single_fraction("SRS"))]}),
        ALL_PARTICIPANTS,
    ).targets[0]
    assert "bed_2" not in other.model_fields_set


def test_targets_are_dots_and_many_targets_are_columns() -> None:
    assert render_svg(example_treatments()).count("<circle") == 3 + len(("index", "other"))
    many = treatments(*(target(f"P{n}", "conventional", 30, 2) for n in range(500)))
    assert render_svg(many).count("<circle") == 2
    assert "Tallest column: 500 targets" in svg_texts(many)


def test_treatments_figure_counts_targets_and_shows_prescribed_doses() -> None:
    caption = caption_of(example_treatments())
    assert caption.startswith(
        "3 targets in 2 participants. Conventional: 2 targets in 2 / 2 = 100.0 % (95 % CI 15.8–100.0) of these "
        "participants."
    )
    assert "1.65–2.12" in svg_texts(example_treatments())
    header, rows = figure_of(example_treatments()).table()
    first = dict(zip(header, rows[0], strict=True))
    assert (first["dose_per_fraction_gy"], first["total_dose_gy"], first["index"]) == ("2.12", "69.96", "yes")
    assert first["ended_on"] == ""


def test_treatment_table_numbers_have_no_trailing_zeros() -> None:
    header, rows = figure_of(treatments(target("P1", "SBRT", 5, 6, bed_10=48.0, bed_3=90.25))).table()
    first = dict(zip(header, rows[0], strict=True))
    assert (first["bed_10"], first["bed_3"], first["fractions"]) == ("48", "90.25", "5")


COURSES = st.lists(
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 3), st.sampled_from(["SBRT", "FSRT"])), max_size=3),
    max_size=5,
)
"""The courses of each participant: start, number of targets, and delivery."""


def cohort_of(courses: list[list[tuple[int, int, str]]]) -> StudySnapshot:
    return snapshot_of(
        {
            f"P{number}": [
                SCREENED,
                ENROLLED,
                *(
                    facts.radiotherapy_started(
                        start,
                        f"RT{course}",
                        *(facts.target(f"T{target}", fractions=5, delivery=delivery) for target in range(targets)),
                        index=course == 0,
                    )
                    for course, (start, targets, delivery) in enumerate(started)
                ),
            ]
            for number, started in enumerate(courses)
        }
    )


@given(courses=COURSES, limit=st.integers(1, 12))
def test_pages_joined_are_the_whole_table_and_all_counts_are_those_of_every_participant(
    courses: list[list[tuple[int, int, str]]], limit: int
) -> None:
    snapshot = cohort_of(courses)
    whole = Treatments.compute(snapshot, ALL_PARTICIPANTS)
    targets, request = list[TargetRow](), PageRequest(limit=limit)
    while True:
        page = Treatments.compute(snapshot, ALL_PARTICIPANTS, request.selector(["list"]))
        of_page = {"page", "next", "targets"}
        assert page.model_dump(exclude=of_page) == whole.model_dump(exclude=of_page)
        assert (page.caption(CONTEXT), page.draw(CONTEXT)) == (whole.caption(CONTEXT), whole.draw(CONTEXT))
        targets += page.targets
        if page.next is None:
            break
        request = PageRequest(after=page.next, limit=limit)
    assert tuple(targets) == whole.targets
    assert len({(row.participant_id, row.course_id, row.target_id) for row in targets}) == len(targets)
    assert sum(row.targets for row in whole.deliveries) == len(targets) == whole.page.total


def test_targets_are_sorted_by_participant_start_of_the_course_and_order_of_the_prescription() -> None:
    snapshot = cohort_of([[(30, 2, "SBRT"), (3, 1, "FSRT")], [(0, 1, "SBRT")]])
    rows = Treatments.compute(snapshot, ALL_PARTICIPANTS).targets
    assert [(row.participant_id, row.course_id, row.target_id) for row in rows] == [
        ("P0", "RT1", "T0"),
        ("P0", "RT0", "T0"),
        ("P0", "RT0", "T1"),
        ("P1", "RT0", "T0"),
    ]


def test_targets_are_counted_by_fractionation_and_course() -> None:
    (fsrt, sbrt) = Treatments.compute(
        cohort_of([[(0, 2, "SBRT"), (9, 1, "SBRT")], [(0, 1, "FSRT")]]), ALL_PARTICIPANTS
    ).deliveries
    assert (sbrt.delivery, sbrt.participants, sbrt.targets, fsrt.participants) == ("SBRT", 1, 3, 1)
    assert [(row.fractions, row.total_dose_gy, row.index, row.targets) for row in sbrt.fractionations] == [
        (5, 12.5, False, 1),
        (5, 12.5, True, 2),
    ]
