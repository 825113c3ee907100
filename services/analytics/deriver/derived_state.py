"""The state that the rows of a study should have, and the participants whose rows have to be derived for it."""

from __future__ import annotations

from hashlib import sha256

from services.analytics.derivation.derive import DERIVATION_VERSION
from services.analytics.deriver import repository
from services.analytics.deriver.repository import DerivedState
from services.analytics.snapshot.repository import study_record_at
from shared.contracts.study import ProtocolAmended, SiteClosed, StudyClosed, StudyOpened
from shared.kernel.record import Record
from shared.postgres.tenancy import PooledConnection

_PLAN_FACTS = (StudyOpened, ProtocolAmended, SiteClosed, StudyClosed)


async def newest_state(connection: PooledConnection, study_id: str) -> tuple[Record, DerivedState | None]:
    """Returns the study's own facts and the state that the rows should have; None before the study was opened."""
    latest = await connection.fetchrow(repository.SQL["latest_position"], study_id)
    if latest is None:
        return Record(), None
    study = await study_record_at(connection, study_id, latest["position"])
    if not study.facts_of(StudyOpened):
        return study, None
    return study, DerivedState(latest["position"], latest["epoch"], DERIVATION_VERSION, digest_plans(study))


def digest_plans(study: Record) -> bytes:
    """Returns a digest of the study's own facts that rows depend on."""
    plans = [stated.fact for stated in study.stated_facts if isinstance(stated.fact, _PLAN_FACTS)]
    return sha256("\n".join(f"{fact.type_name} {fact.model_dump_json()}" for fact in plans).encode()).digest()


async def changed_participants(
    connection: PooledConnection, study_id: str, state: DerivedState, newest: DerivedState
) -> tuple[str, list[str]]:
    """Returns why rows are derived anew, and whose."""
    for reason, is_changed in (
        ("epoch", state.epoch != newest.epoch or state.position > newest.position),
        ("version", state.derivation_version != newest.derivation_version),
        ("plans", state.plans != newest.plans),
    ):
        if is_changed:
            return reason, await repository.participants_until(connection, study_id, newest.position)
    changed = await repository.participants_changed_between(connection, study_id, state.position, newest.position)
    return "facts", changed
