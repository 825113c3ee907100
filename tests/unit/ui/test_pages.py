from __future__ import annotations

import re
import struct
from datetime import datetime

import pytest

from shared.ui.html_errors import Problem
from shared.ui.navigation import Link, StudyHeader
from shared.ui.pages import Pages, format_timestamp, keep_together
from shared.ui.sign_in import render_sign_in
from shared.ui.static_folder import FOLDER, content_name

PAGES = Pages("enrollment")
HOSTILE = Link("/a", "<b>", "<i>")
RECORDED_AT = "2026-11-23T18:40:12.5+01:00"


@pytest.mark.parametrize("elsewhere", ["https://x.example", "//x.example", "/\\x.example", "x", "", "/a\n//x.example"])
def test_sign_in_redirects_only_to_own_paths(elsewhere: str) -> None:
    assert '<input type="hidden" name="next" value="/">' in render_sign_in(PAGES, elsewhere)
    assert 'value="/analytics/studies/atc-rt"' in render_sign_in(PAGES, "/analytics/studies/atc-rt")


def test_pages_escape_html() -> None:
    problem = Problem(403, "<b>", "<i>", ["<u>"])
    rendered = [
        PAGES.render("problem.html", problem=problem),
        render_sign_in(PAGES, "/", problem),
        PAGES.render("home.html", links={"<s>": [HOSTILE]}, own_studies=[HOSTILE], opening_url="<s>"),
    ]
    assert not any(re.search(r"<[bius]>", page) for page in rendered)


def test_pages_link_to_the_static_files_of_their_service() -> None:
    html = PAGES.render("home.html", links={}, own_studies=[], opening_url="")
    assert set(re.findall(r'(?:href|src|srcset)="([^"]*static[^"]*)"', html)) == {
        f"/enrollment/static/{content_name()}/{name}"
        for name in ("app.css", "cohort-dark.png", "cohort.png", "favicon.svg")
    }


def test_start_page_shows_the_cohort_page_in_words_and_as_a_small_picture_of_its_own_size() -> None:
    html = PAGES.render("home.html", links={}, own_studies=[], opening_url="")
    (size,) = re.findall(
        r'<img src="[^"]*/cohort\.png" width="(\d+)" height="(\d+)" alt="The cohort page [^"]{40,}"', html
    )
    for name in ("cohort.png", "cohort-dark.png"):
        picture = (FOLDER / name).read_bytes()
        assert struct.unpack(">II", picture[16:24]) == tuple(map(int, size))
        assert len(html) + len(picture) + (FOLDER / "app.css").stat().st_size < 100_000


def test_study_header_shows_cut_off_and_epoch_only_if_given() -> None:
    header = StudyHeader(study_id="atc-rt", title="A study", heading="Participants", position=7)
    with_epoch = StudyHeader(
        study_id="atc-rt", title="A study", heading="Operations", position=7, epoch="", cut_date="2025"
    )
    html, other = (PAGES.render("study_header.html", study=study) for study in (header, with_epoch))
    assert "<h1>Participants</h1>" in html
    assert "Data cut-off" not in html
    assert "Epoch" not in html
    assert "<dt>Data cut-off</dt>" in other
    assert "<dt>Epoch</dt><dd>none yet</dd>" in other


def test_time_stamps_are_shown_in_utc() -> None:
    assert format_timestamp(datetime.fromisoformat(RECORDED_AT)) == "2026-11-23 17:40:12 UTC"
    assert format_timestamp(None) == "none yet"


def test_dates_do_not_wrap_and_text_is_escaped() -> None:
    assert keep_together("<b> 2025-01-31") == '&lt;b&gt; <span class="unbroken">2025-01-31</span>'
    assert keep_together("(95 % CI <1)") == '<span class="unbroken">(95 % CI &lt;1)</span>'
