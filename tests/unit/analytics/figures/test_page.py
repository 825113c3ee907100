"""Fragments of figures and the page of the cohort."""

from __future__ import annotations

import re
from datetime import datetime

from services.analytics.figures.page import build_figure_part, render_cohort, render_figure
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
    for kind in (".json", ".csv", ".svg"):
        assert f'href="/analytics/v1/studies/atc-rt/figures/accrual{kind}?by=site"' in html


def test_cohort_page_embeds_figure_fragments_and_no_inline_code() -> None:
    parts = [
        build_figure_part(answer_of(flow())),
        build_figure_part(answer_of(accrual())),
        build_figure_part(answer_of(example_treatments())),
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
    html = render_figure(build_figure_part(answer_of(many)))
    assert "the first 500 of 501 rows. The .csv file has all rows." in html
    assert html.count("<tr>") == 501
