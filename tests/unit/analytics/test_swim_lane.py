"""The drawing of a timeline: it stands alone, stays within its frame, and its labels keep off each other."""

from __future__ import annotations

import re
from datetime import date
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.figures.calendar import axis_days
from services.analytics.figures.timeline import caption, draw, table
from services.analytics.timeline import timeline
from shared.kernel.fact import Fact
from shared.testing import facts
from tests.unit.analytics.told import CASES, case, events, read

SVG = "{http://www.w3.org/2000/svg}"
TODAY = date(2025, 1, 31)
WIDTH, LEFT = 960, 148


def figure(*stated: Fact, today: date = TODAY) -> dict[str, Any]:
    return {**timeline(events("P", [facts.screened(), *stated]), today), "position": 412}


def of_case(number: int) -> dict[str, Any]:
    return {**timeline(case(number), TODAY), "position": 412}


def busy() -> dict[str, Any]:
    """Five years, a contact each month and a toxicity each fortnight."""
    seen = [
        read({"service": "followup", "type": "followup.recorded",
              "data": {"seen_on": facts.day(30 * month), "mode": "phone", "visit": month + 1, "response": "SD"}})
        for month in range(60)
    ]  # fmt: skip
    found = [
        read({"service": "toxicity", "type": "toxicity.assessed",
              "data": {"assessed_on": facts.day(14 * place), "timepoint": "follow_up", "checklist_complete": True,
                       "findings": [{"term": "3.0:0150", "grade": place % 6}]}})
        for place in range(125)
    ]  # fmt: skip
    return figure(*seen, *found, *(facts.line(place * 60, f"S{place}") for place in range(20)), today=date(2029, 2, 1))


DRAWN = [*(of_case(number) for number in CASES), figure(), busy(), figure(facts.course(1), today=date(2024, 3, 20))]


def root(shown: dict[str, Any]) -> ElementTree.Element:
    return ElementTree.fromstring(draw(shown))  # noqa: S314 - ours


@pytest.mark.parametrize("shown", DRAWN)
def test_a_swim_lane_is_one_named_picture_that_stands_alone(shown: dict[str, Any]) -> None:
    picture = root(shown)
    ids = [element.attrib["id"] for element in picture.iter() if "id" in element.attrib]
    assert picture.attrib["aria-labelledby"].split() == ids == ["timeline-title", "timeline-desc"]
    assert picture.findtext(f"{SVG}desc") == caption(shown)
    assert not re.search(r"\bstyle=|<style|<script|href=|url\(|\bnan\b|\binf\b", draw(shown))
    assert draw(shown) == draw(shown)


@pytest.mark.parametrize("shown", DRAWN)
def test_every_lane_is_named_and_every_mark_says_what_it_is(shown: dict[str, Any]) -> None:
    words = [element.text for element in root(shown).iter(f"{SVG}text")]
    assert [lane["title"] for lane in shown["lanes"]] == [word for word in words if word in {
        "Disease and status", "Procedures", "Radiotherapy", "Systemic therapy", "Toxicity", "Contacts"
    }]  # fmt: skip
    titles = "\n".join(group.findtext(f"{SVG}title") or "" for group in root(shown).iter(f"{SVG}g"))
    ends = ("completed", "discontinued", "stopped", "resolved")
    for entry in shown["entries"]:
        assert entry["title"] in titles or entry["type"].endswith(ends)


@pytest.mark.parametrize("shown", DRAWN)
def test_nothing_leaves_the_frame(shown: dict[str, Any]) -> None:
    picture = root(shown)
    height = float(picture.attrib["height"])
    for element in picture.iter():
        x, y = float(element.get("x") or element.get("cx") or 0), float(element.get("y") or element.get("cy") or 1)
        assert 0 <= x + float(element.get("width", 0)) <= WIDTH
        assert 0 < y <= height
    for group in picture.iter(f"{SVG}g"):
        assert all(left >= LEFT and right <= WIDTH for left, right, _ in labels(group))


def labels(within: ElementTree.Element) -> list[tuple[float, float, float]]:
    """From where to where each label reaches, at the least, and on which base line; grades aside."""
    found = []
    for label in within.iter(f"{SVG}text"):
        if label.get("text-anchor") != "middle":
            x, long = float(label.attrib["x"]), 5.5 * len(label.text or "")
            left = x - long if label.get("text-anchor") == "end" else x
            found.append((left, left + long, float(label.attrib["y"])))
    return found


@pytest.mark.parametrize("shown", DRAWN)
def test_no_label_lies_on_another(shown: dict[str, Any]) -> None:
    found = [label for group in root(shown).iter(f"{SVG}g") for label in labels(group)]
    for place, (left, right, base) in enumerate(found):
        for other_left, other_right, other_base in found[place + 1 :]:
            assert base != other_base or right <= other_left or other_right <= left


def test_a_bar_without_a_stated_end_is_dashed_and_the_caption_says_so() -> None:
    assert "stroke-dasharray" in draw(figure(facts.line(1)))
    assert "A dashed bar has no recorded end." in caption(figure(facts.line(1)))
    ended = figure(facts.line(1), facts.line_stopped(9))
    assert "stroke-dasharray" not in draw(ended)
    assert caption(ended) == "3 facts up to 2025-01-31, 0 partial dates, 0 corrected facts. Position 412."


def test_marks_of_one_kind_on_one_day_are_drawn_as_one_that_names_them_all() -> None:
    lesions = [facts.lesion(f"L{place}") for place in range(5)]
    texts = [element.text for element in root(figure(*lesions)).iter(f"{SVG}text")]
    assert "L0, L1, L2 + 2" in texts
    assert draw(figure(*lesions)).count("Metastasis L") == 5


def test_the_table_has_a_row_for_every_entry() -> None:
    header, rows = table(of_case(3))
    assert header == ["Date", "Lane", "What", "Details"]
    assert (len(rows), rows[-1][0]) == (len(of_case(3)["entries"]), "unknown")


@given(st.dates(date(2020, 1, 1), date(2030, 1, 1)), st.integers(1, 4000))
def test_an_axis_is_labelled_within_it_neither_seldom_nor_too_often(start: date, days: int) -> None:
    end = date.fromordinal(start.toordinal() + days)
    found = [day for day, _ in axis_days(start, end, 11)]
    assert found == sorted(set(found))
    assert all(start <= day <= end for day in found)
    assert (1 if days >= 400 else 0) <= len(found) <= 15


def test_the_caption_says_what_rings_and_lines_mean_where_there_are_any() -> None:
    ring, line = "A ring shows the worst grade", "A line through a mark covers the days"
    found = read({"service": "toxicity", "type": "toxicity.assessed",
                  "data": {"assessed_on": facts.day(1), "timepoint": "follow_up", "checklist_complete": True,
                           "findings": []}})  # fmt: skip
    assert (ring in caption(figure(found)), line in caption(figure(found))) == (True, False)
    alive = {"alive_on": "2024-06", "source": "phone"}
    known = figure(read({"service": "followup", "type": "vital_status.confirmed", "data": alive}))
    assert (ring in caption(known), line in caption(known)) == (False, True)


@pytest.mark.parametrize("shown", [*DRAWN, figure(facts.lesion("L1"), today=date(2026, 11, 26))])
def test_every_line_of_the_calendar_has_its_label_up_to_the_right_edge(shown: dict[str, Any]) -> None:
    upright = re.compile(r"M([\d.]+) 28L\1 ")
    lines = [found[1] for path in root(shown).iter(f"{SVG}path") if (found := upright.match(path.attrib["d"]))]
    labelled = {text.attrib["x"] for text in root(shown).iter(f"{SVG}text") if text.attrib["y"] == "20"}
    assert {x for x in lines if float(x) <= WIDTH - 26} == labelled
