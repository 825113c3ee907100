"""A statement that comes again: the outcome of the first one, compared only as far as the caller may know it.

Sealed text must not be found by guessing. Whoever may read the texts of the site, and whoever sent the first request,
has the whole request compared. Anybody else has it compared as everybody may see it: without texts. With a text in it,
nothing is compared and the answer is the same whatever the text says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.contracts.event import Event
from shared.eventstore.sealing import opener
from shared.eventstore.statement import Recording, Statement
from shared.eventstore.store import Outcome, Recalled, Unit
from shared.kernel.fact import Corrected
from shared.kernel.refusal import Unacceptable
from shared.kernel.sealed import texts
from shared.security.grants import Rights
from shared.security.vault import Vault

REUSED = "idempotency-key-reused"


@dataclass(frozen=True, slots=True)
class Repeats:
    said: Statement
    rights: Rights
    vault: Vault

    async def find(self, unit: Unit, recalled: Recalled, site: str | None) -> Recording | None:
        """Return the stored outcome of the statement's key, or of the event that the key names; None if it is new.

        `site` is where it is stated. Raises Unacceptable where the key belongs to something else.
        """
        if recalled.outcome is None:
            return await self._of_event(unit, recalled)
        if not await self._is_same_request(unit, recalled, recalled.outcome, site):
            raise Unacceptable("The idempotency key was used for another request. Use a new key.", code=REUSED)
        return Recording.of(self.said.study_id, recalled.outcome.answer)

    async def _is_same_request(self, unit: Unit, recalled: Recalled, outcome: Outcome, site: str | None) -> bool:
        if self.said.stream_id not in (None, outcome.answer["stream_id"]):
            return False
        first = await self._events(unit, recalled, outcome)
        if site is None or self._may_compare(first, site):
            return outcome.fingerprint == self.vault.fingerprint(self.said.request)
        return not self._has_texts() and [(event.type, event.content) for event in first] == self._published()

    async def _events(self, unit: Unit, recalled: Recalled, outcome: Outcome) -> Sequence[Event]:
        """The events of the first request; none where they are no longer the caller's to see."""
        stream_id, ids = outcome.answer["stream_id"], set(outcome.answer["event_ids"])
        if not any(event.stream_id == stream_id for event in recalled.events):
            recalled = await unit.recall(stream_id)
        return [event for event in recalled.events if str(event.event_id) in ids]

    def _may_compare(self, first: Sequence[Event], site: str) -> bool:
        if not first:
            return self.rights.has_site(site)
        return self.rights.has_site(first[0].site_id or "") or self._sent(first[0])

    async def _of_event(self, unit: Unit, recalled: Recalled) -> Recording | None:
        key = (self.said.key or "").lower()  # the digits of an id may come in capitals
        event = next((event for event in recalled.events if str(event.event_id) == key), None)
        if event is None:
            return None
        told = [dict(texts(fact)) for fact in self.said.facts]
        if self._published() != [(event.type, event.content)] or told != [await self._comparable(unit, event)]:
            raise Unacceptable(
                "The idempotency key is the id of an event with other content. Use a new key.", code=REUSED
            )
        return Recording(
            event.study_id, event.stream_id, event.version, (event.event_id,), event.recorded_at, replayed=True
        )

    async def _comparable(self, unit: Unit, event: Event) -> dict[str, str]:
        """The event's texts, for who may know them; a correction may hold texts that its own sender was never shown."""
        own = self._sent(event) and event.type != Corrected.type_name
        if not (own or self.rights.has_site(event.site_id or "")):
            return {}
        return dict(opener(self.vault, await unit.data_key(event.stream_id))(event))

    def _sent(self, event: Event) -> bool:
        return bool(event.meta.get("recorded_by") == self.said.by)

    def _has_texts(self) -> bool:
        return any(True for fact in self.said.facts for _ in texts(fact))

    def _published(self) -> list[tuple[str, object]]:
        return [(fact.type_name, fact.model_dump(mode="json")) for fact in self.said.facts]
