"""Sizes of functions and files, imports and SQL that only some files may have, and texts that no file may contain."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.architecture.source_files import (
    REMAINING,
    ROOT,
    is_product,
    nodes_of,
    product_files,
    relative_path,
    repository_files,
)

MAX_FUNCTION_LINES, MAX_PRODUCT_FILE_LINES, MAX_TEST_FILE_LINES = 60, 300, 400
MAX_MEDIAN_LINES, MAX_90TH_PERCENTILE_LINES = 10, 30  # lines of a function

MAY_HOLD_SQL = (
    "shared/eventstore/",
    "shared/outbox/",
    "shared/inbox/",
    "shared/security/read_log.py",
    "shared/postgres/",
    "services/analytics/projection/",
    "services/analytics/snapshot/repository",
    "services/analytics/snapshot/row_reader.py",
    "services/analytics/snapshot/seals",
    "services/analytics/cuts/repository",
    "services/analytics/documents/repository",
    "services/analytics/deriver/",
    "services/analytics/rebuild/",
    "services/analytics/queries/repository",
    "services/analytics/participants/repository",
    "services/analytics/schedule/repository",
    "services/analytics/reminders/digest_repository",
    "services/analytics/reminders/subscriptions/repository",
    "services/analytics/reminders/repository",
    "services/analytics/reminders/next_reminders",
    "services/analytics/reminders/listing/repository",
    "services/analytics/reminders/subscriptions/calendar_addresses",
    "services/analytics/reminders/calendar_feed/repository",
    "services/analytics/operations/repository",
    "services/enrollment/sign_in/repository",
    "services/enrollment/sign_in/migrations/",
    "infra/postgres/",
    "shared/web/app.py",  # readiness: checks that the database answers
)
MAY_IMPORT_ASYNCPG = (
    *MAY_HOLD_SQL,
    "shared/web/container.py",
    "services/analytics/snapshot/api.py",
    "services/analytics/operations/metrics.py",
    "shared/web/metrics.py",  # what an outage raises
    "services/analytics/snapshot/study_reader.py",
    "services/analytics/snapshot/live_snapshots.py",
    "services/analytics/cuts/",
    "services/analytics/documents/",
    "services/analytics/reminders/sender.py",
    "services/analytics/reminders/requested_digests.py",
    "services/analytics/reminders/subscriptions/",
    "services/analytics/reminders/worker.py",
    "services/analytics/reminders/currency.py",
    "services/analytics/reminders/restore.py",
    "services/analytics/reminders/health.py",
    "services/analytics/reminders/calendar_feed/",
    "infra/cli/clock.py",
    "infra/cli/relay.py",
)
MAY_READ_THE_TIME = {
    "shared/kernel/clock.py",
}
TIME_OF_DAY_CALLS = {
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("datetime", "today"),
    ("date", "today"),
    ("time", "time"),
    ("time", "time_ns"),
    ("time", "localtime"),
    ("time", "gmtime"),
}
SQL_PATTERN = re.compile(
    r"\s*(select\s|insert\s+into\s|update\s+\w+\s+set\s|delete\s+from\s|truncate\s|create\s+(table|role|database|index)\s"
    r"|alter\s+(table|role|schema)\s|grant\s|revoke\s|with\s+\w+\s+as\s)",
    re.IGNORECASE,
)
EXTERNAL_HOST = re.compile(r"https?://(?:[\w-]+[.])+[a-z]{2,}")
"""Address of another machine. The allowed ones identify a format, or are links for readers."""
ALLOWED_HOSTS = {
    "https://json-schema.org",
    "http://www.w3.org",
    "http://www.apache.org",
    "http://www.cdisc.org",
    "https://keepachangelog.com",
    "https://docs.astral.sh",
    "https://elsewhere.example",
    "https://x.example",
    "https://doi.org",  # links to publications
    "https://quartal.hospital.example",
    "http://keycloak.localhost",  # this machine
}
LOCAL_PATH = re.compile(r"/(?<![\w.:/-]/)(?:work|root|home/\w+|Users/\w+)/")


def function_lengths(path: Path) -> Iterator[tuple[str, int]]:
    """Yields name and length in lines, without decorators."""
    for node in nodes_of(path):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{relative_path(path)}:{node.name}", (node.end_lineno or 0) - node.lineno + 1


def imported_modules(path: Path) -> Iterator[str]:
    for node in nodes_of(path):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module)):
                yield module


def string_literals(path: Path) -> Iterator[str]:
    """Yields every string of the code except docstrings."""
    documentation = {
        id(node.body[0].value)
        for node in nodes_of(path)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in nodes_of(path):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node.value


def time_reads(nodes: Iterable[ast.AST]) -> list[int]:
    """Returns the lines that read the time of day, which `monotonic` and the time of an event loop are not."""
    return [
        node.lineno
        for node in nodes
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name | ast.Attribute)
        and (node.value.id if isinstance(node.value, ast.Name) else node.value.attr, node.attr) in TIME_OF_DAY_CALLS
    ]


def test_no_function_exceeds_the_line_limit() -> None:
    lengths = [length for path in repository_files(".py") for length in function_lengths(path)]
    assert [(name, lines) for name, lines in lengths if lines > MAX_FUNCTION_LINES] == []


def test_median_and_90th_percentile_of_function_lengths_are_limited() -> None:
    lengths = sorted(length for path in product_files() for _, length in function_lengths(path))
    assert lengths[len(lengths) // 2] <= MAX_MEDIAN_LINES
    assert lengths[len(lengths) * 9 // 10] <= MAX_90TH_PERCENTILE_LINES


def test_no_file_exceeds_its_line_limit() -> None:
    too_long = {}
    for path in repository_files(".py"):
        limit = MAX_PRODUCT_FILE_LINES if is_product(path) else MAX_TEST_FILE_LINES
        lines = len(path.read_text("utf-8").splitlines())
        if lines > REMAINING["file_lines"].get(relative_path(path), limit):
            too_long[relative_path(path)] = lines
    assert too_long == {}


def test_sql_is_only_in_allowed_files() -> None:
    files_with_sql = {
        relative_path(path)
        for path in product_files()
        if any(SQL_PATTERN.match(text) for text in string_literals(path))
    }
    files_with_sql |= {relative_path(path) for path in repository_files(".sql")}
    assert [path for path in sorted(files_with_sql) if not path.startswith(MAY_HOLD_SQL)] == []


def test_database_driver_is_imported_only_by_allowed_files() -> None:
    importing_files = [
        relative_path(path)
        for path in product_files()
        if any(module.split(".")[0] == "asyncpg" for module in imported_modules(path))
    ]
    assert [path for path in importing_files if not path.startswith(MAY_IMPORT_ASYNCPG)] == []


def test_every_exception_from_the_rules_is_used() -> None:
    names = {relative_path(path) for path in repository_files(".py", ".sql")}
    allowed = (*MAY_IMPORT_ASYNCPG, *MAY_READ_THE_TIME)
    assert [prefix for prefix in allowed if not any(path.startswith(prefix) for path in names)] == []


def test_only_the_clock_reads_the_time_of_day() -> None:
    reads_by_file = {relative_path(path): lines for path in product_files() if (lines := time_reads(nodes_of(path)))}
    assert {path: lines for path, lines in reads_by_file.items() if path not in MAY_READ_THE_TIME} == {}


@pytest.mark.parametrize("code", ["datetime.now(UTC)", "datetime.datetime.now()", "date.today()", "time.time_ns()"])
def test_time_of_day_read_is_recognized(code: str) -> None:
    assert time_reads(ast.walk(ast.parse(code))) == [1]


@pytest.mark.parametrize("code", ["time.monotonic()", "loop.time()", "clock.now()", "clock.today(study)"])
def test_monotonic_and_clock_times_are_allowed(code: str) -> None:
    assert time_reads(ast.walk(ast.parse(code))) == []


def test_import_contracts_hold() -> None:
    process = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stdout


def test_no_file_contains_an_external_host_or_a_local_path() -> None:
    forbidden = []
    for path in repository_files():
        text = path.read_bytes().decode("utf-8", "ignore")
        forbidden += [(relative_path(path), match[0]) for match in LOCAL_PATH.finditer(text)]
        forbidden += [
            (relative_path(path), match[0]) for match in EXTERNAL_HOST.finditer(text) if match[0] not in ALLOWED_HOSTS
        ]
    assert forbidden == []


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock", "requirements-bench.lock"])
def test_every_package_is_locked_with_version_and_hashes(lock: str) -> None:
    text = re.sub(r"\\\n\s*", "", (ROOT / lock).read_text("utf-8"))
    pins = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert len(pins) > 20
    pin_pattern = re.compile(
        r"[a-z0-9._-]+(\[[a-z0-9,_-]+\])?==\S+( ; [^#]+?)?( ?--hash=sha256:[0-9a-f]{64})+", re.IGNORECASE
    )
    assert [pin[:60] for pin in pins if not pin_pattern.fullmatch(pin)] == []


def locked_versions(lock: str) -> dict[str, str]:
    """Returns the version of each package by its normalized name."""
    matches = re.findall(r"^([A-Za-z0-9._-]+)(?:\[\S+\])?==(\S+)", (ROOT / lock).read_text("utf-8"), re.MULTILINE)
    return {normalized_package_name(package): version for package, version in matches}


def normalized_package_name(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()


CONTRACT_COMPARISON = "shared/contracts/compatibility.py"  # used only by the tests of contracts


def test_runtime_code_imports_only_runtime_packages() -> None:
    runtime_pins, development_pins = locked_versions("requirements.lock"), locked_versions("requirements-dev.lock")
    distributions = packages_distributions()
    assert runtime_pins.items() <= development_pins.items()
    ours = sys.stdlib_module_names | {"services", "shared", "infra"}
    missing = {
        (relative_path(path), module)
        for path in product_files()
        if relative_path(path) != CONTRACT_COMPARISON
        for module in {name.partition(".")[0] for name in imported_modules(path)}
        if module not in ours
        and not {normalized_package_name(name) for name in distributions.get(module, [])} & runtime_pins.keys()
    }
    assert missing == set()
