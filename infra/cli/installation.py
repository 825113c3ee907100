"""The Quartal of this machine: its data folder, its address, and tokens of its development issuer."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import typer

from infra.callbacks import TokenFor
from infra.issuer import Issuer
from infra.local.data_folder import DataFolder
from infra.reference.study import subject
from shared.kernel.clock import Clock


def data_folder() -> DataFolder:
    return DataFolder(Path(os.environ.get("QUARTAL_DATA", ".quartal")))


def configured_port() -> int:
    return int(os.environ.get("QUARTAL_PORT", "8000"))


def base_url() -> str:
    """Returns the URL of the Quartal that runs on QUARTAL_DATA; if none runs, that of QUARTAL_PORT."""
    notes = data_folder().holder_notes()
    return f"http://127.0.0.1:{notes['port'] if notes else configured_port()}"


def development_issuer() -> Issuer:
    """Returns the issuer; ends the command with a message if no Quartal was ever started on the folder."""
    folder = data_folder().path / "issuer"
    if not (folder / "issuer.json").exists():
        typer.echo(
            f"{folder.parent} has no development issuer. Start `quartal up` or `quartal demo` first, or set "
            "QUARTAL_DATA to the data folder of one that was started before.",
            err=True,
        )
        raise typer.Exit(1)
    return Issuer.load(folder)


def token_source(study: str) -> TokenFor:
    """Returns a source of fresh tokens for (role, site), whose subjects are the default names of the roles."""
    issuer, clock = development_issuer(), Clock()
    return lambda role, site: issuer.token(subject(study, role, site), now=clock.now())


def http_client(url: str | None = None) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url or base_url(), timeout=30, trust_env=False)
