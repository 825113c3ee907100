"""Overall survival as publications state it, and where it stands on a curve that counts from the same day. Pure.

Nothing here is computed from participants, and no number of a figure is computed from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from services.analytics.endpoints.origins import ORIGIN_WORDS
from services.analytics.figures.survival_numbers import DAYS_OF_MONTH, Interval
from services.analytics.snapshot.selection import Origin
from services.analytics.wording.phrasing import format_number
from shared.contracts.literature import PublishedStudyRecorded

ONE_YEAR_MONTHS = 12
_DAYS_OF_UNIT: Mapping[str, float] = {"day": 1, "week": 7, "month": DAYS_OF_MONTH, "year": 12 * DAYS_OF_MONTH}
_ORIGINS: Mapping[str, Origin] = {
    "diagnosis": "diagnosed",
    "diagnosed": "diagnosed",
    "enrollment": "enrolled",
    "enrolment": "enrolled",
    "enrolled": "enrolled",
    "start of radiotherapy": "rt_start",
    "rt_start": "rt_start",
    "end of radiotherapy": "rt_end",
    "rt_end": "rt_end",
    "start of stereotactic radiotherapy": "stereotactic_start",
    "stereotactic_start": "stereotactic_start",
}
"""The words for the day that a publication counts from which are an origin of figures; all others are not."""
_MAX_STATED, _MAX_PERCENT = 100_000, 100
_NUMBER = r"([0-9]+(?:\.[0-9]+)?)"
_RANGE = rf"{_NUMBER}\s*(?:-|–|to)\s*{_NUMBER}"
_UNIT = re.compile(r"(day|week|month|year)s?\b")
_CONFIDENCE = re.compile(rf"\(95 ?% CI:? {_RANGE}\)")
_ONLY_RANGE = re.compile(_RANGE)
_WITH_CONFIDENCE = re.compile(rf"{_NUMBER} {_CONFIDENCE.pattern}")


class LiteratureMark(BaseModel):
    """A published estimate that stands on a curve: a median at half, or the survival at one year.

    `time`: days from the origin; `share`: without event. An estimate is null where the publication has only a range.
    """

    model_config = ConfigDict(frozen=True)

    ref_id: str
    source: str = Field(description="first author and year")
    measure: Literal["median", "one_year"]
    time: Interval
    share: Interval

    def describe(self) -> str:
        """Returns the source and the estimate in words."""
        if self.measure == "median":
            return f"{self.source} ({self.ref_id}): median {describe_estimate(self.time, DAYS_OF_MONTH)} months"
        return f"{self.source} ({self.ref_id}): {describe_estimate(self.share, 0.01)} % alive at 1 year"


def published_source(study: PublishedStudyRecorded) -> str:
    """Returns the first author and the year; several authors may have their years with them."""
    years = study.year.split(";") if isinstance(study.year, str) else ()
    has_years = bool(years) and all(year.strip() in study.first_author for year in years)
    return study.first_author if has_years else f"{study.first_author} {study.year}"


def published_origin(study: PublishedStudyRecorded) -> Origin | None:
    """Returns the origin that a publication counts from; None if it states another day, or none."""
    return _ORIGINS.get((study.os_anchor or "").strip().casefold())


def published_median(study: PublishedStudyRecorded) -> Interval | None:
    """Returns the median overall survival in days; None without a number and its unit."""
    unit = _UNIT.match((study.os_unit or "").strip().casefold())
    if unit is None or study.median_os is None:
        return None
    interval = _read_estimate(study.median_os)
    confidence = _CONFIDENCE.search(study.os_unit or "")
    if interval and confidence and interval.lower is None:
        interval = _interval(interval.estimate, confidence[1], confidence[2])
    return _scale(interval, _DAYS_OF_UNIT[unit[1]]) if interval else None


def published_one_year(study: PublishedStudyRecorded) -> Interval | None:
    """Returns the share alive at one year; None without a single number or range."""
    interval = None if study.os_1y_pct is None else _read_estimate(study.os_1y_pct)
    if interval is None or max(value for _, value in interval if value is not None) > _MAX_PERCENT:
        return None
    return _scale(interval, 1 / _MAX_PERCENT)


def literature_marks(studies: Iterable[PublishedStudyRecorded], origin: Origin) -> tuple[LiteratureMark, ...]:
    """Returns the marks of the publications that count from the origin, in their order."""
    return tuple(mark for study in studies if published_origin(study) == origin for mark in _marks(study))


def _marks(study: PublishedStudyRecorded) -> Iterator[LiteratureMark]:
    half, year = _exactly(0.5), _exactly(ONE_YEAR_MONTHS * DAYS_OF_MONTH)
    source = published_source(study)
    if median := published_median(study):
        yield LiteratureMark(ref_id=study.ref_id, source=source, measure="median", time=median, share=half)
    if share := published_one_year(study):
        yield LiteratureMark(ref_id=study.ref_id, source=source, measure="one_year", time=year, share=share)


def describe_literature(marks: tuple[LiteratureMark, ...] | None, origin: Origin) -> Iterator[str]:
    """Yields the marks in words, or that there are none; nothing for a figure without them."""
    if marks is None:
        return
    if not marks:
        yield f"No publication beside this study counts from {ORIGIN_WORDS[origin]}, so none is marked."
        return
    yield f"Marked from publications, not from this study: {'; '.join(mark.describe() for mark in marks)}."


def _read_estimate(stated: float | str) -> Interval | None:
    """Returns a number, a number with its 95 % interval, or a range; None for other words."""
    if not isinstance(stated, str):
        return _exactly(float(stated))
    if span := _ONLY_RANGE.fullmatch(stated.strip()):
        return _interval(None, span[1], span[2])
    if estimate := _WITH_CONFIDENCE.fullmatch(stated.strip()):
        return _interval(float(estimate[1]), estimate[2], estimate[3])
    return None


def _interval(estimate: float | None, lower: str, upper: str) -> Interval | None:
    """Returns the interval; None for limits that are the wrong way around, and for numbers that are no survival."""
    low, high = float(lower), float(upper)
    is_ordered = low <= (low if estimate is None else estimate) <= high <= _MAX_STATED
    return Interval(estimate=estimate, lower=low, upper=high) if is_ordered else None


def _exactly(value: float) -> Interval:
    return Interval(estimate=value, lower=None, upper=None)


def _scale(interval: Interval, factor: float) -> Interval:
    scaled = {name: None if value is None else value * factor for name, value in interval}
    return Interval(**scaled)


def describe_estimate(interval: Interval, unit: float) -> str:
    """Returns an estimate with its limits in a unit, to one decimal."""
    estimate, lower, upper = (
        None if value is None else format_number(round(value / unit, 1))
        for value in (interval.estimate, interval.lower, interval.upper)
    )
    if estimate is None:
        return f"{lower} to {upper}"
    return estimate if lower is None else f"{estimate} (95 % CI {lower} to {upper})"
