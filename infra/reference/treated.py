"""What somebody's enrollment facts say that bears on what follows, and how what follows is noted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

from infra.reference.chart import Stage, day_of
from infra.reference.study import StatedFact

Service = Literal["enrollment", "toxicity", "followup"]
SERVICES: tuple[Service, ...] = ("enrollment", "toxicity", "followup")


@dataclass(eq=False)
class Happening:
    """A fact as a service takes it, and the day on which it truly happened (the fact may say less).

    `after`: told only when that is told; `corrects`: what a `record.corrected` is about.
    """

    service: Service
    type: str
    data: dict[str, Any]
    day: date
    after: Happening | None = field(default=None, kw_only=True)
    corrects: Happening | None = field(default=None, kw_only=True)

    @property
    def fact(self) -> StatedFact:
        return {"type": self.type, "data": self.data}


@dataclass(frozen=True)
class Course:
    """One radiotherapy series; `ended` is None while it is under way. `stereotactic`: any of its targets is."""

    course_id: str
    began: date
    ended: date | None
    lesion_ids: tuple[str, ...]
    stereotactic: bool


@dataclass(frozen=True)
class Treated:
    """An enrolled participant. `lesions` gives (kind, body site) by id; `index` is None before radiotherapy."""

    enrolled_on: date
    stage: Stage
    performance: int
    symptoms: tuple[str, ...]
    lesions: dict[str, tuple[str, str]]
    courses: tuple[Course, ...]
    lines: dict[str, date]
    registry: bool
    withdrawn_on: date | None
    last_on: date

    @property
    def index(self) -> Course | None:
        return self.courses[0] if self.courses else None

    @classmethod
    def of(cls, facts: Sequence[StatedFact]) -> Treated | None:
        """None for somebody who is not enrolled. Every date must be a whole day."""
        enrolled, baseline = _of(facts, "participant.enrolled"), _of(facts, "participant.baseline_recorded")
        if not enrolled or not baseline:
            return None
        withdrawn = _of(facts, "participant.withdrawn")
        return cls(
            _day(enrolled[0]["enrolled_on"]),
            _stage(baseline[0]["tnm"]),
            baseline[0]["performance"]["value"],
            tuple(each["symptom"] for each in baseline[0]["symptoms"]),
            {lesion["lesion_id"]: (lesion["kind"], lesion["body_site"]) for lesion in _of(facts, "lesion.registered")},
            tuple(_courses(facts)),
            {line["line_id"]: _day(line["on"]) for line in _of(facts, "systemic_therapy.started")},
            bool(_of(facts, "participant.consented")[0]["options"]["registry"]),
            _day(withdrawn[0]["withdrawn_on"]) if withdrawn else None,
            max(_day(day_of(fact)) for fact in facts),
        )


def _of(facts: Iterable[StatedFact], type_name: str) -> list[dict[str, Any]]:
    return [fact["data"] for fact in facts if fact["type"] == type_name]


def _day(text: str) -> date:
    return date.fromisoformat(text)


def _stage(tnm: dict[str, str]) -> Stage:
    """AJCC 8, anaplastic carcinoma: any M1 is IVC; N1, T3b or T4 is IVB."""
    if "M1" in tnm["m"]:
        return "IVC"
    return "IVB" if "N1" in tnm["n"] or "T3b" in tnm["t"] or "T4" in tnm["t"] else "IVA"


def _courses(facts: Sequence[StatedFact]) -> Iterable[Course]:
    ends = {
        fact["data"]["course_id"]: _day(fact["data"]["ended_on"])
        for fact in facts
        if fact["type"] in ("radiotherapy.completed", "radiotherapy.discontinued")
    }
    for course in _of(facts, "radiotherapy.started"):
        treated = {lesion: None for target in course["targets"] for lesion in target.get("lesion_ids", ())}
        stereotactic = any(target["technique"] == "stereotactic" for target in course["targets"])
        began, ended = _day(course["started_on"]), ends.get(course["course_id"])
        yield Course(course["course_id"], began, ended, tuple(treated), stereotactic)
