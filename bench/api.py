"""Measures a fact posted over HTTP against the smallest handler that validates and stores the same fact."""

from __future__ import annotations

import random

from bench.cohort import SITE, STUDY, replicate_participants
from bench.environment import bench_environment, create_token, port_of, run_programs, wait_until_answering
from bench.http_client import post_all, post_request
from bench.minimal_server import READY_PATH
from bench.ratio import Bench, Measurements, Pair, Ratio, Size, run_alternately
from infra.local.ports import free_port
from infra.local.supervisor import python_module
from shared.testing.builders.follow_up_facts import follow_up_recorded

CONNECTIONS = 16
RATIO = Ratio(
    name="api",
    ours="POST …/facts/followup.recorded: a real token, an idempotency key, decided and appended; 16 connections, one "
    "uvicorn process",
    against="the smallest honest FastAPI handler: validates the same model, one INSERT, commit; 16 connections, "
    "one uvicorn process",
    unit="requests/s",
    goal=0.60,
)


async def run(size: Size) -> Measurements:
    async with bench_environment(broker=False) as stack:
        product_port, smallest_port = port_of(stack), free_port()
        commands = {
            "ours": python_module("bench.minimal_server", "followup"),
            "smallest": python_module("bench.minimal_server", "smallest", str(smallest_port)),
        }
        async with run_programs(stack, commands):
            await wait_until_answering(product_port, "/followup/health/ready")
            await wait_until_answering(smallest_port, READY_PATH)
            participant_ids, requests = await replicate_participants(stack, size.choose(500, 5)), size.choose(3_000, 40)

            def build_requests(base: str) -> list[bytes]:
                bearer = create_token(stack, STUDY, "site", SITE.site_id)
                return [_request(base, random.choice(participant_ids), bearer) for _ in range(requests)]

            rounds = await run_alternately(
                size,
                lambda: post_all(product_port, CONNECTIONS, build_requests(f"/followup/v1/studies/{STUDY}")),
                lambda: post_all(smallest_port, CONNECTIONS, build_requests("")),
            )
    return {RATIO.name: [Pair(*round_rates) for round_rates in rounds]}


def _request(base: str, participant_id: str, bearer: str) -> bytes:
    fact = follow_up_recorded(random.randrange(300)).model_dump_json(exclude_none=True)
    return post_request(f"{base}/participants/{participant_id}/facts/followup.recorded", fact, bearer)


BENCH = Bench("api", (RATIO,), run)
