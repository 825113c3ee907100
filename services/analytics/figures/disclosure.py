"""Disclosure control: readers do not see counts that are small enough to point at single participants."""

from __future__ import annotations

from typing import Any

from shared.contracts.study import ProtocolAmended, StudyOpened
from shared.kernel.record import Record


def small_cell_threshold(study: Record) -> int:
    """Returns the count below which readers see none: the highest that any protocol of the study has set."""
    openings, amendments = study.facts_of(StudyOpened), study.facts_of(ProtocolAmended)
    return max(protocol.small_cell for protocol in (*(o.protocol for o in openings), *(a.protocol for a in amendments)))


def suppress_small_cells(result: dict[str, Any], small_cell: int, *, is_whole_study: bool) -> dict[str, Any]:
    """Without cells of fewer participants than `small_cell`: of groups, and of the counts of a site or a subset.

    Where anything is withheld, `withheld_below` says so.
    """
    suppressed = _suppress_counts(result, small_cell, is_whole_study=is_whole_study)
    return suppressed if suppressed == result else {**suppressed, "withheld_below": small_cell}


def _suppress_counts(result: dict[str, Any], small_cell: int, *, is_whole_study: bool) -> dict[str, Any]:
    groups = result.get("groups", [])
    if any(group["name"] != "all" for group in groups):
        result = {**result, "groups": [_suppress_group(group, small_cell) for group in groups]}
    if is_whole_study:
        return result
    hidden = {name for name, value in result.items() if type(value) is int and 0 < value < small_cell}
    hidden -= {"imputed_dates"}
    if "stereotactic" in hidden or "enrolled" in hidden:
        hidden |= {"stereotactic_percent", "stereotactic_interval"} & result.keys()
    visible = {name: None if name in hidden else value for name, value in result.items()}
    return {**visible, "groups": [_suppress_group(group, small_cell) for group in groups]} if groups else visible


def _suppress_group(group: dict[str, Any], small_cell: int) -> dict[str, Any]:
    if 0 < group["enrolled"] < small_cell:
        return {**group, "enrolled": None, "curve": []}
    return group
