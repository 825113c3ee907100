"""The measures of the code, taken on every change: sizes, who may reach what, and what no file may hold."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LONGEST_FUNCTION, LONGEST_FILE = 60, 300
MEDIAN, NINE_IN_TEN = 10, 30  # lines of a function
PRODUCT = ("services/", "shared/", "infra/")

MAY_HOLD_SQL = (
    "shared/eventstore/", "shared/outbox/", "shared/inbox/", "shared/security/tenancy.py",
    "shared/security/read_log.py",
    "services/analytics/projection/",
    "infra/postgres/",
    "shared/web/app.py",  # readiness: does the database answer at all?
)  # fmt: skip
MAY_IMPORT_ASYNCPG = (
    *MAY_HOLD_SQL,
    "shared/web/service.py", "shared/web/problems.py",  # the pool's type; what an outage raises
    "shared/web/metrics.py",  # what an outage raises
    "services/analytics/asking.py", "services/analytics/participants.py",  # the pools' type
    "services/analytics/listening.py",  # hears the projection ring
    "infra/cli/doctor.py", "infra/cli/parked.py", "infra/cli/relay.py",
)  # fmt: skip
MAY_READ_THE_TIME = {
    "shared/kernel/clock.py",
}
READS_THE_TIME = {
    ("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today"),
    ("time", "time"), ("time", "time_ns"), ("time", "localtime"), ("time", "gmtime"),
}  # fmt: skip
SQL = re.compile(
    r"\s*(select\s|insert\s+into\s|update\s+\w+\s+set\s|delete\s+from\s|truncate\s|create\s+(table|role|database|index)\s"
    r"|alter\s+(table|role|schema)\s|grant\s|revoke\s|with\s+\w+\s+as\s)",
    re.IGNORECASE,
)
FAR_HOST = re.compile(r"https?://(?:[\w-]+[.])+[a-z]{2,}")
"""An address of another machine: those that may be named say what a thing is, or where people read on."""
MAY_BE_NAMED = {
    "https://json-schema.org", "http://www.w3.org", "http://www.apache.org", "https://keepachangelog.com",
    "https://docs.astral.sh", "https://elsewhere.example", "https://x.example",
}  # fmt: skip
OF_ONE_MACHINE = re.compile(r"(?<![\w.:/-])/(?:work|root|home/\w+|Users/\w+)/")


@cache
def files(*suffixes: str) -> list[Path]:
    """What is in the repository, or is about to be."""
    listed = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [ROOT / name for name in sorted(set(names)) if name.endswith(suffixes or "") and (ROOT / name).is_file()]


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def is_product(path: Path) -> bool:
    return name(path).startswith(PRODUCT) and not name(path).startswith("shared/testing/")


def product() -> list[Path]:
    return [path for path in files(".py") if is_product(path)]


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Name and length in lines, decorators aside."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{name(path)}:{node.name}", (node.end_lineno or 0) - node.lineno + 1


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module)):
                yield module


def texts(path: Path) -> Iterator[str]:
    """Every string in the code but documentation."""
    documentation = {
        id(node.body[0].value)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body and isinstance(node.body[0], ast.Expr)
    }  # fmt: skip
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node.value


def time_reads(code: ast.AST) -> list[int]:
    """Lines that ask for the time of day. `monotonic` and a loop's time are no time of day."""
    return [
        node.lineno
        for node in ast.walk(code)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name | ast.Attribute)
        and (node.value.id if isinstance(node.value, ast.Name) else node.value.attr, node.attr) in READS_THE_TIME
    ]


def test_no_function_is_too_long_to_be_seen_at_once() -> None:
    lengths = [each for path in files(".py") for each in functions(path)]
    assert [each for each in lengths if each[1] > LONGEST_FUNCTION] == []


def test_most_functions_are_short() -> None:
    lengths = sorted(length for path in product() for _, length in functions(path))
    assert lengths[len(lengths) // 2] <= MEDIAN
    assert lengths[len(lengths) * 9 // 10] <= NINE_IN_TEN


def test_no_file_of_the_product_is_too_long() -> None:
    lengths = {name(path): len(path.read_text("utf-8").splitlines()) for path in product()}
    assert {path: length for path, length in lengths.items() if length > LONGEST_FILE} == {}


def test_sql_is_held_by_few() -> None:
    holding = {name(path) for path in product() if any(SQL.match(text) for text in texts(path))}
    holding |= {name(path) for path in files(".sql")}
    assert [path for path in sorted(holding) if not path.startswith(MAY_HOLD_SQL)] == []


def test_the_database_driver_is_imported_by_few() -> None:
    importing = [name(path) for path in product() if any(each.split(".")[0] == "asyncpg" for each in imported(path))]
    assert [path for path in importing if not path.startswith(MAY_IMPORT_ASYNCPG)] == []


def test_every_exception_from_these_rules_is_used() -> None:
    names = {name(path) for path in files(".py", ".sql")}
    allowed = (*MAY_IMPORT_ASYNCPG, *MAY_READ_THE_TIME)
    assert [each for each in allowed if not any(path.startswith(each) for path in names)] == []


def test_only_the_clock_reads_the_time() -> None:
    reading = {name(path): lines for path in product() if (lines := time_reads(tree(path)))}
    assert {path: lines for path, lines in reading.items() if path not in MAY_READ_THE_TIME} == {}


@pytest.mark.parametrize("code", ["datetime.now(UTC)", "datetime.datetime.now()", "date.today()", "time.time_ns()"])
def test_a_read_of_the_time_is_recognised(code: str) -> None:
    assert time_reads(ast.parse(code)) == [1]


@pytest.mark.parametrize("code", ["time.monotonic()", "loop.time()", "clock.now()", "clock.today(study)"])
def test_what_is_no_time_of_day_is_let_pass(code: str) -> None:
    assert time_reads(ast.parse(code)) == []


def test_who_imports_whom_is_as_agreed() -> None:
    ended = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout


def test_no_file_names_a_host_that_packages_come_from_or_a_place_on_one_machine() -> None:
    found = []
    for path in files():
        text = path.read_bytes().decode("utf-8", "ignore")
        found += [(name(path), said[0]) for said in OF_ONE_MACHINE.finditer(text)]
        found += [(name(path), said[0]) for said in FAR_HOST.finditer(text) if said[0] not in MAY_BE_NAMED]
    assert found == []


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_every_package_is_locked_with_a_version_and_hashes(lock: str) -> None:
    text = re.sub(r"\\\n\s*", "", (ROOT / lock).read_text("utf-8"))
    pins = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert len(pins) > 20
    locked = re.compile(
        r"[a-z0-9._-]+(\[[a-z0-9,_-]+\])?==\S+( ; [^#]+?)?( ?--hash=sha256:[0-9a-f]{64})+", re.IGNORECASE
    )
    assert [pin[:60] for pin in pins if not locked.fullmatch(pin)] == []


def pins(lock: str) -> dict[str, str]:
    """Package, as PyPI spells it, to version."""
    found = re.findall(r"^([A-Za-z0-9._-]+)(?:\[\S+\])?==(\S+)", (ROOT / lock).read_text("utf-8"), re.MULTILINE)
    return {canonical(package): version for package, version in found}


def canonical(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()


COMPARES_CONTRACTS = "shared/contracts/compatibility.py"  # for the tests of contracts alone


def test_what_is_run_needs_no_package_that_only_tests_install() -> None:
    run, tested, from_where = pins("requirements.lock"), pins("requirements-dev.lock"), packages_distributions()
    assert run.items() <= tested.items()
    ours = sys.stdlib_module_names | {"services", "shared", "infra"}
    missing = {
        (name(path), module)
        for path in product()
        if name(path) != COMPARES_CONTRACTS
        for module in {said.partition(".")[0] for said in imported(path)}
        if module not in ours and not {canonical(each) for each in from_where.get(module, [])} & run.keys()
    }
    assert missing == set()
