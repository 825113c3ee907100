"""`quartal token`: a bearer token of the development issuer, with the grant that makes it worth something."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import httpx
import typer

from infra.cli.running import address, client, issuer
from infra.reference.study import subject
from shared.kernel.clock import Clock

HONOURED_WITHIN = 10.0  # seconds
_LOOKS_EVERY = 0.05
HONOURED_BY = (
    "/toxicity/v1/studies/{}/participants",
    "/followup/v1/studies/{}/participants",
    "/analytics/v1/studies/{}/position",
)
HONOURED = (200, 403)
"""403: the role is known, and this is not for it."""
ROLES = ("administrator", "investigator", "site", "coordinator", "monitor", "auditor", "reader")


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
    token = issuer().token(name or subject(study, role, site), now=Clock().now())
    grant = {"member": name or subject(study, role, site), "role": role, **({"site_id": site} if site else {})}
    try:
        asyncio.run(_granted(study, grant, token))
    except (httpx.HTTPError, TimeoutError, PermissionError) as problem:
        typer.echo(f"The token is valid, but its role was not confirmed: {problem or type(problem).__name__}", err=True)
    typer.echo(token)


async def _granted(study: str, grant: dict[str, Any], token: str) -> None:
    async with client(address()) as http:
        administrator = issuer().token(subject(study, "administrator"), now=Clock().now())
        answer = await http.get(f"/enrollment/v1/studies/{study}", headers=_bearer(administrator))
        if answer.status_code == 404:
            return  # the study is not there yet, or not this installation's to open
        answer.raise_for_status()
        if not _holds(answer.json()["facts"], grant):
            recorded = await http.post(
                f"/enrollment/v1/studies/{study}/facts/study.member_granted", json=grant, headers=_bearer(administrator)
            )
            if recorded.status_code != 201:
                raise PermissionError(f"the study's administrator could not grant the role ({recorded.status_code})")
        await _until_honoured(http, study, token)


def _holds(facts: list[dict[str, Any]], grant: dict[str, Any]) -> bool:
    """Is the grant the last word on that member, role and site?"""
    wanted = (grant["member"], grant["role"], grant.get("site_id"))
    said = [
        fact["type"]
        for fact in facts
        if fact["type"].startswith("study.member_")
        and (fact["data"]["member"], fact["data"]["role"], fact["data"]["site_id"]) == wanted
    ]
    return bool(said) and said[-1] == "study.member_granted"


async def _until_honoured(http: httpx.AsyncClient, study: str, token: str) -> None:
    """Each service hears of a grant by itself; until then the study is not to be seen for who holds it."""
    async with asyncio.timeout(HONOURED_WITHIN):
        for path in HONOURED_BY:
            while True:
                answer = await http.get(path.format(study), headers=_bearer(token))
                if answer.status_code in HONOURED:
                    break
                await asyncio.sleep(_LOOKS_EVERY)


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
