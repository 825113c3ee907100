"""How a service judges its own facts of a participant whom enrollment registers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.contracts.event import Event, history
from shared.eventstore.judgement import Open, amended_by
from shared.eventstore.store import Head, Recalled
from shared.gate import study as studies
from shared.gate.doors import Surroundings
from shared.kernel.clock import Clock
from shared.kernel.fact import Fact
from shared.kernel.record import Gate, Record, Rules, standing


@dataclass(frozen=True)
class RegisteredElsewhere:
    """`rules` object to the service's facts in the light of each other, `world` asks the rest."""

    clock: Clock
    rules: Rules
    world: type[Surroundings]

    def site(self, head: Head, facts: Sequence[Fact]) -> str | None:
        return head.site_id

    def others(self, facts: Sequence[Fact]) -> frozenset[str]:
        return frozenset()

    def gate(self, study_id: str, study_record: Record, recalled: Recalled, site_id: str | None) -> Gate:
        active = studies.site(study_record, site_id or "")
        today = self.clock.today(study_id, active.time_zone if active else "UTC")
        known = recalled.elsewhere or Record()
        return self.world(
            study_record, today, site_id or "", participant=known, earlier=lambda: standing(history(recalled.events))
        ).gate

    def judged_by(self, study_record: Record, recalled: Recalled, fact: Fact) -> Mapping[str, Any]:
        """The protocol's amendment of the day, and the version of the participant in enrollment."""
        return {"enrollment_version": recalled.head.known, **amended_by(study_record, fact)}

    def needs_texts(self, recalled: Recalled, events: Sequence[Event]) -> bool:
        return False

    def head(self, recalled: Recalled, record: Record, events: Sequence[Event], opened: Open) -> Head:
        return recalled.head
