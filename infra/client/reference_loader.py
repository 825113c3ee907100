"""Loads the reference study through the public API: its opening, its published cases, its synthetic participants."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import httpx

from infra.callbacks import Report, TokenFor
from infra.client.study_client import StudyClient
from infra.reference import publications, published_cases
from infra.reference.study import OPENING_DATA, SITE, SITE_ID, STUDY_ID, ReferenceFact, default_grants
from infra.services import Service
from infra.synthetic import cohort
from shared.progress import ReportProgress, report_nothing

MAX_CONCURRENT_REGISTRATIONS = 4
OPENING_FACT_COUNT = 3  # the study opened, its administrator granted, the site activated


@dataclass(frozen=True)
class ParticipantBatches:
    """One participant's facts, a batch for each service; `key` is the idempotency key of the registration."""

    key: str
    batches: dict[Service, list[ReferenceFact]]

    def __len__(self) -> int:
        return sum(len(facts) for facts in self.batches.values())


async def load_reference_study(
    client: httpx.AsyncClient,
    token_for: TokenFor,
    report: Report,
    report_progress: ReportProgress = report_nothing,
) -> int:
    """Records the reference study and returns the number of its facts. Safe to repeat: every request has a fixed key.

    Raises ApiError if a service refuses a fact, httpx.TransportError if it does not answer.
    """
    study_client = StudyClient(client, STUDY_ID, token_for)
    await study_client.open_study(OPENING_DATA, f"{STUDY_ID}/opened")
    await study_client.record_study_fact("study.site_activated", SITE, f"{STUDY_ID}/site/{SITE_ID}")
    grants = default_grants(STUDY_ID, [SITE_ID])
    await study_client.record_grants(grants)
    publication_facts = publications.literature_facts()
    for publication in publication_facts:
        key = f"{STUDY_ID}/literature/{publication['ref_id']}"
        await study_client.record_study_fact("literature.study_recorded", publication, key)
    participants = reference_participants()
    recorded = OPENING_FACT_COUNT + len(grants) + len(publication_facts)
    fact_count = recorded + sum(map(len, participants))
    slots = asyncio.Semaphore(MAX_CONCURRENT_REGISTRATIONS)

    participant_ids = dict[str, str]()

    async def register(participant: ParticipantBatches) -> None:
        nonlocal recorded
        participant_ids[participant.key] = await _register(study_client, slots, participant)
        recorded += len(participant)
        report_progress(recorded, fact_count)

    try:
        async with asyncio.TaskGroup() as group:
            for participant in participants:
                group.create_task(register(participant))
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures
    case_count, synthetic_count = len(published_cases.cases()), len(cohort.participants())
    report(
        f"{STUDY_ID}: loaded {case_count} published cases, {synthetic_count} synthetic participants and "
        f"{len(participants) - case_count - synthetic_count} synthetic people who were not enrolled"
    )
    published_numbers = ", ".join(participant_ids[participant.key] for participant in participants[:case_count])
    report(f"{STUDY_ID}: the published cases are {published_numbers}; all others are synthetic")
    report(f"{STUDY_ID}: {len(publication_facts)} publications stand beside the cohort")
    return fact_count


def reference_participants() -> list[ParticipantBatches]:
    """Returns the published cases, the synthetic participants, and the synthetic participants who were not enrolled."""
    participants = [
        (f"published-{case['case']}", case["facts"], _later_facts(case)) for case in published_cases.cases()
    ]
    later_facts = [
        [(simulated.service, simulated.fact) for simulated in simulated_facts]
        for simulated_facts in cohort.later_facts()
    ]
    synthetic_participants = zip(cohort.participants(), later_facts, strict=True)
    participants += [
        (f"synthetic-{number}", facts, later) for number, (facts, later) in enumerate(synthetic_participants, 1)
    ]
    participants += [
        (f"synthetic-door-{number}", facts, []) for number, facts in enumerate(cohort.not_enrolled_participants(), 1)
    ]
    return [_participant_batches(name, facts, later) for name, facts, later in participants]


def _later_facts(case: published_cases.PublishedCase) -> list[tuple[Service, ReferenceFact]]:
    return [(fact["service"], {"type": fact["type"], "data": fact["data"]}) for fact in case["later"]]


def _participant_batches(
    name: str, facts: list[ReferenceFact], later: Sequence[tuple[Service, ReferenceFact]]
) -> ParticipantBatches:
    batches: dict[Service, list[ReferenceFact]] = {"enrollment": facts}
    for service, fact in later:
        batches.setdefault(service, []).append(fact)
    return ParticipantBatches(f"{STUDY_ID}/participant/{name}", batches)


async def _register(study_client: StudyClient, slots: asyncio.Semaphore, participant: ParticipantBatches) -> str:
    """Registers a participant, then records the facts of the other services; returns the participant's number."""
    async with slots:
        response = await study_client.register(SITE_ID, {"facts": participant.batches["enrollment"]}, participant.key)
        participant_id, after = response.json()["participant_id"], response.headers.get("quartal-version")
        for service, facts in participant.batches.items():
            if service != "enrollment":
                key = f"{participant.key}/{service}"
                await study_client.record_facts(SITE_ID, participant_id, facts, key, service=service, after=after)
    return str(participant_id)
