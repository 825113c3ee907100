"""Lives of participants for property tests: the days that are known of them, and the facts that state these."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from shared.kernel.fact import Fact
from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as follow_up
from tests.unit.analytics.endpoints.cohorts import alive, dead, stereotactic_course, treated

DAYS = st.integers(0, 30)


@dataclass(frozen=True)
class KnownLife:
    """The known days of a participant. `died`: -1 for a death without a date, None for no death."""

    start: int | None
    enrolled: int
    seen: list[int]
    registry: list[int]
    stereotactic: int | None
    withdrawn: int | None
    died: int | None

    def facts(self) -> list[Fact]:
        enrollment = treated(start=self.start or 0, enrolled=self.enrolled)
        stated = enrollment if self.start is not None else enrollment[:3]
        stated += [facts.consent_signed(min(self.start or 0, self.enrolled), options={"registry": True})]
        stated += alive(*self.seen)
        stated += [follow_up.vital_status_confirmed(day, "registry") for day in self.registry]
        stated += [stereotactic_course(self.stereotactic)] if self.stereotactic is not None else []
        stated += [facts.consent_withdrawn(self.withdrawn)] if self.withdrawn is not None else []
        return stated + ([dead(None if self.died < 0 else self.died)] if self.died is not None else [])


@st.composite
def lives(draw: st.DrawFn) -> KnownLife:
    optional = st.none() | DAYS
    return KnownLife(
        start=draw(optional),
        enrolled=draw(st.integers(0, 10)),
        seen=draw(st.lists(DAYS, max_size=3)),
        registry=draw(st.lists(DAYS, max_size=1)),
        stereotactic=draw(optional),
        withdrawn=draw(optional),
        died=draw(st.none() | st.integers(-1, 30)),
    )


COHORTS = st.lists(lives(), min_size=1, max_size=6)
