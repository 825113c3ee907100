"""Files of facts, and the command that brings them into a study."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.kernel.fact import Fact
from shared.testing.builders import facts
from tests import quartal_command
from tests.api.support.study import StudyUnderTest, body
from tests.demo import Demo

ENROLLMENT_FACTS = (facts.participant_screened(), facts.consent_signed(), facts.participant_enrolled())
TREATMENT_FACTS = (
    facts.lesion_registered(),
    facts.radiotherapy_started(1, "RT1", facts.target("T1", "L1")),
    facts.radiotherapy_completed(),
)


@dataclass(frozen=True)
class CommandResult:
    code: int
    stdout: str
    stderr: str

    @property
    def counts(self) -> dict[str, int]:
        """The counts of the summary: `7 lines: 5 were recorded, 2 are there already, 0 were refused.`"""
        sent, summary = re.findall(r"^(\d+) lines?: (.*)\.$", self.stdout, re.MULTILINE)[0]
        parts = re.findall(r"(\d+) (?:were|was|are|is|would be(?= refused))? ?([a-z ]+)", summary)
        return {"sent": int(sent), **{outcome: int(count) for count, outcome in parts}}


def run_quartal(demo: Demo, *arguments: str) -> CommandResult:
    command = quartal_command.run_quartal(arguments, demo.environment)
    return CommandResult(command.returncode, command.stdout, command.stderr)


def fact_line(fact: Fact, ref: str, **extra: Any) -> str:
    return json.dumps({"type": fact.type_name, "ref": ref, "data": body(fact), **extra})


def participant_lines(count: int, *extra_facts: Fact) -> list[str]:
    """Returns lines of `count` participants, each with screening, consent, enrollment, a course and `extra_facts`."""
    lines = []
    for index in range(count):
        screened = facts.participant_screened(birth_year=1930 + index % 50)
        lines += [
            fact_line(fact, f"p{index}") for fact in (*TREATMENT_FACTS, *extra_facts, *ENROLLMENT_FACTS[1:], screened)
        ]
    return lines


def write_file(folder: Path, lines: list[str]) -> str:
    file = folder / "facts.jsonl"
    file.write_text("\n".join(lines) + "\n", "utf-8")
    return str(file)


def versions_by_participant(study: StudyUnderTest) -> dict[str, int]:
    rows = study.get("participants", "coordinator", limit=1000).json()["rows"]
    return {row["participant_id"]: row["version"] for row in rows}


def run_import(study: StudyUnderTest, file: str, *options: str) -> CommandResult:
    return run_quartal(study.demo, "import", file, "--study", study.study_id, *options)
