"""The order of a file is no matter: facts are put into one in which they can be stated."""

from __future__ import annotations

import random
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.exchange.fact import WITHHELD, canonical, read, stated, withheld
from infra.exchange.known import here
from infra.exchange.line import Line, Wrong
from infra.exchange.order import Said, of_study, stories
from services.enrollment.participant import objections
from shared.contracts import catalogue
from shared.contracts.schemas import HERE, golden_path
from shared.kernel.fact import Corrected, Fact, Stated
from shared.kernel.record import decide
from shared.testing import facts
from shared.testing.spec import open_gate
from tests.integration.stated import FIRST

WHOLE: tuple[Fact, ...] = (
    facts.screened(), facts.consented(), facts.enrolled(), facts.baseline(), facts.lesion("L1"),
    facts.course(1, "RT1", facts.target("T1", "L1")), facts.changed(2, "RT1", facts.target("T1", "L1")),
    facts.completed(), facts.line(), facts.line_stopped(30), facts.procedure(), facts.transferred("milan", 40),
    facts.withdrawn(50), facts.voided(),
)  # fmt: skip


def said(fact: Fact, number: int = 1, service: str = "enrollment", **line: object) -> Said:
    content = fact.model_dump(mode="json")
    return Said(Line(number, fact.type_name, service, content, "p1", True, **line), fact)  # type: ignore[arg-type] # keywords of several types


@given(st.randoms(use_true_random=False))
def test_a_file_in_any_order_can_be_stated_fact_by_fact(chance: random.Random) -> None:
    lines = [said(fact, place) for place, fact in enumerate(WHOLE)]
    chance.shuffle(lines)
    told = [each for _, stage in stories(lines)[0].stages() for each in stage]
    history: list[Stated[Fact]] = []
    for place, each in enumerate(told):
        proposed = Stated(UUID(int=place), each.fact)
        decide(history, [proposed], objections, open_gate)
        history.append(proposed)


@given(st.randoms(use_true_random=False))
def test_an_export_is_stated_in_the_order_in_which_it_was_recorded(chance: random.Random) -> None:
    exported = [said(fact, version=place) for place, fact in enumerate(reversed(WHOLE[:11]), 1)]
    lines = [*exported, said(facts.procedure(9))]
    chance.shuffle(lines)
    ((_, told),) = stories(lines)[0].stages()
    assert [each.line.version for each in told] == [*range(1, 12), None]


def test_that_a_record_is_void_is_stated_when_everything_else_is() -> None:
    lines = [said(facts.voided()), said(facts.procedure(), 2, "followup"), said(facts.screened())]
    stages = [(service, [each.line.type for each in told]) for service, told in stories(lines)[0].stages()]
    assert stages == [("enrollment", ["participant.screened"]), ("followup", ["procedure.performed"]),
                      ("enrollment", ["participant.voided"])]  # fmt: skip


@pytest.mark.parametrize("last", [facts.withdrawn(50), facts.transferred("milan", 40), facts.voided()])
def test_what_corrects_one_of_the_last_facts_comes_after_it(last: Fact) -> None:
    named = said(last, event_id=str(UUID(int=7)))
    lines = [said(facts.correction(7, None)), said(facts.correction(8, None)), named, said(facts.screened())]
    told = [each for _, stage in stories(lines)[0].stages() for each in stage]
    assert [each.fact for each in told] == [facts.screened(), facts.correction(8, None), last,
                                            facts.correction(7, None)]  # fmt: skip


def test_other_services_hear_of_a_participant_before_a_withdrawal_is_stated_if_they_had() -> None:
    def at(fact: Fact, version: int, minute: int, service: str = "enrollment") -> Said:
        when = (FIRST + timedelta(minutes=minute)).isoformat()
        return said(fact, minute, service, version=version, recorded_at=when)

    lines = [
        at(facts.screened(), 1, 1), at(facts.consented(), 2, 2), at(facts.withdrawn(9), 3, 5),
        at(facts.lesion(), 4, 7), at(facts.procedure(), 1, 4, "toxicity"), at(facts.procedure(), 2, 6, "toxicity"),
    ]  # fmt: skip
    turns = [(service, [each.line.version for each in told]) for service, told in stories(lines)[0].stages()]
    assert turns == [("enrollment", [1, 2]), ("toxicity", [1]), ("enrollment", [3]), ("toxicity", [2]),
                     ("enrollment", [4])]  # fmt: skip


def test_what_closes_a_study_comes_after_its_participants() -> None:
    own = [facts.study_closed(), facts.granted("a", "monitor"), facts.revoked("a", "monitor"), facts.cut_taken(),
           facts.site_closed(), facts.site_activated(), facts.opened(), facts.accrual_closed()]  # fmt: skip
    lines = [Said(Line(place, fact.type_name, "enrollment", {}), fact) for place, fact in enumerate(own)]
    first, last = of_study(lines)
    assert [each.line.type for each in first] == ["study.opened", "study.site_activated", "study.member_granted",
                                                  "study.member_revoked"]  # fmt: skip
    assert [each.line.type for each in last] == ["study.site_closed", "study.accrual_closed", "study.cut_taken",
                                                 "study.closed"]  # fmt: skip


def test_what_a_study_calls_by_another_id_is_translated() -> None:
    old, new = UUID(int=1), UUID(int=2)
    voided = facts.voided().model_copy(update={"duplicate_of": "K7F2-9QXA-3"})
    correction = here(said(facts.correction(old, voided)), {str(old): str(new)}, {"K7F2-9QXA-3": "0000-0000-0"}).fact
    assert isinstance(correction, Corrected)
    assert correction.event_id == new
    assert correction.model_dump()["replacement"]["data"]["duplicate_of"] == "0000-0000-0"


GOLDEN = [
    pytest.param(stream.service, kind, id=f"{stream.service}/{kind.type_name}")
    for stream, kind in catalogue.facts() if stream.subject == "participant"
]  # fmt: skip


@pytest.mark.parametrize(("service", "kind"), GOLDEN)
def test_whatever_was_published_can_be_stated_again(service: str, kind: type[Fact]) -> None:
    """Where a text is needed that is never published, a word stands for it, and nothing else changes."""
    path = HERE / golden_path(service, kind.type_name, kind.schema_version)
    content = kind.model_validate_json(path.read_text("utf-8"), context={"stored": True}).model_dump(mode="json")
    fact = read(Line(1, kind.type_name, service, content, "p1", True, version=1))
    again = kind.model_validate(stated(fact))
    assert canonical(again) == canonical(fact)
    assert list(withheld(fact)) == []
    assert fact.model_dump(mode="json") == content


def test_only_texts_that_are_needed_are_replaced() -> None:
    content = {"performed_on": "2024-03-07", "kind": "biopsy", "body_site": "neck", "detail": None}
    exported = read(Line(1, "procedure.performed", "enrollment", content, "p1", version=1))
    assert stated(exported) == content
    finding = {"term": "3.0:0150", "grade": None, "not_graded": None}
    assessed = {"assessed_on": "2024-03-07", "timepoint": "baseline", "findings": [finding], "checklist_complete": True}
    told = stated(read(Line(1, "toxicity.assessed", "toxicity", assessed, "p1", version=1)))
    assert told["findings"][0]["not_graded"] == WITHHELD
    with pytest.raises(Wrong):
        read(Line(1, "toxicity.assessed", "toxicity", assessed, "p1"))
