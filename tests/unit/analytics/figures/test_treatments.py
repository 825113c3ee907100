"""Treatments: the targets that count, their doses, and how the figure shows them."""

from __future__ import annotations

import pytest

from services.analytics.figures.treatments import Treatments
from services.analytics.snapshot.selection import Selection
from shared.testing.builders import facts
from shared.testing.builders.participant_history import participant_events
from tests.unit.analytics.figures.example_answers import (
    caption_of,
    example_treatments,
    figure_of,
    render_svg,
    svg_texts,
    target,
    treatments,
)
from tests.unit.analytics.support import ENROLLED, SCREENED, TODAY, single_fraction, snapshot_of, timeline_json

ALL_PARTICIPANTS = Selection(TODAY)
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
        "3 targets in 2 treated participants. Conventional: 2 targets in 2 / 2 = 100.0 % (95 % CI 15.8–100.0) of the "
        "treated participants."
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
