"""The guide lists exactly the existing limits, with their defaults."""

from __future__ import annotations

import re
from pathlib import Path

from shared.settings import Limits

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "deployment.md"


def test_deployment_guide_lists_every_limit_with_its_default() -> None:
    rows = re.findall(r"^\| `QUARTAL_(MAX_\w+)` \| (\S+) \| (\S+) \|", GUIDE.read_text("utf-8"), re.MULTILINE)
    limits = {name.upper(): field for name, field in Limits.model_fields.items()}
    assert {name: float(default) for name, default, _ in rows} == {
        name: limit.default for name, limit in limits.items()
    }
    for name, _, status in rows:
        description = limits[name].description or ""
        assert (f"({status})" in description) if status != "–" else "(" not in description, name
