"""`python -m infra.local.packages FILE`: installs the packages of a lock file.

It prints the progress in place of pip's output, which it shows in full if pip fails. It needs nothing but Python, since
it runs before anything is installed.
"""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
from collections import deque
from compileall import compile_dir
from pathlib import Path

_PIP = (
    "install",
    "--disable-pip-version-check",
    "--no-deps",
    "--require-hashes",
    "--progress-bar",
    "off",
    "--no-color",
    "--no-compile",  # pip compiles in one process
)
_PACKAGE = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*(\[[^]]*\])?==", re.MULTILINE)
_RARELY_IMPORTED = r".*[/\\](tests|pip|setuptools|mypy|mypyc|lexers)[/\\]"  # a third of all code
_PROGRESS_PREFIXES = ("Collecting ", "Requirement already satisfied")
_MAX_LINES = 2_000


def install_packages(lock: Path) -> int:
    """Installs the packages of the lock file with checked hashes; returns the exit code of pip."""
    total = len(_PACKAGE.findall(lock.read_text(encoding="utf-8")))
    _write(f"Installing the {total} packages of {lock} (about a minute the first time)\n")
    command = [sys.executable, "-m", "pip", *_PIP, "-r", str(lock)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip:
        lines = deque[str](maxlen=_MAX_LINES)
        fetched = 0
        for line in pip.stdout or ():
            lines.append(line)
            fetched += line.startswith(_PROGRESS_PREFIXES)
            _print_progress(line, fetched, total)
    if not pip.returncode:
        packages = sysconfig.get_path("purelib")
        skipped = re.compile(re.escape(packages) + _RARELY_IMPORTED)
        compile_dir(packages, quiet=2, workers=0, rx=skipped)  # quiet: some packages have files for other Pythons
    else:
        _write("".join(lines))
        _write(f"The packages of {lock} were not installed; the output of pip above says why.\n")
    return pip.returncode


def _print_progress(line: str, fetched: int, total: int) -> None:
    """Prints one line that is overwritten on a terminal; in a file, one line for each quarter."""
    begin, end = ("\r", "") if sys.stdout.isatty() else ("", "\n")
    if line.startswith("Installing collected packages"):
        _write(f"{begin}  {total} of {total} downloaded; installing them\n")
    elif line.startswith(_PROGRESS_PREFIXES) and (begin or fetched * 4 % total < 4):
        _write(f"{begin}  {fetched} of {total} downloaded{end}")


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(install_packages(Path(sys.argv[1])))
