"""Distributes tests over processes (pytest-xdist): by file, but what shares an expensive resource stays together."""

from __future__ import annotations

from typing import Any

from xdist.scheduler import LoadScopeScheduling

FOLDERS_OF_ONE_PROCESS = ("tests/api", "tests/architecture")
"""Folders whose files share an expensive resource: a demo, or the syntax trees of all files."""
BROWSER_FOLDER = "tests/browser/"
LONG_FILES = ("tests/two_years/test_two_years.py", "tests/browser/test_whole_life.py")
"""Files that would end last if they were not among the first."""


class FolderScheduling(LoadScopeScheduling):  # type: ignore[misc] # xdist has no types
    """Distributes tests. The first process runs those in a browser and no others, if there are both kinds: the event
    loops of Playwright and of pytest-asyncio cannot share a process.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return next((folder for folder in FOLDERS_OF_ONE_PROCESS if file.startswith(f"{folder}/")), file)

    def _assign_work_unit(self, node: Any) -> None:
        if self._bring_forward(node):
            super()._assign_work_unit(node)

    def _reschedule(self, node: Any) -> None:
        if node.shutting_down or self._bring_forward(node):
            super()._reschedule(node)
        else:
            node.shutdown()  # nothing is left for a process of its kind

    def _bring_forward(self, node: Any) -> bool:
        """Puts what the process is to run next at the front of the queue. Returns whether there is anything."""
        is_of_browser = self._runs_browser(node)
        suitable = [scope for scope in self.workqueue if scope.startswith(BROWSER_FOLDER) == is_of_browser]
        if suitable:
            following = next((scope for scope in suitable if scope in LONG_FILES), suitable[0])
            self.workqueue.move_to_end(following, last=False)
        return bool(suitable)

    def _runs_browser(self, node: Any) -> bool:
        kinds = {nodeid.startswith(BROWSER_FOLDER) for nodeid in self.collection or ()}
        if len(kinds) < 2:
            return True in kinds
        assert self.numnodes > 1, "Tests in a browser and others need two processes: choose one of them, or -n 2."
        return bool(node.gateway.id == "gw0")
