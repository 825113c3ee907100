"""Lines of a file may have any order: facts are sorted so that they can be recorded."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.exchange.existing_facts import with_local_ids
from infra.exchange.fact_conversion import (
    WITHHELD_TEXT,
    canonical_content,
    read_line,
    stated_content,
    withheld_pointers,
)
from infra.exchange.import_line import ImportLine, InvalidLine
from infra.exchange.statement_order import ImportFact, group_by_participant, split_study_facts
from services.enrollment.rules.participant import objections
from shared.contracts import catalogue
from shared.contracts.json_schemas import CONTRACTS_FOLDER, golden_path
from shared.kernel.fact import Correction, Fact, StatedFact
from shared.kernel.record import decide
from shared.testing.builders import facts
from shared.testing.builders.events import FIRST_RECORDED_AT
from shared.testing.spec import open_gate

COMPLETE_HISTORY: tuple[Fact, ...] = (
    facts.participant_screened(),
    facts.consent_signed(),
    facts.participant_enrolled(),
    facts.baseline_recorded(),
    facts.lesion_registered("L1"),
    facts.radiotherapy_started(1, "RT1", facts.target("T1", "L1")),
    facts.prescription_changed(2, "RT1", facts.target("T1", "L1")),
    facts.radiotherapy_completed(),
    facts.systemic_therapy_started(),
    facts.systemic_therapy_stopped(30),
    facts.procedure_performed(),
    facts.participant_transferred("milan", 40),
    facts.consent_withdrawn(50),
    facts.participant_voided(),
)


def import_fact(fact: Fact, number: int = 1, service: str = "enrollment", **line_options: Any) -> ImportFact:
    content = fact.model_dump(mode="json")
    return ImportFact(ImportLine(number, fact.type_name, service, content, "p1", True, **line_options), fact)


@given(st.randoms(use_true_random=False))
def test_lines_in_any_order_can_be_recorded_one_by_one(chance: random.Random) -> None:
    lines = [import_fact(fact, index) for index, fact in enumerate(COMPLETE_HISTORY)]
    chance.shuffle(lines)
    ordered_facts = [import_fact_ for _, stage in group_by_participant(lines)[0].stages() for import_fact_ in stage]
    history: list[StatedFact[Fact]] = []
    for index, ordered_fact in enumerate(ordered_facts):
        proposed = StatedFact(UUID(int=index), ordered_fact.fact)
        decide(history, [proposed], objections, open_gate)
        history.append(proposed)


@given(st.randoms(use_true_random=False))
def test_exported_lines_keep_their_recording_order(chance: random.Random) -> None:
    exported = [import_fact(fact, version=index) for index, fact in enumerate(reversed(COMPLETE_HISTORY[:11]), 1)]
    lines = [*exported, import_fact(facts.procedure_performed(9))]
    chance.shuffle(lines)
    ((_, ordered_facts),) = group_by_participant(lines)[0].stages()
    assert [ordered_fact.line.version for ordered_fact in ordered_facts] == [*range(1, 12), None]


def test_voiding_a_participant_is_recorded_last() -> None:
    lines = [
        import_fact(facts.participant_voided()),
        import_fact(facts.procedure_performed(), 2, "followup"),
        import_fact(facts.participant_screened()),
    ]
    stages = [
        (service, [fact.line.type for fact in facts]) for service, facts in group_by_participant(lines)[0].stages()
    ]
    assert stages == [
        ("enrollment", ["participant.screened"]),
        ("followup", ["procedure.performed"]),
        ("enrollment", ["participant.voided"]),
    ]


@pytest.mark.parametrize(
    "last", [facts.consent_withdrawn(50), facts.participant_transferred("milan", 40), facts.participant_voided()]
)
def test_corrections_of_last_facts_follow_them(last: Fact) -> None:
    named = import_fact(last, event_id=str(UUID(int=7)))
    lines = [
        import_fact(facts.correction(7, None)),
        import_fact(facts.correction(8, None)),
        named,
        import_fact(facts.participant_screened()),
    ]
    ordered_facts = [fact for _, stage in group_by_participant(lines)[0].stages() for fact in stage]
    assert [ordered_fact.fact for ordered_fact in ordered_facts] == [
        facts.participant_screened(),
        facts.correction(8, None),
        last,
        facts.correction(7, None),
    ]


def test_stages_of_services_follow_the_original_recording_times() -> None:
    def recorded_fact(fact: Fact, version: int, minute: int, service: str = "enrollment") -> ImportFact:
        recorded_at = (FIRST_RECORDED_AT + timedelta(minutes=minute)).isoformat()
        return import_fact(fact, minute, service, version=version, recorded_at=recorded_at)

    lines = [
        recorded_fact(facts.participant_screened(), 1, 1),
        recorded_fact(facts.consent_signed(), 2, 2),
        recorded_fact(facts.consent_withdrawn(9), 3, 5),
        recorded_fact(facts.lesion_registered(), 4, 7),
        recorded_fact(facts.procedure_performed(), 1, 4, "toxicity"),
        recorded_fact(facts.procedure_performed(), 2, 6, "toxicity"),
    ]
    stages = [
        (service, [fact.line.version for fact in facts]) for service, facts in group_by_participant(lines)[0].stages()
    ]
    assert stages == [
        ("enrollment", [1, 2]),
        ("toxicity", [1]),
        ("enrollment", [3]),
        ("toxicity", [2]),
        ("enrollment", [4]),
    ]


def test_study_closures_follow_the_participants() -> None:
    study_facts = [
        facts.study_closed(),
        facts.member_granted("a", "monitor"),
        facts.member_revoked("a", "monitor"),
        facts.cut_taken(),
        facts.site_closed(),
        facts.site_activated(),
        facts.study_opened(),
        facts.accrual_closed(),
    ]
    lines = [
        ImportFact(ImportLine(index, fact.type_name, "enrollment", {}), fact) for index, fact in enumerate(study_facts)
    ]
    first, last = split_study_facts(lines)
    assert [ordered_fact.line.type for ordered_fact in first] == [
        "study.opened",
        "study.site_activated",
        "study.member_granted",
        "study.member_revoked",
    ]
    assert [ordered_fact.line.type for ordered_fact in last] == [
        "study.site_closed",
        "study.accrual_closed",
        "study.cut_taken",
        "study.closed",
    ]


def test_ids_of_the_exporting_study_are_translated() -> None:
    old, new = UUID(int=1), UUID(int=2)
    voided = facts.participant_voided().model_copy(update={"duplicate_of": "K7F2-9QXA-3"})
    correction = with_local_ids(
        import_fact(facts.correction(old, voided)), {str(old): str(new)}, {"K7F2-9QXA-3": "0000-0000-0"}
    ).fact
    assert isinstance(correction, Correction)
    assert correction.event_id == new
    assert correction.model_dump()["replacement"]["data"]["duplicate_of"] == "0000-0000-0"


GOLDEN = [
    pytest.param(stream.service, kind, id=f"{stream.service}/{kind.type_name}")
    for stream, kind in catalogue.all_facts()
    if stream.subject == "participant"
]


@pytest.mark.parametrize(("service", "kind"), GOLDEN)
def test_every_published_example_can_be_recorded_again(service: str, kind: type[Fact]) -> None:
    """A required text is never published, so that a placeholder replaces it. Nothing else changes."""
    path = CONTRACTS_FOLDER / golden_path(service, kind.type_name, kind.schema_version)
    content = kind.model_validate_json(path.read_text("utf-8"), context={"stored": True}).model_dump(mode="json")
    fact = read_line(ImportLine(1, kind.type_name, service, content, "p1", True, version=1))
    again = kind.model_validate(stated_content(fact))
    assert canonical_content(again) == canonical_content(fact)
    assert list(withheld_pointers(fact)) == []
    assert fact.model_dump(mode="json") == content


def test_only_required_texts_are_replaced() -> None:
    content: dict[str, Any] = {
        "performed_on": "2024-03-07",
        "kind": "biopsy",
        "body_site": "neck",
        "lesion_ids": [],
        "detail": None,
    }
    exported = read_line(ImportLine(1, "procedure.performed", "enrollment", content, "p1", version=1))
    assert stated_content(exported) == content
    finding = {"term": "3.0:0150", "grade": None, "not_graded": None}
    assessed = {"assessed_on": "2024-03-07", "timepoint": "baseline", "findings": [finding], "checklist_complete": True}
    content_to_send = stated_content(
        read_line(ImportLine(1, "toxicity.assessed", "toxicity", assessed, "p1", version=1))
    )
    assert content_to_send["findings"][0]["not_graded"] == WITHHELD_TEXT
    with pytest.raises(InvalidLine):
        read_line(ImportLine(1, "toxicity.assessed", "toxicity", assessed, "p1"))
