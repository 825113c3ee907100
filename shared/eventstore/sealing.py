"""From what was decided to what is appended: events with their sealed texts, and the stream's head after them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from shared.apart import apart
from shared.contracts.event import Event
from shared.eventstore.judgement import Judgement, Open
from shared.eventstore.known import Known, Word, last_words
from shared.eventstore.statement import Recording, Statement
from shared.eventstore.store import Append, Head, Recalled
from shared.eventstore.studies import StudyState
from shared.kernel.fact import Corrected, Fact, content
from shared.kernel.record import Judged
from shared.kernel.sealed import texts
from shared.security.grants import Rights
from shared.security.tenancy import Tenant
from shared.security.vault import Vault

if TYPE_CHECKING:
    from shared.eventstore.recorder import Recorder

REPLACED = "/replacement/data"
Texts = Mapping[str, str]


def opener(vault: Vault, wrapped: bytes | None) -> Open:
    """What opens the sealed texts of a stream's events, by the stream's wrapped data key."""

    def opened(event: Event) -> Texts:
        if wrapped is None or event.sealed is None:
            return {}
        place = {"study_id": event.study_id, "stream_id": event.stream_id}
        return vault.open(vault.unwrap(wrapped), event.sealed, version=event.version, **place)

    return opened


@dataclass(frozen=True)
class Sealing:
    recorder: Recorder
    said: Statement
    study: StudyState
    judgement: Judgement
    rights: Rights

    async def proposal(
        self, tenant: Tenant, known: Known, judged: Judged, recording: Recording, site: str | None
    ) -> tuple[Append, bytes | None]:
        """Return what to append; and the stream's wrapped data key, where it was needed."""
        said, recalled = self.said, known.recalled
        events, stated = await apart(
            said.by, lambda: self._written(recalled, recording, site), if_large=len(said.facts)
        )
        data_key = known.data_key
        if not data_key and self._needs_key(recalled, events, stated):
            data_key = await self._data_key(tenant, recording.stream_id)
        opened = opener(self.recorder.vault, data_key)
        words = last_words(recalled.events) if any(isinstance(fact, Corrected) for fact in said.facts) else {}
        stated = [self._carried(*pair, words, opened, site) for pair in zip(said.facts, stated, strict=True)]
        made = None if data_key or not any(stated) else self.recorder.vault.new_data_key()
        data_key = data_key or made
        events = [self._sealed(*pair, data_key) for pair in zip(events, stated, strict=True)]
        own = {event.event_id: said_now for event, said_now in zip(events, stated, strict=True)}
        head = self.judgement.head(
            recalled,
            judged.record,
            events,
            lambda event: own[event.event_id] if event.event_id in own else opened(event),
        )
        append = Append(
            recalled.head.version,
            None if recording.stream_id == said.study_id else self.study.version,
            Head(recording.version, head.site_id, head.search_key, head.summary, recalled.head.known),
            events,
            made,
            yields=head.search_key != recalled.head.search_key and not self.rights.has_site(head.site_id or ""),
        )
        return append, data_key

    def _written(self, recalled: Recalled, recording: Recording, site: str | None) -> tuple[list[Event], list[Texts]]:
        """The events without their texts, and the texts of each."""
        facts = self.said.facts
        events = [self._event(recalled, recording, place, site) for place in range(len(facts))]
        return events, [dict(texts(fact)) for fact in facts]

    def _needs_key(self, recalled: Recalled, events: Sequence[Event], stated: Sequence[Texts]) -> bool:
        """Is there something to seal, or something sealed to be looked into?"""
        if any(stated):
            return True
        looks = self.judgement.needs_texts(recalled, events) or any(event.meta.get("corrects") for event in events)
        return looks and any(event.sealed for event in recalled.events)

    async def _data_key(self, tenant: Tenant, stream_id: str) -> bytes | None:
        async with self.recorder.store.unit(tenant) as unit:
            return await unit.data_key(stream_id)

    def _carried(self, fact: Fact, stated: Texts, words: Mapping[str, Word], opened: Open, site: str | None) -> Texts:
        """Texts that a correction keeps, because who corrects was never shown them and so could not repeat them."""
        if not isinstance(fact, Corrected) or not fact.replacement or self.rights.has_site(site or ""):
            return stated
        if (before := words.get(str(fact.event_id))) is None:
            return stated
        event, within = before
        if event.site_id != site:  # another site's words stay with it
            return stated
        was, now = (_shown(fact) for fact in (content(event.stated().fact), fact.replacement.data))
        own = {pointer[len(within) :]: text for pointer, text in opened(event).items() if pointer.startswith(within)}
        kept = {f"{REPLACED}{place}": text for place, text in own.items() if _is_in_both(place, was, now)}
        return {**kept, **stated}

    def _event(self, recalled: Recalled, recording: Recording, place: int, site: str | None) -> Event:
        said, fact = self.said, self.said.facts[place]
        meta: dict[str, Any] = {"recorded_by": said.by}
        meta["judged_by"] = {
            "study_version": self.study.version,
            **self.judgement.judged_by(self.study.record, recalled, fact),
        }
        if said.traceparent:
            meta["traceparent"] = said.traceparent
        if isinstance(fact, Corrected):
            meta["corrects"] = _corrected(recalled, fact, said, recording)
        return Event(
            said.study_id, self.recorder.store.service, recording.stream_id, recalled.head.version + place + 1,
            recording.event_ids[place], fact.type_name, fact.schema_version, site, fact.model_dump_json(),
            recording.recorded_at, meta,
        )  # fmt: skip

    def _sealed(self, event: Event, stated: Texts, data_key: bytes | None) -> Event:
        if not stated or data_key is None:
            return event
        vault = self.recorder.vault
        place = {"study_id": event.study_id, "stream_id": event.stream_id}
        return replace(event, sealed=vault.seal(vault.unwrap(data_key), stated, version=event.version, **place))


def _shown(fact: Fact) -> dict[str, Any]:
    return fact.model_dump(mode="json")


def _is_in_both(pointer: str, was: Any, now: Any) -> bool:
    """Is that the place of the same thing? A member of a list is known by all that is said of it, not by its number."""
    for step in pointer.split("/")[1:]:
        match was, now:
            case list(), list() if was[int(step) :][:1] == now[int(step) :][:1] != []:
                was, now = was[int(step)], now[int(step)]
            case dict(), dict() if step in was.keys() & now.keys():
                was, now = was[step], now[step]
            case _:
                return False
    return True


def _corrected(recalled: Recalled, fact: Corrected, said: Statement, recording: Recording) -> dict[str, Any]:
    """Type and version of the corrected event, which may be one of the same batch."""
    for event in recalled.events:
        if event.event_id == fact.event_id:
            return {"type": event.type, "version": event.version}
    place = recording.event_ids.index(fact.event_id)
    return {"type": said.facts[place].type_name, "version": recalled.head.version + place + 1}
