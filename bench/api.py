"""A fact stated over HTTP, against the smallest handler that validates and keeps the same."""

from __future__ import annotations

import random

from bench.cohort import SITE, STUDY, known_people
from bench.ground import answering, ground, port_of, programs, token
from bench.http_client import post_all, post_request
from bench.pairs import Bench, Measured, Pair, Ratio, Size, alternately
from bench.serving import READY
from infra.local.ports import free_port
from infra.local.supervisor import python_module
from shared.testing.followup_facts import contact

CONNECTIONS = 16
RATIO = Ratio(
    "api",
    "POST …/facts/followup.recorded: a real token, an idempotency key, decided and appended; 16 connections, one "
    "uvicorn process",
    "the smallest honest FastAPI handler: validates the same model, one INSERT, commit; 16 connections, one uvicorn "
    "process",
    "requests/s",
    0.60,
)


async def run(size: Size) -> Measured:
    async with ground(broker=False) as stack:
        ours, smallest = port_of(stack), free_port()
        commands = {
            "ours": python_module("bench.serving", "followup"),
            "smallest": python_module("bench.serving", "smallest", str(smallest)),
        }
        async with programs(stack, commands):
            await answering(ours, "/followup/health/ready")
            await answering(smallest, READY)
            numbers, requests = await known_people(stack, size.of(500, 5)), size.of(3_000, 40)

            def asked(base: str) -> list[bytes]:
                bearer = token(stack, STUDY, "site", SITE.site_id)
                return [_request(base, random.choice(numbers), bearer) for _ in range(requests)]

            rounds = await alternately(
                size,
                lambda: post_all(ours, CONNECTIONS, asked(f"/followup/v1/studies/{STUDY}")),
                lambda: post_all(smallest, CONNECTIONS, asked("")),
            )
    return {RATIO.name: [Pair(*each) for each in rounds]}


def _request(base: str, number: str, bearer: str) -> bytes:
    fact = contact(random.randrange(300)).model_dump_json(exclude_none=True)
    return post_request(f"{base}/participants/{number}/facts/followup.recorded", fact, bearer)


BENCH = Bench("api", (RATIO,), run)
