"""A simulated study for the benches: opened through the API, or as events that have been recorded already."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache

import httpx

from bench.ground import port_of, spread, token
from infra.cli.environment import settings_of
from infra.local.ports import LOOPBACK
from infra.local.stack import Stack
from infra.reference.load import StudyApi
from infra.reference.study import members, subject
from infra.simulator.patients import OPENED, SINCE, SITES, life
from shared.contracts.catalogue import PARTICIPANT
from shared.contracts.event import Event
from shared.inbox.registry.effect import register
from shared.kernel.ids import new_event_id, new_participant_id
from shared.security.tenancy import open_pool
from shared.testing.elsewhere_contract import published
from shared.testing.facts import consented, enrolled, granted, opened, screened, site_activated

STUDY = "bench"
SITE = SITES[0]
LIVES = 500  # different ones; after that they repeat, with other people
_AT_ONCE = 4
_FIRST_FACTS = 3  # screened, consented, enrolled
_RECORDED_AT = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)


async def open_study(stack: Stack, participants: int) -> list[str]:
    """Opens STUDY with one site and so many people who are enrolled there; their numbers."""
    address = f"http://{LOOPBACK}:{port_of(stack)}"
    async with httpx.AsyncClient(base_url=address, timeout=30, trust_env=False) as http:
        api = StudyApi(http, STUDY, lambda role, site: token(stack, STUDY, role, site))
        await api.open(OPENED, "opened")
        await api.state("study.site_activated", {**vars(SITE), "on": SINCE.isoformat()}, "site")
        await api.grant(members(STUDY, [SITE.site_id]))
        numbers: list[str] = []

        async def enrol(place: int) -> None:
            answer = await api.register(SITE.site_id, {"facts": _enrolled()}, f"participant/{place}")
            numbers.append(answer.json()["participant_id"])

        await spread(_AT_ONCE, enrol, participants)
    return numbers


async def known_people(stack: Stack, participants: int, service: str = "followup") -> list[str]:
    """The service knows STUDY, its one site and so many people enrolled there, as if enrollment had published them."""
    member = subject(STUDY, "site", SITE.site_id)
    told = [[opened(), granted(member, "site", SITE.site_id), site_activated(SITE.site_id, zone=SITE.time_zone)]]
    told += [[screened(site_id=SITE.site_id), consented(), enrolled()] for _ in range(participants)]
    names = [STUDY, *(new_participant_id() for _ in range(participants))]
    settings = settings_of(stack.environment)
    events = [each for name, facts in zip(names, told, strict=True) for each in published(STUDY, name, facts)]
    pool = await open_pool(settings.database(service, "system"))
    async with pool, pool.acquire() as connection, connection.transaction():
        await register(connection, events)  # type: ignore[arg-type] # the pool's proxy
    return names[1:]


@cache
def _enrolled() -> list[dict[str, object]]:
    """The first facts of somebody who was enrolled at SITE; without a number of the site's own, which is used once."""
    lives = (life(1, index, [SITE]).of("enrollment")[:_FIRST_FACTS] for index in range(LIVES))
    first = next(facts for facts in lives if facts[-1]["type"] == "participant.enrolled")
    bare = {name: value for name, value in first[0]["data"].items() if name != "local_reference"}
    return [{"type": first[0]["type"], "data": bare}, *(dict(fact) for fact in first[1:])]


@cache
def _written(index: int) -> tuple[str, list[tuple[str, int, str]]]:
    """A life's site, and what enrollment is told first of it as the store has it: type, schema version, JSON."""
    lived = life(1, index)
    facts = [PARTICIPANT.facts[fact["type"]].model_validate(fact["data"]) for fact in lived.of("enrollment")]
    return lived.site.site_id, [(fact.type_name, fact.schema_version, fact.model_dump_json()) for fact in facts]


def streams(events: int) -> Iterator[list[Event]]:
    """So many events of STUDY, participant by participant."""
    left, index = events, 0
    while left > 0:
        site, facts = _written(index % LIVES)
        stream = _told(site, facts[:left])
        yield stream
        left, index = left - len(stream), index + 1


def _told(site: str, facts: list[tuple[str, int, str]]) -> list[Event]:
    stream_id, meta = new_participant_id(), {"recorded_by": f"site@{site}", "judged_by": {"study_version": 12}}
    return [
        Event(
            STUDY, "enrollment", stream_id, version, new_event_id(), kind, schema_version, site, data, _RECORDED_AT,
            meta,
        )
        for version, (kind, schema_version, data) in enumerate(facts, 1)
    ]  # fmt: skip
