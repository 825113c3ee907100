"""Every event keeps the study's day at its site when it was recorded."""

from __future__ import annotations

from datetime import UTC, date, datetime

from services.enrollment.stream_policy import stream_policies
from shared.contracts.event import Event
from shared.eventstore.command import RecordFacts
from shared.eventstore.command_handler import CommandHandler
from shared.eventstore.memory_store import MemoryStore
from shared.eventstore.study_cache import OwnStudies
from shared.kernel.clock import Clock
from shared.kernel.fact import Fact
from shared.kernel.ids import new_event_id
from shared.postgres.tenancy import Tenant
from shared.security.event_key import EventKey
from shared.security.vault import KeyEncryptionKey, Vault
from shared.testing.builders.facts import (
    consent_signed,
    correction,
    member_granted,
    participant_screened,
    site_activated,
    study_opened,
)

STUDY, VAULT = "atc-rt", Vault(KeyEncryptionKey(bytes(range(32))))
MORNING_IN_UTC = datetime(2024, 3, 7, 10, 30, tzinfo=UTC)
"""It is already the next day in Kiribati, and still the day before on Niue."""


class RecordingStudy:
    """A study with a site in Kiribati and one on Niue, whose staff are named as the sites."""

    def __init__(self, clock: Clock) -> None:
        self.store = MemoryStore("enrollment")
        policies = stream_policies(clock, VAULT)
        self._handler = CommandHandler(
            self.store, OwnStudies(self.store), policies, VAULT, clock, EventKey(bytes(range(32, 64)))
        )

    async def open(self) -> None:
        await self.record("ada", STUDY, study_opened(), member_granted("ada", "administrator"), opens_study=True)
        for site, zone in (("kiribati", "Pacific/Kiritimati"), ("niue", "Pacific/Niue")):
            await self.record("ada", STUDY, site_activated(site, zone=zone), member_granted(site, "site", site))

    async def record(self, by: str, stream: str | None, *facts: Fact, opens_study: bool = False) -> list[Event]:
        pointers = tuple(f"/{index}/data" for index in range(len(facts)))
        command = RecordFacts(STUDY, stream, facts, pointers, by, opens_study=opens_study)
        recorded = await self._handler.record(command)
        async with self.store.unit(Tenant(STUDY)) as unit:
            events = (await unit.load_stream(recorded.stream_id)).events
        return [event for event in events if event.event_id in recorded.event_ids]

    async def screen(self, site: str) -> Event:
        (event,) = await self.record(site, None, participant_screened("2024-03-01", site_id=site))
        return event


async def test_event_keeps_the_day_at_the_site_that_states_it() -> None:
    study = RecordingStudy(Clock(now=lambda: MORNING_IN_UTC))
    await study.open()
    assert (await study.screen("kiribati")).recorded_on == date(2024, 3, 8)
    assert (await study.screen("niue")).recorded_on == date(2024, 3, 6)


async def test_fact_of_the_study_keeps_the_latest_day_of_any_site() -> None:
    study = RecordingStudy(Clock(now=lambda: MORNING_IN_UTC))
    await study.open()
    (granted,) = await study.record("ada", STUDY, member_granted("rita", "reader"))
    assert granted.recorded_on == date(2024, 3, 8)


async def test_study_without_a_site_has_the_day_in_utc() -> None:
    study = RecordingStudy(Clock(now=lambda: MORNING_IN_UTC))
    opened, _ = await study.record(
        "ada", STUDY, study_opened(), member_granted("ada", "administrator"), opens_study=True
    )
    assert opened.recorded_on == date(2024, 3, 7)


async def test_frozen_and_shifted_clocks_give_the_day_of_the_study_and_not_the_real_one() -> None:
    for setting, day in ((f"{STUDY}=2025-01-31", date(2025, 1, 31)), (f"{STUDY}=+365", date(2025, 3, 8))):
        study = RecordingStudy(Clock(Clock.parse(setting).frozen_or_shifted, lambda: MORNING_IN_UTC))
        await study.open()
        assert (await study.screen("kiribati")).recorded_on == day


async def test_facts_of_a_batch_and_corrections_keep_their_day() -> None:
    study = RecordingStudy(Clock(now=lambda: MORNING_IN_UTC))
    await study.open()
    screened = await study.screen("niue")
    restated = participant_screened("2024-03-02", site_id="niue")
    events = await study.record(
        "niue", screened.stream_id, consent_signed("2024-03-03"), correction(screened.event_id, restated)
    )
    assert [event.recorded_on for event in events] == [date(2024, 3, 6)] * 2


def test_event_of_an_earlier_release_has_no_day() -> None:
    event = Event(
        STUDY, "enrollment", "K7F2-9QXA-3", 1, new_event_id(), "participant.enrolled", 1, "niue", "{}", MORNING_IN_UTC
    )
    assert event.recorded_on is None
