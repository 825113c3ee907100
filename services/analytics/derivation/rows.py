"""The derived rows of a participant: a class for every table, with a typed column for every member.

Rows have a fixed width. A day is a `date`: `NEVER` where there is none. A text is a `str` of a small vocabulary (an id,
a code): the tables hold a number instead of it. A day with the suffix `_on` has a `_precision` beside it where its fact
can be dated by month or year only: 0 an exact day, 1 a month, 2 a year; a day that is not exact is imputed.

A cut-off chooses among the days of rows and changes none. docs/architecture/analytics/derivation.md has the tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple, get_args, get_type_hints

from services.analytics.derivation.follow_up_rows import AbsenceRow, VisitRow

NEVER = date.max
UNKNOWN_NUMBER = -1
"""A number that is not stated."""


class SubjectRow(NamedTuple):
    """A participant: milestones, the end of participation, and the baseline. One row for each participant.

    An excluded participant has only this row, without days. `enrolling_site` divides figures; the current site stands
    beside each row for row-level security. `alive_on`: the last proof of life, up to the withdrawal; without one
    `NEVER` (`alive_before` has `date.min`). `died_on`: the day of a dated death; `dead_from`: the same, or for a death
    without a date the last proof of life, or `date.min`, and then `died_precision` is 3. `participation_ends_on`: the
    first withdrawal of consent.
    """

    participant_id: str
    enrolling_site: str
    is_excluded: bool
    is_screened: bool
    sex: str
    birth_year: int
    screened_on: date
    screened_precision: int
    screen_failed_on: date
    screen_failed_precision: int
    consented_on: date
    consented_precision: int
    enrolled_on: date
    enrolled_precision: int
    index_course: str
    index_started_on: date
    index_started_precision: int
    index_ended_on: date
    index_ended_precision: int
    participation_ends_on: date
    participation_ends_precision: int
    alive_on: date
    alive_precision: int
    died_on: date
    died_precision: int
    dead_from: date
    death_cause: str
    is_death_presumed: bool
    baseline_on: date
    baseline_precision: int
    diagnosed_on: date
    diagnosed_precision: int
    histology: str
    primary_site: str
    t: str
    n: str
    m: str
    tnm_edition: str
    performance_scale: str
    performance_value: int
    molecular_status: str


class SubjectDayRow(NamedTuple):
    """A day of a kind of which a participant can have several, such as a consent. `code`: what happened, in a word."""

    participant_id: str
    kind: str
    day_on: date
    day_precision: int
    code: str


class CourseRow(NamedTuple):
    """A course of radiotherapy. `ended_as`: completed, discontinued, or empty while it continues."""

    participant_id: str
    course: str
    is_index: bool
    intent: str
    started_on: date
    started_precision: int
    ended_on: date
    ended_precision: int
    ended_as: str
    reason: str


class PrescribedTargetRow(NamedTuple):
    """A target of a course, as prescribed and delivered on the days from `valid_from` to `valid_to`, both inclusive.

    `rank`: the order of the targets of a course on a day, from 0. Doses are centigray. `fractions_delivered` and
    `delivered_cgy` are `UNKNOWN_NUMBER` while the course continues, or where its end does not name the target; so is an
    isodose that is not stated. `prescribed_precision`: that of the date of the prescription, or of the end of the
    course, that begins the row.
    """

    participant_id: str
    course: str
    target: str
    rank: int
    valid_from: date
    valid_to: date
    prescribed_precision: int
    label: str
    modality: str
    technique: str
    delivery: str
    fractions: int
    fraction_cgy: int
    total_cgy: int
    isodose_percent: int
    boost_of: str
    treats_metastasis: bool
    treats_cns: bool
    fractions_delivered: int
    delivered_cgy: int


class LineRow(NamedTuple):
    """A line of systemic therapy. `agents`: the names of its agents, joined by " + "."""

    participant_id: str
    line: str
    setting: str
    agents: str
    planned_cycles: int
    started_on: date
    started_precision: int
    stopped_on: date
    stopped_precision: int
    reason: str
    cycles_given: int


class LesionEpisodeRow(NamedTuple):
    """A lesion and a course that treats it, from the first prescription of the course that names it.

    `retracted_on`: the day from which the prescription of the course no longer names it. `failed_on`: the first
    evidence of local progression after `named_on`. `retreated_on`: the first day after it on which another course names
    the lesion; `procedure_on`: the first procedure after it that names the lesion.
    """

    participant_id: str
    lesion: str
    course: str
    kind: str
    body_site: str
    delivery: str
    named_on: date
    named_precision: int
    retracted_on: date
    failed_on: date
    failed_precision: int
    retreated_on: date
    retreated_precision: int
    procedure_on: date
    procedure_precision: int


class LesionStatusRow(NamedTuple):
    """The status of a lesion at a contact, or a local progression of it, which has the status `progressed`."""

    participant_id: str
    lesion: str
    assessed_on: date
    assessed_precision: int
    status: str
    basis: str


class AssessmentRow(NamedTuple):
    """A toxicity assessment. `number` counts the assessments of a participant by day, from 0.

    `dictionary` and `amendment` are those of the protocol in force on its day: its checklist counts.
    """

    participant_id: str
    number: int
    assessed_on: date
    assessed_precision: int
    timepoint: str
    course: str
    is_complete: bool
    dictionary: str
    amendment: str
    graded: int


class FindingRow(NamedTuple):
    """A graded or ungraded term of an assessment, or of a serious adverse event, which has the number `UNKNOWN_NUMBER`.

    `assessed_on` is the day of the assessment, or of the report; `event_on` is the day of the event. `grade` is
    `UNKNOWN_NUMBER` where it was not graded. `relation`: `related`, `unrelated`, or `not_stated`, to any course.
    """

    participant_id: str
    number: int
    term: str
    grade: int
    assessed_on: date
    assessed_precision: int
    event_on: date
    event_precision: int
    relation: str


class SymptomRow(NamedTuple):
    """A symptom: its `severity` at baseline, or its `change` against baseline at a contact."""

    participant_id: str
    symptom: str
    day_on: date
    day_precision: int
    severity: str
    change: str


Row = (
    SubjectRow
    | SubjectDayRow
    | CourseRow
    | PrescribedTargetRow
    | LineRow
    | LesionEpisodeRow
    | LesionStatusRow
    | AssessmentRow
    | FindingRow
    | SymptomRow
    | VisitRow
    | AbsenceRow
)


@dataclass(frozen=True, slots=True)
class ParticipantRows:
    """All derived rows of one participant, by the names of their tables."""

    subject: tuple[SubjectRow, ...]
    subject_day: tuple[SubjectDayRow, ...] = ()
    course: tuple[CourseRow, ...] = ()
    target: tuple[PrescribedTargetRow, ...] = ()
    line: tuple[LineRow, ...] = ()
    lesion_episode: tuple[LesionEpisodeRow, ...] = ()
    lesion_status: tuple[LesionStatusRow, ...] = ()
    assessment: tuple[AssessmentRow, ...] = ()
    finding: tuple[FindingRow, ...] = ()
    symptom: tuple[SymptomRow, ...] = ()
    visit: tuple[VisitRow, ...] = ()
    absence: tuple[AbsenceRow, ...] = ()


TABLES: Mapping[str, type[Row]] = {name: get_args(table)[0] for name, table in get_type_hints(ParticipantRows).items()}
"""The class of the rows of each table, by the table's name. In the database the names begin with `derived_`."""
