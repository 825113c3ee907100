"""Checks for lists that name the same thing twice, and for boosts of each other.

Classes or rules check some lists already: targets and what was delivered to them, lesions of a
contact, causes of a finding, the terms of an assessment, criteria and consent forms of a protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from shared.contracts.baseline import MolecularFinding, SymptomAtBaseline
from shared.contracts.enrollment import (
    BaselineRecorded,
    ProcedurePerformed,
    ScreeningFailed,
)
from shared.contracts.follow_up import FollowUpRecorded, SymptomChange
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
from shared.kernel.objection import ProblemType
from shared.kernel.sealed_text import field_names
from shared.protocol.protocol import Protocol, RegistryLink, ReminderPlan, StereotacticDefinition, ToxicityPlan

LISTED_TWICE = ProblemType(
    "listed-twice",
    "The list has this entry already. Give each thing once, with everything that makes it different.",
)
BOOST_CIRCLE = ProblemType(
    "boost-circle",
    "These targets are boosts of each other. Leave boost_of out of the target that is no boost.",
)

Identity = Callable[[Any], Hashable]


def _entry_itself(value: Hashable) -> Hashable:
    return value


def _symptom_code(entry: SymptomAtBaseline | SymptomChange) -> Hashable:
    return entry.symptom


def _finding_identity(entry: MolecularFinding) -> Hashable:
    """Distinguishes results by gene, alteration and origin: tumor and blood are tested separately."""
    return entry.gene.casefold(), entry.alteration, entry.origin


def _agent_identity(entry: Agent) -> Hashable:
    """Distinguishes agents by name and schedule: a line may have one as a bolus and as an infusion."""
    return entry.name.casefold(), entry.schedule


def _link_identity(entry: RegistryLink) -> Hashable:
    """Distinguishes links by site and first day: a site may have one again after a gap."""
    return entry.site_id, entry.days[0]


IDENTITIES: Mapping[tuple[type[BaseModel], str], Identity] = {
    (ScreeningFailed, "reason_codes"): _entry_itself,
    (BaselineRecorded, "metastatic_sites"): _entry_itself,
    (BaselineRecorded, "molecular_findings"): _finding_identity,
    (BaselineRecorded, "symptoms"): _symptom_code,
    (FollowUpRecorded, "symptoms"): _symptom_code,
    (SystemicTherapyStarted, "agents"): _agent_identity,
    (Target, "lesion_ids"): _entry_itself,
    (ProcedurePerformed, "lesion_ids"): _entry_itself,
    (SeriousEventReported, "seriousness"): _entry_itself,
    (SeriousEventUpdated, "seriousness"): _entry_itself,
    (SeriousEventResolved, "seriousness"): _entry_itself,
    (Protocol, "symptoms"): _entry_itself,
    (Protocol, "registry_links"): _link_identity,
    (ToxicityPlan, "checklist"): _entry_itself,
    (ReminderPlan, "steps"): _entry_itself,
    (StereotacticDefinition, "deliveries"): _entry_itself,
}
"""The value that two entries of a list have in common if they mean the same thing."""


def find_flaws(fact: Fact) -> Iterator[Flaw]:
    """Yields every flaw of the lists of a fact."""
    yield from _find_repetitions(fact, "")
    if isinstance(fact, RadiotherapyStarted | PrescriptionChanged):
        yield from _circular_boosts(fact.targets)


def _find_repetitions(value: object, pointer: str) -> Iterator[Flaw]:
    match value:
        case BaseModel():
            for name in field_names(type(value)):
                member = getattr(value, name)
                if isinstance(member, tuple) and (identity := IDENTITIES.get((type(value), name))):
                    yield from _repeated_entries(member, f"{pointer}/{name}", identity, (type(value), name))
                yield from _find_repetitions(member, f"{pointer}/{name}")
        case tuple():
            for number, entry in enumerate(value):
                yield from _find_repetitions(entry, f"{pointer}/{number}")


def _repeated_entries(
    entries: tuple[Any, ...], pointer: str, identity: Identity, list_member: tuple[type[BaseModel], str]
) -> Iterator[Flaw]:
    identities = [identity(entry) for entry in entries]
    for number, repeated in enumerate(identities):
        if repeated in identities[:number]:
            yield Flaw(LISTED_TWICE.objection(pointer=f"{pointer}/{number}"), (list_member, repeated))


def _circular_boosts(targets: tuple[Target, ...]) -> Iterator[Flaw]:
    boosts = {target.target_id: target.boost_of for target in targets}
    for number, target in enumerate(targets):
        if target.target_id in (circle := _boosted_targets(target.target_id, boosts)):
            objection = BOOST_CIRCLE.objection(pointer=f"/targets/{number}/boost_of")
            yield Flaw(objection, (Target, "boost_of", frozenset(circle)))


def _boosted_targets(target: str, boosts: Mapping[str, str | None]) -> list[str]:
    """Returns the targets that one is a boost of, directly or through others, each once."""
    boosted: list[str] = []
    base = boosts[target]
    while base is not None and base not in boosted:
        boosted.append(base)
        base = boosts.get(base)
    return boosted
