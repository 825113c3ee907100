"""The command `quartal` in a fork of a process that has loaded its code: loading takes most of a second."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing import get_context
from pathlib import Path
from subprocess import CompletedProcess

from infra.cli import main

CHECKOUT = Path(__file__).resolve().parents[1]
TIMEOUT_SECONDS = 120
_WRITE = os.O_WRONLY | os.O_CREAT
_FORKS = get_context("forkserver")
_FORKS.set_forkserver_preload(["infra.cli.import_", "infra.cli.export", "infra.cli.parked", "infra.cli.clock"])


def run_quartal(arguments: Sequence[str], environment: Mapping[str, str], text: str = "") -> CompletedProcess[str]:
    """Runs a command in the checkout, with `text` as its standard input.

    Raises TimeoutError, and ends the command, if it takes longer than `TIMEOUT_SECONDS`.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("stdin", "stdout", "stderr")]
        files[0].write_text(text, "utf-8")
        process = _FORKS.Process(target=_run, args=(list(arguments), dict(environment), list(map(str, files))))
        process.start()
        process.join(TIMEOUT_SECONDS)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise TimeoutError(f"quartal {arguments[0]} took longer than {TIMEOUT_SECONDS} s")
        return CompletedProcess(arguments, process.exitcode, *(file.read_text("utf-8") for file in files[1:]))


def _run(arguments: list[str], environment: dict[str, str], files: list[str]) -> None:
    """Runs in the fork: replaces the standard files, the environment and the folder, as a shell does."""
    for number, (file, flags) in enumerate(zip(files, (os.O_RDONLY, _WRITE, _WRITE), strict=True)):
        os.dup2(os.open(file, flags, 0o600), number)
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(number, mode) for number, mode in enumerate("rww"))
    sys.argv = ["quartal", *arguments]
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(CHECKOUT)
    main()
