"""The idempotency key of a command: how it is stored, and the event ids that are made of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import UUID

from shared.eventstore.command import RecordedFacts, RecordFacts
from shared.eventstore.store import AppendRequest, IdempotentResult
from shared.kernel.ids import new_event_id
from shared.postgres.tenancy import EVERY_SITE
from shared.security.event_key import EventKey
from shared.security.vault import Vault


@dataclass(frozen=True, slots=True)
class RequestKey:
    """The key of one command in one service. Without a key, events get random ids and no result is kept."""

    command: RecordFacts
    service: str
    event_key: EventKey

    def stored_key(self) -> str | None:
        """Returns the keyed hash of the key, under which its result is kept."""
        key = self.command.key
        return key and self.event_key.stored_key(self.service, self.command.study_id, key)

    def opening_key(self) -> str | None:
        """Returns the keyed hash of the key and its member, under which the study that it opened is kept."""
        key = self.command.key
        return key and self.event_key.opening_key(self.service, self.command.member, key)

    def event_ids(self, site: str | None) -> tuple[UUID, ...]:
        """Returns an id for each fact: the same ids for the same key at the same site."""
        command = self.command
        if command.key is None:
            return tuple(new_event_id() for _ in command.facts)
        scope = f"{command.study_id}/{self.service}/{site or EVERY_SITE}/{command.key}"
        return tuple(self.event_key.event_id(scope, index) for index in range(len(command.facts)))

    def with_result(
        self, append_request: AppendRequest, recorded_facts: RecordedFacts, vault: Vault, site: str | None
    ) -> AppendRequest:
        """Adds the result to an append, so that the request is recognized when it is sent again."""
        if self.command.key is None:
            return append_request
        return replace(
            append_request,
            key=self.stored_key(),
            opening_key=self.opening_key() if self.command.opens_study else None,
            clear_key=self.command.key,
            key_site=site or EVERY_SITE,
            outcome=IdempotentResult(vault.fingerprint(self.command.request), recorded_facts.to_json()),
        )
