"""Groups by the dictionary in which participants were graded: no curve is over two versions of CTCAE. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from services.analytics.endpoints.time_to_event import EndpointTimes
from services.analytics.endpoints.toxicity_findings import Assessments, Findings, ToxicityClock, present_codes
from services.analytics.snapshot.columns import NEVER_NUMBER, day_number
from services.analytics.snapshot.groups import GroupNames
from services.analytics.snapshot.snapshot import StudySnapshot
from shared.gate.study_timeline import protocol_periods

WHOLE_GROUP = "all"
_AND = " + "


def divide_by_version(times: EndpointTimes, versions: GroupNames) -> EndpointTimes:
    """Returns the times in groups by dictionary, unless all counted participants were graded in one and the same.

    `versions`: the dictionaries of every participant of the snapshot.
    """
    counted = versions[times.subjects].tolist()
    if is_one_version(counted):
        return times
    names = [version_group(group, version) for group, version in zip(times.groups.tolist(), counted, strict=True)]
    return replace(times, groups=np.array(names, dtype=object))


def is_one_version(versions: Iterable[str]) -> bool:
    """Returns whether participants with these dictionaries were graded in one at most."""
    names = set(versions)
    return len(names) < 2 and not any(map(has_several_versions, names))


def has_several_versions(name: str) -> bool:
    """Returns whether these are the dictionaries of somebody graded in several, or a group of such participants."""
    return _AND in name


def version_group(group: str, version: str) -> str:
    """Returns the name of the participants of a group who were graded in a dictionary."""
    return version if group == WHOLE_GROUP else f"{group}, {version}"


def graded_versions(snapshot: StudySnapshot, clock: ToxicityClock, assessments: Assessments, cut: int) -> GroupNames:
    """Returns the dictionary of each participant: that of the findings since time 0, or the one in force then.

    Findings in several dictionaries have all of their names.
    """
    versions = _in_force(snapshot, clock)
    table = snapshot.tables["finding"]
    by_code = {code: dictionary_of(snapshot.words.word(code)) for code in present_codes(table["term"])}
    if len({*by_code.values(), *versions.tolist()} - {""}) < 2:
        return versions
    findings = Findings.of(snapshot, assessments, table["assessed_on"] <= cut)
    is_event = (findings.assessments < 0) & (clock.started.day[findings.subjects] <= findings["event_on"])
    graded = _dictionaries(findings.where(findings.are_of(assessments.is_since) | is_event), by_code, len(versions))
    return np.where(graded == "", versions, graded)


def _dictionaries(findings: Findings, by_code: Mapping[int, str], subject_count: int) -> GroupNames:
    """Returns the dictionaries of the findings of each participant, by those of the codes of terms."""
    graded: GroupNames = np.full(subject_count, "", dtype=object)
    for dictionary in sorted(set(by_code.values())):
        codes = [code for code, name in by_code.items() if name == dictionary]
        is_graded = np.zeros(subject_count, dtype=bool)
        is_graded[findings.subjects[np.isin(findings["term"], codes)]] = True
        graded[is_graded] = [f"{names}{_AND}{dictionary}" if names else dictionary for names in graded[is_graded]]
    return graded


def _in_force(snapshot: StudySnapshot, clock: ToxicityClock) -> GroupNames:
    """Returns the dictionary in force at time 0 of each participant; an empty text without a time 0."""
    names = np.full(len(snapshot.subjects), "", dtype=object)
    has_begun = clock.started.day < NEVER_NUMBER
    for period in protocol_periods(snapshot.study):
        is_in_force = has_begun & (clock.started.day >= day_number(period.first_day))
        names[is_in_force] = period.protocol.toxicity.dictionary
    return names


def dictionary_of(term: str) -> str:
    """Returns the dictionary of a term: its id begins with the version."""
    return f"ctcae-{term.partition(':')[0]}"
