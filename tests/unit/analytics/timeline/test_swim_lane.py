"""The drawing of a timeline: it needs no other file, stays within its frame, and its labels do not overlap."""

from __future__ import annotations

import re
from datetime import date
from xml.etree import ElementTree

import pytest

from services.analytics.timeline.answers import TimelineAnswer
from services.analytics.timeline.swim_lane import caption, draw
from shared.kernel.fact import Fact
from shared.testing.builders import facts
from shared.testing.builders.follow_up_facts import follow_up_recorded, vital_status_confirmed
from shared.testing.builders.participant_history import participant_events
from shared.testing.builders.toxicity_facts import finding, toxicity_assessed
from tests.svg import parse_svg
from tests.unit.analytics.published_cases import CASE_NUMBERS, published_case_events
from tests.unit.analytics.support import TODAY, timeline_at

SVG = "{http://www.w3.org/2000/svg}"
WIDTH, LEFT = 960, 148


def timeline_of(*facts_recorded: Fact, today: date = TODAY) -> TimelineAnswer:
    return timeline_at(participant_events([facts.participant_screened(), *facts_recorded]), today)


def case_timeline(number: int) -> TimelineAnswer:
    return timeline_at(published_case_events(number), TODAY)


def busy_timeline() -> TimelineAnswer:
    """Five years, a contact each month and a toxicity each fortnight."""
    contacts = [follow_up_recorded(30 * month, mode="phone", visit=month + 1, response="SD") for month in range(60)]
    assessments = [toxicity_assessed(14 * index, finding(grade=index % 6)) for index in range(125)]
    return timeline_of(
        *contacts,
        *assessments,
        *(facts.systemic_therapy_started(index * 60, f"S{index}") for index in range(20)),
        today=date(2029, 2, 1),
    )


EXAMPLE_TIMELINES = [
    *(case_timeline(number) for number in CASE_NUMBERS),
    timeline_of(),
    busy_timeline(),
    timeline_of(facts.radiotherapy_started(1), today=date(2024, 3, 20)),
]


def svg_root(timeline: TimelineAnswer) -> ElementTree.Element:
    return parse_svg(draw(timeline))


@pytest.mark.parametrize("timeline", EXAMPLE_TIMELINES)
def test_swim_lane_is_a_labeled_standalone_svg(timeline: TimelineAnswer) -> None:
    picture = svg_root(timeline)
    ids = [element.attrib["id"] for element in picture.iter() if "id" in element.attrib]
    assert picture.attrib["aria-labelledby"].split() == ids == ["timeline-title", "timeline-desc"]
    assert picture.findtext(f"{SVG}desc") == caption(timeline)
    assert not re.search(r"\bstyle=|<style|<script|href=|url\(|\bnan\b|\binf\b", draw(timeline))
    assert draw(timeline) == draw(timeline)


@pytest.mark.parametrize("timeline", EXAMPLE_TIMELINES)
def test_every_lane_and_mark_has_a_title(timeline: TimelineAnswer) -> None:
    words = [element.text for element in svg_root(timeline).iter(f"{SVG}text")]
    assert [lane.title for lane in timeline.lanes] == [
        word
        for word in words
        if word in {"Disease and status", "Procedures", "Radiotherapy", "Systemic therapy", "Toxicity", "Contacts"}
    ]
    titles = "\n".join(group.findtext(f"{SVG}title") or "" for group in svg_root(timeline).iter(f"{SVG}g"))
    ends = ("completed", "discontinued", "stopped", "resolved")
    for entry in timeline.entries:
        assert entry.title in titles or entry.type.endswith(ends)


@pytest.mark.parametrize("timeline", EXAMPLE_TIMELINES)
def test_drawing_stays_within_the_frame(timeline: TimelineAnswer) -> None:
    picture = svg_root(timeline)
    height = float(picture.attrib["height"])
    for element in picture.iter():
        x, y = float(element.get("x") or element.get("cx") or 0), float(element.get("y") or element.get("cy") or 1)
        assert 0 <= x + float(element.get("width", 0)) <= WIDTH
        assert 0 < y <= height
    for group in picture.iter(f"{SVG}g"):
        assert all(left >= LEFT and right <= WIDTH for left, right, _ in label_boxes(group))


def label_boxes(group: ElementTree.Element) -> list[tuple[float, float, float]]:
    """Returns for each label but the grades its left end, its right end at the least, and its base line."""
    boxes = []
    for label in group.iter(f"{SVG}text"):
        if label.get("text-anchor") != "middle":
            x, width = float(label.attrib["x"]), 5.5 * len(label.text or "")
            left = x - width if label.get("text-anchor") == "end" else x
            boxes.append((left, left + width, float(label.attrib["y"])))
    return boxes


@pytest.mark.parametrize("timeline", EXAMPLE_TIMELINES)
def test_labels_do_not_overlap(timeline: TimelineAnswer) -> None:
    boxes = [label for group in svg_root(timeline).iter(f"{SVG}g") for label in label_boxes(group)]
    for index, (left, right, base) in enumerate(boxes):
        for other_left, other_right, other_base in boxes[index + 1 :]:
            assert base != other_base or right <= other_left or other_right <= left


def test_bar_without_recorded_end_is_dashed_and_explained() -> None:
    assert "stroke-dasharray" in draw(timeline_of(facts.systemic_therapy_started(1)))
    assert "A dashed bar has no recorded end." in caption(timeline_of(facts.systemic_therapy_started(1)))
    ended = timeline_of(facts.systemic_therapy_started(1), facts.systemic_therapy_stopped(9))
    assert "stroke-dasharray" not in draw(ended)
    assert caption(ended) == "3 facts up to 2025-01-31, 0 partial dates, 0 corrected facts. Position 412."


def test_same_day_marks_of_one_kind_are_merged_and_list_all() -> None:
    lesions = [facts.lesion_registered(f"L{index}") for index in range(5)]
    texts = [element.text for element in svg_root(timeline_of(*lesions)).iter(f"{SVG}text")]
    assert "L0, L1, L2 + 2" in texts
    assert draw(timeline_of(*lesions)).count("Metastasis L") == 5


def test_caption_explains_rings_and_lines_when_present() -> None:
    ring, line = "A ring shows the worst grade", "A line through a mark covers the days"
    graded, partial_date = timeline_of(toxicity_assessed(1)), timeline_of(vital_status_confirmed("2024-06"))
    assert (ring in caption(graded), line in caption(graded)) == (True, False)
    assert (ring in caption(partial_date), line in caption(partial_date)) == (False, True)


@pytest.mark.parametrize(
    "timeline", [*EXAMPLE_TIMELINES, timeline_of(facts.lesion_registered("L1"), today=date(2026, 11, 26))]
)
def test_every_calendar_line_is_labeled_up_to_the_right_edge(timeline: TimelineAnswer) -> None:
    upright = re.compile(r"M([\d.]+) 28L\1 ")
    lines = [match[1] for path in svg_root(timeline).iter(f"{SVG}path") if (match := upright.match(path.attrib["d"]))]
    labelled = {text.attrib["x"] for text in svg_root(timeline).iter(f"{SVG}text") if text.attrib["y"] == "20"}
    assert {x for x in lines if float(x) <= WIDTH - 26} == labelled
