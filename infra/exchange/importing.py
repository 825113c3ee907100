"""States what a file says and the study does not have yet. Safe to repeat: what is there is found, not stated again."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from infra.exchange.fact import canonical, read, stated
from infra.exchange.line import Read, Wrong
from infra.exchange.order import SERVICES, Said, Story, of_study, stories
from infra.exchange.person import NOT_REGISTERED, Person
from infra.exchange.study import Ended, Study, checked, faults_of
from infra.exchange.tally import Tally
from infra.reference.load import StudyApi
from shared.kernel.refusal import Fault

AT_ONCE = 8  # participants
_UNKNOWN = Fault("not-found", "There is no such participant, or it is not yours to see.", "/participant")
_OF_MEMBERS = ("study.member_granted", "study.member_revoked")


async def bring_in(
    api: StudyApi, lines: Iterable[Read], tally: Tally, *, grants: bool = False, participants_only: bool = False
) -> None:
    """State every line, and account for each of them in `tally`.

    `grants`: record the grants that the development issuer's default subjects lack. Raises Ended, or
    httpx.TransportError, when the services do not let it go on; what was recorded stays.
    """
    said = list(_readable(lines, api.study_id, tally))
    await _Import(Study(api), tally, grants).of(_wanted(said, api.study_id, tally, participants_only))


def _readable(lines: Iterable[Read], study_id: str, tally: Tally) -> Iterator[Said]:
    for number, line in lines:
        if isinstance(line, Wrong):
            tally.refuse_line(number, "", line.faults)
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
            tally.one("left out")
        else:
            wanted.append(each)
    return wanted


class _Import:
    def __init__(self, study: Study, tally: Tally, grants: bool) -> None:
        self._study, self._tally, self._grants = study, tally, grants
        self._numbers: dict[str, str] = {}
        self._waits = False
        self._free = asyncio.Semaphore(AT_ONCE)

    async def of(self, said: Sequence[Said]) -> None:
        first, last = of_study(said)
        told = stories(each for each in said if each.line.person)
        await self._study.read()
        await self._of_study(first)
        if not self._study.version and not self._waits:
            raise Ended("There is no study of that id, or it is not yours to see, and the file does not open it.")
        if told and self._grants and not self._waits:
            await self._grant()
        people = await self._registered(told)
        await self._all(partial(self._told, story, person) for story, person in zip(told, people, strict=True))
        await self._of_study(last)

    async def _of_study(self, said: Sequence[Said]) -> None:
        there, seen = self._study.holds(), Counter[str]()
        for each in said:
            content = canonical(each.fact)
            seen[content] += 1
            if seen[content] <= there[content]:
                self._tally.one("there")
            elif self._waits:
                self._tally.one("by form")
            else:
                there = await self._stated(each, seen[content], there)

    async def _stated(self, said: Said, occurrence: int, there: Counter[str]) -> Counter[str]:
        """What the study holds from now on."""
        if faults := await self._study.state(said, occurrence, dry_run=self._tally.dry_run):
            self._tally.refuse(said.line, faults)
            return there
        self._tally.one("recorded")
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

    async def _registered(self, told: Sequence[Story]) -> list[Person | None]:
        """Somebody for every story; None where there is nobody, which is reported."""
        people: list[Person | None] = [None] * len(told)

        async def find(place: int, story: Story) -> None:
            people[place] = await self._person(story)

        await self._all(partial(find, place, story) for place, story in enumerate(told))
        return people

    async def _person(self, story: Story) -> Person | None:
        person = Person(self._study, self._tally, self._numbers, waits=set(SERVICES if self._waits else ()))
        if not story.is_ref:
            person.number = story.person
            if self._waits or await person.find_site():
                return person
            self._nobody(story, _UNKNOWN)
            return None
        if (screening := story.screening) is None:
            self._nobody(story, NOT_REGISTERED)
            return None
        person.site = str(stated(screening.fact)["site_id"])
        if not self._waits and not await self._register(story, screening, person):
            return None
        self._numbers[story.person.rpartition("/")[2]] = person.number
        return person

    async def _register(self, story: Story, screening: Said, person: Person) -> bool:
        """Register somebody, or find who was registered by the same line before; a dry run only finds."""
        answer = checked(await self._study.register(story.person, screening, dry_run=self._tally.dry_run))
        if answer.headers.get("Idempotency-Replayed"):
            person.number = answer.json()["participant_id"]
            await person.find_site()
            return True
        if self._tally.dry_run:  # the batch of the person's facts says what is wrong with the screening
            return True
        if answer.is_success:
            person.after = answer.headers.get("Quartal-Version", "")
            person.number, person.new = answer.json()["participant_id"], screening
            return True
        self._tally.refuse(screening.line, faults_of(answer))
        rest = replace(story, said=[each for each in story.said if each is not screening])
        self._nobody(rest, NOT_REGISTERED)
        return False

    def _nobody(self, story: Story, fault: Fault) -> None:
        for each in story.said:
            self._tally.refuse(each.line, [fault])

    async def _told(self, story: Story, person: Person | None) -> None:
        if person:
            for service, said in story.stages():
                await person.state(service, said)

    async def _all(self, work: Iterable[Callable[[], Awaitable[None]]]) -> None:
        """So many participants at once; the first failure ends it all."""

        async def one(each: Callable[[], Awaitable[None]]) -> None:
            async with self._free:
                await each()

        try:
            async with asyncio.TaskGroup() as group:
                for each in work:
                    group.create_task(one(each))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from failures
