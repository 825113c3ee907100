"""Corrections from end to end: every fact of every service, restated, taken back, said again, and what follows it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from shared.kernel.fact import Fact
from shared.testing import facts
from shared.testing import followup_facts as followup
from shared.testing import toxicity_facts as toxicity
from tests.api.own_study import DECLARED, OwnStudy, entry, environment, own_study, published
from tests.demo import Demo

SCREENED, CONSENTED, ENROLLED = facts.screened(), facts.consented(), facts.enrolled()
TREATED = (SCREENED, CONSENTED, ENROLLED, facts.lesion(), facts.course(), facts.line())
STORIES: dict[str, tuple[tuple[Fact, ...], Fact, Fact]] = {
    "participant.screened": ((), SCREENED, facts.screened(3, birth_year=1950)),
    "participant.screen_failed": ((SCREENED,), facts.screen_failed(), facts.screen_failed(4)),
    "participant.consented": ((SCREENED,), CONSENTED, facts.consented(2)),
    "participant.enrolled": ((SCREENED, CONSENTED), ENROLLED, facts.enrolled(6)),
    "participant.baseline_recorded": (TREATED, facts.baseline(), facts.baseline(2)),
    "participant.withdrawn": (TREATED, facts.withdrawn(40), facts.withdrawn(50)),
    "participant.transferred": (TREATED, facts.transferred("milan", 50), facts.transferred("milan", 60)),
    "participant.voided": (TREATED, facts.voided(), facts.voided("duplicate")),
    "lesion.registered": (TREATED[:3], facts.lesion("L7"), facts.lesion("L8", 3)),
    "procedure.performed": (TREATED, facts.procedure(), facts.procedure(9)),
    "radiotherapy.started": (TREATED[:4], facts.course(1), facts.course(5)),
    "radiotherapy.prescription_changed": (TREATED, facts.changed(4), facts.changed(6)),
    "radiotherapy.completed": (TREATED, facts.completed(), facts.completed(30)),
    "radiotherapy.discontinued": (TREATED, facts.discontinued(), facts.discontinued(15)),
    "systemic_therapy.started": (TREATED[:4], facts.line(), facts.line(3)),
    "systemic_therapy.stopped": (TREATED, facts.line_stopped(20), facts.line_stopped(25)),
    "toxicity.assessed": (TREATED, toxicity.assessed(5, toxicity.finding()), toxicity.assessed(7)),
    "toxicity.serious_event_reported": (TREATED, toxicity.serious("A", 5), toxicity.serious("A", 6)),
    "toxicity.serious_event_updated": (
        (*TREATED, toxicity.serious("A", 5)), toxicity.serious_updated("A"), toxicity.serious_updated("A", grade=4)
    ),
    "toxicity.serious_event_resolved": (
        (*TREATED, toxicity.serious("A", 5)), toxicity.serious_resolved("A"),
        toxicity.serious_resolved("A", resolved_on="2024-02-20"),
    ),
    "followup.recorded": (TREATED, followup.contact(40, "L1"), followup.contact(42)),
    "followup.visit_missed": (TREATED, followup.missed(90), followup.missed(95, 2)),
    "disease.progressed": (TREATED, followup.progressed(40, "L1"), followup.progressed(42, "L1")),
    "vital_status.confirmed": (TREATED, followup.alive(40), followup.alive(42, "registry")),
    "participant.died": (TREATED, followup.died(60), followup.died("2024-03", presumed=True)),
    "participant.lost": (TREATED, followup.lost(60), followup.lost(62)),
    "participant.follow_up_resumed": (TREATED, followup.resumed(70), followup.resumed(72)),
    "query.explained": (TREATED, followup.explained(), followup.explained("1" * 64)),
    "reminder.snoozed": (TREATED, followup.snoozed(), followup.snoozed(visit=2)),
    "reminder.acknowledged": (TREATED, followup.acknowledged(), followup.acknowledged(visit=2)),
}  # fmt: skip
"""What came before, the fact, and what it is restated as."""
PARTICIPANTS = [(stream, kind) for stream, kind in DECLARED if stream.subject == "participant"]
STORIES |= {
    kind.type_name: (TREATED, published(stream, kind), published(stream, kind))
    for stream, kind in PARTICIPANTS
    if kind.type_name not in STORIES
}


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[OwnStudy]:
    with own_study(demo) as opened:
        yield opened


def service_of(type_name: str) -> str:
    return next(stream.service for stream, kind in PARTICIPANTS if kind.type_name == type_name)


def told(study: OwnStudy, *before: Fact) -> str:
    """The number of somebody of whom this was stated, by whatever services take it."""
    number = study.participant(*(before or (SCREENED,))[:1])
    for fact in before[1:]:
        answer = study.state(number, fact)
        assert answer.status_code == 201, answer.text
    return number


def corrected(study: OwnStudy, number: str, service: str, event: str, replacement: Fact | None) -> None:
    said = {"event_id": event, "reason_code": "other", "replacement": entry(replacement) if replacement else None}
    path = study.address(f"participants/{number}/facts/record.corrected", service)
    answer = study.send(path, said, "investigator")
    assert answer.status_code == 201, answer.text


def stands(study: OwnStudy, number: str, service: str) -> list[Any]:
    """The facts that the service says stand, by their ids."""
    rows = study.of(service, f"participants/{number}", "investigator").json()["facts"]
    return sorted(([row["event_id"], row["type"], row["data"]] for row in rows), key=lambda row: str(row[0]))


def projected(study: OwnStudy, number: str, service: str) -> list[Any]:
    """The same as analytics has it, once it has heard everything."""
    study.position()
    return asyncio.run(_projected(environment(study.demo)["QUARTAL_ANALYTICS_SYSTEM_URL"], study, number, service))


async def _projected(url: str, study: OwnStudy, number: str, service: str) -> list[Any]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(
            "select event_id, type, data from fact"
            " where study_id = $1 and subject = $2 and service = $3 and to_position is null order by event_id::text",
            study.study_id, number, service,
        )  # fmt: skip
        return [[str(row["event_id"]), row["type"], json.loads(row["data"])] for row in rows]
    finally:
        await connection.close()


@pytest.mark.parametrize("type_name", STORIES)
def test_a_fact_is_restated_voided_and_said_again_and_analytics_follows(study: OwnStudy, type_name: str) -> None:
    before, first, then = STORIES[type_name]
    service = service_of(type_name)
    if type_name == "participant.screened":
        number = study.participant(first)
        event = study.get(f"participants/{number}/history", "monitor").json()["events"][0]["event_id"]
    else:
        number = told(study, *before)
        event = study.state(number, first).json()["event_id"]
    for replacement in (then, None, first, then):
        corrected(study, number, service, event, replacement)
        standing = stands(study, number, service)
        said = [data for each, _, data in standing if each == event]
        assert said == ([] if replacement is None else [replacement.model_dump(mode="json")])
        assert projected(study, number, service) == standing
    events = study.of(service, f"participants/{number}/history", "monitor").json()["events"]
    original = next(each for each in events if each["event_id"] == event)
    assert original["data"] == first.model_dump(mode="json"), "first values first"
    assert original["corrected_by"] == events[-1]["event_id"]
    assert original["recorded_by"].startswith("site@rome")
    assert {each["recorded_by"].partition("@")[0] for each in events[-4:]} == {"investigator"}


def test_a_death_moves_in_the_figure_leaves_it_and_stays_where_it_was(study: OwnStudy) -> None:
    number = told(study, *TREATED)
    event = study.state(number, followup.died(60)).json()["event_id"]
    study.position()
    dead = study.figure("flow")
    corrected(study, number, "followup", event, followup.died(80))
    study.position()
    on = {"cut": facts.day(70)}
    assert study.figure("flow", **on)["died"] == dead["died"] - 1
    assert study.figure("flow", at=dead["position"], **on)["died"] == dead["died"]
    corrected(study, number, "followup", event, None)
    study.position()
    assert study.figure("flow")["died"] == dead["died"] - 1
    assert study.figure("flow", at=dead["position"])["died"] == dead["died"]
    timeline = study.read(f"participants/{number}/timeline.json").json()
    assert "participant.died" not in {each["type"] for each in timeline["entries"]}


@pytest.mark.parametrize("closing", [facts.withdrawn(90, "data_use"), facts.voided()], ids=lambda fact: fact.type_name)
def test_whose_data_may_not_be_used_is_in_no_figure_past_or_live_and_in_no_list(study: OwnStudy, closing: Fact) -> None:
    number = told(study, *TREATED, toxicity.assessed(5, toxicity.finding("3.0:0699", None)))
    study.position()
    with_them = study.figure("flow")
    asked = {row["participant_id"] for row in study.read("queries.json").json()["rows"]}
    assert number in asked
    event = study.state(number, closing).json()["event_id"]
    study.position()
    for at in ({}, {"at": with_them["position"]}):
        without = study.figure("flow", **at)
        assert without["enrolled"] == with_them["enrolled"] - 1
        assert without["left_out"] == with_them["left_out"] + 1
    assert number not in {row["participant_id"] for row in study.read("queries.json").json()["rows"]}
    assert study.read(f"participants/{number}/timeline.json").status_code == 404
    assert study.get(f"participants/{number}/history", "monitor").status_code == 200, "the history stays"
    corrected(study, number, "enrollment", event, None)
    study.position()
    assert study.figure("flow")["enrolled"] == with_them["enrolled"]
