"""Pages as text: view models in, HTML out. Nothing is read here but the templates."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from services.analytics.figures import Figure, accrual, flow, spoken, treatments

if TYPE_CHECKING:
    from services.analytics.pages.queries import QueriesPage
    from shared.inbox.lag import Silence

DRAWN: dict[str, ModuleType] = {"flow": flow, "accrual": accrual, "treatments": treatments}
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
ROWS_SHOWN = 500
_UNBROKEN = re.compile(r"\d{4}-\d{2}-\d{2}|\d+ / \d+ = [\d.]+ %|\(95 % CI [^)]*\)")
_STATUS = {
    "screening": "in screening", "screen_failed": "screen failure", "lost": "lost to follow-up",
    "withdrawn": "consent withdrawn",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Link:
    href: str
    label: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Way:
    """To a page of a study; `here` on that page itself."""

    href: str
    label: str
    here: bool = False


@dataclass(frozen=True, slots=True)
class Part:
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
        return self.rows[:ROWS_SHOWN]


@dataclass(frozen=True, slots=True)
class Study:
    """The head of a study's page. `notes` say what a reader must know of the record, `live` is the stream's address,
    `events` are the names of what it tells, `ways` lead to the pages that the member, who is signed in, may see."""

    study_id: str
    title: str
    position: int
    recorded_at: str
    cut: str
    live: str
    notes: Sequence[str] = ()
    ways: Sequence[Way] = ()
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


def part(figure: Figure, query: Mapping[str, str] | None = None) -> Part:
    """The part that shows a figure's `.json` answer; `query` is what narrowed it, kept in its links.

    Raises KeyError for a figure that is not drawn.
    """
    name, drawn = figure["figure"], DRAWN[figure["figure"]]
    header, rows = drawn.table(figure)
    return Part(
        name=name,
        title=drawn.TITLE,
        source=_address("/analytics/studies", figure, "", query),
        version=figure["position"],
        recorded_at=figure["recorded_at"] or "",
        cut=figure["cut"],
        picture=drawn.draw(figure),
        caption=drawn.caption(figure),
        headline=drawn.headline(figure),
        header=header,
        rows=rows,
        downloads=_downloads(figure, query),
    )


_FORMULA = re.compile("\\s*[=+\\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")


def csv_text(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write comma-separated values as RFC 4180 has them: CRLF, quotes where they are needed.

    Spreadsheet programs open them: no cell runs as a formula, and the file does not begin with ID, which Excel takes
    for another format (SYLK).
    """
    text = StringIO(newline="")
    writer = csv.writer(text)
    for row in (header, *rows):
        writer.writerow([inert(cell) for cell in row])
    written = text.getvalue()
    first, comma, rest = written.partition(",")
    return f'"{first}"{comma}{rest}' if written.startswith("ID") and "\r\n" not in first else written


def inert(cell: str) -> str:
    """The cell, with an apostrophe before what a spreadsheet would run as a formula; a number stays a number."""
    return f"'{cell}" if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else cell


class Pages:
    """The pages; `static` is the address under which the files of the folder `static` are served."""

    def __init__(self, static: str = "/analytics/static") -> None:
        loader = FileSystemLoader(Path(__file__).parent / "templates")
        self._templates = Environment(
            loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        self._templates.globals |= {"static": static, "member": ""}
        self._templates.filters |= {
            "moment": moment, "spoken": spoken, "status": participant_status, "unbroken": unbroken,
            "heading": heading,
        }  # fmt: skip

    def home(self, links: Mapping[str, Sequence[Link]], member: str = "") -> str:
        """`links` lead to studies, by a title."""
        return self._page("home.html", links=links, member=member)

    def cohort(self, study: Study, parts: Sequence[Part]) -> str:
        return self._of_study("cohort.html", study, parts=parts)

    def fragment(self, part: Part) -> str:
        """One figure alone, as `cohort` has it."""
        return self._page("figure.html", part=part)

    def participants(self, study: Study, listed: Mapping[str, object]) -> str:
        """`listed`: `rows` of participants, and `next`, the number after which the list goes on, or None."""
        return self._of_study("participants.html", study, listed=listed)

    def participant(
        self, study: Study, shown: Mapping[str, object], questions: Mapping[str, object] | None = None
    ) -> str:
        """`questions`: the open queries, where the page is of now."""
        return self._of_study("participant.html", study, part=shown, questions=questions)

    def questions(self, shown: Mapping[str, object]) -> str:
        """The open queries alone, as `participant` has them."""
        return self._page("questions.html", questions=shown)

    def timeline(self, shown: Mapping[str, object]) -> str:
        """The timeline alone, as `participant` has it."""
        return self._page("timeline.html", part=shown)

    def queries(self, study: Study, shown: QueriesPage) -> str:
        return self._of_study("queries.html", study, shown=shown)

    def login(self, next: str = "/", problem: Problem | None = None) -> str:  # noqa: A002 - the form field's name
        return self._page("login.html", next=local_address(next), problem=problem)

    def problem(self, problem: Problem) -> str:
        return self._page("problem.html", problem=problem)

    def operations(self, study: Study, told: object, silence: Silence | None) -> str:
        return self._of_study("operations.html", study, told=told, silence=silence)

    def _of_study(self, template: str, study: Study, **shown: object) -> str:
        return self._page(template, study=study, member=study.member, **shown)

    def _page(self, template: str, **shown: object) -> str:
        return self._templates.get_template(template).render(shown)


def local_address(address: str) -> str:
    """`address` if it leads to a page of this server, else `/`: a link to the form must not send people elsewhere."""
    path_alone = address.startswith("/") and not address.startswith(("//", "/\\"))
    return address if path_alone and address.isprintable() else "/"


def moment(recorded_at: str) -> str:
    """A time stamp (RFC 3339) for people, in UTC to the second; an empty one means that nothing is recorded."""
    if not recorded_at:
        return "none yet"
    return f"{datetime.fromisoformat(recorded_at).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def participant_status(code: str) -> str:
    """A participant's status in the words of the field."""
    return _STATUS.get(code, spoken(code))


def heading(column: str) -> str:
    """A column of a figure's table in words; its .csv file has the names that programs read."""
    return treatments.HEADINGS.get(column, column)


def unbroken(words: str) -> Markup:
    """Keep a proportion, an interval and a date each on one line."""
    return Markup(_UNBROKEN.sub(r'<span class="unbroken">\g<0></span>', str(escape(words))))  # noqa: S704 - escaped


def _downloads(figure: Figure, query: Mapping[str, str] | None) -> list[Link]:
    kinds = {".json": "Numbers", ".csv": "Table", ".svg": "Picture"}
    addresses = {kind: _address("/analytics/v1/studies", figure, kind, query) for kind in kinds}
    return [Link(addresses[kind], f"{words} ({kind})") for kind, words in kinds.items()]


def _address(base: str, figure: Figure, kind: str, query: Mapping[str, str] | None) -> str:
    asked = f"?{urlencode(query)}" if query else ""
    return f"{base}/{quote(figure['study_id'], safe='')}/figures/{figure['figure']}{kind}{asked}"
