"""Lists that name the same thing twice, and boosts that ride on each other.

Some lists are held to this by their class or by a rule already: targets and what was delivered to them, lesions of a
contact, causes of a finding, the terms of an assessment, criteria and consent forms of a protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from shared.contracts.enrollment import BaselineRecorded, MolecularFinding, ScreenFailed, SymptomAtBaseline
from shared.contracts.followup import FollowUpRecorded, SymptomChange
from shared.contracts.toxicity import SeriousEventReported, SeriousEventResolved, SeriousEventUpdated
from shared.contracts.treatment import (
    Agent,
    PrescriptionChanged,
    RadiotherapyStarted,
    SystemicTherapyStarted,
    Target,
)
from shared.gate.flaw import Flaw
from shared.kernel.fact import Fact
from shared.kernel.record import Objection
from shared.kernel.sealed import members
from shared.protocol.protocol import Protocol, Reminders, Stereotactic, Toxicity

Identity = Callable[[Any], Hashable]


def _itself(value: Hashable) -> Hashable:
    return value


def _symptom(entry: SymptomAtBaseline | SymptomChange) -> Hashable:
    return entry.symptom


def _finding(entry: MolecularFinding) -> Hashable:
    """A gene may be altered twice, and be looked at in the tumor and in blood."""
    return entry.gene.casefold(), entry.alteration, entry.origin


def _agent(entry: Agent) -> Hashable:
    """One agent may be given in two ways within a line: as a bolus and as an infusion."""
    return entry.name.casefold(), entry.schedule


IDENTITIES: Mapping[tuple[type[BaseModel], str], Identity] = {
    (ScreenFailed, "reason_codes"): _itself,
    (BaselineRecorded, "metastatic_sites"): _itself,
    (BaselineRecorded, "molecular_findings"): _finding,
    (BaselineRecorded, "symptoms"): _symptom,
    (FollowUpRecorded, "symptoms"): _symptom,
    (SystemicTherapyStarted, "agents"): _agent,
    (Target, "lesion_ids"): _itself,
    (SeriousEventReported, "seriousness"): _itself,
    (SeriousEventUpdated, "seriousness"): _itself,
    (SeriousEventResolved, "seriousness"): _itself,
    (Protocol, "symptoms"): _itself,
    (Toxicity, "checklist"): _itself,
    (Reminders, "steps"): _itself,
    (Stereotactic, "deliveries"): _itself,
}
"""What makes two entries of a list the same thing."""


def flaws(fact: Fact) -> Iterator[Flaw]:
    """Everything that is wrong with the lists of a fact."""
    yield from _repeated(fact, "")
    if isinstance(fact, RadiotherapyStarted | PrescriptionChanged):
        yield from _riding_on_each_other(fact.targets)


def _repeated(value: object, pointer: str) -> Iterator[Flaw]:
    match value:
        case BaseModel():
            for name in members(type(value)):
                within = getattr(value, name)
                if isinstance(within, tuple) and (identity := IDENTITIES.get((type(value), name))):
                    yield from _twice(within, f"{pointer}/{name}", identity, (type(value), name))
                yield from _repeated(within, f"{pointer}/{name}")
        case tuple():
            for number, entry in enumerate(value):
                yield from _repeated(entry, f"{pointer}/{number}")


def _twice(
    entries: tuple[Any, ...], pointer: str, identity: Identity, place: tuple[type[BaseModel], str]
) -> Iterator[Flaw]:
    identities = [identity(entry) for entry in entries]
    for number, same in enumerate(identities):
        if same in identities[:number]:
            message = "The list has this entry already. Give each thing once, with everything that makes it different."
            yield Flaw(Objection("listed-twice", message, member=f"{pointer}/{number}"), (place, same))


def _riding_on_each_other(targets: tuple[Target, ...]) -> Iterator[Flaw]:
    boosts = {target.target_id: target.boost_of for target in targets}
    for number, target in enumerate(targets):
        if target.target_id in (circle := _ridden_on(target.target_id, boosts)):
            message = "These targets are boosts of each other. Leave boost_of out of the target that is no boost."
            objection = Objection("boost-circle", message, member=f"/targets/{number}/boost_of")
            yield Flaw(objection, (Target, "boost_of", frozenset(circle)))


def _ridden_on(target: str, boosts: Mapping[str, str | None]) -> list[str]:
    """The targets that one rides on, directly or through others, each once."""
    ridden: list[str] = []
    below = boosts[target]
    while below is not None and below not in ridden:
        ridden.append(below)
        below = boosts.get(below)
    return ridden
