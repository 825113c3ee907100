"""Policy of streams about participants that another service, enrollment, registers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.contracts.event import Event, stated_facts
from shared.eventstore.store import LoadedStream, StreamHead
from shared.eventstore.stream_policy import TextOpener, amendment_provenance
from shared.gate import study_timeline
from shared.gate.participant_gate import ParticipantGate
from shared.kernel.clock import Clock
from shared.kernel.fact import Fact
from shared.kernel.record import Gate, Record, Rules, current_record


@dataclass(frozen=True)
class ForeignParticipantPolicy:
    """Decides by the service's own `rules`, and by a gate that knows the study and the participant in enrollment."""

    clock: Clock
    rules: Rules
    gate_type: type[ParticipantGate]

    def stating_site(self, head: StreamHead, facts: Sequence[Fact]) -> str | None:
        return head.site_id

    def other_streams(self, facts: Sequence[Fact]) -> frozenset[str]:
        return frozenset()

    def gate(self, study_id: str, study_record: Record, stream: LoadedStream, site_id: str | None) -> Gate:
        today = study_timeline.study_day(self.clock, study_id, study_record, site_id or "", self.clock.now())
        enrollment_record = stream.foreign_facts or Record()
        return self.gate_type(
            study=study_record,
            today=today,
            site_id=site_id or "",
            enrollment_record=enrollment_record,
            record_before=lambda: current_record(stated_facts(stream.events)),
        ).objections

    def provenance(self, study_record: Record, stream: LoadedStream, fact: Fact) -> Mapping[str, Any]:
        """Returns the protocol amendment in force and the version of the participant's stream in enrollment."""
        return {"enrollment_version": stream.head.enrollment_version, **amendment_provenance(study_record, fact)}

    def needs_texts(self, stream: LoadedStream, events: Sequence[Event]) -> bool:
        return False

    def head_after(
        self, stream: LoadedStream, record: Record, events: Sequence[Event], open_texts: TextOpener
    ) -> StreamHead:
        return stream.head
