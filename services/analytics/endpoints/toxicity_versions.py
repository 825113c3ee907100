"""Groups by the dictionary in which participants were graded: no curve is over two versions of CTCAE. Pure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from services.analytics.endpoints.time_to_event import EndpointTimes
from services.analytics.endpoints.toxicity_findings import Findings, ToxicityClock
from services.analytics.snapshot.columns import day_number
from services.analytics.snapshot.selection import GroupNames
from services.analytics.snapshot.snapshot import StudySnapshot
from shared.gate.study_timeline import protocol_periods

WHOLE_GROUP = "all"


def divide_by_version(times: EndpointTimes, versions: GroupNames) -> EndpointTimes:
    """Returns the times in groups of one dictionary each, if the counted participants have several.

    `versions`: the dictionary of every participant of the snapshot.
    """
    counted = versions[times.subjects].tolist()
    if len(set(counted)) < 2:
        return times
    names = [version_group(group, version) for group, version in zip(times.groups.tolist(), counted, strict=True)]
    return replace(times, groups=np.array(names, dtype=object))


def version_group(group: str, version: str) -> str:
    """Returns the name of the participants of a group who were graded in a dictionary."""
    return version if group == WHOLE_GROUP else f"{group}, {version}"


def graded_versions(snapshot: StudySnapshot, clock: ToxicityClock, findings: Findings, cut: int) -> GroupNames:
    """Returns the dictionary of each participant: that of the findings after time 0, or the one in force then.

    Findings in several dictionaries have all of their names.
    """
    versions = _in_force(snapshot, clock)
    assessed_on = findings.rows["assessed_on"]
    is_after = ~findings.is_before & (clock.started.day[findings.subjects] <= assessed_on)
    after = findings.where(is_after & (assessed_on <= cut))
    by_subject = dict[int, set[str]]()
    for key in np.unique((after.subjects.astype(np.int64) << 32) + after.rows["term"]).tolist():
        by_subject.setdefault(key >> 32, set()).add(dictionary_of(snapshot.words.word(key & 0xFFFFFFFF)))
    for subject, names in by_subject.items():
        versions[subject] = " + ".join(sorted(names))
    return versions


def _in_force(snapshot: StudySnapshot, clock: ToxicityClock) -> GroupNames:
    """Returns the dictionary in force at time 0 of each participant."""
    names = np.full(len(snapshot.subjects), "", dtype=object)
    for period in protocol_periods(snapshot.study):
        is_in_force = clock.started.day >= day_number(period.first_day)
        names[is_in_force] = period.protocol.toxicity.dictionary
    return names


def dictionary_of(term: str) -> str:
    """Returns the dictionary of a term: its id begins with the version."""
    return f"ctcae-{term.partition(':')[0]}"
