"""`quartal report`: writes the report of a data cut and whatever else is kept with it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import httpx
import typer

from infra.callbacks import TokenFor
from infra.cli.files import UnwritableFile, check_folder, write_bytes_atomically
from infra.cli.import_ import NO_ANSWER_MESSAGE, TokenOption
from infra.cli.installation import http_client, token_source
from infra.cli.progress import progress
from infra.client.study_client import StudyClient
from infra.exchange.cut_documents import CutDocument, fetch_documents
from infra.exchange.target_study import NO_STUDY, Caller, ExchangeAborted, TargetStudy
from infra.reference.study import member_grant

_UNSAFE_IN_FILE_NAME = re.compile(r"[^A-Za-z0-9_.-]")


def command(
    study: Annotated[str, typer.Option(help="the study's id")],
    cut: Annotated[str, typer.Option(help="the name of a data cut")],
    site: Annotated[str | None, typer.Option(help="only the participants of this site, read as its staff")] = None,
    output: Annotated[Path, typer.Option(help="the folder to write to")] = Path(),
    token: TokenOption = None,
) -> None:
    """Write the files of a data cut: the report, its changes since the cut before, and data sets. They never change."""
    token_for: TokenFor = (lambda _role, _site: token) if token else token_source(study)
    caller = ("site", site) if site else ("coordinator", None)
    query = {"at": f"cut:{cut}", **({"site": site} if site else {})}
    try:
        check_folder(output / "report.pdf")
        documents = asyncio.run(_fetch(study, token_for, caller, query, grants=token is None))
        lines = write_documents({_file(output, study, site, cut, part): part for part in documents})
    except UnwritableFile as error:
        typer.echo(f"Nothing was written: {error}", err=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        typer.echo("It was interrupted. Every file that was written is whole.", err=True)
        raise typer.Exit(130) from None
    except (ExchangeAborted, httpx.TransportError) as aborted:
        reason = str(aborted) if isinstance(aborted, ExchangeAborted) else NO_ANSWER_MESSAGE
        typer.echo(f"Nothing was written: {reason}", err=True)
        raise typer.Exit(1) from None
    for line in lines:
        typer.echo(line)


async def _fetch(
    study: str, token_for: TokenFor, caller: Caller, query: dict[str, str], *, grants: bool
) -> list[CutDocument]:
    async with http_client() as http:
        client = StudyClient(http, study, token_for)
        if grants:
            await _grant_role(TargetStudy(client), caller)
        return await fetch_documents(client, caller, query, lambda line: typer.echo(line, err=True), progress)


async def _grant_role(study: TargetStudy, caller: Caller) -> None:
    """Grants the caller's role as the administrator if the study lacks the grant."""
    await study.read()
    if not study.version:
        raise ExchangeAborted(NO_STUDY, can_resume=False)
    if not study.has_grant(grant := member_grant(study.id, *caller)):
        await study.record_grants([grant])
        await study.wait_for_analytics(caller)


def _file(folder: Path, study: str, site: str | None, cut: str, document: CutDocument) -> Path:
    parts = [study, *([site] if site else []), cut]
    return folder / f"{_UNSAFE_IN_FILE_NAME.sub('-', '_'.join(parts))}_{document.name}"


def write_documents(documents: Mapping[Path, CutDocument]) -> list[str]:
    """Writes documents, each whole or not at all, and returns a line on each.

    Raises UnwritableFile, before anything is written, for a file that is there with other bytes.
    """
    existing = {file for file in documents if file.exists()}
    for file in existing:
        check_folder(file)
        if sha256(file.read_bytes()).hexdigest() != documents[file].digest:
            raise UnwritableFile(f"{file} is there and has other content. Move it, or give another folder.")
    for file in documents.keys() - existing:
        write_bytes_atomically(file, documents[file].content)
    return [
        f"{file}: {len(document.content)} bytes, SHA-256 {document.digest}"
        + (", was there already" if file in existing else "")
        for file, document in documents.items()
    ]
