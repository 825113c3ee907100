"""The check of a protocol's reminders when a study is opened or amended, by the gate."""

from __future__ import annotations

from collections.abc import Iterator

from shared.contracts.study import ProtocolAmended, StudyOpened
from shared.kernel.fact import Fact
from shared.kernel.objection import Objection, ProblemType
from shared.protocol.reminder_steps import CHOSEN_STEPS

NO_SUCH_STEP = ProblemType(
    "no-such-step",
    "There is no such step. Choose among open, target and overdue; all others follow from them.",
)


def reminder_objections(fact: Fact) -> Iterator[Objection]:
    """Yields an objection to each step that cannot be chosen; none to other facts than openings and amendments."""
    if isinstance(fact, StudyOpened | ProtocolAmended):
        for index, step in enumerate(fact.protocol.reminders.steps):
            if step not in CHOSEN_STEPS:
                yield NO_SUCH_STEP.objection(pointer=f"/protocol/reminders/steps/{index}")
