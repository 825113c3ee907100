from __future__ import annotations

import csv
import re
from datetime import date, datetime, timedelta
from io import StringIO
from itertools import accumulate
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.charts import svg
from services.analytics.charts.axes import tick_values
from services.analytics.figures.figure import Figure, FigureAnswer, FigureContext, FigureFilters
from services.analytics.figures.page import build_figure_part, render_cohort, render_figure
from services.analytics.figures.registry import FIGURES as REGISTRY
from services.analytics.figures.service import answer_figure
from shared.ui.csv import neutralize_formula, to_csv
from shared.ui.navigation import StudyHeader

SVG = "{http://www.w3.org/2000/svg}"
COMMON: dict[str, Any] = {
    "study_id": "atc-rt",
    "position": 412,
    "recorded_at": "2026-11-23T18:40:12.5+01:00",
    "cut": "2025-01-31",
    "parameters": {"subset": "all", "by": None},
    "imputed_dates": 3,
    "left_out": 1,
}
NAMES = ("screened", "screen_failed", "consented", "enrolled", "treated", "stereotactic")
STANDINGS = ("in_follow_up", "awaiting_treatment", "completed", "died", "withdrawn", "lost")


OPTIONAL_TARGET_COLUMNS = (
    "prescription_isodose_percent",
    "boost_of",
    "bed_10",
    "bed_3",
    "eqd2_10",
    "eqd2_3",
    "fractions_delivered",
    "dose_delivered_gy",
)


def typed(answer: dict[str, Any]) -> Figure:
    """The numbers of a `.json` answer."""
    return REGISTRY[answer["figure"]].model_validate(answer)


def context(answer: dict[str, Any]) -> FigureContext:
    return FigureContext(
        study_id=answer["study_id"],
        position=answer["position"],
        recorded_at=datetime.fromisoformat(answer["recorded_at"]),
        cut_date=date.fromisoformat(answer["cut"]),
        filters=FigureFilters.model_validate(answer["parameters"]),
    )


def answered(answer: dict[str, Any]) -> FigureAnswer:
    return answer_figure(typed(answer), context(answer))


def caption_of(answer: dict[str, Any]) -> str:
    return typed(answer).caption(context(answer))


def flow(**changed: Any) -> dict[str, Any]:
    counts = dict(zip((*NAMES, *STANDINGS), (38, 5, 33, 31, 28, 4, 9, 2, 3, 14, 2, 1), strict=True))
    shares = {"stereotactic_percent": 12.9, "stereotactic_interval": [3.6, 29.8]}
    return {"figure": "flow", **COMMON, **counts, **shares, **changed}


def empty_flow() -> dict[str, Any]:
    return flow(**dict.fromkeys((*NAMES, *STANDINGS), 0), stereotactic_percent=None, stereotactic_interval=None)


def accrual(**changed: Any) -> dict[str, Any]:
    curve = [{"on": "2024-01-01", "cumulative": 1}, {"on": "2024-07-01", "cumulative": 3}]
    groups = [{"name": "all", "enrolled": 3, "curve": curve}]
    target = {"participants": 10, "by": "2025-12-31"}
    return {"figure": "accrual", **COMMON, "target": target, "groups": groups, **changed}


def accrual_by_site() -> dict[str, Any]:
    first_group = {"name": "one", "enrolled": 1, "curve": [{"on": "2024-01-01", "cumulative": 1}]}
    second_group = {"name": "two", "enrolled": 2, "curve": [{"on": "2024-07-01", "cumulative": 2}]}
    return accrual(
        groups=[first_group, second_group, {"name": "three", "enrolled": 0, "curve": []}], parameters={"by": "site"}
    )


def target(participant: str, delivery: str, fractions: int, dose: float, **changed: Any) -> dict[str, Any]:
    doses = {"fractions": fractions, "dose_per_fraction_gy": dose, "total_dose_gy": round(fractions * dose, 2)}
    ids = {"participant_id": participant, "site_id": "one", "course_id": "A", "target_id": "1", "index": True}
    coded = {"intent": "curative", "label": "PTV", "modality": "photons", "technique": "VMAT", "delivery": delivery}
    empty = dict.fromkeys((*OPTIONAL_TARGET_COLUMNS, "ended_on"))
    return {**ids, **coded, **doses, **empty, "started_on": "2024-03", **changed}


def treatments(*targets: dict[str, Any]) -> dict[str, Any]:
    kinds = sorted({target["delivery"] for target in targets})
    participants_by_delivery = {
        kind: {target["participant_id"] for target in targets if target["delivery"] == kind} for kind in kinds
    }
    deliveries = [
        {
            "delivery": kind,
            "participants": len(participants_by_delivery[kind]),
            "targets": sum(t["delivery"] == kind for t in targets),
        }
        for kind in kinds
    ]
    return {"figure": "treatments", **COMMON, "targets": list(targets), "deliveries": deliveries}


def example_treatments() -> dict[str, Any]:
    return treatments(
        target("P1", "conventional", 33, 2.12),
        target("P2", "conventional", 33, 1.65),
        target("P1", "SRS", 1, 18, index=False),
    )


FIGURES = [
    flow(),
    empty_flow(),
    accrual(),
    accrual(target=None),
    accrual(groups=[]),
    accrual_by_site(),
    example_treatments(),
    treatments(),
]


def render_svg(figure: dict[str, Any]) -> str:
    return typed(figure).draw(context(figure))


def svg_texts(figure: dict[str, Any]) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(render_svg(figure)).iter(f"{SVG}text")]  # noqa: S314 - ours


@given(st.text())
def test_svg_text_round_trips_except_characters_forbidden_in_xml(text: str) -> None:
    picture = svg.document("p", text, "", (1, 1), [svg.text(0, 0, text)])
    read = ElementTree.fromstring(picture.replace("\r", "&#13;"))  # noqa: S314 - ours
    assert (read.findtext(f"{SVG}text") or "") == re.sub(
        r"[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "", text
    )


@pytest.mark.parametrize("attribute", ["style", "onclick", "onload", "STYLE"])
def test_svg_elements_reject_style_and_event_handlers(attribute: str) -> None:
    with pytest.raises(ValueError, match="not in a picture"):
        svg.element("g", **{attribute: "x"})


@given(st.floats(-1e6, 1e6))
def test_svg_numbers_are_rounded_to_two_decimals(value: float) -> None:
    written = svg.svg_number(value)
    assert re.fullmatch(r"-?\d+(\.\d{1,2})?", written)
    assert written != "-0"
    assert float(written) == pytest.approx(value, abs=0.00501)


@given(st.integers(0, 2_000_000), st.integers(3, 8))
def test_ticks_begin_at_zero_and_reach_the_highest_value(highest: int, count: int) -> None:
    ticks = tick_values(highest, count)
    assert ticks[0] == 0
    assert ticks[-2] < max(highest, 1) <= ticks[-1]
    assert len(ticks) <= count + 2


@pytest.mark.parametrize("figure", FIGURES)
def test_every_figure_is_a_labeled_standalone_svg(figure: dict[str, Any]) -> None:
    picture = render_svg(figure)
    root = ElementTree.fromstring(picture)  # noqa: S314 - ours
    ids = [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
    assert (root.tag, root.attrib["role"]) == (f"{SVG}svg", "img")
    assert root.attrib["aria-labelledby"].split() == ids == [f"{figure['figure']}-title", f"{figure['figure']}-desc"]
    assert root.findtext(f"{SVG}desc") == caption_of(figure)
    assert not re.search(r"\bstyle=|<style|<script|href=|url\(|\bnan\b|\binf\b", picture)


@pytest.mark.parametrize("figure", FIGURES)
def test_figure_rendering_is_deterministic_and_within_its_frame(figure: dict[str, Any]) -> None:
    assert render_svg(figure) == render_svg(figure)
    root = ElementTree.fromstring(render_svg(figure))  # noqa: S314 - ours
    width, height = (float(root.attrib[side]) for side in ("width", "height"))
    for element in root.iter(f"{SVG}text"):
        assert 0 <= float(element.attrib["x"]) <= width
        assert 0 < float(element.attrib["y"]) <= height


@pytest.mark.parametrize("figure", FIGURES)
def test_caption_states_cut_off_position_imputed_dates_and_exclusions(figure: dict[str, Any]) -> None:
    caption = caption_of(figure)
    provenance = r"Data cut-off 2025-01-31, position 412(, by site)?; 3 imputed dates, 1 participant excluded"
    assert re.search(rf"{provenance} \(voided, or consent to data use withdrawn\)\.$", caption)
    everybody = caption_of({**figure, "left_out": 0})
    assert everybody.endswith("; 3 imputed dates, 0 participants excluded.")


def test_flow_states_its_proportion_with_the_exact_interval() -> None:
    caption = caption_of(flow())
    assert "4 / 31 = 12.9 % (95 % CI 3.6–29.8)" in caption
    assert "12.9 % (95 % CI 3.6–29.8) of the enrolled" in svg_texts(flow())
    assert ["Stereotactic radiotherapy of a metastasis", "4", "12.9", "3.6", "29.8"] in typed(flow()).table()[1]


def test_percentage_of_no_participants_is_not_defined() -> None:
    texts = [caption_of(empty_flow()), *svg_texts(empty_flow())]
    assert "percentage not defined: no participant is enrolled" in texts
    assert "not defined, because no participant is enrolled" in texts[0]
    assert not any("0.0 %" in text or "0 %" in text for text in texts)
    assert ["Stereotactic radiotherapy of a metastasis", "0", "", "", ""] in typed(empty_flow()).table()[1]


def test_accrual_target_is_a_straight_line_from_the_first_enrollment() -> None:
    halfway = accrual(cut="2024-12-31")
    assert "3 / 10 = 30.0 % of the participants planned by 2025-12-31 are enrolled" in caption_of(halfway)
    expected = "Accrual at a constant rate would have reached 5 participants by the data cut-off."
    assert expected in caption_of(halfway)
    assert "The protocol has no accrual target." in caption_of(accrual(target=None))


def test_accrual_by_site_shows_the_total_and_lists_largest_sites_first() -> None:
    assert "3 enrolled" in svg_texts(accrual_by_site())
    listed = [word for word in svg_texts(accrual_by_site()) if word in ("one", "two", "three")]
    assert listed == ["two", "one", "three"]
    assert typed(accrual_by_site()).table()[1] == [
        ["one", "2024-01-01", "1", "1"],
        ["two", "2024-07-01", "2", "2"],
    ]


@given(st.lists(st.integers(1, 400), max_size=200), st.dates(date(2020, 1, 1), date(2030, 1, 1)))
def test_accrual_curves_stay_within_the_frame(gaps: list[int], start: date) -> None:
    days = [start + timedelta(days=passed) for passed in accumulate(gaps)]
    curve = [{"on": str(day), "cumulative": place} for place, day in enumerate(days, 1)]
    cut = str(days[-1] if days else start)
    figure = accrual(groups=[{"name": "all", "enrolled": len(days), "curve": curve}], cut=cut)
    paths = re.findall(r' d="([^"]*)"', render_svg(figure))
    assert all(0 <= float(coordinate) <= 640 for path in paths for coordinate in re.findall(r"\d+\.?\d*", path))


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
    header, rows = typed(example_treatments()).table()
    first = dict(zip(header, rows[0], strict=True))
    assert (first["dose_per_fraction_gy"], first["total_dose_gy"], first["index"]) == ("2.12", "69.96", "yes")
    assert first["ended_on"] == ""


@pytest.mark.parametrize("narrowed", [{"site": "one"}, {"subset": "stereotactic"}])
def test_filtered_accrual_is_not_compared_with_the_target(narrowed: dict[str, str]) -> None:
    part_of_it = accrual(parameters=narrowed)
    assert caption_of(part_of_it).startswith(
        "3 participants enrolled by the data cut-off. The target is for the whole study. "
    )
    assert typed(part_of_it).headline(context(part_of_it)) == [("accrued", "3", "enrolled")]
    assert not any("Target" in text for text in svg_texts(part_of_it))


def test_treatment_table_numbers_have_no_trailing_zeros() -> None:
    header, rows = typed(treatments(target("P1", "SBRT", 5, 6, bed_10=48.0, bed_3=90.25))).table()
    first = dict(zip(header, rows[0], strict=True))
    assert (first["bed_10"], first["bed_3"], first["fractions"]) == ("48", "90.25", "5")


def test_proportions_intervals_and_dates_do_not_wrap() -> None:
    html = render_figure(build_figure_part(answered(flow())))
    for words in ("4 / 31 = 12.9 %", "(95 % CI 3.6–29.8)", "2025-01-31"):
        assert f'<span class="unbroken">{words}</span>' in html


def test_table_headings_are_words_on_pages_and_identifiers_in_csv() -> None:
    html, (header, _) = (
        render_figure(build_figure_part(answered(example_treatments()))),
        typed(example_treatments()).table(),
    )
    assert '<th scope="col">Dose per fraction (Gy)</th>' in html
    assert "dose_per_fraction_gy" in header
    assert "dose_per_fraction_gy" not in html


@given(st.lists(st.lists(st.text(st.characters(exclude_characters="\0")), min_size=2, max_size=2), max_size=5))
def test_csv_round_trips_except_escaped_formulas(rows: list[list[str]]) -> None:
    """But for an apostrophe before what a spreadsheet program would run."""
    text = to_csv(["a", "b"], rows)
    assert text.startswith("a,b\r\n")
    assert list(csv.reader(StringIO(text, newline=""))) == [
        ["a", "b"],
        *([neutralize_formula(cell) for cell in row] for row in rows),
    ]


@pytest.mark.parametrize(
    "cell", ["=HYPERLINK(1)", "-HYPERLINK", "+1+1", "@x", "\t=1", "\r=1", " =1", "-1+2", "\uff1d1"]
)
def test_formulas_in_figure_tables_are_escaped(cell: str) -> None:
    (_, (_, read)) = csv.reader(StringIO(to_csv(["a", "b"], [["x", cell]]), newline=""))
    assert read == f"'{cell}"


@pytest.mark.parametrize("cell", ["-5", "+3.5", "-0.25", "12", "", "a-b", "PTV_7000", "2024-03-07"])
def test_numbers_and_other_texts_are_not_escaped(cell: str) -> None:
    assert to_csv(["a", "b"], [["x", cell]]) == f"a,b\r\nx,{cell}\r\n"


@pytest.mark.parametrize("header", [["ID", "b"], ["IDs of lesions", "b"], ["ID, or none", "b"]])
def test_csv_does_not_start_like_an_excel_sylk_file(header: list[str]) -> None:
    text = to_csv(header, [])
    assert not text.startswith("ID")
    assert next(csv.reader(StringIO(text, newline=""))) == header


def test_figure_fragment_names_its_version_source_and_downloads() -> None:
    html = render_figure(build_figure_part(answered(accrual_by_site()), {"by": "site"}))
    assert 'data-live="accrual" data-src="/analytics/studies/atc-rt/figures/accrual?by=site" data-version="412"' in html
    for kind in (".json", ".csv", ".svg"):
        assert f'href="/analytics/v1/studies/atc-rt/figures/accrual{kind}?by=site"' in html


def test_cohort_page_embeds_figure_fragments_and_no_inline_code() -> None:
    parts = [
        build_figure_part(answered(flow())),
        build_figure_part(answered(accrual())),
        build_figure_part(answered(example_treatments())),
    ]
    study = StudyHeader(
        study_id="atc-rt",
        title="<Thyroid> & co",
        heading="<Thyroid> & co",
        position=412,
        recorded_at=datetime.fromisoformat(COMMON["recorded_at"]),
        cut_date="2025-01-31",
        live_url="/live",
        notes=["27 synthetic"],
    )
    html = render_cohort(study, parts)
    assert all(render_figure(shown).strip() in html for shown in parts)
    assert "&lt;Thyroid&gt; &amp; co" in html
    assert "27 synthetic" in html
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]* src=)", html)
    ids = re.findall(r'\sid="([^"]*)"', html)
    assert len(ids) == len(set(ids))


def test_long_table_is_truncated_on_the_page_with_a_note() -> None:
    many = treatments(*(target(f"P{n}", "conventional", 30, 2) for n in range(501)))
    html = render_figure(build_figure_part(answered(many)))
    assert "the first 500 of 501 rows. The .csv file has all rows." in html
    assert html.count("<tr>") == 501


def test_caption_shows_site_ids_unchanged() -> None:
    limited = flow(parameters={"site": "all", "followed_at": "S_1", "subset": "all", "by": None}, imputed_dates=0)
    assert context(limited).filters.active() == {"site": "all", "followed_at": "S_1"}
    assert "position 412, followed at S_1, site all; 0 imputed" in caption_of(limited)
