"""The page of the literature beside a study: the cohort's own numbers, and apart from them what was published."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import Response

from services.analytics import urls
from services.analytics.endpoints.origins import ORIGIN_WORDS
from services.analytics.figures.literature_marks import (
    describe_estimate,
    literature_marks,
    published_median,
    published_source,
)
from services.analytics.figures.survival_numbers import DAYS_OF_MONTH, Interval
from services.analytics.figures.survival_words import describe_months
from services.analytics.literature.api import LiteratureResources
from services.analytics.literature.service import LiteratureComparison, Subset
from services.analytics.snapshot.as_of_parameters import AsOfQuery
from services.analytics.snapshot.selection import Origin
from services.analytics.statistics.proportions import percent
from services.analytics.study_header import StudyPage, build_study_header
from services.analytics.wording.phrasing import count_noun, format_number
from shared.contracts.literature import PublishedStudyRecorded
from shared.security.grants import Rights
from shared.ui.html_errors import html_or_error
from shared.ui.navigation import Link
from shared.ui.pages import MAX_TABLE_ROWS, Pages, create_page_router
from shared.web.container import get_container
from shared.web.fact_recording import StudyIdPath

FILE_KINDS = {".json": "Numbers and publications", ".csv": "Publications"}


def may_see_literature(rights: Rights) -> bool:
    """Returns whether a member reads the literature beside a study: readers see publications of the study alone."""
    return bool(rights.grants) and not rights.is_reader


PAGE = StudyPage(route=urls.literature_url("{study_id}"), nav_label="Literature", may_see=may_see_literature)
SUBSET_WORDS: Mapping[Subset, str] = {"all": "All participants", "stereotactic": "With stereotactic radiotherapy"}
_DOI = re.compile(r"10\.[0-9]{4,9}/[^\s;,]+")
routes = create_page_router()


def _own_median(median: Interval) -> str:
    """Returns the median of the cohort in months, with its limits."""
    estimate, lower, upper = map(describe_months, (median.estimate, median.lower, median.upper))
    return estimate if median.lower is None else f"{estimate} (95 % CI {lower} to {upper})"


def _own_share(share: Interval) -> str:
    """Returns a share of the cohort in percent, with its limits."""
    if share.estimate is None:
        return "not estimated"
    if share.lower is None or share.upper is None:
        return f"{percent(share.estimate):.1f}"
    return f"{percent(share.estimate):.1f} (95 % CI {percent(share.lower):.1f} to {percent(share.upper):.1f})"


def _months(study: PublishedStudyRecorded) -> str:
    """Returns the published median in months, where it can be converted and its unit does not mention months."""
    median = published_median(study)
    return (
        ""
        if median is None or "month" in (study.os_unit or "").casefold()
        else describe_estimate(median, DAYS_OF_MONTH)
    )


def _doi_links(study: PublishedStudyRecorded) -> list[Link]:
    """Returns a link for each DOI of the publication."""
    dois = _DOI.findall(study.doi_or_pmid or "")
    return [Link(f"https://doi.org/{quote(doi, safe='/')}", f"doi:{doi}") for doi in dois]


def _other_identifiers(study: PublishedStudyRecorded) -> str:
    """Returns what else the publication is identified by."""
    parts = _DOI.sub("", study.doi_or_pmid or "").split(";")
    return "; ".join(part.strip() for part in parts if part.strip())


pages = Pages(
    "analytics",
    Path(__file__).with_name("templates"),
    filters={
        "own_median": _own_median,
        "own_share": _own_share,
        "source": published_source,
        "in_months": _months,
        "number": format_number,
        "other_identifiers": _other_identifiers,
    },
    functions={"count_noun": count_noun},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedRow:
    """A publication on the page: links to it, and the ids of the contradictions about it."""

    study: PublishedStudyRecorded
    links: Sequence[Link]
    contradictions: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedSection:
    """Publications of the page under one heading: those that fit on it, and the number of all."""

    name: str
    heading: str
    rows: Sequence[PublishedRow]
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LiteratureView:
    """The page: the comparison, its publications in sections, links to curves with marks, and to the files."""

    comparison: LiteratureComparison
    cohort_url: str
    sections: Sequence[PublishedSection]
    curves: Sequence[Link]
    downloads: Sequence[Link]
    subset_words: Mapping[Subset, str]
    origin_words: Mapping[Origin, str]


@routes.get(PAGE.route)
async def literature_page(request: Request, study: StudyIdPath, as_of_query: AsOfQuery) -> Response:
    return await html_or_error(request, pages, _render_literature(request, study, as_of_query))


async def _render_literature(request: Request, study: str, as_of_query: AsOfQuery) -> str:
    await get_container(request).authenticate(request)
    service = get_container(request).get_resources(LiteratureResources).literature
    comparison = await service.comparison(study, request.state.caller.subject, as_of_query.to_as_of())
    header = await build_study_header(
        request,
        study,
        PAGE,
        heading="Literature",
        position=comparison.position,
        recorded_at=comparison.recorded_at,
    )
    return pages.render_study("literature.html", header, view=_view(comparison, request.query_params))


def _view(comparison: LiteratureComparison, query: Mapping[str, str]) -> LiteratureView:
    return LiteratureView(
        comparison=comparison,
        cohort_url=urls.cohort_url(comparison.study_id, query),
        sections=[*_sections(comparison)],
        curves=[*_curves(comparison, query)],
        downloads=[
            Link(urls.literature_file_url(comparison.study_id, extension, query), f"{label} ({extension})")
            for extension, label in FILE_KINDS.items()
        ],
        subset_words=SUBSET_WORDS,
        origin_words=ORIGIN_WORDS,
    )


def _sections(comparison: LiteratureComparison) -> Iterator[PublishedSection]:
    """Yields the published table that the study is compared with, and then all other publications."""
    compared, others = comparison.compared, comparison.others
    if compared and comparison.table:
        yield _section("compared", comparison.table.name, comparison, compared)
    if others:
        heading = "Other publications" if compared else "Publications"
        yield _section("publications", heading, comparison, others)


def _section(
    name: str, heading: str, comparison: LiteratureComparison, studies: Sequence[PublishedStudyRecorded]
) -> PublishedSection:
    rows = [
        PublishedRow(
            study=study,
            links=_doi_links(study),
            contradictions=[contradiction.id for contradiction in comparison.contradictions_of(study.ref_id)],
        )
        for study in studies[:MAX_TABLE_ROWS]
    ]
    return PublishedSection(name=name, heading=heading, rows=rows, total=len(studies))


def _curves(comparison: LiteratureComparison, query: Mapping[str, str]) -> Iterator[Link]:
    """Yields links to overall survival from each origin that publications count from."""
    for origin, words in ORIGIN_WORDS.items():
        if marks := literature_marks(comparison.studies, origin):
            marked = {**query, "literature": "true", "origin": origin}
            address = urls.figure_url(comparison.study_id, "overall-survival", marked)
            yield Link(address, f"from {words}, with {count_noun(len(marks), 'mark')}")
