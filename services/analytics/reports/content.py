"""The content of the report of a data cut: what was sealed for a scope, arranged for print. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from pydantic import BaseModel

from services.analytics.cuts.sealed_study import SealedFigure, SealedStudy
from services.analytics.figures.figure import Figure
from services.analytics.figures.page_content import PageContent
from services.analytics.figures.registry import FIGURES
from services.analytics.reports.print_format import MAX_TABLE_ROWS, PrintedPicture, print_picture, round_cell
from services.analytics.snapshot.seals import READERS_SCOPE, SealScope
from services.analytics.wording.phrasing import count_noun, humanize, join_words
from shared.contracts.study import SiteActivated, StudyOpened
from shared.version import VERSION

Rows = list[list[str]]
_EXACT_VALUES = "Numbers in tables are rounded to 4 decimals; the files of the figures have all digits."


class ReportTable(BaseModel):
    """A table as it is printed: a header, and rows of as many cells. `note`: a sentence below it, or in its place."""

    header: list[str]
    rows: Rows
    note: str = ""


class ReportFigure(BaseModel):
    """A figure as it is printed. `headline`: values, each with its words. `picture`: None if it fits no page."""

    title: str
    headline: list[tuple[str, str]]
    picture: PrintedPicture | None
    glance: str
    caption: str
    table: ReportTable


class Report(BaseModel):
    """The report of a data cut. `facts`: what it is of, as pairs of words. `provenance`: where it comes from."""

    title: str
    cut: str
    running_title: str
    summary: str
    facts: list[tuple[str, str]]
    figures: list[ReportFigure]
    definitions: ReportTable
    not_counted: ReportTable
    provenance: list[tuple[str, str]]
    digests: ReportTable
    notes: list[str]


def build_report(study: SealedStudy, scope: SealScope) -> Report:
    """Returns the report of a scope. Rows of single participants are not in it."""
    figures = {name: figure for name, figure in study.figures.items() if not FIGURES[name].DISCLOSURE.person_level}
    contents = {name: figure.page_content() for name, figure in figures.items()}
    cut, study_id = study.cut, study.snapshot.study_id
    title = next((opened.title for opened in study.snapshot.study.facts_of(StudyOpened)), study_id)
    return Report(
        title=title,
        cut=cut.name,
        running_title=f"{study_id} · data cut {cut.name} · data cut-off {cut.cut_on}",
        summary=_summary(study, scope),
        facts=_facts(study, scope),
        figures=[_report_figure(figures[name], content) for name, content in contents.items()],
        definitions=_definitions(figures, contents),
        not_counted=_not_counted(figures, contents),
        provenance=_provenance(study, scope),
        digests=_digests(figures),
        notes=list(_notes(study, scope)),
    )


def _summary(study: SealedStudy, scope: SealScope) -> str:
    cut = study.cut
    return (
        f"This report shows {_scope_words(study, scope)} as of the data cut {cut.name}: everything that had happened "
        f"by {cut.cut_on} as it was known at position {cut.position} of the study's record. Its numbers and pictures "
        "are those that were sealed with the data cut. No later fact, correction or release changes them."
    )


def _scope_words(study: SealedStudy, scope: SealScope) -> str:
    if scope == READERS_SCOPE:
        return "the figures of the whole study as they are published to readers"
    if scope.site_id is None:
        return "the figures of the whole study"
    return f"the figures of the participants of site {_site_name(study, scope.site_id)}"


def _site_name(study: SealedStudy, site_id: str) -> str:
    names = [site.name for site in study.snapshot.study.facts_of(SiteActivated) if site.site_id == site_id]
    return f"{names[-1]} ({site_id})" if names else site_id


def _facts(study: SealedStudy, scope: SealScope) -> list[tuple[str, str]]:
    sites = {site.site_id for site in study.snapshot.study.facts_of(SiteActivated)}
    sites_text = f"all sites ({len(sites)})" if scope.site_id is None else f"site {_site_name(study, scope.site_id)}"
    return [
        ("Study", study.snapshot.study_id),
        ("Data cut", study.cut.name),
        ("Data cut-off", study.cut.cut_on.isoformat()),
        ("Participants", f"of {sites_text}, as readers see them" if scope == READERS_SCOPE else f"of {sites_text}"),
        ("Taken", _moment(study.cut.recorded_at)),
    ]


def _moment(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _report_figure(figure: SealedFigure, content: PageContent) -> ReportFigure:
    headline = [(value, words) for _, value, words in content.headline]
    return ReportFigure(
        title=content.title,
        headline=headline,
        picture=print_picture(figure.contents["svg"].decode(), content.alternative),
        glance=content.glance,
        caption=content.caption,
        table=_figure_table(content),
    )


def _figure_table(content: PageContent) -> ReportTable:
    """Returns the table of a figure; a long one is not printed, because half of a table could be taken for all."""
    if len(content.rows) > MAX_TABLE_ROWS:
        note = f"Its table has {len(content.rows)} rows, which the file {content.name}.csv of this data cut has."
        return ReportTable(header=[], rows=[], note=note)
    rows = [[round_cell(cell) for cell in row] for row in content.rows]
    is_rounded = rows != content.rows
    return ReportTable(header=content.header, rows=rows, note=_EXACT_VALUES if is_rounded else "")


def _members(figure: SealedFigure) -> dict[str, object]:
    members: dict[str, object] = json.loads(figure.contents["json"])
    return members


def _definitions(figures: dict[str, SealedFigure], contents: dict[str, PageContent]) -> ReportTable:
    """Returns the definition of each figure in words, or its name and version where the seal has no words."""
    rows = [
        [content.title, content.definition or _definition_name(figures[name])] for name, content in contents.items()
    ]
    return ReportTable(
        header=["Figure", "Definition"],
        rows=[[title, definition] for title, definition in rows if definition],
        note="A definition that changes gets a new version. Captions name the choices that were made at this data cut.",
    )


def _definition_name(figure: SealedFigure) -> str:
    definition = _members(figure).get("definition")
    return f"{definition['id']}, version {definition['version']}" if isinstance(definition, dict) else ""


def _not_counted(figures: dict[str, SealedFigure], contents: dict[str, PageContent]) -> ReportTable:
    rows = Rows()
    for name, figure in figures.items():
        members = _members(figure)
        common = [str(members[count]) for count in ("left_out", "imputed_dates")]
        rows.append([contents[name].title, join_words(_reasons(members)) or "Nobody", *common])
    header = ["Figure", "Not counted", "Excluded from every analysis", "Imputed dates"]
    return ReportTable(header=header, rows=rows, note="Reasons are explained in the captions of the figures.")


def _reasons(members: dict[str, object]) -> Iterator[str]:
    """Yields the number of participants who are not counted in a figure for each reason."""
    parts = members.get("not_counted")
    for part in parts if isinstance(parts, list) else ():
        yield f"{count_noun(part['participants'], 'participant')} ({humanize(part['reason'])})"


def _provenance(study: SealedStudy, scope: SealScope) -> list[tuple[str, str]]:
    """Returns where the numbers come from. Readers see no number that depends on facts which are not published."""
    seal = study.seal
    facts = [
        ("Frontier", f"{count_noun(study.streams, 'stream')} of facts"),
        ("SHA-256 of the frontier and its facts", seal.digest),
    ]
    return [
        ("Position", str(study.cut.position)),
        ("Epoch of positions", study.epoch),
        *([] if scope == READERS_SCOPE else facts),
        ("Figures sealed", f"by Quartal {seal.software}{', after an upgrade' if seal.sealed_later else ''}"),
        ("Report made", f"by Quartal {VERSION}{', after an upgrade' if study.sealed_later else ''}"),
    ]


def _digests(figures: dict[str, SealedFigure]) -> ReportTable:
    rows = [
        [f"{name}.{file_format}", digest]
        for name, figure in figures.items()
        for file_format, digest in sorted(figure.digests.items())
        if file_format != "page"
    ]
    return ReportTable(header=["File", "SHA-256"], rows=rows)


def _notes(study: SealedStudy, scope: SealScope) -> Iterator[str]:
    """Yields what a reader of the report has to know about it."""
    if scope != READERS_SCOPE:
        titles = [figure.TITLE for figure in _person_level(study)]
        if titles:
            noun, verb = ("figure", "shows") if len(titles) == 1 else ("figures", "show")
            yield (
                f"Rows of single participants are not in this report: the {noun} {join_words(titles)} of the data cut "
                f"{verb} them to the members who may see participants."
            )
    if study.sealed_later or study.seal.sealed_later:
        yield (
            "This data cut was taken under an earlier version of Quartal, which did not keep all of this. What it "
            "lacked was made later, from the facts at its own position."
        )


def _person_level(study: SealedStudy) -> Sequence[type[Figure]]:
    return [FIGURES[name] for name in study.figures if FIGURES[name].DISCLOSURE.person_level]
