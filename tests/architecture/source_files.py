"""Files of the repository and their syntax trees, for the tests of the structure."""

from __future__ import annotations

import ast
import subprocess
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PRODUCT_FOLDERS = ("services/", "shared/", "infra/")
REMAINING: dict[str, Any] = tomllib.loads(Path(__file__).with_name("remaining.toml").read_text("utf-8"))


@cache
def repository_files(*suffixes: str) -> list[Path]:
    """Files that git tracks or does not ignore, with one of the suffixes, in the order of their names."""
    list_command = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(list_command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [ROOT / name for name in sorted(set(names)) if name.endswith(suffixes or "") and (ROOT / name).is_file()]


def relative_path(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def is_product(path: Path) -> bool:
    return relative_path(path).startswith(PRODUCT_FOLDERS) and not relative_path(path).startswith("shared/testing/")


def product_files() -> list[Path]:
    return [path for path in repository_files(".py") if is_product(path)]


@cache
def parse_file(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


@cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    """Every node of a file's syntax tree, as `ast.walk` yields them."""
    return tuple(ast.walk(parse_file(path)))
