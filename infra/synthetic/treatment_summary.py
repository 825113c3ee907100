"""The parts of enrollment facts on which later facts depend, and the type of simulated facts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from infra.reference.study import ReferenceFact
from infra.services import Service
from infra.synthetic.enrollment_facts import Stage, clinical_date


@dataclass(eq=False)
class SimulatedFact:
    """A fact for a service, and the true day of its event (the fact may have a partial date).

    `after` is a fact that must be reported before; `corrects` is the fact that a `record.corrected` corrects.
    """

    service: Service
    type: str
    data: dict[str, Any]
    day: date
    after: SimulatedFact | None = field(default=None, kw_only=True)
    corrects: SimulatedFact | None = field(default=None, kw_only=True)

    @property
    def fact(self) -> ReferenceFact:
        return {"type": self.type, "data": self.data}


@dataclass(frozen=True)
class RadiotherapyCourse:
    """One course of radiotherapy; `ended_on` is None while it runs; `stereotactic` if any target is."""

    course_id: str
    started_on: date
    ended_on: date | None
    lesion_ids: tuple[str, ...]
    stereotactic: bool


@dataclass(frozen=True)
class TreatedParticipant:
    """An enrolled participant; `lesions` has (kind, body site) by id; `index_course` is None before radiotherapy."""

    enrolled_on: date
    stage: Stage
    performance: int
    symptoms: tuple[str, ...]
    lesions: dict[str, tuple[str, str]]
    courses: tuple[RadiotherapyCourse, ...]
    line_starts: dict[str, date]
    registry: bool
    withdrawn_on: date | None
    last_fact_on: date

    @property
    def index_course(self) -> RadiotherapyCourse | None:
        return self.courses[0] if self.courses else None

    @classmethod
    def from_facts(cls, facts: Sequence[ReferenceFact]) -> TreatedParticipant | None:
        """Returns the participant of these facts; None if not enrolled. Every date must have a day."""
        enrolled, baseline = (
            _contents_of_type(facts, "participant.enrolled"),
            _contents_of_type(facts, "participant.baseline_recorded"),
        )
        if not enrolled or not baseline:
            return None
        withdrawn = _contents_of_type(facts, "participant.withdrawn")
        return cls(
            enrolled_on=_parse_day(enrolled[0]["enrolled_on"]),
            stage=_derive_stage(baseline[0]["tnm"]),
            performance=baseline[0]["performance"]["value"],
            symptoms=tuple(symptom["symptom"] for symptom in baseline[0]["symptoms"]),
            lesions={
                lesion["lesion_id"]: (lesion["kind"], lesion["body_site"])
                for lesion in _contents_of_type(facts, "lesion.registered")
            },
            courses=tuple(_courses(facts)),
            line_starts={
                line["line_id"]: _parse_day(line["on"]) for line in _contents_of_type(facts, "systemic_therapy.started")
            },
            registry=bool(_contents_of_type(facts, "participant.consented")[0]["options"]["registry"]),
            withdrawn_on=_parse_day(withdrawn[0]["withdrawn_on"]) if withdrawn else None,
            last_fact_on=max(_parse_day(clinical_date(fact)) for fact in facts),
        )


def _contents_of_type(facts: Iterable[ReferenceFact], type_name: str) -> list[dict[str, Any]]:
    return [fact["data"] for fact in facts if fact["type"] == type_name]


def _parse_day(text: str) -> date:
    return date.fromisoformat(text)


def _derive_stage(tnm: dict[str, str]) -> Stage:
    """AJCC 8, anaplastic carcinoma: any M1 is IVC; N1, T3b or T4 is IVB."""
    if "M1" in tnm["m"]:
        return "IVC"
    return "IVB" if "N1" in tnm["n"] or "T3b" in tnm["t"] or "T4" in tnm["t"] else "IVA"


def _courses(facts: Sequence[ReferenceFact]) -> Iterable[RadiotherapyCourse]:
    ends = {
        fact["data"]["course_id"]: _parse_day(fact["data"]["ended_on"])
        for fact in facts
        if fact["type"] in ("radiotherapy.completed", "radiotherapy.discontinued")
    }
    for course in _contents_of_type(facts, "radiotherapy.started"):
        treated_lesions = {lesion: None for target in course["targets"] for lesion in target.get("lesion_ids", ())}
        stereotactic = any(target["technique"] == "stereotactic" for target in course["targets"])
        started_on, ended_on = _parse_day(course["started_on"]), ends.get(course["course_id"])
        yield RadiotherapyCourse(
            course_id=course["course_id"],
            started_on=started_on,
            ended_on=ended_on,
            lesion_ids=tuple(treated_lesions),
            stereotactic=stereotactic,
        )
