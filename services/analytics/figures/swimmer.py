"""The swimmer plot: a lane for every participant, from the origin to death or the last proof of life.

Lanes come in pages. The counts and the axis are those of all selected participants.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, Self

from pydantic import Field

from services.analytics.endpoints.lanes import LaneEnd, list_lanes
from services.analytics.endpoints.origins import ORIGIN_WORDS, chosen_origin
from services.analytics.figures.figure import FigureContext, FigureTable, Headline
from services.analytics.figures.lane_rows import LaneFacts, SwimmerLane
from services.analytics.figures.person_level import PersonLevelFigure
from services.analytics.figures.row_pages import PageSelector
from services.analytics.figures.survival_numbers import Definition, NotCounted
from services.analytics.figures.survival_words import describe_not_counted
from services.analytics.figures.swimmer_chart import LanePicture, draw_lanes
from services.analytics.figures.target_rows import list_targets
from services.analytics.snapshot.selection import LaneOrder, Origin, Selection
from services.analytics.snapshot.snapshot import StudySnapshot
from services.analytics.snapshot.subject_days import count_imputed_dates
from services.analytics.wording.phrasing import count_noun, format_number, join_words
from shared.gate.study_timeline import protocol_on

ORDER_WORDS: Mapping[LaneOrder, str] = {
    "duration": "the longest first",
    "origin": "by the day of the origin",
    "participant": "by the number of the participant",
    "site": "by enrolling site",
}
_END_WORDS: Mapping[LaneEnd, str] = {
    "death": "died",
    "withdrawal": "withdrew consent",
    "undated_death": "died on a day that is not known",
    "cut_off": "alive on the data cut-off",
    "last_proof_of_life": "last known alive before it",
}
_COLUMN_HEADINGS = {
    "participant_id": "Participant",
    "site_id": "Site",
    "origin_on": "Origin",
    "entry": "Entry (day)",
    "exit": "Exit (day)",
    "event": "Death",
    "end": "End",
    "courses": "Courses of radiotherapy (days)",
    "lines": "Systemic lines (days)",
    "progressions": "Progressions (day)",
    "toxicities": "Toxicity of grade 3 or more (day)",
}
"""The columns of the table, by the names that programs read, as people read them."""


class Swimmer(PersonLevelFigure):
    """A lane for every participant whom overall survival counts, a page at a time, in days from the origin.

    `sort`: the order of the lanes; those that are equal in it are in the order of the participants' numbers.
    `first_day` and `last_day`: of everything that the lanes of all pages show, 0 included.
    """

    NAME: ClassVar[str] = "swimmer"
    TITLE: ClassVar[str] = "Swimmer plot"
    EXPLANATION: ClassVar[str] = (
        "A lane for each participant, from the origin to death or to the last proof of life: courses of radiotherapy, "
        "systemic lines, progression, and toxicity of grade 3 or more. Nothing after the data cut-off is shown."
    )
    PARAMETERS: ClassVar[frozenset[str]] = frozenset({"origin", "sort"})
    TABLES: ClassVar[tuple[str, ...]] = ("course", "finding", "line", "subject_day")
    COLUMN_HEADINGS = _COLUMN_HEADINGS

    origin: Origin
    definition: Definition
    sort: LaneOrder
    participants: int = Field(description="lanes of all pages")
    ends: dict[LaneEnd, int] = Field(description="lanes of all pages by what ends them")
    first_day: int
    last_day: int
    not_counted: tuple[NotCounted, ...]
    lanes: tuple[SwimmerLane, ...] = Field(description="rows of single participants: those of the page")

    @classmethod
    def _compute_page(cls, snapshot: StudySnapshot, selection: Selection, rows: PageSelector) -> Self:
        lanes = list_lanes(snapshot, selection)
        stereotactic = protocol_on(snapshot.study, selection.cut_date).stereotactic.deliveries
        facts = LaneFacts(lanes, list_targets(snapshot, selection), stereotactic)
        selected = rows.select(snapshot.subjects["participant_id"][lanes.subjects], lanes.keys)
        first_day, last_day = facts.extent()
        return cls(
            page=selected.page,
            next=selected.next,
            origin=chosen_origin(snapshot, selection),
            definition=Definition(id="swimmer", version=1),
            sort=selection.sort,
            participants=len(lanes),
            ends=lanes.count_ends(),
            first_day=first_day,
            last_day=last_day,
            not_counted=tuple(
                NotCounted(reason=reason, participants=count) for reason, count in lanes.not_counted.items() if count
            ),
            lanes=facts.rows(selected.places),
            imputed_dates=count_imputed_dates(facts.dated_rows()),
            left_out=selection.count_excluded(snapshot),
        )

    def caption(self, context: FigureContext) -> str:
        """Returns what a lane is, how many there are and end with a death, which are shown, and who has none."""
        sentences = [
            f"A lane for each participant from {ORIGIN_WORDS[self.origin]} to death or the last proof of life.",
            "It shows courses of radiotherapy, systemic lines, progressions and toxicity of grade 3 or more.",
            f"{count_noun(self.participants, 'participant')}{': ' if self.participants else ''}{self._end_words()}.",
            *self._page_words(),
            "Marks of one kind that would overlap are one mark, with the highest grade.",
            *describe_not_counted(self.not_counted),
        ]
        return " ".join([*sentences, self.provenance(context)])

    def _end_words(self) -> str:
        return join_words(f"{count} {_END_WORDS[end]}" for end, count in self.ends.items() if count)

    def _page_words(self) -> Iterator[str]:
        if self.page.rows:
            yield f"Lanes {self.page.first} to {self.page.last}, {ORDER_WORDS[self.sort]}."

    def headline(self, context: FigureContext) -> Headline:
        counts = [("participants", self.participants, "participant"), ("deaths", self.ends["death"], "death")]
        parts = ((name, count_noun(count, noun).partition(" ")) for name, count, noun in counts)
        return [(name, number, words) for name, (number, _, words) in parts]

    def table(self) -> FigureTable:
        """Returns a row for every lane of the page; days are counted from the origin."""
        return list(_COLUMN_HEADINGS), [_cells(lane) for lane in self.lanes]

    def draw(self, context: FigureContext) -> str:
        """Returns the lanes of the page as SVG text."""
        picture = LanePicture(
            name=self.NAME,
            title=self.TITLE,
            caption=self.caption(context),
            axis_title=f"Months from {ORIGIN_WORDS[self.origin]}",
            first_day=self.first_day,
            last_day=self.last_day,
            by_site=self.sort == "site",
        )
        return draw_lanes(picture, self.lanes)


def _cells(lane: SwimmerLane) -> list[str]:
    numbers = (lane.participant_id, lane.site_id, lane.origin_on, str(lane.entry), str(lane.exit))
    return [*numbers, "yes" if lane.event else "no", lane.end, *("; ".join(parts) for parts in _facts(lane))]


def _facts(lane: SwimmerLane) -> Iterator[Iterator[str]]:
    """Yields the courses, lines, progressions and toxicities of a lane, each in a few words."""
    yield (
        f"{course.course_id} {_span(course.started, course.ended)}: "
        + ", ".join(f"{target.delivery} {format_number(target.total_dose_gy)} Gy" for target in course.targets)
        for course in lane.courses
    )
    yield (f"{row.line_id} {_span(row.started, row.stopped)}: {row.agents}" for row in lane.lines)
    yield (f"{row.kind}{f' ({row.lesion_kind})' if row.lesion_kind else ''} {row.day}" for row in lane.progressions)
    yield (f"{row.name} grade {row.grade} {row.day}" for row in lane.toxicities)


def _span(start: int, end: int | None) -> str:
    """Returns `0 to 42`; `0 on` for what continues."""
    return f"{start} on" if end is None else f"{start} to {end}"
