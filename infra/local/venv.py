"""Links the checkout into its virtual environment: modules importable from anywhere, and the command `quartal`.

Both use paths relative to the environment, so that a copied checkout uses its own modules.
"""

from __future__ import annotations

import sys
import sysconfig
from os.path import relpath
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
COMMAND_SCRIPT = """#!/bin/sh
'''exec' "$(dirname "$0")/python" "$0" "$@"
'''
import sys

from infra.cli import main

sys.argv[0] = "quartal"
sys.exit(main())
"""


def link_checkout(environment: Path, checkout: Path, packages: Path) -> None:
    """Writes the path file and the command into `environment`, whose modules are in `packages`."""
    (packages / "quartal.pth").write_text(f"{relpath(checkout, packages)}\n")
    command = environment / "bin" / "quartal"
    command.write_text(COMMAND_SCRIPT)
    command.chmod(0o755)


if __name__ == "__main__":
    link_checkout(Path(sys.prefix), CHECKOUT, Path(sysconfig.get_paths()["purelib"]))
