"""Finds the stored result of a repeated request, comparing the requests only as far as the caller may read them.

Sealed text must not be found by guessing. For callers who may read the texts of the site or who sent the first request,
the whole requests are compared. For others, requests are compared without texts; a request with a text is never equal,
so the response does not depend on what the text says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.contracts.event import Event
from shared.eventstore.append_builder import text_opener
from shared.eventstore.command import RecordedFacts
from shared.eventstore.command_context import CommandContext
from shared.eventstore.store import IdempotentResult, LoadedStream, UnitOfWork
from shared.kernel.errors import KeyReused
from shared.kernel.fact import Correction
from shared.kernel.sealed_text import extract_texts
from shared.security.vault import Vault


@dataclass(frozen=True, slots=True)
class IdempotencyCheck:
    """Compares one command with what was recorded under its key."""

    context: CommandContext
    vault: Vault

    async def find_repeat(self, unit: UnitOfWork, stream: LoadedStream, site: str | None) -> RecordedFacts | None:
        """Returns the stored result of the command's key, or of the event that the key names; None for a new request.

        `site` is the site that states the facts. Raises KeyReused if the key was used for something else.
        """
        if stream.outcome is None:
            return await self._find_repeat_of_event(unit, stream)
        if not await self._is_same_request(unit, stream, stream.outcome, site):
            raise KeyReused("The idempotency key was used for another request. Use a new key.")
        return RecordedFacts.from_json(self.context.command.study_id, stream.outcome.answer)

    async def _is_same_request(
        self, unit: UnitOfWork, stream: LoadedStream, outcome: IdempotentResult, site: str | None
    ) -> bool:
        if self.context.command.stream_id not in (None, outcome.answer["stream_id"]):
            return False
        first_events = await self._events_of_first_request(unit, stream, outcome)
        if site is None or self._may_compare(first_events, site):
            return outcome.fingerprint == self.vault.fingerprint(self.context.command.request)
        return (
            not self._has_texts()
            and [(event.type, event.content) for event in first_events] == self._published_content()
        )

    async def _events_of_first_request(
        self, unit: UnitOfWork, stream: LoadedStream, outcome: IdempotentResult
    ) -> Sequence[Event]:
        """Returns the events of the first request; empty if the caller may no longer see them."""
        stream_id, ids = outcome.answer["stream_id"], set(outcome.answer["event_ids"])
        if not any(event.stream_id == stream_id for event in stream.events):
            stream = await unit.load_stream(stream_id)
        return [event for event in stream.events if str(event.event_id) in ids]

    def _may_compare(self, first_events: Sequence[Event], site: str) -> bool:
        if not first_events:
            return self.context.rights.is_site_staff(site)
        return self.context.rights.is_site_staff(first_events[0].site_id or "") or self._was_sent_by_caller(
            first_events[0]
        )

    async def _find_repeat_of_event(self, unit: UnitOfWork, stream: LoadedStream) -> RecordedFacts | None:
        key = (self.context.command.key or "").lower()  # the digits of an id may come in capitals
        event = next((event for event in stream.events if str(event.event_id) == key), None)
        if event is None:
            return None
        stated_texts = [dict(extract_texts(fact)) for fact in self.context.command.facts]
        if self._published_content() != [(event.type, event.content)] or stated_texts != [
            await self._comparable_texts(unit, event)
        ]:
            raise KeyReused("The idempotency key is the id of an event with other content. Use a new key.")
        return RecordedFacts(
            study_id=event.study_id,
            stream_id=event.stream_id,
            version=event.version,
            event_ids=(event.event_id,),
            recorded_at=event.recorded_at,
            replayed=True,
        )

    async def _comparable_texts(self, unit: UnitOfWork, event: Event) -> dict[str, str]:
        """Returns the event's texts if the caller may read them. Senders of corrections may not know all texts."""
        is_own_event = self._was_sent_by_caller(event) and event.type != Correction.type_name
        if not (is_own_event or self.context.rights.is_site_staff(event.site_id or "")):
            return {}
        return dict(text_opener(self.vault, await unit.data_key(event.stream_id))(event))

    def _was_sent_by_caller(self, event: Event) -> bool:
        return bool(event.meta.get("recorded_by") == self.context.command.member)

    def _has_texts(self) -> bool:
        return any(True for fact in self.context.command.facts for _ in extract_texts(fact))

    def _published_content(self) -> list[tuple[str, object]]:
        return [(fact.type_name, fact.model_dump(mode="json")) for fact in self.context.command.facts]
