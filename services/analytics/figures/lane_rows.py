"""Lanes of participants as rows: courses, systemic lines, progressions and severe toxicity, by day. Pure.

Days are counted from the origin of the lane, and are negative before it. A fact dated after the cut-off is not shown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from typing import Literal, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from services.analytics.cohort.date_imputation import EXACT, MONTH, YEAR
from services.analytics.derivation.toxicity import SEVERE_GRADE
from services.analytics.endpoints.lanes import LANE_ENDS, Indexes, LaneEnd, Lanes
from services.analytics.figures.target_rows import TargetList
from services.analytics.snapshot.columns import Table, day_of_number
from services.analytics.snapshot.snapshot import Mask
from services.analytics.snapshot.subject_days import DatedRows
from services.analytics.statistics.dose import gray
from shared.terminology.ctcae import TermNames

ProgressionKind = Literal["local", "regional", "distant"]
Relation = Literal["related", "unrelated", "not_stated"]
_TERM_NAMES = TermNames()
_TEXT_LENGTHS = {EXACT: 10, MONTH: 7, YEAR: 4}
RowT = TypeVar("RowT", bound=BaseModel)


class LaneTarget(BaseModel):
    """A target of a course, as prescribed last."""

    model_config = ConfigDict(frozen=True)

    target_id: str
    delivery: str
    fractions: int
    total_dose_gy: float


class LaneCourse(BaseModel):
    """A course of radiotherapy. `stereotactic`: it has a stereotactic target. `ended`: null while it continues."""

    model_config = ConfigDict(frozen=True)

    course_id: str
    index: bool
    stereotactic: bool
    started: int
    ended: int | None
    targets: tuple[LaneTarget, ...]


class LaneLine(BaseModel):
    """A line of systemic therapy. `stopped`: null while it continues."""

    model_config = ConfigDict(frozen=True)

    line_id: str
    agents: str
    setting: str
    started: int
    stopped: int | None


class LaneProgression(BaseModel):
    """Evidence of progression. `lesion_kind`: that of the lesion of a local progression, where it is known."""

    model_config = ConfigDict(frozen=True)

    day: int
    kind: ProgressionKind
    lesion_kind: str | None


class LaneToxicity(BaseModel):
    """A term of grade 3 or more on the day of its event, with the highest grade of that day."""

    model_config = ConfigDict(frozen=True)

    day: int
    term: str
    name: str
    grade: int
    relation: Relation


class SwimmerLane(BaseModel):
    """A participant from the origin to the end of observation, in days from the origin.

    `event`: whether the lane ends with a death, as in overall survival. `origin_on`: the day of the origin as it was
    recorded. `entry`: the day from which the participant is at risk, later than 0 with a delayed entry.
    """

    model_config = ConfigDict(frozen=True)

    participant_id: str
    site_id: str
    origin_on: str
    entry: int
    exit: int
    event: bool
    end: LaneEnd = Field(description="what ends the lane; `cut_off`: alive on the data cut-off")
    courses: tuple[LaneCourse, ...]
    lines: tuple[LaneLine, ...]
    progressions: tuple[LaneProgression, ...]
    toxicities: tuple[LaneToxicity, ...]


class LaneFacts:
    """The facts of lanes: the rows of the tables that are dated by the cut-off, with the number of the lane of each.

    `stereotactic`: the deliveries that the protocol calls so.
    """

    def __init__(self, lanes: Lanes, targets: TargetList, stereotactic: Collection[str]) -> None:
        self._lanes, self._targets, self._stereotactic = lanes, targets, stereotactic
        tables = lanes.snapshot.tables
        self._lines, self._findings, self._days = tables["line"], tables["finding"], tables["subject_day"]
        is_progression = self._days["kind"] == lanes.snapshot.words.code("progression")
        self._line_lanes = self._numbers(self._lines, self._lines["started_on"] <= lanes.cut)
        self._progression_lanes = self._numbers(self._days, is_progression & (self._days["day_on"] <= lanes.cut))
        is_severe = self._findings["grade"] >= SEVERE_GRADE
        self._finding_lanes = self._numbers(self._findings, is_severe & (self._findings["event_on"] <= lanes.cut))
        self._target_lanes = lanes.numbers_of(targets.subject_index)

    def _numbers(self, table: Table, mask: Mask) -> Indexes:
        return np.where(mask, self._lanes.numbers_of(self._lanes.snapshot.subject_indexes(table)), -1)

    def dated_rows(self) -> list[DatedRows]:
        """Returns the days that fixed lanes or are shown in them, with the precision of their dates."""
        lanes = self._lanes
        return [*((lanes.subjects, column.day, column.precision) for column in lanes.dates), *self._shown_rows]

    @cached_property
    def _shown_rows(self) -> list[DatedRows]:
        """The days of courses, lines, progressions and toxicities that lanes show."""
        lanes, cut, rows = self._lanes, self._lanes.cut, list[DatedRows]()
        courses = lanes.snapshot.tables["course"]
        course_lanes = self._numbers(courses, courses["started_on"] <= cut)
        dated_tables = [
            (self._lines, self._line_lanes, ("started", "stopped")),
            (courses, course_lanes, ("started", "ended")),
            (self._days, self._progression_lanes, ("day",)),
            (self._findings, self._finding_lanes, ("event",)),
        ]
        for table, numbers, names in dated_tables:
            for name in names:
                day = table[f"{name}_on"]
                mask = (numbers >= 0) & (day <= cut)
                rows.append((lanes.subjects[numbers[mask]], day[mask], table[f"{name}_precision"][mask]))
        return rows

    def extent(self) -> tuple[int, int]:
        """Returns the first and the last day of everything that the lanes of all pages show, the origins included."""
        lanes = self._lanes
        origins = np.zeros(len(lanes.snapshot.subjects), dtype=np.int64)
        origins[lanes.subjects] = lanes.origins.day
        days = np.concatenate([lanes.exits, *(day - origins[subjects] for subjects, day, _ in self._shown_rows)])
        return min(0, int(days.min(initial=0))), int(days.max(initial=0))

    def rows(self, places: slice) -> tuple[SwimmerLane, ...]:
        """Returns the lanes at these places."""
        chosen = range(*places.indices(len(self._lanes)))
        courses = self._courses(chosen)
        lines = self._group(chosen, self._line_lanes, self._line)
        progressions = self._group(chosen, self._progression_lanes, self._progression)
        toxicities = self._group(chosen, self._finding_lanes, self._toxicity)
        return tuple(
            self._lane(
                number,
                courses=tuple(courses[number]),
                lines=_lines_in_order(lines[number]),
                progressions=_distinct_progressions(progressions[number]),
                toxicities=_highest_grades(toxicities[number]),
            )
            for number in chosen
        )

    def _lane(self, number: int, **facts: Sequence[BaseModel]) -> SwimmerLane:
        lanes = self._lanes
        subjects, subject, end = lanes.snapshot.subjects, int(lanes.subjects[number]), LANE_ENDS[lanes.ends[number]]
        on = day_of_number(int(lanes.origins.day[number])).isoformat()
        return SwimmerLane.model_validate(
            {
                "participant_id": bytes(subjects["participant_id"][subject]).decode(),
                "site_id": self._word(subjects["enrolling_site"][subject]),
                "origin_on": on[: _TEXT_LENGTHS[int(lanes.origins.precision[number])]],
                "entry": int(lanes.entries[number]),
                "exit": int(lanes.exits[number]),
                "event": end == "death",
                "end": end,
                **facts,
            }
        )

    def _group(self, chosen: range, numbers: Indexes, build: Callable[[int, int], RowT]) -> Mapping[int, list[RowT]]:
        """Returns what `build` makes of each row and its origin, by the number of the lane."""
        rows = np.flatnonzero((numbers >= chosen.start) & (numbers < chosen.stop))
        groups = defaultdict[int, list[RowT]](list)
        for row in rows.tolist():
            number = int(numbers[row])
            groups[number].append(build(row, int(self._lanes.origins.day[number])))
        return groups

    def _courses(self, chosen: range) -> Mapping[int, list[LaneCourse]]:
        """Returns the courses of each lane, in the order of the treatments."""
        targets, courses = self._targets, defaultdict[int, list[LaneCourse]](list)
        of_course = defaultdict[tuple[int, int], list[LaneTarget]](list)
        numbers = self._target_lanes
        for index in np.flatnonzero((numbers >= chosen.start) & (numbers < chosen.stop)).tolist():
            of_course[int(numbers[index]), int(targets.course_index[index])].append(self._target(index))
        for (number, row), of_this in of_course.items():
            courses[number].append(self._course(row, int(self._lanes.origins.day[number]), of_this))
        return courses

    def _target(self, index: int) -> LaneTarget:
        row, table = int(self._targets.target_index[index]), self._lanes.snapshot.tables["target"]
        return LaneTarget(
            target_id=self._word(table["target"][row]),
            delivery=self._word(table["delivery"][row]),
            fractions=int(table["fractions"][row]),
            total_dose_gy=float(gray(int(table["total_cgy"][row]))),
        )

    def _course(self, row: int, origin: int, targets: Sequence[LaneTarget]) -> LaneCourse:
        table = self._targets.courses
        return LaneCourse(
            course_id=self._word(table["course"][row]),
            index=bool(table["is_index"][row]),
            stereotactic=any(target.delivery in self._stereotactic for target in targets),
            started=int(table["started_on"][row]) - origin,
            ended=self._day_by_cut(table, "ended_on", row, origin),
            targets=tuple(targets),
        )

    def _line(self, row: int, origin: int) -> LaneLine:
        table = self._lines
        return LaneLine(
            line_id=self._word(table["line"][row]),
            agents=self._word(table["agents"][row]),
            setting=self._word(table["setting"][row]),
            started=int(table["started_on"][row]) - origin,
            stopped=self._day_by_cut(table, "stopped_on", row, origin),
        )

    def _progression(self, row: int, origin: int) -> LaneProgression:
        kind, _, lesion_kind = self._word(self._days["code"][row]).partition("_")
        members = {"day": int(self._days["day_on"][row]) - origin, "kind": kind, "lesion_kind": lesion_kind or None}
        return LaneProgression.model_validate(members)

    def _toxicity(self, row: int, origin: int) -> LaneToxicity:
        table = self._findings
        term = self._word(table["term"][row])
        return LaneToxicity.model_validate(
            {
                "day": int(table["event_on"][row]) - origin,
                "term": term,
                "name": _TERM_NAMES.get(term, term),
                "grade": int(table["grade"][row]),
                "relation": self._word(table["relation"][row]),
            }
        )

    def _day_by_cut(self, table: Table, name: str, row: int, origin: int) -> int | None:
        day = int(table[name][row])
        return day - origin if day <= self._lanes.cut else None

    def _word(self, code: int) -> str:
        return self._lanes.snapshot.words.word(code)


def _lines_in_order(lines: Sequence[LaneLine]) -> tuple[LaneLine, ...]:
    return tuple(sorted(lines, key=lambda line: (line.started, line.line_id)))


def _distinct_progressions(progressions: Sequence[LaneProgression]) -> tuple[LaneProgression, ...]:
    return tuple(sorted(set(progressions), key=lambda row: (row.day, row.kind, row.lesion_kind or "")))


def _highest_grades(toxicities: Sequence[LaneToxicity]) -> tuple[LaneToxicity, ...]:
    """Returns one row for each day and term, that of the highest grade."""
    ordered = sorted(toxicities, key=lambda row: (row.day, row.term, row.grade, row.relation == "related"))
    return tuple({(row.day, row.term): row for row in ordered}.values())
