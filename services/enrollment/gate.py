"""What enrollment asks once, when a fact of a participant is stated: the protocol of the day, and the sites."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from shared.contracts.enrollment import Consented, Enrolled, Screened, ScreenFailed, Transferred, Voided
from shared.gate import study as studies
from shared.gate.doors import Surroundings
from shared.kernel.dates import PartialDate
from shared.kernel.fact import Fact
from shared.kernel.record import Objection, Record
from shared.protocol.protocol import Protocol

OTHER_SCREEN_FAILURES = {"refused", "died", "other"}
Answers = Mapping[str, str]


@dataclass(frozen=True)
class World(Surroundings):
    """`number` is the participant's own, '' while there is none; `others` are the participants whom a fact names, and
    whom these name in turn: empty for somebody whom the caller does not see, and for a number that nobody has."""

    enrolling_site: str
    number: str = field(default="", kw_only=True)
    others: Mapping[str, Record] = field(default_factory=dict, kw_only=True)

    def doors(self, known: Record, said: Fact) -> Iterator[Objection]:
        yield from super().doors(known, said)
        match said:
            case Screened(screened_on=on):
                yield from studies.after_accrual(self.study, on, "screened_on")
            case Enrolled(enrolled_on=on):
                yield from studies.after_accrual(self.study, on, "enrolled_on")

    def own(self, record: Record, fact: Fact, said: Fact) -> Iterator[Objection]:
        before = self.stood(fact)
        match said:
            case Screened():
                yield from self._screening(said, before)
            case ScreenFailed(failed_on=on, reason_codes=codes):
                if set(codes) - self._criteria(on) - OTHER_SCREEN_FAILURES:
                    message = "A reason is not known. Give the id of a criterion, or refused, died or other."
                    yield Objection("no-such-reason", message, member="/reason_codes")
            case Consented(signed_on=on, form_version=version):
                plans = studies.in_force(self.study, on)
                if not any(version in studies.consent_versions_on(plan, days) for plan, days in plans):
                    message = (
                        "The consent was signed on a day on which this version of the form was not valid. Give the "
                        "version that was valid on that day."
                    )
                    yield Objection("consent-version", message, member="/form_version")
            case Voided(duplicate_of=str() as original):
                if not (isinstance(before, Voided) and before.duplicate_of == original):
                    yield from self._duplicate(original)
            case Transferred(to_site=site, on=on):
                if site == self.site_id and not (isinstance(before, Transferred) and before.to_site == site):
                    yield Objection(
                        "already-there",
                        "The participant is at this site already. Give the site to which they move.",
                        member="/to_site",
                    )
                if not studies.was_active(self.study, site, on):
                    yield Objection(
                        "site-not-active",
                        "The site was not active on this day. Check the site and the day.",
                        member="/to_site",
                    )

    def _duplicate(self, original: str) -> Iterator[Objection]:
        """A record that is void as a duplicate names another one, which leads to a participant who is none.

        That participant may be void, for somebody else's duplicate too. Who is at another site and who does not exist
        have one answer: the caller learns nothing of either. Two records that name each other at the same moment are
        not found out: each is decided by what the other was before.
        """
        if original == self.number:
            message = "A participant is not a duplicate of itself. Give the number of the record that stays."
            yield Objection("duplicate-of-itself", message, member="/duplicate_of")
        elif not self.others.get(original, Record()).stated:
            message = "You see no participant with this number. Give one whom you may see, or leave duplicate_of out."
            yield Objection("no-such-participant", message, member="/duplicate_of")
        elif self.number in self._originals(original):
            message = "The other record is void as a duplicate of this one. Only one of the two can be void."
            yield Objection("duplicate-circle", message, member="/duplicate_of")

    def _originals(self, number: str) -> set[str]:
        """The participants whom one is said to be a duplicate of, directly or through others."""
        reached: set[str] = set()
        numbers = {number}
        while numbers:
            named = {void.duplicate_of for each in numbers for void in self.others.get(each, Record()).facts(Voided)}
            numbers = {each for each in named if each} - reached
            reached |= numbers
        return reached

    def _criteria(self, when: PartialDate) -> set[str]:
        return {criterion.id for plan, _ in studies.in_force(self.study, when) for criterion in plan.criteria}

    def _screening(self, said: Screened, before: Fact | None) -> Iterator[Objection]:
        on = said.screened_on
        if said.site_id != self.enrolling_site:
            message = "The site of a screening cannot be corrected. Void the record, or transfer the participant."
            yield Objection("site-fixed", message, member="/site_id")
        elif not studies.was_active(self.study, said.site_id, on):
            yield Objection(
                "site-not-active", "The site was not active on this day. Check the site and the day.", member="/site_id"
            )
        stood = before.criteria if isinstance(before, Screened) and before.screened_on == on else None
        judged = [list(_by_plan(said, plan, days, stood)) for plan, days in studies.in_force(self.study, on)]
        if all(judged):  # where the date leaves open which protocol held, it is enough that one admits
            yield from judged[-1] if judged else ()


def _by_plan(said: Screened, plan: Protocol, days: PartialDate, stood: Answers | None) -> Iterator[Objection]:
    if days.latest.year - said.birth_year < plan.minimum_age:
        message = "The participant was younger than the protocol's minimum age on this day. Check the year and the day."
        yield Objection("too-young", message, member="/birth_year")
    yield from _criteria_answered(said, {criterion.id for criterion in plan.criteria}, stood)


def _criteria_answered(said: Screened, asked: set[str], stood: Answers | None) -> Iterator[Objection]:
    """`stood`: the answers that are corrected, unless the day is; what they left open or went beyond stays so."""
    left_open, beyond = (asked - set(stood), set(stood) - asked) if stood is not None else (set[str](), set[str]())
    if missing := sorted(asked - set(said.criteria) - left_open):
        message = f"These criteria have no answer: {', '.join(missing)}. Answer every criterion of the protocol."
        yield Objection("criterion-unanswered", message, member="/criteria")
    if set(said.criteria) - asked - beyond:
        message = f"The protocol of that day has no such criterion. Its criteria: {', '.join(sorted(asked)) or 'none'}."
        yield Objection("no-such-criterion", message, member="/criteria")
    waived = {name for name, answer in said.criteria.items() if answer == "waived"}
    if set(said.waivers) - waived:
        message = "A waiver belongs to a criterion that is not waived. Leave the waiver out, or answer with waived."
        yield Objection("not-waived", message, member="/waivers")
