"""Pages as text: view models in, HTML out. Nothing is read here but the templates."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from services.analytics.figures import FigureData, accrual, flow, humanize, treatments

if TYPE_CHECKING:
    from services.analytics.pages.queries import QueryPageView
    from shared.inbox.lag import SilentComponent

RENDERERS: dict[str, ModuleType] = {"flow": flow, "accrual": accrual, "treatments": treatments}
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
MAX_TABLE_ROWS = 500
_UNBROKEN = re.compile(r"\d{4}-\d{2}-\d{2}|\d+ / \d+ = [\d.]+ %|\(95 % CI [^)]*\)")
_STATUS = {
    "screening": "in screening",
    "screen_failed": "screen failure",
    "lost": "lost to follow-up",
    "withdrawn": "consent withdrawn",
}


@dataclass(frozen=True, slots=True)
class Link:
    href: str
    label: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class NavLink:
    """To a page of a study; `here` on that page itself."""

    href: str
    label: str
    here: bool = False


@dataclass(frozen=True, slots=True)
class FigurePart:
    """A figure on a page: `version` is the position it shows, `source` the address of this fragment alone."""

    name: str
    title: str
    source: str
    version: int
    recorded_at: str
    cut: str
    picture: str
    caption: str
    headline: Sequence[tuple[str, str, str]]
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    downloads: Sequence[Link]

    @property
    def rows_shown(self) -> Sequence[Sequence[str]]:
        return self.rows[:MAX_TABLE_ROWS]


@dataclass(frozen=True, slots=True)
class StudyHeader:
    """The head of a study's page. `notes` say what a reader must know of the record, `live` is the stream's address,
    `events` are the names of what it tells, `ways` lead to the pages that the member, who is signed in, may see."""

    study_id: str
    title: str
    position: int
    recorded_at: str
    cut: str
    live: str
    notes: Sequence[str] = ()
    ways: Sequence[NavLink] = ()
    member: str = ""
    events: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem document (RFC 9457) for a person; `errors` are its sentences, `sign_in` the address of the form."""

    status: int
    title: str
    detail: str = ""
    errors: Sequence[str] = ()
    sign_in: str = "/session"


def build_figure_part(figure: FigureData, query: Mapping[str, str] | None = None) -> FigurePart:
    """The part that shows a figure's `.json` answer; `query` is what narrowed it, kept in its links.

    Raises KeyError for a figure that is not drawn.
    """
    name, renderer = figure["figure"], RENDERERS[figure["figure"]]
    header, rows = renderer.table(figure)
    return FigurePart(
        name=name,
        title=renderer.TITLE,
        source=_figure_url("/analytics/studies", figure, "", query),
        version=figure["position"],
        recorded_at=figure["recorded_at"] or "",
        cut=figure["cut"],
        picture=renderer.draw(figure),
        caption=renderer.caption(figure),
        headline=renderer.headline(figure),
        header=header,
        rows=rows,
        downloads=_download_links(figure, query),
    )


class Pages:
    """The pages; `static` is the address under which the files of the folder `static` are served."""

    def __init__(self, static: str = "/analytics/static") -> None:
        loader = FileSystemLoader(Path(__file__).parent / "templates")
        self._templates = Environment(
            loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        self._templates.globals |= {"static": static, "member": ""}
        self._templates.filters |= {
            "moment": format_timestamp,
            "spoken": humanize,
            "status": format_participant_status,
            "unbroken": keep_together,
            "heading": column_heading,
        }

    def home(self, links: Mapping[str, Sequence[Link]], member: str = "") -> str:
        """`links` lead to studies, by a title."""
        return self._render("home.html", links=links, member=member)

    def cohort(self, study: StudyHeader, parts: Sequence[FigurePart]) -> str:
        return self._render_study_page("cohort.html", study, parts=parts)

    def figure_fragment(self, part: FigurePart) -> str:
        """One figure alone, as `cohort` has it."""
        return self._render("figure.html", part=part)

    def participants(self, study: StudyHeader, page_view: Mapping[str, object]) -> str:
        """`listed`: `rows` of participants, and `next`, the number after which the list goes on, or None."""
        return self._render_study_page("participants.html", study, listed=page_view)

    def participant(
        self, study: StudyHeader, timeline_view: Mapping[str, object], questions: Mapping[str, object] | None = None
    ) -> str:
        """`questions`: the open queries, where the page is of now."""
        return self._render_study_page("participant.html", study, part=timeline_view, questions=questions)

    def open_queries(self, open_queries_view: Mapping[str, object]) -> str:
        """The open queries alone, as `participant` has them."""
        return self._render("questions.html", questions=open_queries_view)

    def timeline_fragment(self, timeline_view: Mapping[str, object]) -> str:
        """The timeline alone, as `participant` has it."""
        return self._render("timeline.html", part=timeline_view)

    def queries(self, study: StudyHeader, view: QueryPageView) -> str:
        return self._render_study_page("queries.html", study, context=view)

    def login(self, next: str = "/", problem: Problem | None = None) -> str:  # noqa: A002 - the form field's name
        return self._render("login.html", next=local_address(next), problem=problem)

    def problem(self, problem: Problem) -> str:
        return self._render("problem.html", problem=problem)

    def operations(self, study: StudyHeader, state: object, silence: SilentComponent | None) -> str:
        return self._render_study_page("operations.html", study, told=state, silence=silence)

    def _render_study_page(self, template: str, study: StudyHeader, **context: object) -> str:
        return self._render(template, study=study, member=study.member, **context)

    def _render(self, template: str, **context: object) -> str:
        return self._templates.get_template(template).render(context)


def local_address(address: str) -> str:
    """`address` if it leads to a page of this server, else `/`: a link to the form must not send people elsewhere."""
    path_alone = address.startswith("/") and not address.startswith(("//", "/\\"))
    return address if path_alone and address.isprintable() else "/"


def format_timestamp(recorded_at: str) -> str:
    """A time stamp (RFC 3339) for people, in UTC to the second; an empty one means that nothing is recorded."""
    if not recorded_at:
        return "none yet"
    return f"{datetime.fromisoformat(recorded_at).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def format_participant_status(code: str) -> str:
    """A participant's status in the words of the field."""
    return _STATUS.get(code, humanize(code))


def column_heading(column: str) -> str:
    """A column of a figure's table in words; its .csv file has the names that programs read."""
    return treatments.COLUMN_HEADINGS.get(column, column)


def keep_together(text: str) -> Markup:
    """Keep a proportion, an interval and a date each on one line."""
    return Markup(_UNBROKEN.sub(r'<span class="unbroken">\g<0></span>', str(escape(text))))  # noqa: S704 - escaped


def _download_links(figure: FigureData, query: Mapping[str, str] | None) -> list[Link]:
    kinds = {".json": "Numbers", ".csv": "Table", ".svg": "Picture"}
    addresses = {kind: _figure_url("/analytics/v1/studies", figure, kind, query) for kind in kinds}
    return [Link(addresses[kind], f"{words} ({kind})") for kind, words in kinds.items()]


def _figure_url(base: str, figure: FigureData, kind: str, query: Mapping[str, str] | None) -> str:
    query_string = f"?{urlencode(query)}" if query else ""
    return f"{base}/{quote(figure['study_id'], safe='')}/figures/{figure['figure']}{kind}{query_string}"
