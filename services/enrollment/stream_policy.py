"""Enrollment's policies for the streams of studies and of participants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from services.enrollment.gate import EnrollmentGate
from services.enrollment.rules import participant, study
from shared.contracts.enrollment import (
    ParticipantScreened,
    ParticipantTransferred,
    ParticipantVoided,
)
from shared.contracts.event import Event, stated_facts
from shared.contracts.participation import ENROLLMENT_STATUS_FACTS, current_site, enrollment_status
from shared.eventstore.store import LoadedStream, StreamHead
from shared.eventstore.stream_cache import latest_content_source
from shared.eventstore.stream_policy import StreamPolicies, TextOpener, amendment_provenance
from shared.gate import study_timeline
from shared.kernel.clock import Clock
from shared.kernel.fact import Correction, Fact, effective_fact
from shared.kernel.record import Gate, Record, Rules, current_record
from shared.security.vault import Vault


@dataclass(frozen=True)
class StudyStreamPolicy:
    clock: Clock
    rules: Rules = study.objections

    def stating_site(self, head: StreamHead, facts: Sequence[Fact]) -> None:
        """Returns None: facts of a study belong to no site."""

    def other_streams(self, facts: Sequence[Fact]) -> frozenset[str]:
        return frozenset()

    def gate(self, study_id: str, study_record: Record, stream: LoadedStream, site_id: str | None) -> Gate:
        return partial(study.gate_objections, study_timeline.latest_site_today(self.clock, study_id, study_record))

    def provenance(self, study_record: Record, stream: LoadedStream, fact: Fact) -> Mapping[str, Any]:
        return {}

    def needs_texts(self, stream: LoadedStream, events: Sequence[Event]) -> bool:
        return False

    def head_after(
        self, stream: LoadedStream, record: Record, events: Sequence[Event], open_texts: TextOpener
    ) -> StreamHead:
        return StreamHead()


@dataclass(frozen=True)
class ParticipantStreamPolicy:
    clock: Clock
    vault: Vault
    rules: Rules = participant.objections

    def stating_site(self, head: StreamHead, facts: Sequence[Fact]) -> str | None:
        return head.site_id or next((fact.site_id for fact in facts if isinstance(fact, ParticipantScreened)), None)

    def other_streams(self, facts: Sequence[Fact]) -> frozenset[str]:
        """Returns the participants that voided records are named as duplicates of."""
        voidings = (fact for fact in map(effective_fact, facts) if isinstance(fact, ParticipantVoided))
        return frozenset(fact.duplicate_of for fact in voidings if fact.duplicate_of)

    def gate(self, study_id: str, study_record: Record, stream: LoadedStream, site_id: str | None) -> Gate:
        today = study_timeline.study_day(self.clock, study_id, study_record, site_id or "", self.clock.now())
        enrolling_site = stream.head.summary.get("enrolling_site", site_id)
        return EnrollmentGate(
            study=study_record,
            today=today,
            site_id=site_id or "",
            enrolling_site=enrolling_site or "",
            record_before=lambda: current_record(stated_facts(stream.events)),
            participant_id=stream.events[0].stream_id if stream.events else "",
            named_participants=stream.other_streams,
        ).objections

    def provenance(self, study_record: Record, stream: LoadedStream, fact: Fact) -> Mapping[str, Any]:
        return amendment_provenance(study_record, fact)

    def needs_texts(self, stream: LoadedStream, events: Sequence[Event]) -> bool:
        return not stream.head.version or any(_may_change_local_reference(event) for event in events)

    def head_after(
        self, stream: LoadedStream, record: Record, events: Sequence[Event], open_texts: TextOpener
    ) -> StreamHead:
        previous = stream.head
        if previous.version and not any(event.type in _STATUS_FACTS for event in events):
            return previous
        enrolling_site = previous.summary.get("enrolling_site") or (events[0].site_id or "")
        site = current_site(record) or enrolling_site
        search_key = previous.search_key
        if self.needs_texts(stream, events):
            search_key = self._search_key(record, site, [*stream.events, *events], open_texts)
        return StreamHead(
            site_id=site,
            search_key=search_key,
            summary={"status": enrollment_status(record), "enrolling_site": enrolling_site},
        )

    def _search_key(self, record: Record, site: str, events: Sequence[Event], open_texts: TextOpener) -> bytes | None:
        """Returns the blind index of the current reference if the current site stated it; else None."""
        if record.stated_of(ParticipantVoided) or not record.stated_of(ParticipantScreened):
            return None
        latest = latest_content_source(events, str(record.stated_of(ParticipantScreened)[0].event_id))
        if latest is None or latest[0].site_id != site:
            return None
        reference = open_texts(latest[0]).get(f"{latest[1]}/local_reference")
        return None if reference is None else self.vault.blind_index(latest[0].study_id, site, reference)


_LOCAL_REFERENCE_FACTS = {kind.type_name for kind in (ParticipantScreened, ParticipantTransferred, ParticipantVoided)}


def _may_change_local_reference(event: Event) -> bool:
    """Returns whether the event may change the reference by which the current site searches the participant."""
    corrected_type = event.meta.get("corrects", {}).get("type")
    return event.type in _LOCAL_REFERENCE_FACTS or corrected_type in _LOCAL_REFERENCE_FACTS


_STATUS_FACTS = {ParticipantTransferred.type_name, Correction.type_name, *ENROLLMENT_STATUS_FACTS}
"""Types of facts that may change a participant's current site or status."""


def stream_policies(clock: Clock, vault: Vault) -> StreamPolicies:
    """Creates the policies of enrollment, which records the facts of studies and of participants."""
    return StreamPolicies(study=StudyStreamPolicy(clock), participant=ParticipantStreamPolicy(clock, vault))
