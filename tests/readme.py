"""The README, and its blocks of commands, for the tests that check or run them."""

from __future__ import annotations

import re
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
README = (CHECKOUT / "README.md").read_text("utf-8")
BLOCKS: list[str] = re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
UNTYPED_BLOCKS = ["make demo\n", "make test\n"]
DEMO_BLOCKS = [block for block in BLOCKS if block not in UNTYPED_BLOCKS]
"""Blocks of commands for a running demo."""
