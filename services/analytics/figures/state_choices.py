"""The states of a study that the cohort page offers: now, the named data cuts, and the first position of each month."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.analytics import urls
from services.analytics.snapshot.study_reader import StudyReader

_LATEST_POSITION = 10**15
_NOT_KEPT = frozenset({"at", "as_of", "epoch", "cut", "pages"})
"""Parameters that belong to the state that is shown, and not to another."""


@dataclass(frozen=True, slots=True)
class StateChoice:
    """A state of the study, which a slider orders by `position`. `at`: the parameter; empty for the latest."""

    at: str
    position: int
    label: str
    is_shown: bool


@dataclass(frozen=True, slots=True)
class StateGroup:
    """States of one kind."""

    label: str
    choices: Sequence[StateChoice]


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChoices:
    """The form that leads to other states. `kept`: the parameters that it keeps, by name."""

    action: str
    kept: Sequence[tuple[str, str]]
    groups: Sequence[StateGroup]


async def state_choices(
    reader: StudyReader, study_id: str, query: Mapping[str, str], publication: str | None
) -> StateChoices | None:
    """Returns the states that a member can choose; None if there is only one.

    `publication`: the name of the data cut that a reader sees; readers choose among data cuts. None for all others.
    """
    present_state = f"cut:{publication}" if publication else query.get("at", "")
    cuts = [
        StateChoice(at := f"cut:{cut.name}", cut.position, f"{cut.name} ({cut.cut_on})", at == present_state)
        for cut in reversed(await reader.data_cuts(study_id))
    ]
    groups = [StateGroup("Data cuts", cuts)]
    if publication is None:
        latest = StateChoice("", _LATEST_POSITION, "Latest", not present_state)
        months = [
            StateChoice(str(position), position, f"{month:%Y-%m} (position {position})", present_state == str(position))
            for month, position in await reader.months(study_id)
        ]
        groups = [StateGroup("Now", [latest]), *groups, StateGroup("First position of a month", months)]
    if sum(len(group.choices) for group in groups) < 2:
        return None
    return StateChoices(
        action=urls.cohort_url(study_id),
        kept=[(name, value) for name, value in query.items() if name not in _NOT_KEPT],
        groups=[group for group in groups if group.choices],
    )
