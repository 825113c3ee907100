"""What is asked once, when a fact of a participant is stated: the world outside the record, and doors that are closed.

Voids pass: taking back what was said is never refused for the state of the world.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date

from services.enrollment import study as studies
from shared.contracts.enrollment import Consented, Enrolled, Screened, ScreenFailed, Transferred, Voided, Withdrawn
from shared.kernel.dates import PartialDate
from shared.kernel.fact import Corrected, Fact, Stated, content
from shared.kernel.record import Objection, Record
from shared.protocol.protocol import Protocol

OTHER_SCREEN_FAILURES = {"refused", "died", "other"}


@dataclass(frozen=True)
class World:
    """What a participant's facts are judged by besides each other: the study, the site's today, where it began.

    `earlier` gives the record as it stands before what is stated now.
    """

    study: Record
    today: date
    site_id: str
    enrolling_site: str
    earlier: Callable[[], Record] = Record

    def gate(self, record: Record, stated: Stated[Fact]) -> Iterator[Objection]:
        fact, said = stated.fact, content(stated.fact)
        if not isinstance(fact, Corrected):
            yield from _voided(record, fact)
        if isinstance(said, Corrected):
            return
        within = "/replacement/data" if isinstance(fact, Corrected) else ""
        for objection in self._objections(record, fact, said):
            yield Objection(objection.code, objection.message, objection.because_of, within + objection.member)

    def _objections(self, record: Record, fact: Fact, said: Fact) -> Iterator[Objection]:
        yield from _in_the_future(said, self.today)
        yield from self._after_withdrawal(record, fact, said)
        if said.happened_on and not isinstance(fact, Corrected):
            yield from self._closed_doors(said, said.happened_on)
        yield from self._asked_of_the_study(said)

    def _after_withdrawal(self, record: Record, fact: Fact, said: Fact) -> Iterator[Objection]:
        """A withdrawal closes the door to what is dated later; it neither judges nor freezes what is there."""
        on, member = said.happened_on, f"/{said.date_field}"
        if isinstance(said, Withdrawn) or not on:
            return
        for withdrawal in record.all(Withdrawn):
            last = withdrawal.fact.withdrawn_on
            if last.surely_before(on) and not self._was_after(last, fact):
                yield Objection(
                    "after-withdrawal", "The participant had withdrawn before that day.", withdrawal.event_id, member
                )

    def _was_after(self, day: PartialDate, fact: Fact) -> bool:
        """Does a correction leave a fact on the later side of that day, where it stood before?"""
        if not isinstance(fact, Corrected):
            return False
        stood = (stated.fact.happened_on for stated in self.earlier().stated if stated.event_id == fact.event_id)
        return any(on is not None and day.surely_before(on) for on in stood)

    def _closed_doors(self, said: Fact, when: PartialDate) -> Iterator[Objection]:
        yield from studies.after_closing(self.study, when, said.date_field or "")
        if studies.is_closed(self.study, self.site_id, when) and not isinstance(said, Screened | Transferred):
            yield Objection("site-closed", "The site was closed before that day.", member=f"/{said.date_field}")

    def _asked_of_the_study(self, said: Fact) -> Iterator[Objection]:
        match said:
            case Screened():
                yield from self._screening(said)
            case ScreenFailed(failed_on=on, reason_codes=codes):
                if set(codes) - self._criteria(on) - OTHER_SCREEN_FAILURES:
                    message = "A reason is a criterion's id, or refused, died or other."
                    yield Objection("no-such-reason", message, member="/reason_codes")
            case Consented(signed_on=on, form_version=version):
                plans = studies.in_force(self.study, on)
                if not any(version in studies.consent_versions_on(plan, days) for plan, days in plans):
                    message = "That version of the consent form was not valid on that day."
                    yield Objection("consent-version", message, member="/form_version")
            case Enrolled(enrolled_on=on):
                yield from studies.after_accrual(self.study, on, "enrolled_on")
            case Transferred(to_site=site, on=on):
                if site == self.site_id:
                    yield Objection("already-there", "The participant is at that site.", member="/to_site")
                elif not studies.was_active(self.study, site, on):
                    yield Objection("site-not-active", "That site was not active on that day.", member="/to_site")

    def _criteria(self, when: PartialDate) -> set[str]:
        return {criterion.id for plan, _ in studies.in_force(self.study, when) for criterion in plan.criteria}

    def _screening(self, said: Screened) -> Iterator[Objection]:
        on = said.screened_on
        if said.site_id != self.enrolling_site:
            message = "The site of a screening cannot be corrected: void the participant, or transfer."
            yield Objection("site-fixed", message, member="/site_id")
        elif not studies.was_active(self.study, said.site_id, on):
            yield Objection("site-not-active", "The site was not active on that day.", member="/site_id")
        yield from studies.after_accrual(self.study, on, "screened_on")
        judged = [list(_by_plan(said, plan, days)) for plan, days in studies.in_force(self.study, on)]
        if all(judged):  # where the date leaves open which protocol held, it is enough that one admits
            yield from judged[-1] if judged else ()


def _by_plan(said: Screened, plan: Protocol, days: PartialDate) -> Iterator[Objection]:
    if days.latest.year - said.birth_year < plan.minimum_age:
        yield Objection("too-young", "Below the protocol's minimum age on that day.", member="/birth_year")
    yield from _criteria_answered(said, {criterion.id for criterion in plan.criteria})


def _criteria_answered(said: Screened, asked: set[str]) -> Iterator[Objection]:
    if missing := sorted(asked - set(said.criteria)):
        message = f"Criteria without an answer: {', '.join(missing)}."
        yield Objection("criterion-unanswered", message, member="/criteria")
    if set(said.criteria) - asked:
        yield Objection("no-such-criterion", "The protocol of that day has no such criterion.", member="/criteria")
    waived = {name for name, answer in said.criteria.items() if answer == "waived"}
    if set(said.waivers) - waived:
        yield Objection("not-waived", "A reason is given for a criterion that is not waived.", member="/waivers")


def _voided(record: Record, fact: Fact) -> Iterator[Objection]:
    for voided in record.all(Voided):
        if voided.fact is not fact:
            message = "The participant is voided: nothing new is stated, what there is can be corrected."
            yield Objection("participant-voided", message, voided.event_id)


def _in_the_future(said: Fact, today: date) -> Iterator[Objection]:
    for member, when in said.dates:
        if when.earliest > today:
            yield Objection("in-the-future", "That day has not come yet at the site.", member=member)
