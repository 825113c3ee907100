"""`python -m tests.contracts.derivation_digest`: writes the digests of what analytics derives from fixed histories.

The file has them beside the `DERIVATION_VERSION` under which they were derived, so that nobody changes derived rows or
data queries and leaves the version: stored ones would stay as they were. `make contracts` runs it. It writes nothing
while the file has this version.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

from services.analytics.cohort.study_plans import StudyPlans
from services.analytics.derivation.derive import DERIVATION_VERSION
from services.analytics.deriver.derivation_batch import derive_participant
from services.analytics.deriver.repository import ParticipantResult
from services.analytics.queries.case import RULES
from shared.contracts.event import Event
from shared.kernel.fact import Fact, StatedFact
from shared.kernel.record import Record
from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as follow_up
from shared.testing.builders import toxicity_facts as toxicity
from shared.testing.builders.events import make_event

FILE = Path(__file__).with_name("derivation_digest.json")
_KNOWN_ON = date(2026, 1, 31)
_TERM_NAMES = {toxicity.DYSPHAGIA: "Dysphagia"}
_PLAN: dict[str, Any] = {"toxicity": {"dictionary": "ctcae-3.0", "checklist": [toxicity.DYSPHAGIA]}}
_AMENDED_PLAN: dict[str, Any] = {"toxicity": {"dictionary": "ctcae-5.0"}, "follow_up": {"anchor_policy": "per_course"}}
_STUDY = (
    facts.study_opened(facts.protocol(**_PLAN)),
    facts.protocol_amended(150, facts.protocol(**_AMENDED_PLAN), "A1"),
    facts.study_closed("2025-12-31"),
)
_ENROLLED = (*facts.ENROLLMENT_FACTS, facts.baseline_recorded(0, symptoms=[{"symptom": "dysphagia", "severity": 2}]))
_TREATED = (
    *_ENROLLED,
    facts.lesion_registered("L1"),
    facts.radiotherapy_started(0, "RT1", facts.target("T1", "L1", delivery="SBRT", fractions=6, cgy_per_fraction=600)),
    facts.radiotherapy_completed(28),
)
HISTORIES: Mapping[str, Sequence[Fact]] = {
    "absence": (*_TREATED, follow_up.lost_to_follow_up(100), follow_up.follow_up_resumed(220)),
    "death without a date": (*_TREATED, follow_up.follow_up_recorded(100, "L1"), follow_up.participant_died(None)),
    "excluded by the last consent": (*_TREATED, facts.consent_signed(9, options={"data_use": False})),
    "lesions": (
        *_TREATED,
        follow_up.follow_up_recorded(90, symptoms=[{"symptom": "dysphagia", "change": "worse"}]),
        follow_up.follow_up_recorded(180, disease=follow_up.disease_status("L1", status="progressed")),
        follow_up.disease_progressed(200, "L1", basis="histology"),
        facts.procedure_performed(210, lesion_ids=["L1"]),
    ),
    "partial dates": (
        facts.participant_screened("2024-02"),
        facts.consent_signed("2024"),
        facts.participant_enrolled("2024-02"),
        facts.radiotherapy_started("2024-03"),
        facts.radiotherapy_completed("2024"),
        facts.systemic_therapy_started("2024-05", planned_cycles=4),
        facts.systemic_therapy_stopped("2024-05"),
        follow_up.participant_died("2025"),
    ),
    "screening failure": (facts.participant_screened(), facts.screening_failed(3, "histology")),
    "toxicity": (
        *_TREATED,
        toxicity.toxicity_assessed(40, toxicity.finding(grade=3, onset_on=facts.day(35)), timepoint="end_of_rt"),
        toxicity.toxicity_assessed(160, toxicity.finding(grade=None), checklist_complete=False),
        toxicity.serious_event_reported("SAE1", 50, attribution=toxicity.attributions("course:RT1", level="probable")),
        toxicity.serious_event_updated("SAE1", aware_at="2024-05-01T00:00:00Z", grade=4),
    ),
    "transfer": (*_TREATED, facts.participant_transferred("milan", 60), follow_up.visit_missed(200, 2)),
    "two courses": (
        *_TREATED,
        facts.prescription_changed(9, "RT1", facts.target("T1", fractions=10), facts.target("T2", "L1")),
        facts.radiotherapy_started(160, "RT2", facts.target("T1", "L1", delivery="SRS", fractions=1), index=False),
        facts.radiotherapy_discontinued(170, "RT2"),
        follow_up.follow_up_recorded(290, course_id="RT2"),
    ),
    "voided": (*_TREATED, facts.participant_voided()),
    "withdrawal": (
        *_TREATED,
        facts.consent_withdrawn(60),
        follow_up.follow_up_recorded(100),
        follow_up.query_explained(),
        follow_up.participant_died(200),
    ),
}
"""The facts of participants by what they are about; together they have rows in every table."""


@dataclass(frozen=True, slots=True)
class DerivationDigest:
    """The version of the derivation, the names of the data query rules, and a digest of each history's results."""

    version: int
    rules: Sequence[str]
    histories: Mapping[str, str]

    @classmethod
    def current(cls) -> DerivationDigest:
        digests = {name: result.digest.hex() for name, result in derive_histories().items()}
        return cls(DERIVATION_VERSION, sorted(RULES), digests)

    @classmethod
    def stored(cls, file: Path = FILE) -> DerivationDigest:
        content: dict[str, Any] = json.loads(file.read_text("utf-8"))
        return cls(**content)

    def to_text(self) -> str:
        content = {"version": self.version, "rules": self.rules, "histories": self.histories}
        return json.dumps(content, indent=2) + "\n"


def derive_histories() -> dict[str, ParticipantResult]:
    """Returns the rows and data queries of each history."""
    study = Record(tuple(StatedFact(UUID(int=number), fact) for number, fact in enumerate(_STUDY, 1)))
    plans = StudyPlans.from_record(study)
    return {
        name: derive_participant(f"P{number:010}", _events(number, HISTORIES[name]), plans, _TERM_NAMES)
        for number, name in enumerate(sorted(HISTORIES), 1)
    }


def _events(number: int, stated: Sequence[Fact]) -> list[Event]:
    """Returns the events of a participant, whose ids are numbers."""
    return [
        replace(
            make_event(fact, version, stream_id=f"P{number:010}", event_id=UUID(int=1000 * number + version)),
            known_on=_KNOWN_ON,
        )
        for version, fact in enumerate(stated, 1)
    ]


def what_to_do(stored: DerivationDigest, current: DerivationDigest) -> str:
    """Returns what a developer has to do before the stored digests are right; empty if they are."""
    if stored.version != current.version:
        return f"The digests are those of DERIVATION_VERSION {stored.version}: run `make contracts`."
    if stored == current:
        return ""
    changed = [name for name, digest in current.histories.items() if stored.histories.get(name) != digest]
    rules = sorted(set(stored.rules) ^ set(current.rules))
    return (
        "The same facts give other derived rows or data queries than before"
        f" (histories: {', '.join(changed) or 'none'}; rules: {', '.join(rules) or 'none'})."
        " Raise DERIVATION_VERSION in services/analytics/derivation/derive.py, then run `make contracts`."
    )


def main(file: Path = FILE) -> None:
    if not file.exists() or DerivationDigest.stored(file).version != DERIVATION_VERSION:
        file.write_text(DerivationDigest.current().to_text(), "utf-8")


if __name__ == "__main__":
    main()
