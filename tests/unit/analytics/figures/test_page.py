"""Fragments of figures and the page of the cohort."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from html import unescape

from services.analytics.figures.cohort_headline import cohort_headline
from services.analytics.figures.filters import FigureFilters
from services.analytics.figures.page import render_cohort, render_figure
from services.analytics.figures.page_content import page_content
from services.analytics.figures.page_parts import FigurePart, HeadlinePart, build_figure_part, with_previews
from services.analytics.figures.registry import FIGURES
from services.analytics.figures.row_pages import ALL_ROWS
from services.analytics.figures.service import compute_answer
from services.analytics.figures.swimmer import Swimmer
from services.analytics.snapshot.selection import Selection
from shared.ui.navigation import StudyHeader
from tests.unit.analytics.figures.example_answers import (
    COMMON,
    accrual,
    accrual_by_site,
    answer_of,
    example_treatments,
    figure_of,
    flow,
    target,
    treatments,
)
from tests.unit.analytics.support import TODAY, snapshot_of

STUDY = StudyHeader(
    study_id="atc-rt",
    title="<Thyroid> & co",
    heading="<Thyroid> & co",
    position=412,
    recorded_at=datetime.fromisoformat(COMMON["recorded_at"]),
    cut_date="2025-01-31",
    live_url="/live",
    notes=["27 synthetic"],
)


def test_proportions_intervals_and_dates_do_not_wrap() -> None:
    html = render_figure(build_figure_part(answer_of(flow())))
    for words in ("4 / 31 = 12.9 %", "(95 % CI 3.6–29.8)", "2025-01-31"):
        assert f'<span class="unbroken">{words}</span>' in html


def test_table_headings_are_words_on_pages_and_identifiers_in_csv() -> None:
    html, (header, _) = (
        render_figure(build_figure_part(answer_of(example_treatments()))),
        figure_of(example_treatments()).table(),
    )
    assert '<th scope="col">Dose per fraction (Gy)</th>' in html
    assert "dose_per_fraction_gy" in header
    assert "dose_per_fraction_gy" not in html


def test_figure_fragment_names_its_version_source_and_downloads() -> None:
    html = render_figure(build_figure_part(answer_of(accrual_by_site()), {"by": "site"}))
    assert 'data-live="accrual" data-src="/analytics/studies/atc-rt/figures/accrual?by=site" data-version="412"' in html
    for kind in (".json", ".csv", ".svg", ".png"):
        assert f'href="/analytics/v1/studies/atc-rt/figures/accrual{kind}?by=site"' in html


def headline(parts: list[FigurePart]) -> HeadlinePart:
    first = parts[0]
    return HeadlinePart(
        numbers=cohort_headline({part.name: list(part.headline) for part in parts}),
        source="/analytics/studies/atc-rt/headline",
        version=first.version,
        recorded_at=first.recorded_at,
        cut_date=first.cut_date,
        is_live=first.is_live,
    )


def test_cohort_page_begins_with_what_matters_and_has_previews_of_later_figures() -> None:
    parts = with_previews(
        [build_figure_part(answer_of(figure)) for figure in (flow(), accrual(), example_treatments())]
    )
    html = render_cohort(STUDY, parts, headline(parts))
    assert '<b data-number="flow-enrolled">31</b> enrolled' in html
    assert html.count("<svg") == html.count("<table>") == 1
    assert '<figure id="accrual" class="figure"' in html
    preview = html[html.index('<figure id="treatments"') :]
    assert 'data-src="/analytics/studies/atc-rt/figures/treatments"' in preview
    picture = 'loading="lazy" src="/analytics/v1/studies/atc-rt/figures/treatments.svg" width="640" height="'
    assert picture in preview
    assert parts[2].caption.split(".")[0] in preview
    assert 'href="/analytics/studies/atc-rt/figures/treatments"' in preview


def test_text_alternative_of_a_preview_says_what_the_picture_shows() -> None:
    for figure in (flow(), accrual(), example_treatments()):
        part = build_figure_part(answer_of(figure))
        html = render_figure(replace(part, is_whole=False))
        (alternative,) = re.findall(r'<img [^>]*alt="([^"]*)"', html)
        assert alternative.startswith(f"{part.title}: ")
        assert all(f"{value} {words}" in unescape(alternative) for _, value, words in part.headline)
    without_numbers = page_content(answer_of(flow())).model_copy(update={"headline": []})
    assert without_numbers.alternative == f"Participant flow. {without_numbers.caption}"


def test_every_figure_says_what_it_is() -> None:
    assert [name for name, figure in FIGURES.items() if len(figure.EXPLANATION) < 80] == []
    html = render_figure(build_figure_part(answer_of(flow())))
    assert "What is this?" in html


def test_cohort_page_embeds_figure_fragments_and_no_inline_code() -> None:
    parts = [
        build_figure_part(answer_of(flow())),
        build_figure_part(answer_of(accrual())),
        build_figure_part(answer_of(example_treatments())),
    ]
    html = render_cohort(STUDY, parts, headline(parts))
    assert all(render_figure(part).strip() in html for part in parts)
    assert "&lt;Thyroid&gt; &amp; co" in html
    assert "27 synthetic" in html
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]* src=)", html)
    ids = re.findall(r'\sid="([^"]*)"', html)
    assert len(ids) == len(set(ids))


def test_long_table_is_truncated_on_the_page_with_a_note() -> None:
    curve = [{"on": f"{1500 + day}-01-01", "cumulative": day} for day in range(1, 502)]
    html = render_figure(
        build_figure_part(answer_of(accrual(groups=[{"name": "all", "enrolled": 501, "curve": curve}])))
    )
    assert "the first 500 of 501 rows. The .csv file has all rows." in html
    assert html.count("<tr>") == 501


def page_of_targets(first: int, rows: int, query: Mapping[str, str]) -> str:
    """Renders a page of a figure of 450 targets, as a request with that query shows it."""
    figure = treatments(*(target(f"P{n}", "conventional", 30, 2) for n in range(rows)), first=first, total=450)
    return render_figure(build_figure_part(answer_of(figure), query))


def test_first_page_of_rows_links_to_the_next_and_keeps_the_query() -> None:
    html = page_of_targets(1, 200, {"site": "rome", "at": "412"})
    assert "Treatments: rows 1 to 200 of 450. The .csv file has all rows." in html
    assert (
        'rel="next" href="/analytics/studies/atc-rt?site=rome&amp;at=412&amp;pages=treatments.2#treatments-table"'
        in html
    )
    assert 'rel="prev"' not in html
    assert '<details id="treatments-table">' in html
    assert 'treatments.json?site=rome&amp;at=412"' in html


def test_chosen_page_of_rows_is_open_and_is_kept_by_live_updates_and_by_pages_of_other_figures() -> None:
    html = page_of_targets(201, 200, {"pages": "swimmer.4,treatments.2"})
    assert '<details id="treatments-table" open>' in html
    assert 'data-src="/analytics/studies/atc-rt/figures/treatments?pages=swimmer.4%2Ctreatments.2"' in html
    assert 'rel="prev" href="/analytics/studies/atc-rt?pages=swimmer.4%2Ctreatments.1#treatments-table"' in html
    assert 'rel="next" href="/analytics/studies/atc-rt?pages=swimmer.4%2Ctreatments.3#treatments-table"' in html
    assert [html.count(f'treatments{kind}"') for kind in (".json?page=2", ".csv", ".svg?page=2")] == [1, 1, 1]


def test_last_page_of_rows_links_to_the_page_before_it_if_a_later_one_was_chosen() -> None:
    html = page_of_targets(401, 50, {"pages": "treatments.9"})
    assert "rows 401 to 450 of 450" in html
    assert "pages=treatments.2#treatments-table" in html
    assert 'rel="next"' not in html


def test_rows_that_fit_one_page_have_no_links_to_pages() -> None:
    html = render_figure(build_figure_part(answer_of(example_treatments()), {"pages": "treatments.2"}))
    assert "<nav" not in html


def test_lanes_have_a_link_to_each_order_that_begins_on_the_first_page() -> None:
    answer = compute_answer(Swimmer, snapshot_of({}), Selection(TODAY), FigureFilters(), ALL_ROWS)
    part = build_figure_part(answer, {"sort": "site", "subset": "all", "pages": "swimmer.2"})
    assert [(link.href, link.is_current) for link in part.orders] == [
        (f"/analytics/studies/s?sort={order}&subset=all#swimmer", order == "site")
        for order in ("duration", "origin", "participant", "site")
    ]
    assert 'aria-current="true">Enrolling site</a>' in render_figure(part)
    assert not build_figure_part(answer_of(flow())).orders
