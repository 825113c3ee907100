"""`quartal demo`: starts everything, loads the reference study, and keeps a simulated study running."""

from __future__ import annotations

import os
from collections.abc import Mapping
from itertools import groupby
from typing import Annotated

import httpx
import typer

from infra.cli import up
from infra.cli.installation import configured_port, data_folder, http_client, token_source
from infra.cli.progress import progress
from infra.client.demo_subscriptions import Coordinator, subscribe_coordinators
from infra.client.reference_loader import load_reference_study
from infra.client.study_client import ApiError, StudyClient
from infra.local.demo_links import LIVE_STUDY, demo_links
from infra.local.outbox.kept_mails import KeptMails
from infra.local.stack import Stack
from infra.local.supervisor import python_module
from infra.reference.simulated_study import SITES
from infra.reference.study import FROZEN_TODAY, PAPER_CUT, SITE_ID, STUDY_ID, default_grants, subject
from shared.kernel.clock import Clock
from shared.progress import ReportProgress
from shared.retry import poll_until
from shared.settings import SERVICES

CATCH_UP_TIMEOUT_SECONDS, _POLL_INTERVAL_SECONDS = 60.0, 0.05
DEMO_CLOCK = f"{STUDY_ID}={FROZEN_TODAY},{LIVE_STUDY}=+0"
DEMO_ADMINISTRATORS = ",".join(
    [up.DEFAULTS["QUARTAL_ADMINISTRATORS"], *(subject(study, "administrator") for study in (STUDY_ID, LIVE_STUDY))]
)
"""People who may open studies: the administrator of each study under its own id, those of the demo under any id."""
OPENING_TIMEOUT_SECONDS = 20.0  # after this the demo starts without the simulated study, for it is useful without
OPENING_FACT_COUNT = 2 + len(SITES) + len(default_grants(LIVE_STUDY, [site.site_id for site in SITES]))
"""Facts that open the simulated study; until the last is recorded, some of the links do not work."""
GENERATION_SIZE = "200"  # participants, who fill the accrual period once


def command(
    facts_per_second: Annotated[
        float, typer.Option(min=0.01, max=100, help="How many facts of the simulated study are recorded in a second.")
    ] = 1.0,
) -> None:
    """Start everything with the reference study and a simulated study, and run until Ctrl-C."""
    if os.environ.get("QUARTAL_OIDC_ISSUER"):
        typer.echo("The demo signs people in by its links. Unset QUARTAL_OIDC_ISSUER, or start `quartal up`.", err=True)
        raise typer.Exit(2)
    progress_file = str(data_folder().path / "simulated.json")
    pace = ("--rate", str(facts_per_second))
    simulator = python_module(
        "infra.simulator", "--participants", GENERATION_SIZE, "--endless", *pace, "--progress", progress_file
    )
    defaults = {**up.DEFAULTS, "QUARTAL_ADMINISTRATORS": DEMO_ADMINISTRATORS, "QUARTAL_CLOCK": DEMO_CLOCK}
    up.start({**up.COMMANDS, "simulator": simulator}, _load_demo, defaults)


async def _load_demo(stack: Stack) -> None:
    await up.wait_until_ready()
    base = f"http://127.0.0.1:{configured_port()}"
    async with http_client(base) as http:
        messages: list[str] = []
        with progress("Loading the reference study", "facts") as report_progress:
            facts = await load_reference_study(http, token_source(STUDY_ID), messages.append, report_progress)
        typer.echo("\n".join(messages))
        with progress("Waiting until the pages show the reference study", "facts") as report_progress:
            await _wait_until_shown(http, STUDY_ID, facts, report_progress)
        await _publish(http, STUDY_ID, PAPER_CUT)
        try:
            with progress("Waiting for the simulated study", "facts") as report_progress:
                await _wait_until_shown(
                    http, LIVE_STUDY, OPENING_FACT_COUNT, report_progress, timeout_seconds=OPENING_TIMEOUT_SECONDS
                )
            today = Clock.parse(os.environ.get("QUARTAL_CLOCK", DEMO_CLOCK)).today(LIVE_STUDY).isoformat()
            await _publish(http, LIVE_STUDY, {"name": today, "cut_on": today})
        except TimeoutError:
            typer.echo(f"{LIVE_STUDY} is not open yet. Its links work as soon as the simulator has opened it.")
        if stack.environment.get("QUARTAL_OUTBOX_PORT"):
            await _subscribe(http)
    typer.echo(f"\nReady: {base}")
    for title, links in groupby(demo_links(), lambda link: f"{link.title} ({link.study}), signed in as"):
        typer.echo(f"  {title}")
        for link in links:
            typer.echo(f"    {link.role:14} {base}{link.sign_in_url}")
    typer.echo("  API reference")
    for service in SERVICES:
        typer.echo(f"    {service:14} {base}/{service}/docs")
    if stack.environment.get("QUARTAL_OUTBOX_PORT"):
        typer.echo(f"  Messages that were sent\n    {'outbox':14} {base}/outbox")
    typer.echo("Press Ctrl-C to stop. Recorded facts are kept.")


async def _subscribe(http: httpx.AsyncClient) -> None:
    """Subscribes the coordinators of both studies. Without them the demo is useful too."""
    sites = {STUDY_ID: SITE_ID, LIVE_STUDY: SITES[0].site_id}
    coordinators = [Coordinator(study, site) for study, own_site in sites.items() for site in (None, own_site)]
    try:
        await subscribe_coordinators(http, coordinators, token_source, KeptMails(data_folder().path / "outbox"))
    except (httpx.HTTPStatusError, TimeoutError) as error:
        typer.echo(f"The coordinators get no messages yet ({type(error).__name__}).")


async def _publish(http: httpx.AsyncClient, study: str, cut: Mapping[str, str]) -> None:
    """Takes a data cut and returns when readers see the study. Nothing is recorded twice for one name."""
    token_for = token_source(study)
    try:
        await StudyClient(http, study, token_for).take_cut(cut)
    except ApiError as refused:  # another clock, or a cut of that name by somebody else
        typer.echo(f"{study}: the data cut {cut['name']} was refused, so readers see an earlier one or none: {refused}")
        return
    headers = {"Authorization": f"Bearer {token_for('administrator', None)}"}
    path = f"/analytics/v1/studies/{study}/figures/flow.json"

    async def is_published() -> bool:
        return (await http.get(path, params={"at": f"cut:{cut['name']}"}, headers=headers)).status_code == 200

    await poll_until(is_published, interval_seconds=_POLL_INTERVAL_SECONDS, timeout_seconds=CATCH_UP_TIMEOUT_SECONDS)


async def _wait_until_shown(
    http: httpx.AsyncClient,
    study: str,
    facts: int,
    report_progress: ReportProgress,
    timeout_seconds: float = CATCH_UP_TIMEOUT_SECONDS,
) -> None:
    """Returns when the projection has that many facts of a study; raises TimeoutError after `timeout_seconds`."""
    path, token_for = f"/analytics/v1/studies/{study}/position", token_source(study)

    async def is_caught_up() -> bool:
        response = await http.get(path, headers={"Authorization": f"Bearer {token_for('administrator', None)}"})
        position = response.json()["position"] if response.status_code == 200 else 0
        report_progress(min(position, facts), facts)
        return bool(position >= facts)

    await poll_until(is_caught_up, interval_seconds=_POLL_INTERVAL_SECONDS, timeout_seconds=timeout_seconds)
