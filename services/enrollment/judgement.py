"""How enrollment judges its two kinds of stream, and what it keeps in view of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from services.enrollment import participant, study
from services.enrollment.gate import World
from shared.contracts.enrollment import (
    Consented,
    Enrolled,
    Screened,
    ScreenFailed,
    Transferred,
    Voided,
    Withdrawn,
)
from shared.contracts.event import Event, history
from shared.eventstore.judgement import Judgement, Open, amended_by
from shared.eventstore.known import last_word
from shared.eventstore.store import Head, Recalled
from shared.gate import study as studies
from shared.kernel.clock import Clock
from shared.kernel.fact import Corrected, Fact, content
from shared.kernel.record import Gate, Record, Rules, standing
from shared.security.vault import Vault


@dataclass(frozen=True)
class StudyJudgement:
    clock: Clock
    rules: Rules = study.objections

    def site(self, head: Head, facts: Sequence[Fact]) -> None:
        """A study's facts are no site's."""

    def others(self, facts: Sequence[Fact]) -> frozenset[str]:
        return frozenset()

    def gate(self, study_id: str, study_record: Record, recalled: Recalled, site_id: str | None) -> Gate:
        return partial(study.gate, studies.latest_today(self.clock, study_id, study_record))

    def judged_by(self, study_record: Record, recalled: Recalled, fact: Fact) -> Mapping[str, Any]:
        return {}

    def needs_texts(self, recalled: Recalled, events: Sequence[Event]) -> bool:
        return False

    def head(self, recalled: Recalled, record: Record, events: Sequence[Event], opened: Open) -> Head:
        return Head()


@dataclass(frozen=True)
class ParticipantJudgement:
    clock: Clock
    vault: Vault
    rules: Rules = participant.objections

    def site(self, head: Head, facts: Sequence[Fact]) -> str | None:
        return head.site_id or next((fact.site_id for fact in facts if isinstance(fact, Screened)), None)

    def others(self, facts: Sequence[Fact]) -> frozenset[str]:
        """The participants of whom one is said to be a duplicate."""
        voided = (fact for fact in map(content, facts) if isinstance(fact, Voided))
        return frozenset(fact.duplicate_of for fact in voided if fact.duplicate_of)

    def gate(self, study_id: str, study_record: Record, recalled: Recalled, site_id: str | None) -> Gate:
        active = studies.site(study_record, site_id or "")
        today = self.clock.today(study_id, active.time_zone if active else "UTC")
        enrolling = recalled.head.summary.get("enrolling_site", site_id)
        return World(
            study_record, today, site_id or "", enrolling or "", earlier=lambda: standing(history(recalled.events)),
            number=recalled.events[0].stream_id if recalled.events else "", others=recalled.others,
        ).gate  # fmt: skip

    def judged_by(self, study_record: Record, recalled: Recalled, fact: Fact) -> Mapping[str, Any]:
        return amended_by(study_record, fact)

    def needs_texts(self, recalled: Recalled, events: Sequence[Event]) -> bool:
        return not recalled.head.version or any(_concerns_reference(event) for event in events)

    def head(self, recalled: Recalled, record: Record, events: Sequence[Event], opened: Open) -> Head:
        before = recalled.head
        if before.version and not any(event.type in _TELLING for event in events):
            return before
        enrolling = before.summary.get("enrolling_site") or (events[0].site_id or "")
        site = _present_site(record, enrolling)
        search_key = before.search_key
        if self.needs_texts(recalled, events):
            search_key = self._search_key(record, site, [*recalled.events, *events], opened)
        return Head(0, site, search_key, {"status": status(record), "enrolling_site": enrolling})

    def _search_key(self, record: Record, site: str, events: Sequence[Event], opened: Open) -> bytes | None:
        """The blind index of the reference that stands, if the present site stated it."""
        if record.all(Voided) or not record.all(Screened):
            return None
        told = last_word(events, str(record.all(Screened)[0].event_id))
        if told is None or told[0].site_id != site:
            return None
        reference = opened(told[0]).get(f"{told[1]}/local_reference")
        return None if reference is None else self.vault.blind_index(told[0].study_id, site, reference)


_OF_REFERENCE = {kind.type_name for kind in (Screened, Transferred, Voided)}


def _concerns_reference(event: Event) -> bool:
    """May this event change which reference the present site knows the participant by?"""
    corrected = event.meta.get("corrects", {}).get("type")
    return event.type in _OF_REFERENCE or corrected in _OF_REFERENCE


def _present_site(record: Record, enrolling: str) -> str:
    """Where the participant is now: the last transfer by its date, in the order stated where dates are the same."""
    transfers = sorted(record.facts(Transferred), key=lambda transfer: transfer.on.latest)
    return transfers[-1].to_site if transfers else enrolling


def status(record: Record) -> str:
    """One word for where participation stands: the furthest that is stated."""
    for kind, word in _STATUS:
        if record.all(kind):
            return word
    return "screening"


_STATUS: tuple[tuple[type[Fact], str], ...] = (
    (Voided, "voided"),
    (Withdrawn, "withdrawn"),
    (Enrolled, "enrolled"),
    (ScreenFailed, "screen_failed"),
    (Consented, "consented"),
)
_TELLING = {Transferred.type_name, Corrected.type_name, *(kind.type_name for kind, _ in _STATUS)}
"""Facts that may change where a participant is, or how far."""


def judgements(clock: Clock, vault: Vault) -> Mapping[bool, Judgement]:
    """By whether the stream is the study's own."""
    return {True: StudyJudgement(clock), False: ParticipantJudgement(clock, vault)}
