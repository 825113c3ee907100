from __future__ import annotations

from shared.eventstore.known import Known, Memory
from shared.eventstore.store import Head, Recalled
from shared.kernel.record import Judged, Record
from shared.testing.facts import ON_STUDY
from shared.testing.spec import history


def known(elsewhere: Record | None = None) -> Known:
    return Known(Recalled(1, Head(known=3), (), elsewhere=elsewhere), Judged((), Record(), ()))


def test_facts_known_from_elsewhere_count_against_the_bound_of_what_is_remembered() -> None:
    memory, registered = Memory(most_events=2 * len(ON_STUDY)), Record(tuple(history(ON_STUDY)))
    for number in ("A", "B", "C"):
        memory.remember("s", number, known(registered))
    assert [memory.recall("s", number) is not None for number in ("A", "B", "C")] == [False, True, True]
    memory.forget("s", "B")
    memory.remember("s", "D", known(registered))
    assert memory.recall("s", "C")
