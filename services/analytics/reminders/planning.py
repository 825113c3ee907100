"""Brings the log of reminders of a study up to today: plans the steps that have come, and suppresses others.

It looks at the visits of which the day of a step has begun, at participants whose rows were derived anew, and at those
with reminders that a later day may change; all others are as they were. On the first look by another plan of reminders
it looks at every visit whose slot runs: the plan may have steps whose days began before it was in force.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from pydantic_core import to_json

from services.analytics.reminders import repository
from services.analytics.reminders.log import Reach, Reminder, settle, withdraw
from services.analytics.reminders.repository import DerivationState, Progress, SiteDay, VisitKey
from shared.postgres.tenancy import PooledConnection
from shared.protocol.protocol import ReminderPlan
from shared.protocol.reminder_steps import Audience, Reason

_BATCH_SIZE = 5_000


async def plan_reminders(
    connection: PooledConnection,
    study_id: str,
    sites: Sequence[SiteDay],
    study_plan: ReminderPlan,
    reaches: Mapping[str, Reach],
    state: DerivationState,
    now: datetime,
    *,
    shards: int,
) -> None:
    """Stores the reminders of a study that are new or say something else, and how far its visits were looked at.

    `sites`: the sites with their days. `study_plan`: the plan on the day of the study-wide digest. `reaches`: by site,
    the audiences with a recipient.
    """
    progress = await repository.load_progress(connection, study_id)
    sites = [
        replace(site, seen_until=progress[site.site_id].seen_on) if site.site_id in progress else site for site in sites
    ]
    ids = sorted(await _load_ids_to_settle(connection, study_id, sites, study_plan, progress, state))
    for start in range(0, len(ids), _BATCH_SIZE):
        batch = ids[start : start + _BATCH_SIZE]
        changed = await _settle_batch(connection, study_id, sites, study_plan, reaches, batch)
        await repository.store_reminders(connection, study_id, changed, now, shards=shards)
    plans = [_plan_text(site, study_plan) for site in sites]
    await repository.store_progress(connection, study_id, sites, plans, state.revision)


async def _load_ids_to_settle(
    connection: PooledConnection,
    study_id: str,
    sites: Sequence[SiteDay],
    study_plan: ReminderPlan,
    progress: Mapping[str, Progress],
    state: DerivationState,
) -> set[str]:
    """Returns the participants of whom a reminder may change."""
    sites_on_new_day = [site for site in sites if site.seen_until is None or site.seen_until < site.today]
    escalated = study_plan.escalate_after_days
    ids = set[str]()
    if sites_on_new_day:
        ids |= await repository.load_begun_participants(connection, study_id, sites_on_new_day, escalated)
    last_plans = {site_id: last.plan for site_id, last in progress.items()}
    sites_with_new_plan = [site for site in sites if last_plans.get(site.site_id) != _plan_text(site, study_plan)]
    if sites_with_new_plan:
        ids |= await repository.load_participants_in_slots(connection, study_id, sites_with_new_plan)
    revision = min((site.revision for site in progress.values()), default=state.revision)
    if revision != state.revision:
        since_revision = revision if revision < state.revision else 0  # a rebuild counts anew
        ids |= await repository.load_changed_participants(connection, study_id, since_revision)
    return ids | await repository.load_unsettled_participants(connection, study_id)


def _plan_text(site: SiteDay, study_plan: ReminderPlan) -> str:
    """Returns the plans by which the visits of a site are looked at, as JSON."""
    return to_json((site.plan, study_plan)).decode()


async def _settle_batch(
    connection: PooledConnection,
    study_id: str,
    sites: Sequence[SiteDay],
    study_plan: ReminderPlan,
    reaches: Mapping[str, Reach],
    ids: Sequence[str],
) -> list[Reminder]:
    occasions = await repository.load_occasions(connection, study_id, sites, ids)
    reminders = await repository.load_reminders(connection, study_id, ids, occasions)
    by_id = {site.site_id: site for site in sites}
    changed = list[Reminder]()
    for visit in repository.join_visits(study_id, occasions, reminders):
        site = by_id[visit.occasion.site_id]
        plans: Mapping[Audience, ReminderPlan] = {"site": site.plan, "study": study_plan}
        changed += settle(visit, plans, site.seen_until, reaches[site.site_id])
    without_visit = {key: rows for key, rows in reminders.items() if key not in occasions and rows[0].site_id in by_id}
    if without_visit:
        unscheduled = await repository.load_unscheduled(connection, study_id, sorted({key[0] for key in without_visit}))
        changed += _withdrawn(without_visit, unscheduled, by_id)
    return changed


def _withdrawn(
    reminders: Mapping[VisitKey, Sequence[Reminder]], unscheduled: Mapping[str, bool], sites: Mapping[str, SiteDay]
) -> Iterator[Reminder]:
    """Yields the reminders of visits that no longer exist, suppressed."""
    for (participant_id, _, _), rows in reminders.items():
        is_excluded = unscheduled.get(participant_id)
        reason: Reason = "moved" if is_excluded is None else "excluded" if is_excluded else "no_schedule"
        yield from withdraw(rows, reason, sites[rows[0].site_id].today)
