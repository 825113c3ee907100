"""The clock of a study at the demo, set as `quartal clock advance` sets it."""

from __future__ import annotations

from infra.local.data_folder import DataFolder
from shared.clock_file import ClockFile
from tests.demo import Demo


def write_days(demo: Demo, study_id: str, advanced_by: int) -> None:
    """Sets the number of days by which the study's clock is ahead."""
    folder = DataFolder(demo.data)
    folder.write_clock({**ClockFile(folder.clock_file).advanced_days(), study_id: advanced_by})
