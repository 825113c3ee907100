"""`quartal token`: prints a bearer token of the development issuer, and grants its role in the study."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import httpx
import typer

from infra.cli.installation import base_url, development_issuer, http_client
from infra.reference.study import subject
from shared.kernel.clock import Clock
from shared.retry import poll_until

GRANT_TIMEOUT_SECONDS = 10.0
_POLL_INTERVAL_SECONDS = 0.05
GRANT_CHECK_PATHS = (
    "/toxicity/v1/studies/{}/participants",
    "/followup/v1/studies/{}/participants",
    "/analytics/v1/studies/{}/figures",
)
GRANTED_STATUSES = (200, 403)
"""403: the service knows the role, which may not read this path."""
ROLES = ("administrator", "investigator", "site", "coordinator", "monitor", "auditor", "reader")


class NoSuchStudyOrSite(Exception):
    """The study or its site does not exist; the message says which."""


def command(
    study: Annotated[str, typer.Option(help="the study's id")],
    role: Annotated[str, typer.Option(help=" | ".join(ROLES))],
    site: Annotated[str | None, typer.Option(help="the site's id; without it, the role is for the whole study")] = None,
    name: Annotated[
        str | None, typer.Option("--subject", help="the token's subject; without it, made of role, site and study")
    ] = None,
) -> None:
    """Print a bearer token that is valid for 15 minutes. If the study exists, grant the role in it."""
    if role not in ROLES:
        typer.echo(f"There is no role {role!r}. Use one of: {', '.join(ROLES)}.", err=True)
        raise typer.Exit(2)
    if role == "site" and site is None:
        typer.echo("The role site needs a site. Add --site.", err=True)
        raise typer.Exit(2)
    if role == "administrator" and site is not None:
        typer.echo("The role administrator is for the whole study. Leave --site out.", err=True)
        raise typer.Exit(2)
    token = development_issuer().token(name or subject(study, role, site), now=Clock().now())
    grant = {"member": name or subject(study, role, site), "role": role, **({"site_id": site} if site else {})}
    try:
        asyncio.run(_grant_role(study, grant, token))
    except NoSuchStudyOrSite as missing:
        typer.echo(f"{missing} Nothing was recorded.", err=True)
        raise typer.Exit(2) from None
    except (httpx.HTTPError, TimeoutError, PermissionError) as problem:
        typer.echo(f"The token is valid, but its role was not confirmed: {problem or type(problem).__name__}", err=True)
    typer.echo(token)


async def _grant_role(study: str, grant: dict[str, Any], token: str) -> None:
    async with http_client(base_url()) as http:
        administrator = development_issuer().token(subject(study, "administrator"), now=Clock().now())
        response = await http.get(f"/enrollment/v1/studies/{study}", headers=_authorization(administrator))
        if response.status_code == 404:
            await _require_grant(http, study, grant["role"], token)
            return
        response.raise_for_status()
        facts = response.json()["facts"]
        _require_site(study, facts, grant.get("site_id"))
        if not _has_grant(facts, grant):
            grant_response = await http.post(
                f"/enrollment/v1/studies/{study}/facts/study.member_granted",
                json=grant,
                headers=_authorization(administrator),
            )
            if grant_response.status_code != 201:
                raise PermissionError(
                    f"the study's administrator could not grant the role ({grant_response.status_code})"
                )
        await _wait_until_granted(http, study, token)


async def _require_grant(http: httpx.AsyncClient, study: str, role: str, token: str) -> None:
    """Raises NoSuchStudyOrSite if the token is useless: before the study is open, only an administrator can use one."""
    if role == "administrator":
        return
    response = await http.get(f"/enrollment/v1/studies/{study}", headers=_authorization(token))
    if response.status_code == 404:
        raise NoSuchStudyOrSite(
            "There is no study of that id here, or none of its administrators is of this installation."
        )


def _require_site(study: str, facts: list[dict[str, Any]], site: str | None) -> None:
    """Raises NoSuchStudyOrSite for a site that was never activated; a closed site still has staff."""
    sites = sorted(fact["data"]["site_id"] for fact in facts if fact["type"] == "study.site_activated")
    if site is not None and site not in sites:
        raise NoSuchStudyOrSite(
            f"The study {study} has no site of that id. Its sites: {', '.join(sites) or 'none yet'}."
        )


def _has_grant(facts: list[dict[str, Any]], grant: dict[str, Any]) -> bool:
    """Returns whether the role is granted: the last fact on this member, role and site is a grant."""
    grant_key = (grant["member"], grant["role"], grant.get("site_id"))
    fact_types = [
        fact["type"]
        for fact in facts
        if fact["type"].startswith("study.member_")
        and (fact["data"]["member"], fact["data"]["role"], fact["data"]["site_id"]) == grant_key
    ]
    return bool(fact_types) and fact_types[-1] == "study.member_granted"


async def _wait_until_granted(http: httpx.AsyncClient, study: str, token: str) -> None:
    """Waits until every service knows the grant; until then it answers that the study does not exist."""
    async with asyncio.timeout(GRANT_TIMEOUT_SECONDS):
        for path in GRANT_CHECK_PATHS:

            async def is_granted(url: str = path.format(study)) -> bool:
                return (await http.get(url, headers=_authorization(token))).status_code in GRANTED_STATUSES

            await poll_until(is_granted, interval_seconds=_POLL_INTERVAL_SECONDS)


def _authorization(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
