"""States what a file says and the study does not have yet. Safe to repeat: what is there is found, not stated again."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from functools import partial

from infra.exchange.fact import canonical, read, stated
from infra.exchange.line import Read, Wrong
from infra.exchange.order import SERVICES, Said, Story, of_study, stories
from infra.exchange.person import Person
from infra.exchange.refusals import NOT_REGISTERED, NOT_SEEN, refuse_story, registered_by
from infra.exchange.registration import Found, Registration
from infra.exchange.study import NO_STUDY, REPLAYED, Ended, Study, faults_of
from infra.exchange.tally import Tally
from infra.reference.load import StudyApi
from shared.kernel.refusal import Fault
from shared.kernel.sealed import texts
from shared.security.vault import normalised

AT_ONCE = 8  # participants
_UNKNOWN = Fault("not-found", "This participant does not exist, or you may not see it.", "/participant")
_OF_MEMBERS = ("study.member_granted", "study.member_revoked")


async def bring_in(
    api: StudyApi, lines: Sequence[Read], tally: Tally, *, grants: bool = False, participants_only: bool = False
) -> None:
    """State every line, and account for each of them in `tally`.

    `grants`: record the grants that the development issuer's default subjects lack. Raises Ended, or
    httpx.TransportError, when the services do not let it go on; what was recorded stays.
    """
    tally.expect(lines)
    said = list(_readable(lines, api.study_id, tally))
    wanted, repeated = _without_repeats(_wanted(said, api.study_id, tally, participants_only))
    await _Import(Study(api), tally, grants).run(wanted)
    for each, first in repeated:
        _account_for_repeat(tally, each.line.number, first.line.number)


def _readable(lines: Iterable[Read], study_id: str, tally: Tally) -> Iterator[Said]:
    for number, line in lines:
        if isinstance(line, Wrong):
            tally.refuse_line(number, line.faults)
            continue
        try:
            yield Said(line.for_study(study_id), read(line))
        except Wrong as wrong:
            tally.refuse(line, wrong.faults)


def _wanted(said: Sequence[Said], study_id: str, tally: Tally, participants_only: bool) -> list[Said]:
    """Without the study's facts where they are not asked for; who may do what is no other study's."""
    wanted = []
    for each in said:
        foreign = each.line.type in _OF_MEMBERS and each.line.study not in (None, study_id)
        if not each.line.person and (participants_only or foreign):
            tally.set(each.line.number, "left-out")
        else:
            wanted.append(each)
    return wanted


def _without_repeats(said: Sequence[Said]) -> tuple[list[Said], list[tuple[Said, Said]]]:
    """Return the lines without those that repeat another one, and each of these with the line that it repeats.

    Lines that name their event are no repeats: an export has two equal facts where two were stated.
    """
    first: dict[tuple[object, ...], Said] = {}
    wanted, repeated = [], []
    for each in said:
        line = each.line
        key = (line.person, line.is_ref, line.service, canonical(each.fact), *texts(each.fact))
        if line.person and not line.event_id and not line.is_exported and key in first:
            repeated.append((each, first[key]))
        else:
            first.setdefault(key, each)
            wanted.append(each)
    return wanted, repeated


def _account_for_repeat(tally: Tally, number: int, first: int) -> None:
    report = tally.lines[first]
    if report.outcome == "refused":
        tally.set(number, "refused", faults=report.faults, repeats=first)
    elif report.outcome != "not-decided":
        tally.set(number, "repeated", repeats=first)


def _with_same_reference(told: Iterable[Story]) -> dict[int, int]:
    """Return, by the lines of screenings, the earlier line that has the same local_reference of the same site."""
    first: dict[tuple[str, str], int] = {}
    same: dict[int, int] = {}
    screenings = [story.screening for story in told if story.is_ref and story.screening]
    for said in sorted(screenings, key=lambda each: each.line.number):
        data = stated(said.fact)
        if reference := data.get("local_reference"):
            line = first.setdefault((data["site_id"], normalised(reference)), said.line.number)
            same |= {said.line.number: line} if line != said.line.number else {}
    return same


class _Import:
    def __init__(self, study: Study, tally: Tally, grants: bool) -> None:
        self._study, self._tally, self._grants = study, tally, grants
        self._registration = Registration(study, tally.dry_run)
        self._numbers: dict[str, str] = {}
        self._waits = False
        self._same_reference: dict[int, int] = {}
        self._free = asyncio.Semaphore(AT_ONCE)

    async def run(self, said: Sequence[Said]) -> None:
        first, last = of_study(said)
        told = stories(each for each in said if each.line.person)
        await self._study.read()
        await self._state_of_study(first)
        if not self._study.version and not self._waits:
            raise Ended(NO_STUDY, may_go_on=False)
        if told and self._grants and not self._waits:
            await self._grant()
        if not self._waits and any(story.is_ref for story in told):
            await self._registration.read()
        self._same_reference = _with_same_reference(told)
        people = await self._find_all(told)
        await self._all(person.state_all for person in people if person)
        await self._state_of_study(last)

    async def _state_of_study(self, said: Sequence[Said]) -> None:
        there, seen = self._study.holds(), Counter[str]()
        for each in said:
            content = canonical(each.fact)
            seen[content] += 1
            if seen[content] <= there[content]:
                self._tally.set(each.line.number, "there-already")
            elif self._waits:
                self._tally.set(each.line.number, "checked-by-form")
            else:
                there = await self._state(each, seen[content], there)

    async def _state(self, said: Said, occurrence: int, there: Counter[str]) -> Counter[str]:
        """State a fact of the study; return what the study holds from now on."""
        answer = await self._study.state(said, occurrence, dry_run=self._tally.dry_run)
        if not answer.is_success:
            self._tally.refuse(said.line, faults_of(answer))
            return there
        if REPLAYED in answer.headers:
            self._tally.set(said.line.number, "there-already")
        else:
            self._tally.recorded(said.line.number)
        self._waits = self._tally.dry_run
        if self._tally.dry_run:
            return there
        await self._study.read()
        return self._study.holds()

    async def _grant(self) -> None:
        if lacking := self._study.lacking():
            if self._tally.dry_run:
                self._waits, self._tally.grants = True, len(lacking)
                return
            await self._study.grant(lacking)

    async def _find_all(self, told: Sequence[Story]) -> list[Person | None]:
        """Return somebody for every story; None where there is nobody, which is reported."""
        people: list[Person | None] = [None] * len(told)

        async def find(place: int, story: Story) -> None:
            person = Person(self._study, self._tally, story, self._numbers, waits=set(SERVICES if self._waits else ()))
            try:
                await (self._register(person) if story.is_ref else self._find(person))
                people[place] = person
            except Wrong as wrong:
                refuse_story(self._tally, story, wrong.faults)

        await self._all(partial(find, place, story) for place, story in enumerate(told))
        return people

    async def _find(self, person: Person) -> None:
        """Find somebody by number; raise Wrong where the caller sees nobody of it."""
        person.number = person.story.person
        if not self._waits and not await person.find_site():
            raise Wrong(_UNKNOWN)

    async def _register(self, person: Person) -> None:
        """Find or register somebody by the ref and the screening; raise Wrong where that cannot be."""
        story = person.story
        if (screening := story.screening) is None:
            raise Wrong(NOT_REGISTERED)
        person.site = str(stated(screening.fact)["site_id"])
        if first := self._same_reference.get(screening.line.number):
            raise Wrong(registered_by(first))
        if not self._waits:
            self._refuse_unknown_site(person.site)
            self._refuse_unknown_criteria(screening)
        found = Found("", is_new=True)
        if not self._waits:
            found = await self._registration.find(story.person, screening)
        person.number, person.after, person.is_recognized = found.number, found.after, not found.is_new
        self._tally.name(screening.line, found.number, is_new=found.is_new)
        if found.is_new and not self._tally.dry_run:
            person.new = screening
        if not found.is_new and not await person.find_site():
            raise Wrong(NOT_SEEN)
        self._numbers[story.person.rpartition("/")[2]] = person.number

    def _refuse_unknown_site(self, site: str) -> None:
        if self._study.sites and site not in self._study.sites:
            sites = ", ".join(self._study.sites)
            raise Wrong(Fault("no-such-site", f"The study has no such site. Its sites are {sites}.", "/site_id"))

    def _refuse_unknown_criteria(self, screening: Said) -> None:
        """Raise Wrong with the columns of criteria that no protocol of the study has had."""
        named = screening.line.data["criteria"] if screening.line.columns else ()
        unknown = [name for name in named if name not in self._study.criteria]
        if unknown:
            message = "The protocol has no such criterion: correct the column's name, or leave its cells empty."
            raise Wrong(*(Fault("no-such-criterion", message, f"/criteria/{name}") for name in unknown))

    async def _all(self, work: Iterable[Callable[[], Awaitable[None]]]) -> None:
        """Do the work for so many participants at once; the first failure ends it all."""

        async def do(each: Callable[[], Awaitable[None]]) -> None:
            async with self._free:
                await each()

        try:
            async with asyncio.TaskGroup() as group:
                for each in work:
                    group.create_task(do(each))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from failures
