"""Data queries about vital status: death, withdrawal of consent, loss to follow-up, and facts dated after them."""

from __future__ import annotations

from collections.abc import Iterator

from services.analytics.cohort.vital_status import implies_alive
from services.analytics.queries.case import Case, QueryFinding, query_rule
from services.analytics.queries.phrasing import ask_exact_date, describe_fact
from services.analytics.wording.phrasing import as_sentence
from shared.contracts.enrollment import ConsentSigned, ConsentWithdrawn
from shared.contracts.follow_up import (
    FollowUpRecorded,
    FollowUpResumed,
    LostToFollowUp,
    ParticipantDied,
    VitalStatusConfirmed,
)
from shared.gate.participant_gate import allowed_after_withdrawal
from shared.kernel.fact import Fact, StatedFact

_FOLLOW_UP_ENDS: tuple[type[Fact], ...] = (ParticipantDied, ConsentWithdrawn, LostToFollowUp)


@query_rule("fact_after_death")
def fact_after_death(case: Case) -> Iterator[QueryFinding]:
    """Asks about a fact that needs a living participant and must be dated after the death."""
    for death in case.stated(ParticipantDied):
        died_on = death.fact.died_on
        for stated in case.record.stated_facts if died_on else ():
            fact_date = stated.fact.happened_on
            if died_on and fact_date and died_on.definitely_before(fact_date) and implies_alive(stated.fact):
                text = as_sentence(f"{describe_fact(stated.fact)} is dated after {describe_fact(death.fact)}")
                yield QueryFinding(text, (stated, death))


@query_rule("fact_after_withdrawal")
def fact_after_withdrawal(case: Case) -> Iterator[QueryFinding]:
    """Asks about a fact that must be dated after the withdrawal of consent.

    The fact stays on record and is in no analysis. Death and news from registries are allowed.
    """
    for withdrawal in case.stated(ConsentWithdrawn):
        for stated in case.record.stated_facts:
            fact_date = stated.fact.happened_on
            if (
                fact_date
                and withdrawal.fact.withdrawn_on.definitely_before(fact_date)
                and not allowed_after_withdrawal(case.record, stated.fact)
            ):
                text = as_sentence(f"{describe_fact(stated.fact)} is dated after {describe_fact(withdrawal.fact)}")
                yield QueryFinding(text, (stated, withdrawal))


@query_rule("consent_without_data_use")
def consent_without_data_use(case: Case) -> Iterator[QueryFinding]:
    """Asks about a last consent without the use of data, because of which the participant is in no analysis."""
    last_consent = case.participant.last_consent
    for consent in case.stated(ConsentSigned):
        if consent.fact is last_consent and not consent.fact.options.data_use:
            text = "The last consent does not allow the use of data, so the participant is in no analysis."
            yield QueryFinding(f"{text} Is that right?", (consent,))


@query_rule("death_without_date")
def death_without_date(case: Case) -> Iterator[QueryFinding]:
    """Asks for the date of a death that is recorded without one."""
    for death in case.stated(ParticipantDied):
        if death.fact.died_on is None:
            yield QueryFinding("The death is recorded without a date.", (death,))


@query_rule("contact_after_loss")
def contact_after_loss(case: Case) -> Iterator[QueryFinding]:
    """Asks about a contact or a confirmed vital status that must be after a loss to follow-up without a resumption."""
    resumption_days = [case.day(resumption.fact) for resumption in case.stated(FollowUpResumed)]
    for loss in case.stated(LostToFollowUp):
        if any(day >= case.day(loss.fact) for day in resumption_days):
            continue
        later: list[StatedFact[FollowUpRecorded | VitalStatusConfirmed]] = [
            *case.stated(FollowUpRecorded),
            *case.stated(VitalStatusConfirmed),
        ]
        for stated in later:
            fact_date = stated.fact.happened_on
            if fact_date and loss.fact.on.definitely_before(fact_date):
                text = f"{describe_fact(stated.fact)} is dated after {describe_fact(loss.fact)}"
                yield QueryFinding(f"{as_sentence(text)} Did follow-up resume?", (stated, loss))


@query_rule("imprecise_end_of_follow_up")
def imprecise_end_of_follow_up(case: Case) -> Iterator[QueryFinding]:
    """Asks for the exact date of death, withdrawal of consent or loss to follow-up, which ends the visit schedule."""
    for fact_type in _FOLLOW_UP_ENDS:
        for stated in case.stated(fact_type):
            fact_date = stated.fact.happened_on
            if fact_date and not fact_date.is_exact:
                yield QueryFinding(ask_exact_date(stated.fact, case.day(stated.fact)), (stated,))
