"""`python -m infra.local.packages FILE`: installs a lock file's packages, and says how far it is instead of all that
pip says. What goes wrong is shown whole.

It needs nothing but Python itself: it runs before anything is installed.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import deque
from pathlib import Path

_PIP = (
    "install",
    "--disable-pip-version-check",
    "--no-deps",
    "--require-hashes",
    "--progress-bar",
    "off",
    "--no-color",
)
_PACKAGE = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*(\[[^]]*\])?==", re.MULTILINE)
_LOOKED_AT = ("Collecting ", "Requirement already satisfied")
_LAST_LINES = 2_000


def install(lock: Path) -> int:
    """Install what the lock file names, hashes checked; the exit code of pip."""
    total = len(_PACKAGE.findall(lock.read_text(encoding="utf-8")))
    _tell(f"Installing the {total} packages of {lock} (about a minute the first time)\n")
    command = [sys.executable, "-m", "pip", *_PIP, "-r", str(lock)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip:
        lines = deque[str](maxlen=_LAST_LINES)
        looked_at = 0
        for line in pip.stdout or ():
            lines.append(line)
            looked_at += line.startswith(_LOOKED_AT)
            _progress(line, looked_at, total)
    if pip.returncode:
        _tell("".join(lines))
        _tell(f"The packages of {lock} were not installed; pip said why above.\n")
    return pip.returncode


def _progress(line: str, looked_at: int, total: int) -> None:
    """One line that is written over on a terminal; in a file, one for each quarter."""
    begin, end = ("\r", "") if sys.stdout.isatty() else ("", "\n")
    if line.startswith("Installing collected packages"):
        _tell(f"{begin}  {total} of {total} fetched; putting them in place\n")
    elif line.startswith(_LOOKED_AT) and (begin or looked_at * 4 % total < 4):
        _tell(f"{begin}  {looked_at} of {total} fetched{end}")


def _tell(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(install(Path(sys.argv[1])))
