"""Sealed texts of facts: encrypted, kept in corrections, and never revealed by a guess."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from shared.eventstore.append_builder import text_opener
from shared.eventstore.store import AppendRequest, Store, UnitOfWork
from shared.kernel.errors import KeyReused
from shared.kernel.fact import Fact
from shared.postgres.tenancy import Tenant
from shared.testing.builders.facts import (
    ENROLLMENT_FACTS,
    consent_withdrawn,
    correction,
    lesion_registered,
    participant_screened,
    participant_transferred,
    participant_voided,
    procedure_performed,
)
from tests.unit.eventstore.enrollment_driver import SECRET_TEXT, STUDY, VAULT, EnrollmentDriver, screening_event_id


@dataclass
class CallCountingStore:
    """A store that notes the names of its calls."""

    store: Store
    calls: list[str] = field(default_factory=list)
    service: str = "enrollment"

    @asynccontextmanager
    async def unit(self, tenant: Tenant) -> AsyncIterator[UnitOfWork]:
        async with self.store.unit(tenant) as unit:
            yield _CallCountingUnit(unit, self.calls)  # forwards every other call

    async def append(self, tenant: Tenant, request: AppendRequest) -> None:
        self.calls.append("append")
        await self.store.append(tenant, request)


@dataclass
class _CallCountingUnit:
    unit: UnitOfWork
    calls: list[str]

    def __getattr__(self, name: str) -> Any:
        self.calls.append(name)
        return getattr(self.unit, name)


async def test_sealed_texts_are_stored_encrypted_only(study: EnrollmentDriver) -> None:
    secret = "moved to her daughter"
    participant = await study.register_participant()
    for fact in (procedure_performed(detail=secret), consent_withdrawn(reason=secret)):
        await study.record("sam", participant, fact)
    voided_one = (await study.load_stream(participant)).events[3].event_id
    await study.record(
        "sam", participant, correction(voided_one, procedure_performed(-1, detail=secret), reason=secret)
    )
    events = (await study.load_stream(participant)).events[3:]
    assert [(secret in repr(event), secret.encode() in (event.sealed or b"")) for event in events] == [(False,) * 2] * 3
    async with study.store.unit(Tenant(STUDY)) as unit:
        opened_by = text_opener(VAULT, await unit.data_key(participant))
    assert [dict(opened_by(event)) for event in events] == [
        {"/detail": secret},
        {"/reason": secret},
        {"/reason": secret, "/replacement/data/detail": secret},
    ]


async def test_hidden_text_cannot_be_guessed_by_repeating_an_event_id(study: EnrollmentDriver) -> None:
    """The key names the event, and the guess is right in everything else."""
    participant = await study.register_participant("sam", participant_screened(local_reference="PAT-4711"))
    note = (await study.record("sam", participant, procedure_performed(detail="awake"))).event_ids[0]
    await study.record("sam", participant, participant_transferred("milan"))
    references = participant_screened(local_reference="PAT-4711"), participant_screened(local_reference="PAT-9")
    for caller, event, guesses, code in (
        ("mia", await screening_event_id(study, participant), references, "idempotency-key-reused"),
        ("carl", await screening_event_id(study, participant), references, "local-reference"),
        (
            "mia",
            note,
            (procedure_performed(detail="awake"), procedure_performed(detail="asleep")),
            "idempotency-key-reused",
        ),
        (
            "carl",
            note,
            (procedure_performed(detail="awake"), procedure_performed(detail="asleep")),
            "idempotency-key-reused",
        ),
    ):
        codes = [(await study.refusal(caller, participant, guess, key=str(event))).code for guess in guesses]
        assert codes == [code, code], (caller, guesses)
    assert len(await study.event_types(participant)) == 3


WAIVED = {"histology": "met", "rt-indicated": "waived"}


@pytest.mark.parametrize("dry_run", [True, False])
async def test_hidden_text_cannot_be_guessed_by_repeating_a_request(study: EnrollmentDriver, dry_run: bool) -> None:
    """A caller who may not read the text is refused before the request is compared with the first."""
    participant = await study.register_participant()
    await study.record("sam", participant, procedure_performed(**SECRET_TEXT), key="k")
    registered = participant_screened(waivers={"rt-indicated": "exception"}, criteria=WAIVED)
    await study.record("sam", None, registered, key="new")
    guesses: list[tuple[str | None, str, Fact]] = []
    guesses.extend((participant, "k", procedure_performed(detail=text)) for text in ("awake", "asleep"))
    waived = [participant_screened(waivers={"rt-indicated": text}, criteria=WAIVED) for text in ("exception", "other")]
    guesses.extend((None, "new", guess) for guess in waived)
    refusals = [await study.refusal("carl", stream, guess, key=key, dry_run=dry_run) for stream, key, guess in guesses]
    assert {(type(refusal), refusal.code, refusal.title, refusal.faults) for refusal in refusals} == {
        (
            KeyReused,
            "idempotency-key-reused",
            "The idempotency key was used for another request. Use a new key.",
            (),
        )
    }


async def test_right_and_wrong_guesses_make_the_same_store_calls(study: EnrollmentDriver) -> None:
    """The time of a response must reveal nothing either. Calls are compared, since wall time depends on the machine."""
    participant = await study.register_participant("sam", participant_screened(local_reference="PAT-1"))
    note = await study.record("sam", participant, procedure_performed(**SECRET_TEXT), key="k")
    void = (await study.record("sam", participant, participant_voided())).event_ids[0]
    screening_id = await screening_event_id(study, participant)
    counting = CallCountingStore(study.store)
    other = EnrollmentDriver(counting, study.store)
    probes: list[tuple[tuple[Fact, Fact], str | None, dict[str, Any]]] = [
        ((procedure_performed(detail="awake"), procedure_performed(detail="asleep")), participant, {"key": "k"}),
        (
            (procedure_performed(detail="awake"), procedure_performed(detail="asleep")),
            participant,
            {"key": str(note.event_ids[0])},
        ),
        (
            (participant_screened(local_reference="PAT-1"), participant_screened(local_reference="PAT-2")),
            None,
            {"key": "other"},
        ),
        (
            (
                correction(screening_id, participant_screened(local_reference="PAT-1")),
                correction(screening_id, participant_screened(local_reference="PAT-2")),
            ),
            participant,
            {"dry_run": True},
        ),
    ]
    for guesses, participant_or_none, options in probes:
        calls_by_guess = []
        for guess in guesses:
            counting.calls.clear()
            await other.refusal("carl", participant_or_none, guess, **options)
            calls_by_guess.append(list(counting.calls))
        assert calls_by_guess[0] == calls_by_guess[1], options
    await study.register_participant(
        "sam", participant_screened(local_reference="PAT-1")
    )  # the reference is in use now
    alone = await study.register_participant("sam", participant_screened(local_reference="PAT-9"))
    free = (await study.record("sam", alone, participant_voided())).event_ids[0]
    calls_by_guess = []
    for participant_id, event in ((participant, void), (alone, free)):
        counting.calls.clear()
        await other.record("ivan", participant_id, correction(event, None), dry_run=True)
        calls_by_guess.append(list(counting.calls))
    assert calls_by_guess[0] == calls_by_guess[1]


async def test_repeat_without_text_does_not_reveal_whether_there_was_one(study: EnrollmentDriver) -> None:
    participant = await study.register_participant()
    with_text = await study.record("sam", participant, procedure_performed(**SECRET_TEXT), key="with")
    without = await study.record("sam", participant, procedure_performed(), key="without")
    for key, first in (("with", with_text), ("without", without)):
        assert await study.record("carl", participant, procedure_performed(), key=key) == first
        assert (
            await study.refusal("carl", participant, procedure_performed(1), key=key)
        ).code == "idempotency-key-reused"


async def test_sender_and_site_members_may_repeat_a_request_with_its_text(study: EnrollmentDriver) -> None:
    participant = await study.register_participant()
    first = await study.record("sam", participant, procedure_performed(**SECRET_TEXT), key="k")
    assert await study.record("cora", participant, procedure_performed(**SECRET_TEXT), key="k") == first
    assert (
        await study.refusal("cora", participant, procedure_performed(detail="asleep"), key="k")
    ).code == "idempotency-key-reused"
    own = await study.record("carl", participant, procedure_performed(**SECRET_TEXT), key="carls")
    for key in ("carls", str(own.event_ids[0])):
        assert await study.record("carl", participant, procedure_performed(**SECRET_TEXT), key=key) == own
        assert (
            await study.refusal("carl", participant, procedure_performed(detail="x"), key=key)
        ).code == "idempotency-key-reused"


async def test_texts_kept_in_a_correction_cannot_be_guessed_by_its_author(study: EnrollmentDriver) -> None:
    """The event of the correction is by the caller, but the text that it keeps is not."""
    participant = await study.register_participant()
    note = (await study.record("sam", participant, procedure_performed(**SECRET_TEXT))).event_ids[0]
    correction_recorded = await study.record("ivan", participant, correction(note, procedure_performed(-1)))
    for text in ("awake", "asleep"):
        guess = correction(note, procedure_performed(-1, detail=text))
        assert (await study.refusal("ivan", participant, guess, key=str(correction_recorded.event_ids[0]))).code == (
            "idempotency-key-reused"
        )


async def texts_of_last_event(study: EnrollmentDriver, participant: str) -> dict[str, str]:
    """Sealed texts of the last event by JSON pointer."""
    last = (await study.load_stream(participant)).events[-1]
    async with study.store.unit(Tenant(STUDY)) as unit:
        return dict(text_opener(VAULT, await unit.data_key(participant))(last))


async def test_correction_by_a_member_without_access_keeps_sealed_texts(study: EnrollmentDriver) -> None:
    participant = await study.register_participant()
    withdrawal_id = (await study.record("sam", participant, consent_withdrawn(5, reason="moves abroad"))).event_ids[0]
    for day, own in (
        (6, "the form says so"),
        (7, "and the letter"),
    ):  # the reason of the correction belongs to it alone
        await study.record("ivan", participant, correction(withdrawal_id, consent_withdrawn(day), reason=own))
        assert await texts_of_last_event(study, participant) == {
            "/reason": own,
            "/replacement/data/reason": "moves abroad",
        }


async def test_participant_has_one_data_key_and_only_with_sealed_texts(study: EnrollmentDriver) -> None:
    participant, keys = await study.register_participant(), []
    for fact in (lesion_registered(), procedure_performed(detail="awake"), procedure_performed(detail="asleep")):
        await study.record("sam", participant, fact)
        async with study.store.unit(Tenant(STUDY)) as unit:
            keys.append(await unit.data_key(participant))
    assert keys[0] is None
    assert keys[1] == keys[2] is not None


async def test_texts_of_the_old_site_are_not_kept_in_corrections_by_others(study: EnrollmentDriver) -> None:
    participant = await study.register_participant(
        "sam", participant_screened(local_reference="PAT-4711"), *ENROLLMENT_FACTS[1:]
    )
    await study.record("ada", participant, participant_transferred("milan", 0))
    screening = (await study.load_stream(participant)).events[0].event_id
    await study.record("ivan", participant, correction(screening, participant_screened(sex="male")))
    after = await study.load_stream(participant)
    assert (after.events[-1].sealed, after.head.search_key) == (None, None)
