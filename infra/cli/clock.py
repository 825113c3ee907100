"""`quartal clock advance`: lets days pass in a study of the Quartal that runs on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import date
from typing import Annotated, Any, NoReturn, TypeAlias

import asyncpg
import typer

from infra.cli.installation import data_folder
from infra.cli.settings_source import command_environment, read_settings
from infra.local.data_folder import DataFolder
from infra.local.folder_lock import LockHeld, hold_lock
from services.analytics.reminders.status import count_sent, is_done_with
from services.analytics.snapshot.repository import projection_position
from shared.clock_file import ClockFile
from shared.contracts.study import SiteActivated
from shared.gate.study_timeline import latest_site_today
from shared.inbox.participant_registry.repository import ReplicatedStudies
from shared.outbox.maintenance import count_study_events
from shared.postgres.errors import FAILED_QUERY
from shared.postgres.tenancy import open_pool
from shared.retry import poll_until
from shared.settings import PRODUCERS, Settings

CATCH_UP_TIMEOUT_SECONDS, _POLL_INTERVAL_SECONDS = 60.0, 0.05
Pool: TypeAlias = "asyncpg.Pool[Any]"
app = typer.Typer(no_args_is_help=True, help="Let days pass in a study of the Quartal that runs on this machine.")


class UnknownStudy(Exception):
    """Analytics has no fact of the study."""


@app.callback()
def _clock() -> None:
    """Lets days pass in a study of the Quartal that runs on this machine."""


@app.command("advance")
def advance_command(
    study: Annotated[str, typer.Option(help="the study's id")],
    days: Annotated[int, typer.Option(min=1, max=3660, help="number of days")] = 1,
) -> None:
    """Advance a study's today, one day after the other, and wait each day until analytics has caught up.

    The study stays advanced after a restart, and recorded facts keep the day on which they were recorded.

    Only a Quartal that `quartal up` or `quartal demo` runs on this machine can be advanced. Deployments go by
    QUARTAL_CLOCK alone.
    """
    folder, settings = data_folder(), read_settings(command_environment())
    if folder.holder_notes() is None:
        _fail(
            f"No Quartal runs on {folder.path}. Only one that `quartal up` or `quartal demo` runs on this machine can "
            "be advanced. Start it first, or set QUARTAL_DATA to its data folder."
        )
    if settings.clock_file != folder.clock_file:
        _fail(f"The Quartal that runs on {folder.path} does not read {folder.clock_file}. Stop it and start it again.")
    try:
        with hold_lock(folder.path / "clock.lock"):
            asyncio.run(advance(folder, settings, study, days, typer.echo))
    except LockHeld:
        _fail("Another command advances a study of this Quartal. Wait until it has ended.")
    except UnknownStudy:
        _fail(f"There is no study {study}.", code=2)
    except TimeoutError:
        _fail("Analytics does not catch up. The study keeps the day reached. Look at `quartal parked list`.")
    except FAILED_QUERY as error:
        _fail(f"A database does not answer: {error}")


def _fail(message: str, code: int = 1) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(code)


async def advance(
    folder: DataFolder, settings: Settings, study_id: str, days: int, report: Callable[[str], None]
) -> None:
    """Sets the study's today to each of the next days in turn, and reports what was done on it.

    Raises UnknownStudy, and TimeoutError if analytics does not catch up with one of the days.
    """
    async with _open_pools(settings) as (producers, analytics):
        await _study_today(settings, analytics, study_id)
        for _ in range(days):
            advanced_days = ClockFile(folder.clock_file).advanced_days()
            folder.write_clock({**advanced_days, study_id: advanced_days.get(study_id, 0) + 1})
            facts = await wait_for_day(producers, analytics, study_id)
            await wait_for_reminders(settings, analytics, study_id)
            today = await _study_today(settings, analytics, study_id)
            sent = await describe_sent(analytics, study_id, today)
            report(f"{study_id}: it is {today}. Analytics has applied all {facts} facts. {sent}")


async def wait_for_day(producers: list[Pool], analytics: Pool, study_id: str) -> int:
    """Waits until analytics has derived rows from every fact of the study recorded by now; returns their position.

    A day of the study is done then. Raises TimeoutError after `CATCH_UP_TIMEOUT_SECONDS`.
    """
    recorded = sum([await count_study_events(pool, study_id) for pool in producers])

    async def has_caught_up() -> bool:
        return (await projection_position(analytics, study_id)).position >= recorded

    await poll_until(has_caught_up, interval_seconds=_POLL_INTERVAL_SECONDS, timeout_seconds=CATCH_UP_TIMEOUT_SECONDS)
    return (await projection_position(analytics, study_id)).position


async def wait_for_reminders(settings: Settings, analytics: Pool, study_id: str) -> None:
    """Waits until the reminders of the study's day are planned, and those that are due are sent.

    Raises TimeoutError after `CATCH_UP_TIMEOUT_SECONDS`.
    """
    study, clock = (await ReplicatedStudies(analytics).current(study_id)).record, settings.study_clock()
    days = {site.site_id: clock.today(study_id, site.time_zone) for site in study.facts_of(SiteActivated)}

    async def is_done() -> bool:
        async with analytics.acquire() as connection:
            return await is_done_with(connection, study_id, days)

    await poll_until(is_done, interval_seconds=_POLL_INTERVAL_SECONDS, timeout_seconds=CATCH_UP_TIMEOUT_SECONDS)


async def describe_sent(analytics: Pool, study_id: str, today: date) -> str:
    """Returns a sentence with the reminders that were sent on a day."""
    async with analytics.acquire() as connection:
        counts = await count_sent(connection, study_id, today)
    steps = ", ".join(f"{count} {step}" for step, count in counts.items())
    return f"Reminders sent: {steps}." if steps else "No reminder was sent."


async def _study_today(settings: Settings, analytics: Pool, study_id: str) -> date:
    """Returns the latest calendar day at any site of the study. Raises UnknownStudy."""
    study = await ReplicatedStudies(analytics).current(study_id)
    if not study.version:
        raise UnknownStudy(study_id)
    return latest_site_today(settings.study_clock(), study_id, study.record)


@asynccontextmanager
async def _open_pools(settings: Settings) -> AsyncIterator[tuple[list[Pool], Pool]]:
    """Opens pools of the services that record facts, and of analytics."""
    async with AsyncExitStack() as pools:
        analytics, *producers = [
            await pools.enter_async_context(await open_pool(settings.database_url(service, "system"), max_size=1))
            for service in ("analytics", *PRODUCERS)
        ]
        yield producers, analytics
