"""The distribution of tests over processes."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from tests.scheduling import FolderScheduling

BROWSER = [f"tests/browser/test_{name}.py::test_{number}" for name in ("pages", "whole_life") for number in range(5)]
OTHERS = [
    *(f"tests/api/test_{name}.py::test_{number}" for name in ("facts", "pages") for number in range(5)),
    *(f"tests/unit/test_{name}.py::test_{number}" for name in ("days", "ids", "zones") for number in range(3)),
    "tests/two_years/test_two_years.py::test_every_reminder",
]


@dataclass(eq=False)
class Process:
    """A process of tests as the scheduler sees it. It holds its last test back until it gets another, or is to end."""

    number: int
    queue: deque[int] = field(default_factory=deque)
    shutting_down: bool = False

    @property
    def gateway(self) -> Any:
        return SimpleNamespace(id=f"gw{self.number}")

    def send_runtest_some(self, indices: list[int]) -> None:
        assert not self.shutting_down
        self.queue.extend(indices)

    @property
    def is_ready(self) -> bool:
        return len(self.queue) > (0 if self.shutting_down else 1)

    def shutdown(self) -> None:
        self.shutting_down = True


def run(collection: list[str], processes: int) -> list[list[str]]:
    """Returns the tests that each process runs, in their order, when all tests take the same time."""
    options = SimpleNamespace(loadscopereorder=False)
    config: Any = SimpleNamespace(option=options, getvalue={"tx": [f"{processes}*popen"]}.__getitem__)
    scheduler = FolderScheduling(config)
    nodes = [Process(number) for number in range(processes)]
    for node in nodes:
        scheduler.add_node(node)
    for node in nodes:
        scheduler.add_node_collection(node, collection)
    scheduler.schedule()
    finished: list[list[str]] = [[] for _ in nodes]
    while any(node.is_ready for node in nodes):
        for node in nodes:
            if node.is_ready:
                index = node.queue.popleft()
                finished[node.number].append(collection[index])
                scheduler.mark_test_complete(node, index)
    assert all(node.shutting_down for node in nodes)
    assert not scheduler.workqueue
    return finished


@pytest.mark.parametrize("processes", range(2, 7))
def test_every_test_runs_once_and_none_in_a_browser_beside_others(processes: int) -> None:
    finished = run([*BROWSER, *OTHERS], processes)
    assert sorted(test for tests in finished for test in tests) == sorted([*BROWSER, *OTHERS])
    assert all(len({test in BROWSER for test in tests}) <= 1 for tests in finished)


@pytest.mark.parametrize("collection", [BROWSER, OTHERS])
@pytest.mark.parametrize("processes", range(1, 4))
def test_every_process_runs_tests_of_one_kind_alone(collection: list[str], processes: int) -> None:
    finished = run(collection, processes)
    assert sorted(test for tests in finished for test in tests) == sorted(collection)


def test_files_of_a_folder_with_a_demo_stay_in_one_process() -> None:
    finished = run(OTHERS, 3)
    assert sum(any(test.startswith("tests/api/") for test in tests) for tests in finished) == 1


def test_long_files_are_among_the_first() -> None:
    firsts = {tests[0].partition("::")[0] for tests in run([*BROWSER, *OTHERS], 4) if tests}
    assert {"tests/browser/test_whole_life.py", "tests/two_years/test_two_years.py"} <= firsts


def test_one_process_is_refused_both_kinds() -> None:
    with pytest.raises(AssertionError, match="need two processes"):
        run([*BROWSER, *OTHERS], 1)
