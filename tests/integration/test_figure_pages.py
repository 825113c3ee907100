"""Pages of a figure with rows of single participants, over HTTP: the numbers, the files, and the cohort page."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.testing.builders import facts
from tests.conftest import Database
from tests.integration.support.analytics_app import AnalyticsStudy, open_analytics_study

FIGURE = "figures/treatments.json"
AGGREGATES = ("participants", "deliveries", "imputed_dates", "left_out")
TARGETS_OF_A_COURSE = 45
SITES = ("rome", "rome", "milan")


@pytest.fixture
async def study(analytics_database: Database, tmp_path: Path, study_id: str) -> AsyncIterator[AnalyticsStudy]:
    """A study with three treated participants, each with two courses of 45 targets."""
    async with open_analytics_study(analytics_database, tmp_path, study_id) as study:
        for site in SITES:
            screening = facts.participant_screened(site_id=site)
            courses = [
                facts.radiotherapy_started(
                    day, name, *(facts.target(f"T{number}") for number in range(TARGETS_OF_A_COURSE)), index=day == 0
                )
                for day, name in ((0, "RT1"), (30, "RT2"))
            ]
            await study.add_participant(site, screening, *facts.ENROLLMENT_FACTS[1:], *courses)
        yield study


async def read(study: AnalyticsStudy, user: str = "investigator", **params: Any) -> dict[str, Any]:
    answer = await study.get(FIGURE, user, **params)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def read_pages(study: AnalyticsStudy, user: str = "investigator", **params: Any) -> list[dict[str, Any]]:
    pages = [await read(study, user, **params)]
    while after := pages[-1]["next"]:
        pages.append(await read(study, user, **params, after=after))
    return pages


def row_keys(*pages: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(row["participant_id"], row["course_id"], row["target_id"]) for page in pages for row in page["targets"]]


@pytest.mark.parametrize("limit", [1000, 200, 60, 45, 37])
async def test_pages_joined_are_every_target_once_and_each_has_the_counts_of_all(
    study: AnalyticsStudy, limit: int
) -> None:
    (whole,) = await read_pages(study, limit=1000)
    assert whole["page"] == {"first": 1, "rows": 270, "total": 270}
    pages = await read_pages(study, limit=limit)
    assert row_keys(*pages) == row_keys(whole)
    assert len(set(row_keys(whole))) == 270
    assert [page["page"]["rows"] for page in pages[:-1]] == [limit] * (len(pages) - 1)
    for page in pages:
        assert {name: page[name] for name in AGGREGATES} == {name: whole[name] for name in AGGREGATES}
    numbered = [await read(study, limit=limit, page=number) for number in range(1, len(pages) + 1)]
    assert numbered == pages


async def test_page_without_a_limit_has_200_rows(study: AnalyticsStudy) -> None:
    assert [page["page"]["rows"] for page in await read_pages(study)] == [200, 70]


async def test_member_of_a_site_reads_pages_of_its_participants(study: AnalyticsStudy) -> None:
    pages = await read_pages(study, "site@rome", limit=70)
    assert (pages[0]["page"]["total"], pages[0]["participants"]) == (180, 2)
    assert {row["site_id"] for page in pages for row in page["targets"]} == {"rome"}


async def test_cursor_is_for_the_study_position_and_filters_of_its_page(
    study: AnalyticsStudy, analytics_database: Database, tmp_path: Path
) -> None:
    first = await read(study, limit=10)
    after, position = first["next"], study.position
    async with open_analytics_study(analytics_database, tmp_path, f"{study.study_id}-2") as other:
        answers = [await other.get(FIGURE, after=after)]
    answers += [await study.get(FIGURE, **params, after=after) for params in ({"site": "rome"}, {"cut": "2024-12-31"})]
    answers.append(await study.get(FIGURE, at=position - 1, after=after))
    answers.append(await study.get(FIGURE, "site@rome", after=after))
    await study.add_participant("rome", facts.participant_screened())
    answers.append(await study.get(FIGURE, after=after))
    for answer in answers:
        assert (answer.status_code, answer.json()["type"]) == (422, "/problems/parameter"), answer.text
        assert "Give `next` of the page before, as it was answered." in answer.text
    second = await read(study, limit=10, after=after, at=position, cut=first["cut"])
    assert row_keys(first, second) == row_keys(await read(study, limit=20))


@pytest.mark.parametrize(
    ("path", "params"),
    [
        (FIGURE, {"limit": 0}),
        (FIGURE, {"limit": 1001}),
        (FIGURE, {"page": 0}),
        (FIGURE, {"after": "x"}),
        (FIGURE, {"after": "A.1.zz"}),
        (FIGURE, {"pages": "treatments.2"}),
        ("figures/treatments.csv", {"limit": 5}),
        ("figures/treatments.csv", {"page": 2}),
        ("figures/flow.json", {"limit": 5}),
        ("figures/flow.csv", {"page": 2}),
        ("figures/accrual.svg", {"after": f"A.1.{'0' * 16}"}),
    ],
)
async def test_page_that_no_figure_has_is_refused(study: AnalyticsStudy, path: str, params: dict[str, Any]) -> None:
    answer = await study.get(path, **params)
    assert answer.status_code == 422, answer.text


async def test_refusal_of_a_page_says_why(study: AnalyticsStudy) -> None:
    for path, sentence in (
        ("figures/treatments.csv", "limit: The .csv file has the rows of all pages."),
        ("figures/flow.csv", "limit: This figure has no pages."),
    ):
        assert sentence in (await study.get(path, limit=5)).text


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"by": "sex"}, "by: This figure is never divided. Leave `by` out."),
        ({"sort": "site"}, "sort: This figure has no `sort`. Leave it out. These figures have it: swimmer."),
        ({"site": "nowhere"}, "site: The study has no site of this id. Check the id, or leave `site` out."),
        ({"at": "cut:none"}, "This study has no data cut of that name. Check its capital and small letters too."),
        ({"cut": "x"}, "cut: Give the whole day, as YYYY-MM-DD."),
    ],
)
async def test_refusal_of_a_parameter_says_what_to_do(
    study: AnalyticsStudy, params: dict[str, Any], sentence: str
) -> None:
    answer = await study.get("figures/flow.json", **params)
    assert [error["message"] for error in answer.json()["errors"]] == [sentence]


async def test_table_file_has_the_rows_of_all_pages(study: AnalyticsStudy) -> None:
    answer = await study.get("figures/treatments.csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    keys = [(row["participant_id"], row["course_id"], row["target_id"]) for row in rows]
    assert keys == row_keys(*await read_pages(study))
    assert "rows-" not in answer.headers["content-disposition"]


async def test_files_of_a_page_are_named_by_its_rows_and_the_picture_counts_all_targets(study: AnalyticsStudy) -> None:
    for kind in ("json", "svg"):
        answer = await study.get(f"figures/treatments.{kind}", page=2)
        assert f"{study.study_id}_treatments_rows-201-270_cut-" in answer.headers["content-disposition"]
    assert "270 targets in 3 participants" in answer.text


async def cohort_page(study: AnalyticsStudy, path: str, user: str = "investigator") -> httpx.Response:
    return await study.http.get(path, headers={**study.authorization(user), "Accept": "text/html"})


async def test_cohort_page_leads_through_the_pages_of_rows_and_keeps_its_parameters(study: AnalyticsStudy) -> None:
    address = f"/analytics/studies/{study.study_id}"
    first = (await cohort_page(study, f"{address}?cut=2025-01-01")).text
    assert "Rows 1–200 of 270" in first
    (following,) = re.findall('rel="next" href="([^"]+)"', first)
    second = (await cohort_page(study, unescape(following))).text
    assert "cut=2025-01-01&amp;pages=treatments.2#treatments-table" in following
    assert "rows 201 to 270 of 270" in second
    assert 'id="flow"' in second
    assert "Data cut-off 2025-01-01" in second
    (source,) = re.findall('data-src="([^"]+/figures/treatments[^"]*)"', second)
    await study.add_participant("rome", facts.participant_screened())
    fragment = (await cohort_page(study, unescape(source))).text
    assert "rows 201 to 270 of 270" in fragment
    assert f'data-version="{study.position}"' in fragment
    (previous,) = re.findall('rel="prev" href="([^"]+)"', fragment)
    assert "rows 1 to 200 of 270" in (await cohort_page(study, unescape(previous))).text


@pytest.mark.parametrize("pages", ["flow.2", "nothing.2", "treatments.0", "treatments", "treatments.2;accrual.1"])
async def test_cohort_page_refuses_pages_that_no_figure_has(study: AnalyticsStudy, pages: str) -> None:
    answer = await cohort_page(study, f"/analytics/studies/{study.study_id}?pages={pages}")
    assert answer.status_code == 422


async def test_lanes_come_in_the_order_that_is_asked_for_and_for_each_member(study: AnalyticsStudy) -> None:
    async def lanes(user: str = "investigator", **params: Any) -> list[str]:
        site_ids, after = list[str](), ""
        while after is not None:
            answer = await study.get("figures/swimmer.json", user, limit=1, after=after, **params)
            assert answer.status_code == 200, answer.text
            site_ids += [lane["site_id"] for lane in answer.json()["lanes"]]
            after = answer.json()["next"]
        return site_ids

    assert await lanes(sort="site") == ["milan", "rome", "rome"]
    assert await lanes("site@milan") == ["milan"]
    first = await study.get("figures/swimmer.json", limit=1, sort="site")
    other_order = await study.get("figures/swimmer.json", limit=1, sort="origin", after=first.json()["next"])
    refused = [other_order, await study.get("figures/swimmer.json", sort="age"), await study.get(FIGURE, sort="site")]
    assert [answer.status_code for answer in refused] == [422] * 3
    table = await study.get("figures/swimmer.csv", sort="site")
    assert [row["site_id"] for row in csv.DictReader(io.StringIO(table.text))] == ["milan", "rome", "rome"]
    page = await cohort_page(study, f"/analytics/studies/{study.study_id}?sort=site")
    assert 'sort=participant#swimmer">Number</a>' in page.text
    assert (await study.get("figures/swimmer.json", "reader")).status_code == 403


async def test_readers_get_no_page_of_rows(study: AnalyticsStudy) -> None:
    for params in ({}, {"limit": 5}, {"page": 2}):
        answer = await study.get(FIGURE, "reader", **params)
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/readers-see-cuts")
    await study.project([study.study.record(facts.cut_taken("first", "2024-12-31"))])
    page = await cohort_page(study, f"/analytics/studies/{study.study_id}?pages=treatments.2", "reader")
    assert (page.status_code, 'id="flow"' in page.text, 'id="treatments"' in page.text) == (200, True, False)
