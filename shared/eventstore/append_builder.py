"""Builds an append from a decision: the events with their sealed texts, and the stream's head after them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from shared.contracts.event import Event
from shared.eventstore.command import RecordedFacts, RecordFacts
from shared.eventstore.command_context import CommandContext
from shared.eventstore.store import AppendRequest, LoadedStream, Store
from shared.eventstore.stream_cache import CachedStream, ContentSource, latest_content_sources
from shared.eventstore.stream_policy import TextOpener
from shared.gate.study_timeline import study_day
from shared.kernel.clock import Clock
from shared.kernel.errors import Fault, TextMissing
from shared.kernel.fact import Correction, Fact, effective_fact
from shared.kernel.record import EvaluatedRecord
from shared.kernel.sealed_text import extract_texts, find_unread_texts
from shared.offload import offload
from shared.postgres.tenancy import Tenant
from shared.security.vault import Vault

REPLACEMENT_POINTER = "/replacement/data"
Texts = Mapping[str, str]


def text_opener(vault: Vault, wrapped: bytes | None) -> TextOpener:
    """Returns a function that opens the sealed texts of a stream's events with the stream's wrapped data key."""

    def open_texts(event: Event) -> Texts:
        if wrapped is None or event.sealed is None:
            return {}
        location = {"study_id": event.study_id, "stream_id": event.stream_id}
        return vault.open(vault.unwrap(wrapped), event.sealed, version=event.version, **location)

    return open_texts


@dataclass(frozen=True)
class AppendBuilder:
    """Builds the append of one decided command."""

    store: Store
    vault: Vault
    clock: Clock
    context: CommandContext

    async def build(
        self,
        tenant: Tenant,
        cached: CachedStream,
        evaluated: EvaluatedRecord,
        recorded_facts: RecordedFacts,
        site: str | None,
    ) -> tuple[AppendRequest, bytes | None]:
        """Returns the append, and the stream's wrapped data key if it was needed."""
        command, study, stream = self.context.command, self.context.study, cached.stream
        events, stated_texts = await offload(
            command.member, lambda: self._events_and_texts(stream, recorded_facts, site), item_count=len(command.facts)
        )
        data_key = cached.data_key
        if not data_key and self._needs_key(stream, events, stated_texts):
            data_key = await self._data_key(tenant, recorded_facts.stream_id)
        open_texts = text_opener(self.vault, data_key)
        sources = (
            latest_content_sources(stream.events) if any(isinstance(fact, Correction) for fact in command.facts) else {}
        )
        stated_texts = [
            self._keep_hidden_texts(*pair, sources, open_texts, site)
            for pair in zip(command.facts, stated_texts, strict=True)
        ]
        _require_texts(command, stated_texts)
        new_data_key = None if data_key or not any(stated_texts) else self.vault.new_data_key()
        data_key = data_key or new_data_key
        events = [self._seal(*pair, data_key) for pair in zip(events, stated_texts, strict=True)]
        own_texts = {event.event_id: event_texts for event, event_texts in zip(events, stated_texts, strict=True)}
        head = self.context.policy.head_after(
            stream,
            evaluated.record,
            events,
            lambda event: own_texts[event.event_id] if event.event_id in own_texts else open_texts(event),
        )
        append_request = AppendRequest(
            expected_version=stream.head.version,
            study_version=None if recorded_facts.stream_id == command.study_id else study.version,
            head=replace(head, version=recorded_facts.version, enrollment_version=stream.head.enrollment_version),
            events=events,
            data_key=new_data_key,
            drops_search_key_if_taken=head.search_key != stream.head.search_key
            and not self.context.rights.is_site_staff(head.site_id or ""),
        )
        return append_request, data_key

    def _events_and_texts(
        self, stream: LoadedStream, recorded_facts: RecordedFacts, site: str | None
    ) -> tuple[list[Event], list[Texts]]:
        """Returns the events without their texts, and the texts of each by JSON pointer."""
        context, facts = self.context, self.context.command.facts
        study_id, recorded_at = context.command.study_id, recorded_facts.recorded_at
        recorded_on = study_day(self.clock, study_id, context.study.record, site, recorded_at)
        events = [self._event(stream, recorded_facts, index, site, recorded_on) for index in range(len(facts))]
        return events, [dict(extract_texts(fact)) for fact in facts]

    def _needs_key(self, stream: LoadedStream, events: Sequence[Event], stated_texts: Sequence[Texts]) -> bool:
        """Returns whether texts have to be sealed or opened."""
        if any(stated_texts):
            return True
        reads_texts = self.context.policy.needs_texts(stream, events) or any(
            event.meta.get("corrects") for event in events
        )
        return reads_texts and any(event.sealed for event in stream.events)

    async def _data_key(self, tenant: Tenant, stream_id: str) -> bytes | None:
        async with self.store.unit(tenant) as unit:
            return await unit.data_key(stream_id)

    def _keep_hidden_texts(
        self,
        fact: Fact,
        stated_texts: Texts,
        sources: Mapping[str, ContentSource],
        open_texts: TextOpener,
        site: str | None,
    ) -> Texts:
        """Carries sealed texts over into a correction by a caller who may not read them and so cannot repeat them."""
        if not isinstance(fact, Correction) or not fact.replacement or self.context.rights.is_site_staff(site or ""):
            return stated_texts
        if (source := sources.get(str(fact.event_id))) is None:
            return stated_texts
        event, prefix = source
        if event.site_id != site:  # another site's words stay with it
            return stated_texts
        content_before = _to_json(effective_fact(event.stated_fact().fact))
        content_after = _to_json(fact.replacement.data)
        texts_before = {
            pointer[len(prefix) :]: text for pointer, text in open_texts(event).items() if pointer.startswith(prefix)
        }
        kept_texts = {
            f"{REPLACEMENT_POINTER}{pointer}": text
            for pointer, text in texts_before.items()
            if _is_in_both(pointer, content_before, content_after)
        }
        return {**kept_texts, **stated_texts}

    def _event(
        self, stream: LoadedStream, recorded_facts: RecordedFacts, index: int, site: str | None, recorded_on: date
    ) -> Event:
        context, command = self.context, self.context.command
        fact = command.facts[index]
        meta: dict[str, Any] = {"recorded_by": command.member, "recorded_on": recorded_on.isoformat()}
        meta["judged_by"] = {
            "study_version": context.study.version,
            **context.policy.provenance(context.study.record, stream, fact),
        }
        if command.traceparent:
            meta["traceparent"] = command.traceparent
        if isinstance(fact, Correction):
            meta["corrects"] = _describe_corrected_event(stream, fact, command, recorded_facts)
        return Event(
            study_id=command.study_id,
            service=self.store.service,
            stream_id=recorded_facts.stream_id,
            version=stream.head.version + index + 1,
            event_id=recorded_facts.event_ids[index],
            type=fact.type_name,
            schema_version=fact.schema_version,
            site_id=site,
            data=fact.model_dump_json(),
            recorded_at=recorded_facts.recorded_at,
            meta=meta,
        )

    def _seal(self, event: Event, stated_texts: Texts, data_key: bytes | None) -> Event:
        if not stated_texts or data_key is None:
            return event
        location = {"study_id": event.study_id, "stream_id": event.stream_id}
        key = self.vault.unwrap(data_key)
        return replace(event, sealed=self.vault.seal(key, stated_texts, version=event.version, **location))


def _require_texts(command: RecordFacts, texts: Sequence[Texts]) -> None:
    """Raises TextMissing for texts that corrections keep, and that were not recorded or are another site's."""
    faults = [
        Fault(TextMissing.code, TextMissing.title, pointer + text_pointer)
        for fact, pointer, fact_texts in zip(command.facts, command.pointers, texts, strict=True)
        for text_pointer in find_unread_texts(fact)
        if text_pointer not in fact_texts
    ]
    if faults:
        raise TextMissing(faults=faults)


def _to_json(fact: Fact) -> dict[str, Any]:
    return fact.model_dump(mode="json")


def _is_in_both(pointer: str, before: Any, after: Any) -> bool:
    """Returns whether a pointer leads to the same value in both. Entries of a list are compared whole, not by index."""
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
    """Types and version of the corrected event, which may be one of the same batch."""
    for event in stream.events:
        if event.event_id == fact.event_id:
            return {"type": event.type, "version": event.version}
    index = recorded_facts.event_ids.index(fact.event_id)
    return {"type": command.facts[index].type_name, "version": stream.head.version + index + 1}
