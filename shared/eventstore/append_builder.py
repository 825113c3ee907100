"""From what was decided to what is appended: events with their sealed texts, and the stream's head after them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from shared.contracts.event import Event
from shared.eventstore.command import RecordedFacts, RecordFacts
from shared.eventstore.store import AppendRequest, LoadedStream, StreamHead
from shared.eventstore.stream_cache import CachedStream, ContentSource, latest_content_sources
from shared.eventstore.stream_policy import StreamPolicy, TextOpener
from shared.eventstore.study_cache import StudyState
from shared.kernel.fact import Correction, Fact, effective_fact
from shared.kernel.record import EvaluatedRecord
from shared.kernel.sealed_text import extract_texts
from shared.offload import offload
from shared.security.grants import Rights
from shared.security.tenancy import Tenant
from shared.security.vault import Vault

if TYPE_CHECKING:
    from shared.eventstore.command_handler import CommandHandler

REPLACEMENT_POINTER = "/replacement/data"
Texts = Mapping[str, str]


def text_opener(vault: Vault, wrapped: bytes | None) -> TextOpener:
    """What opens the sealed texts of a stream's events, by the stream's wrapped data key."""

    def open_texts(event: Event) -> Texts:
        if wrapped is None or event.sealed is None:
            return {}
        location = {"study_id": event.study_id, "stream_id": event.stream_id}
        return vault.open(vault.unwrap(wrapped), event.sealed, version=event.version, **location)

    return open_texts


@dataclass(frozen=True)
class AppendBuilder:
    handler: CommandHandler
    command: RecordFacts
    study: StudyState
    policy: StreamPolicy
    rights: Rights

    async def build(
        self,
        tenant: Tenant,
        cached: CachedStream,
        evaluated: EvaluatedRecord,
        recorded_facts: RecordedFacts,
        site: str | None,
    ) -> tuple[AppendRequest, bytes | None]:
        """Return what to append; and the stream's wrapped data key, where it was needed."""
        command, stream = self.command, cached.stream
        events, stated_texts = await offload(
            command.member, lambda: self._events_and_texts(stream, recorded_facts, site), item_count=len(command.facts)
        )
        data_key = cached.data_key
        if not data_key and self._needs_key(stream, events, stated_texts):
            data_key = await self._data_key(tenant, recorded_facts.stream_id)
        open_texts = text_opener(self.handler.vault, data_key)
        sources = (
            latest_content_sources(stream.events) if any(isinstance(fact, Correction) for fact in command.facts) else {}
        )
        stated_texts = [
            self._keep_hidden_texts(*pair, sources, open_texts, site)
            for pair in zip(command.facts, stated_texts, strict=True)
        ]
        new_data_key = None if data_key or not any(stated_texts) else self.handler.vault.new_data_key()
        data_key = data_key or new_data_key
        events = [self._seal(*pair, data_key) for pair in zip(events, stated_texts, strict=True)]
        own_texts = {event.event_id: event_texts for event, event_texts in zip(events, stated_texts, strict=True)}
        head = self.policy.head_after(
            stream,
            evaluated.record,
            events,
            lambda event: own_texts[event.event_id] if event.event_id in own_texts else open_texts(event),
        )
        append_request = AppendRequest(
            stream.head.version,
            None if recorded_facts.stream_id == command.study_id else self.study.version,
            StreamHead(
                recorded_facts.version, head.site_id, head.search_key, head.summary, stream.head.enrollment_version
            ),
            events,
            new_data_key,
            drops_search_key_if_taken=head.search_key != stream.head.search_key
            and not self.rights.is_site_staff(head.site_id or ""),
        )
        return append_request, data_key

    def _events_and_texts(
        self, stream: LoadedStream, recorded_facts: RecordedFacts, site: str | None
    ) -> tuple[list[Event], list[Texts]]:
        """The events without their texts, and the texts of each."""
        facts = self.command.facts
        events = [self._event(stream, recorded_facts, place, site) for place in range(len(facts))]
        return events, [dict(extract_texts(fact)) for fact in facts]

    def _needs_key(self, stream: LoadedStream, events: Sequence[Event], stated_texts: Sequence[Texts]) -> bool:
        """Is there something to seal, or something sealed to be looked into?"""
        if any(stated_texts):
            return True
        reads_texts = self.policy.needs_texts(stream, events) or any(event.meta.get("corrects") for event in events)
        return reads_texts and any(event.sealed for event in stream.events)

    async def _data_key(self, tenant: Tenant, stream_id: str) -> bytes | None:
        async with self.handler.store.unit(tenant) as unit:
            return await unit.data_key(stream_id)

    def _keep_hidden_texts(
        self,
        fact: Fact,
        stated_texts: Texts,
        sources: Mapping[str, ContentSource],
        open_texts: TextOpener,
        site: str | None,
    ) -> Texts:
        """Texts that a correction keeps, because who corrects was never shown them and so could not repeat them."""
        if not isinstance(fact, Correction) or not fact.replacement or self.rights.is_site_staff(site or ""):
            return stated_texts
        if (source := sources.get(str(fact.event_id))) is None:
            return stated_texts
        event, prefix = source
        if event.site_id != site:  # another site's words stay with it
            return stated_texts
        content_before, content_after = (
            _to_json(fact) for fact in (effective_fact(event.stated_fact().fact), fact.replacement.data)
        )
        texts_before = {
            pointer[len(prefix) :]: text for pointer, text in open_texts(event).items() if pointer.startswith(prefix)
        }
        kept_texts = {
            f"{REPLACEMENT_POINTER}{place}": text
            for place, text in texts_before.items()
            if _is_in_both(place, content_before, content_after)
        }
        return {**kept_texts, **stated_texts}

    def _event(self, stream: LoadedStream, recorded_facts: RecordedFacts, index: int, site: str | None) -> Event:
        command, fact = self.command, self.command.facts[index]
        meta: dict[str, Any] = {"recorded_by": command.member}
        meta["judged_by"] = {
            "study_version": self.study.version,
            **self.policy.provenance(self.study.record, stream, fact),
        }
        if command.traceparent:
            meta["traceparent"] = command.traceparent
        if isinstance(fact, Correction):
            meta["corrects"] = _describe_corrected_event(stream, fact, command, recorded_facts)
        return Event(
            command.study_id,
            self.handler.store.service,
            recorded_facts.stream_id,
            stream.head.version + index + 1,
            recorded_facts.event_ids[index],
            fact.type_name,
            fact.schema_version,
            site,
            fact.model_dump_json(),
            recorded_facts.recorded_at,
            meta,
        )

    def _seal(self, event: Event, stated_texts: Texts, data_key: bytes | None) -> Event:
        if not stated_texts or data_key is None:
            return event
        vault = self.handler.vault
        location = {"study_id": event.study_id, "stream_id": event.stream_id}
        return replace(
            event, sealed=vault.seal(vault.unwrap(data_key), stated_texts, version=event.version, **location)
        )


def _to_json(fact: Fact) -> dict[str, Any]:
    return fact.model_dump(mode="json")


def _is_in_both(pointer: str, before: Any, after: Any) -> bool:
    """Is that the place of the same thing? A member of a list is known by all that is said of it, not by its number."""
    for step in pointer.split("/")[1:]:
        match before, after:
            case list(), list() if before[int(step) :][:1] == after[int(step) :][:1] != []:
                before, after = before[int(step)], after[int(step)]
            case dict(), dict() if step in before.keys() & after.keys():
                before, after = before[step], after[step]
            case _:
                return False
    return True


def _describe_corrected_event(
    stream: LoadedStream, fact: Correction, command: RecordFacts, recorded_facts: RecordedFacts
) -> dict[str, Any]:
    """Type and version of the corrected event, which may be one of the same batch."""
    for event in stream.events:
        if event.event_id == fact.event_id:
            return {"type": event.type, "version": event.version}
    index = recorded_facts.event_ids.index(fact.event_id)
    return {"type": command.facts[index].type_name, "version": stream.head.version + index + 1}
