"""Makes a simulated study for the benches: through the API, or as events that enrollment published before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import cache

import httpx

from bench.environment import create_token, port_of, run_concurrently
from infra.cli.settings_source import read_settings
from infra.client.study_client import StudyClient
from infra.local.ports import LOOPBACK
from infra.local.stack import Stack
from infra.reference.study import default_grants, subject
from infra.simulator.participants import FIRST_SCREENING_DAY, OPENING_DATA, SITES, simulate_participant
from shared.contracts.catalogue import PARTICIPANT
from shared.contracts.event import Event
from shared.inbox.participant_registry.projector import apply_enrollment_events
from shared.kernel.fact import Fact
from shared.kernel.ids import new_participant_id
from shared.postgres.tenancy import open_pool
from shared.testing.builders.events import enrollment_events, make_event
from shared.testing.builders.facts import (
    consent_signed,
    member_granted,
    participant_enrolled,
    participant_screened,
    site_activated,
    study_opened,
)

STUDY = "bench"
SITE = SITES[0]
DISTINCT_PARTICIPANTS = 500  # after these, the facts repeat under new participant numbers
_CONCURRENCY = 4
_ENROLLMENT_FACT_COUNT = 3  # screened, consented, enrolled
_RECORDED_AT = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)


async def open_study(stack: Stack, participants: int) -> list[str]:
    """Opens STUDY with one site, and enrolls participants there; returns their numbers."""
    address = f"http://{LOOPBACK}:{port_of(stack)}"
    async with httpx.AsyncClient(base_url=address, timeout=30, trust_env=False) as http:
        api = StudyClient(http, STUDY, lambda role, site: create_token(stack, STUDY, role, site))
        await api.open_study(OPENING_DATA, "opened")
        await api.record_study_fact(
            "study.site_activated", {**vars(SITE), "on": FIRST_SCREENING_DAY.isoformat()}, "site"
        )
        await api.record_grants(default_grants(STUDY, [SITE.site_id]))
        numbers: list[str] = []

        async def enroll(number: int) -> None:
            response = await api.register(SITE.site_id, {"facts": _enrollment_facts()}, f"participant/{number}")
            numbers.append(response.json()["participant_id"])

        await run_concurrently(_CONCURRENCY, enroll, participants)
    return numbers


async def replicate_participants(stack: Stack, participants: int, service: str = "followup") -> list[str]:
    """Gives a service STUDY, its one site and enrolled participants, as if enrollment had published them.

    Returns the numbers of the participants.
    """
    member = subject(STUDY, "site", SITE.site_id)
    facts_by_stream = [
        [
            study_opened(),
            member_granted(member, "site", SITE.site_id),
            site_activated(SITE.site_id, zone=SITE.time_zone),
        ]
    ]
    facts_by_stream += [
        [participant_screened(site_id=SITE.site_id), consent_signed(), participant_enrolled()]
        for _ in range(participants)
    ]
    names = [STUDY, *(new_participant_id() for _ in range(participants))]
    settings = read_settings(stack.environment)
    events = [
        event
        for name, facts in zip(names, facts_by_stream, strict=True)
        for event in enrollment_events(STUDY, name, facts)
    ]
    pool = await open_pool(settings.database_url(service, "system"))
    async with pool, pool.acquire() as connection, connection.transaction():
        await apply_enrollment_events(connection, events)
    return names[1:]


@cache
def _enrollment_facts() -> list[dict[str, object]]:
    """Returns the facts up to the enrollment of one participant, without a local reference, which can be used once."""
    histories = (
        simulate_participant(1, index, [SITE]).facts_of_service("enrollment")[:_ENROLLMENT_FACT_COUNT]
        for index in range(DISTINCT_PARTICIPANTS)
    )
    history = next(facts for facts in histories if facts[-1]["type"] == "participant.enrolled")
    bare = {name: value for name, value in history[0]["data"].items() if name != "local_reference"}
    return [{"type": history[0]["type"], "data": bare}, *(dict(fact) for fact in history[1:])]


@cache
def _recorded_facts(index: int) -> tuple[str, list[Fact]]:
    """Returns the site and the enrollment facts of a simulated participant."""
    simulated = simulate_participant(1, index)
    facts = [
        PARTICIPANT.facts[fact["type"]].model_validate(fact["data"])
        for fact in simulated.facts_of_service("enrollment")
    ]
    return simulated.site.site_id, facts


def event_streams(events: int) -> Iterator[list[Event]]:
    """Yields so many events of STUDY, as one list for each participant."""
    remaining, index = events, 0
    while remaining > 0:
        site, facts = _recorded_facts(index % DISTINCT_PARTICIPANTS)
        stream = _participant_events(site, facts[:remaining])
        yield stream
        remaining, index = remaining - len(stream), index + 1


def _participant_events(site: str, facts: Sequence[Fact]) -> list[Event]:
    stream_id, provenance = new_participant_id(), {"judged_by": {"study_version": 12}}
    meta = {"recorded_by": f"site@{site}", "recorded_on": _RECORDED_AT.date().isoformat(), **provenance}
    return [
        make_event(
            fact, version, study_id=STUDY, stream_id=stream_id, site_id=site, recorded_at=_RECORDED_AT, meta=meta
        )
        for version, fact in enumerate(facts, 1)
    ]
