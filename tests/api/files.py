"""Files of facts, and the command that brings them into a study."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.kernel.fact import Fact
from shared.testing import facts
from tests.api.own_study import OwnStudy, body
from tests.demo import CHECKOUT, Demo

ON_STUDY = (facts.screened(), facts.consented(), facts.enrolled())
TREATED = (facts.lesion(), facts.course(1, "RT1", facts.target("T1", "L1")), facts.completed())


@dataclass(frozen=True)
class Command:
    code: int
    out: str
    err: str

    @property
    def counts(self) -> dict[str, int]:
        """From the summary: `7 lines: 5 were recorded, 2 are there already, 0 were refused.`"""
        sent, said = re.findall(r"^(\d+) lines?: (.*)\.$", self.out, re.MULTILINE)[0]
        parts = re.findall(r"(\d+) (?:were|was|are|is|would be(?= refused))? ?([a-z ]+)", said)
        return {"sent": int(sent), **{what: int(count) for count, what in parts}}


def quartal(demo: Demo, *arguments: str) -> Command:
    ended = subprocess.run(
        [sys.executable, "-m", "infra.cli", *arguments], cwd=CHECKOUT, env=demo.environment, capture_output=True,
        text=True, timeout=120, check=False,
    )  # fmt: skip
    return Command(ended.returncode, ended.stdout, ended.stderr)


def line(fact: Fact, ref: str, **more: Any) -> str:
    return json.dumps({"type": fact.type_name, "ref": ref, "data": body(fact), **more})


def people(count: int, *more: Fact) -> list[str]:
    """So many participants, each with screening, consent, enrolment, a course and what is given."""
    told = []
    for place in range(count):
        screened = facts.screened(birth_year=1930 + place % 50)
        told += [line(fact, f"p{place}") for fact in (*TREATED, *more, *ON_STUDY[1:], screened)]
    return told


def written(folder: Path, lines: list[str]) -> str:
    file = folder / "facts.jsonl"
    file.write_text("\n".join(lines) + "\n", "utf-8")
    return str(file)


def versions(study: OwnStudy) -> dict[str, int]:
    rows = study.get("participants", "coordinator", limit=1000).json()["rows"]
    return {row["participant_id"]: row["version"] for row in rows}


def bring(study: OwnStudy, file: str, *more: str) -> Command:
    return quartal(study.demo, "import", file, "--study", study.study_id, *more)
