"""Questions about death, withdrawal, and what is dated after them."""

from __future__ import annotations

from collections.abc import Iterator

from services.analytics.days import needs_life
from services.analytics.queries.case import Case, Question, query_rule
from services.analytics.queries.words import named, partial_date, sentence
from shared.contracts.enrollment import Withdrawn
from shared.contracts.followup import Died, Lost
from shared.gate.doors import stays_open
from shared.kernel.fact import Fact

_ENDS: tuple[type[Fact], ...] = (Died, Withdrawn, Lost)


@query_rule("fact_after_death")
def fact_after_death(case: Case) -> Iterator[Question]:
    """What needs a living participant is dated surely after the death."""
    for death in case.all(Died):
        for stated in case.record.stated:
            died, on = death.fact.died_on, stated.fact.happened_on
            if died and on and died.surely_before(on) and needs_life(stated.fact):
                text = sentence(f"{named(stated.fact)} is dated after {named(death.fact)}")
                yield Question(text, (stated, death))


@query_rule("fact_after_withdrawal")
def fact_after_withdrawal(case: Case) -> Iterator[Question]:
    """A fact is dated surely after the withdrawal of consent; it stays, and leaves every analysis."""
    for withdrawal in case.all(Withdrawn):
        for stated in case.record.stated:
            on = stated.fact.happened_on
            if on and withdrawal.fact.withdrawn_on.surely_before(on) and not stays_open(case.record, stated.fact):
                text = sentence(f"{named(stated.fact)} is dated after {named(withdrawal.fact)}")
                yield Question(text, (stated, withdrawal))


@query_rule("death_without_date")
def death_without_date(case: Case) -> Iterator[Question]:
    """The day of death is not known, not even its year."""
    for death in case.all(Died):
        if death.fact.died_on is None:
            yield Question("The death is recorded without a date.", (death,))


@query_rule("imprecise_end_of_follow_up")
def imprecise_end_of_follow_up(case: Case) -> Iterator[Question]:
    """Death, withdrawal or loss is known by month or year only, and ends the schedule on a day that is assumed."""
    for kind in _ENDS:
        for stated in case.all(kind):
            on = stated.fact.happened_on
            if on and not on.is_exact:
                yield Question(partial_date(stated.fact, case.day(stated.fact)), (stated,))
