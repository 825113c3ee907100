"""Corrections from end to end: every fact of every service is restated, voided and reinstated."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from shared.kernel.fact import Fact
from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as followup
from shared.testing.builders import toxicity_facts as toxicity
from tests.api.support.study import (
    DECLARED_FACTS,
    StudyUnderTest,
    batch_entry,
    demo_environment,
    golden_fact,
    open_study,
)
from tests.demo import Demo

SCREENED, CONSENTED, ENROLLED = facts.participant_screened(), facts.consent_signed(), facts.participant_enrolled()
TREATMENT_FACTS = (
    SCREENED,
    CONSENTED,
    ENROLLED,
    facts.lesion_registered(),
    facts.radiotherapy_started(),
    facts.systemic_therapy_started(),
)
CORRECTION_CASES: dict[str, tuple[tuple[Fact, ...], Fact, Fact]] = {
    "participant.screened": ((), SCREENED, facts.participant_screened(3, birth_year=1950)),
    "participant.screen_failed": ((SCREENED,), facts.screening_failed(), facts.screening_failed(4)),
    "participant.consented": ((SCREENED,), CONSENTED, facts.consent_signed(2)),
    "participant.enrolled": ((SCREENED, CONSENTED), ENROLLED, facts.participant_enrolled(6)),
    "participant.baseline_recorded": (TREATMENT_FACTS, facts.baseline_recorded(), facts.baseline_recorded(2)),
    "participant.withdrawn": (TREATMENT_FACTS, facts.consent_withdrawn(40), facts.consent_withdrawn(50)),
    "participant.transferred": (
        TREATMENT_FACTS,
        facts.participant_transferred("milan", 50),
        facts.participant_transferred("milan", 60),
    ),
    "participant.voided": (TREATMENT_FACTS, facts.participant_voided(), facts.participant_voided("duplicate")),
    "lesion.registered": (TREATMENT_FACTS[:3], facts.lesion_registered("L7"), facts.lesion_registered("L8", 3)),
    "procedure.performed": (TREATMENT_FACTS, facts.procedure_performed(), facts.procedure_performed(9)),
    "radiotherapy.started": (TREATMENT_FACTS[:4], facts.radiotherapy_started(1), facts.radiotherapy_started(5)),
    "radiotherapy.prescription_changed": (
        TREATMENT_FACTS,
        facts.prescription_changed(4),
        facts.prescription_changed(6),
    ),
    "radiotherapy.completed": (TREATMENT_FACTS, facts.radiotherapy_completed(), facts.radiotherapy_completed(30)),
    "radiotherapy.discontinued": (
        TREATMENT_FACTS,
        facts.radiotherapy_discontinued(),
        facts.radiotherapy_discontinued(15),
    ),
    "systemic_therapy.started": (
        TREATMENT_FACTS[:4],
        facts.systemic_therapy_started(),
        facts.systemic_therapy_started(3),
    ),
    "systemic_therapy.stopped": (
        TREATMENT_FACTS,
        facts.systemic_therapy_stopped(20),
        facts.systemic_therapy_stopped(25),
    ),
    "toxicity.assessed": (
        TREATMENT_FACTS,
        toxicity.toxicity_assessed(5, toxicity.finding()),
        toxicity.toxicity_assessed(7),
    ),
    "toxicity.serious_event_reported": (
        TREATMENT_FACTS,
        toxicity.serious_event_reported("A", 5),
        toxicity.serious_event_reported("A", 6),
    ),
    "toxicity.serious_event_updated": (
        (*TREATMENT_FACTS, toxicity.serious_event_reported("A", 5)),
        toxicity.serious_event_updated("A"),
        toxicity.serious_event_updated("A", grade=4),
    ),
    "toxicity.serious_event_resolved": (
        (*TREATMENT_FACTS, toxicity.serious_event_reported("A", 5)),
        toxicity.serious_event_resolved("A"),
        toxicity.serious_event_resolved("A", resolved_on="2024-02-20"),
    ),
    "followup.recorded": (TREATMENT_FACTS, followup.follow_up_recorded(40, "L1"), followup.follow_up_recorded(42)),
    "followup.visit_missed": (TREATMENT_FACTS, followup.visit_missed(90), followup.visit_missed(95, 2)),
    "disease.progressed": (
        TREATMENT_FACTS,
        followup.disease_progressed(40, "L1"),
        followup.disease_progressed(42, "L1"),
    ),
    "vital_status.confirmed": (
        TREATMENT_FACTS,
        followup.vital_status_confirmed(40),
        followup.vital_status_confirmed(42, "registry"),
    ),
    "participant.died": (
        TREATMENT_FACTS,
        followup.participant_died(60),
        followup.participant_died("2024-03", presumed=True),
    ),
    "participant.lost": (TREATMENT_FACTS, followup.lost_to_follow_up(60), followup.lost_to_follow_up(62)),
    "participant.follow_up_resumed": (TREATMENT_FACTS, followup.follow_up_resumed(70), followup.follow_up_resumed(72)),
    "query.explained": (TREATMENT_FACTS, followup.query_explained(), followup.query_explained("1" * 64)),
    "visit.scheduled": (TREATMENT_FACTS, followup.visit_scheduled(95), followup.visit_scheduled(99, visit=2)),
    "reminder.snoozed": (TREATMENT_FACTS, followup.reminder_snoozed(), followup.reminder_snoozed(visit=2)),
    "reminder.acknowledged": (
        TREATMENT_FACTS,
        followup.reminder_acknowledged(),
        followup.reminder_acknowledged(visit=2),
    ),
}
"""Earlier facts, the fact, and its restatement."""
PARTICIPANT_FACTS = [(stream, kind) for stream, kind in DECLARED_FACTS if stream.subject == "participant"]
CORRECTION_CASES |= {
    kind.type_name: (TREATMENT_FACTS, golden_fact(stream, kind), golden_fact(stream, kind))
    for stream, kind in PARTICIPANT_FACTS
    if kind.type_name not in CORRECTION_CASES
}


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[StudyUnderTest]:
    with open_study(demo) as study:
        yield study


def service_of_type(type_name: str) -> str:
    return next(stream.service for stream, kind in PARTICIPANT_FACTS if kind.type_name == type_name)


def register_with_facts(study: StudyUnderTest, *earlier_facts: Fact) -> str:
    """Registers a participant with these facts, each in its service; returns the number."""
    participant_id = study.register(*(earlier_facts or (SCREENED,))[:1])
    for fact in earlier_facts[1:]:
        response = study.record_fact(participant_id, fact)
        assert response.status_code == 201, response.text
    return participant_id


def correct_event(
    study: StudyUnderTest, participant_id: str, service: str, event: str, replacement: Fact | None
) -> None:
    correction = {
        "event_id": event,
        "reason_code": "other",
        "replacement": batch_entry(replacement) if replacement else None,
    }
    path = study.address(f"participants/{participant_id}/facts/record.corrected", service)
    response = study.send(path, correction, "investigator")
    assert response.status_code == 201, response.text


def current_facts(study: StudyUnderTest, participant_id: str, service: str) -> list[Any]:
    """The current facts in the service's responses, by their ids."""
    rows = study.get_from(service, f"participants/{participant_id}", "investigator").json()["facts"]
    return sorted(([row["event_id"], row["type"], row["data"]] for row in rows), key=lambda row: str(row[0]))


def projected_facts(study: StudyUnderTest, participant_id: str, service: str) -> list[Any]:
    """Returns the same facts from analytics, once it has applied them."""
    study.wait_for_analytics()
    return asyncio.run(
        _fetch_projected_facts(
            demo_environment(study.demo)["QUARTAL_ANALYTICS_SYSTEM_URL"], study, participant_id, service
        )
    )


async def _fetch_projected_facts(url: str, study: StudyUnderTest, participant_id: str, service: str) -> list[Any]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(
            "select event_id, type, data from fact"
            " where study_id = $1 and subject = $2 and service = $3 and to_position is null order by event_id::text",
            study.study_id,
            participant_id,
            service,
        )
        return [[str(row["event_id"]), row["type"], json.loads(row["data"])] for row in rows]
    finally:
        await connection.close()


@pytest.mark.parametrize("type_name", CORRECTION_CASES)
def test_every_fact_can_be_restated_voided_and_reinstated_and_analytics_follows(
    study: StudyUnderTest, type_name: str
) -> None:
    earlier_facts, first, second = CORRECTION_CASES[type_name]
    service = service_of_type(type_name)
    if type_name == "participant.screened":
        participant_id = study.register(first)
        event = study.get(f"participants/{participant_id}/history", "monitor").json()["events"][0]["event_id"]
    else:
        participant_id = register_with_facts(study, *earlier_facts)
        event = study.record_fact(participant_id, first).json()["event_id"]
    for replacement in (second, None, first, second):
        correct_event(study, participant_id, service, event, replacement)
        current = current_facts(study, participant_id, service)
        contents = [data for event_id, _, data in current if event_id == event]
        assert contents == ([] if replacement is None else [replacement.model_dump(mode="json")])
        assert projected_facts(study, participant_id, service) == current
    events = study.get_from(service, f"participants/{participant_id}/history", "monitor").json()["events"]
    original = next(row for row in events if row["event_id"] == event)
    assert original["data"] == first.model_dump(mode="json"), "first values first"
    assert original["corrected_by"] == events[-1]["event_id"]
    assert original["recorded_by"].startswith("site@rome")
    assert {row["recorded_by"].partition("@")[0] for row in events[-4:]} == {"investigator"}


def test_corrected_death_changes_the_current_figure_but_not_past_positions(study: StudyUnderTest) -> None:
    participant_id = register_with_facts(study, *TREATMENT_FACTS)
    event = study.record_fact(participant_id, followup.participant_died(60)).json()["event_id"]
    study.wait_for_analytics()
    flow_with_death = study.figure("flow")
    correct_event(study, participant_id, "followup", event, followup.participant_died(80))
    study.wait_for_analytics()
    cut = {"cut": facts.day(70)}
    assert study.figure("flow", **cut)["died"] == flow_with_death["died"] - 1
    assert study.figure("flow", at=flow_with_death["position"], **cut)["died"] == flow_with_death["died"]
    correct_event(study, participant_id, "followup", event, None)
    study.wait_for_analytics()
    assert study.figure("flow")["died"] == flow_with_death["died"] - 1
    assert study.figure("flow", at=flow_with_death["position"])["died"] == flow_with_death["died"]
    timeline = study.get_analytics(f"participants/{participant_id}/timeline.json").json()
    assert "participant.died" not in {entry["type"] for entry in timeline["entries"]}


@pytest.mark.parametrize(
    "closing", [facts.consent_withdrawn(90, "data_use"), facts.participant_voided()], ids=lambda fact: fact.type_name
)
def test_excluded_participant_is_in_no_figure_or_list_but_keeps_a_history(study: StudyUnderTest, closing: Fact) -> None:
    participant_id = register_with_facts(
        study, *TREATMENT_FACTS, toxicity.toxicity_assessed(5, toxicity.finding("3.0:0699", None))
    )
    study.wait_for_analytics()
    flow_before = study.figure("flow")
    queried = {row["participant_id"] for row in study.get_analytics("queries.json").json()["rows"]}
    assert participant_id in queried
    event = study.record_fact(participant_id, closing).json()["event_id"]
    study.wait_for_analytics()
    for params in ({}, {"at": flow_before["position"]}):
        flow_after = study.figure("flow", **params)
        assert flow_after["enrolled"] == flow_before["enrolled"] - 1
        assert flow_after["left_out"] == flow_before["left_out"] + 1
    assert participant_id not in {row["participant_id"] for row in study.get_analytics("queries.json").json()["rows"]}
    assert study.get_analytics(f"participants/{participant_id}/timeline.json").status_code == 404
    assert study.get(f"participants/{participant_id}/history", "monitor").status_code == 200, "the history stays"
    correct_event(study, participant_id, "enrollment", event, None)
    study.wait_for_analytics()
    assert study.figure("flow")["enrolled"] == flow_before["enrolled"]
