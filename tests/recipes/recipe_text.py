"""The recipes of CONTRIBUTING.md as edits, and copies of the code to which they are applied."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_GUIDE = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_EDIT = re.compile(
    r"(?P<placement>In a new file|At the end of|In),? `(?P<file>[\w./-]+)`"
    r"(?:, (?P<side>above|below|in place of) the line `(?P<anchor>[^`]+)`)?:\s*$"
)
_VERSION = re.compile(r"^(DERIVATION_VERSION = )(\d+)$", re.MULTILINE)
_PLUGINS_OF_OTHER_TESTS = ("cacheprovider", "playwright", "schemathesis")


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One code block of a recipe with the place in a file that the sentence before it names.

    `placement`: the words before the name of the file. `anchor`: the line that the block replaces or is put beside,
    without its indentation; empty for a new file and for the end of a file.
    """

    placement: str
    file: str
    side: str
    anchor: str
    text: str

    @property
    def is_new_file(self) -> bool:
        return self.placement == "In a new file"

    def apply(self, folder: Path) -> None:
        """Edits a copy of the code. Raises AssertionError unless the file is new, or has the anchor exactly once."""
        path = folder / self.file
        if self.is_new_file:
            assert not path.exists(), f"{self.file} exists already"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.text, "utf-8")
        elif self.placement == "At the end of":
            separator = "\n\n" if path.suffix == ".py" else ""
            path.write_text(f"{path.read_text('utf-8')}{separator}{self.text}", "utf-8")
        else:
            path.write_text(self._insert(path.read_text("utf-8")), "utf-8")

    def _insert(self, content: str) -> str:
        lines = content.splitlines(keepends=True)
        line_numbers = [number for number, line in enumerate(lines) if line.strip() == self.anchor]
        assert len(line_numbers) == 1, f"{self.file} has the line `{self.anchor}` {len(line_numbers)} times"
        before = line_numbers[0] + (self.side == "below")
        after = line_numbers[0] + (self.side != "above")
        return "".join([*lines[:before], self.text, *lines[after:]])


def section(heading: str) -> str:
    """Returns the text under a heading of the second level."""
    (text,) = re.findall(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", _GUIDE, re.MULTILINE | re.DOTALL)
    return str(text)


def code_blocks(heading: str, language: str = "python") -> list[str]:
    """Returns the code blocks of a section in their order."""
    return [match[2] for match in _BLOCK.finditer(section(heading)) if match[1] == language]


def edits(heading: str) -> list[Edit]:
    """Returns the edits of a recipe. Raises AssertionError for a block without a sentence that names its file."""
    text, parsed_edits = section(heading), list[Edit]()
    for block in _BLOCK.finditer(text):
        paragraph = " ".join(text[: block.start()].rstrip().rpartition("\n\n")[2].split())
        match = _EDIT.search(paragraph)
        assert match, f"no file is named before this block:\n{block[2]}"
        groups = match.groupdict(default="")
        parsed_edits.append(Edit(**groups, text=block[2]))
    return parsed_edits


def raises_derivation_version(heading: str) -> bool:
    """Returns whether a step of a recipe is to raise the version of the derivation."""
    return "Raise `DERIVATION_VERSION` in `services/analytics/derivation/derive.py` by one" in section(heading)


def raise_derivation_version(folder: Path) -> None:
    """Raises the version in a copy of the code by one."""
    path = folder / "services/analytics/derivation/derive.py"
    text, count = _VERSION.subn(lambda match: f"{match[1]}{int(match[2]) + 1}", path.read_text("utf-8"))
    assert count == 1, "the version is not a number on a line of its own"
    path.write_text(text, "utf-8")


def new_files() -> set[str]:
    """Returns the files that recipes make, by their paths in the repository."""
    return {match["file"] for match in re.finditer(r"In a new file,\s+`(?P<file>[^`]+)`", _GUIDE)}


def copy_code(folder: Path) -> None:
    """Copies the files that are in the repository, or would be after `git add`, and what is compiled of them."""
    list_command = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(list_command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines():
        if (ROOT / name).is_file():
            for file in (Path(name), *compiled_files(Path(name))):
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / file, folder / file)


def compiled_files(module: Path) -> list[Path]:
    """Returns what Python and pytest have compiled of a module of the checkout: it stays valid in a copy."""
    return [path.relative_to(ROOT) for path in (ROOT / module.parent / "__pycache__").glob(f"{module.stem}.*.pyc")]


def run_python(folder: Path, *arguments: str) -> str:
    """Runs Python in a copy of the code; returns its output. Raises AssertionError with the output if it fails."""
    process = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "HYPOTHESIS_STORAGE_DIRECTORY": str(ROOT / ".hypothesis")},
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


def assert_tests_pass(folder: Path, *arguments: str) -> None:
    """Runs pytest in a copy of the code, with as many examples of properties as in every run of all tests."""
    run_python(
        folder,
        "-m",
        "pytest",
        "-q",
        "--hypothesis-profile=quick",
        *(f"-pno:{name}" for name in _PLUGINS_OF_OTHER_TESTS),
        *arguments,
    )
