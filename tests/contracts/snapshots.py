"""`python -m tests.contracts.snapshots`: writes each service's OpenAPI document to `openapi/`, as it is published.

How it differs is then seen in the commit. `make contracts` runs it.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from services.analytics.__main__ import PROCESS as ANALYTICS
from services.enrollment.__main__ import PROCESS as ENROLLMENT
from services.followup.__main__ import PROCESS as FOLLOWUP
from services.toxicity.__main__ import PROCESS as TOXICITY
from shared.settings import Settings

FOLDER = Path(__file__).parent / "openapi"


@cache
def documents() -> dict[str, str]:
    """Today's document of each service as text, laid out for review, by its file's name."""
    made = {}
    for process in (ENROLLMENT, TOXICITY, FOLLOWUP, ANALYTICS):
        document = process.create_app(Settings()).openapi()
        made[f"{process.name}.json"] = json.dumps(document, sort_keys=True, indent=2) + "\n"
    return made


def write(folder: Path = FOLDER) -> None:
    folder.mkdir(exist_ok=True)
    for name, text in documents().items():
        (folder / name).write_text(text, "utf-8")


if __name__ == "__main__":
    write()
