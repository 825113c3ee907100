"""One participant during an import: what is stated already, and stating what is not, a batch at a time.

A batch is refused as a whole. Then the lines that the refusal points at are put off, the others are stated without
them, and at last each of those by itself: one that was objected to because of another may stand without it. So every
refusal is reported with its line, and what stands without it is recorded. A batch goes to the version that was read
(`If-Match`): what is there already is not stated twice, whoever else imports meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx

from infra.exchange.fact import WITHHELD, canonical, stated
from infra.exchange.known import Known, Match, There, here
from infra.exchange.line import Wrong
from infra.exchange.order import CLOSING, SCREENED, SERVICES, TRANSFERRED, Said, Story
from infra.exchange.refusals import (
    NOT_HEARD,
    NOT_REGISTERED,
    faults_by_place,
    other_person,
    refuse_story,
    reused,
)
from infra.exchange.study import LOOKS_AFTER, READER, Ended, Study, checked, faults_of, key_of
from infra.exchange.tally import Tally
from infra.reference.load import pause
from shared.contracts import catalogue
from shared.kernel.fact import Corrected
from shared.kernel.refusal import Fault
from shared.kernel.sealed import texts
from shared.web.routes import MOST_FACTS

MOST_BYTES = 900_000  # of a request's 1 MiB
MOST_MOVES = 20  # that somebody else stated something of the participant meanwhile
_NOT_SEEN, _NOT_KNOWN_YET = 404, 409
_ONCE = ("participant.consented", "participant.screen_failed", "participant.enrolled")
"""What a participant's record has that somebody else's has not."""
_MOVES = {TRANSFERRED, Corrected.type_name}


@dataclass
class Person:
    """`number` '' (in a dry run only): the file registers somebody whom the study does not have yet. `waits`: services
    whose next facts may depend on what a dry run has accepted. `new`: the screening that has just registered somebody.
    `after`: enrollment's version, which other services are to have heard of. `is_recognized`: by a ref that an earlier
    import registered."""

    study: Study
    tally: Tally
    story: Story
    numbers: dict[str, str]
    number: str = ""
    site: str | None = None
    new: Said | None = None
    waits: set[str] = field(default_factory=set)
    after: str = ""
    is_recognized: bool = False
    _moved: int = 0
    _events: dict[str, str] = field(default_factory=dict)
    _known: dict[str, Known] = field(default_factory=dict)
    _matches: dict[int, Match] = field(default_factory=dict)

    async def find_site(self) -> bool:
        """Where the participant is now; False if there is none, or none to be seen."""
        path = f"{self.study.base}/participants/{self.number}"
        answer = checked(await self.study.api.ask("GET", path, READER))
        if answer.status_code == 200:
            self.site, self.after = answer.json()["site_id"], answer.headers.get("Quartal-Version", "")
        return answer.status_code == 200

    async def state_all(self) -> None:
        """State what the file says of the participant and the services do not have yet."""
        if self.is_recognized and (faults := await self._doubts()):
            refuse_story(self.tally, self.story, faults)
            return
        for service, told in self.story.stages():
            await self.state(service, told)

    async def _doubts(self) -> list[Fault]:
        """Return why the ref may mean somebody else than it did: another screening, consent or enrollment."""
        if await self._read(SERVICES[0]):
            return []
        screening, lines = self.story.screening, self.story.of(SERVICES[0])
        match = self._matches.get(screening.line.number) if screening else None
        if isinstance(match, Wrong):
            return [*match.faults, reused(self.story.person)]
        known = self._known[SERVICES[0]]
        others = (known.has_another(type_name, lines, self._matches) for type_name in _ONCE)
        return [other_person(self.story.person, said) for said in others if said and not said.line.is_exported]

    async def state(self, service: str, told: Sequence[Said]) -> None:
        """State of these, in this order, what is not there yet."""
        if service not in self._known and (faults := await self._read(service)):
            self._refuse(told, faults)
            return
        batch: list[Said] = []
        for each in told:
            if batch and _begins(batch, each):
                await self._send(service, batch)
                batch = []
            said = here(each, self._events, self.numbers)
            if not self._is_there(service, said):
                batch.append(said)
        await self._send(service, batch)

    async def _read(self, service: str) -> list[Fault]:
        """What the service has of the participant, once it shows it at the site of the present; else what it says.

        Where the participant was handed over, a service that has not heard so yet shows nobody to the new site, and
        whatever it has would be stated again.
        """
        known = self._known.setdefault(service, Known())
        if not self.number:
            return []
        path = f"/{service}/v1/studies/{self.study.id}/participants/{self.number}/history"
        for seconds in LOOKS_AFTER:
            answer = checked(await self.study.api.ask("GET", path, ("site", self.site)))
            if answer.is_success:
                known.read(catalogue.stream(service, of_study=False), answer.json()["events"])
                self._match(service)
                return []
            await pause(self.study.api.stop, seconds)
            if answer.status_code != _NOT_SEEN or not await self.find_site():
                break
        del self._known[service]
        return [NOT_HEARD] if answer.status_code == _NOT_SEEN else faults_of(answer)

    def _match(self, service: str) -> None:
        """Find which lines are there already; those that correct an event of the file wait for its id."""
        lines = [said for said in self.story.of(service) if not isinstance(said.fact, Corrected)]
        missing = [here(said, self._events, self.numbers) for said in lines if not self._matches.get(said.line.number)]
        self._matches |= self._known[service].match(missing)

    def _is_there(self, service: str, said: Said) -> bool:
        """Account for a line that needs not be stated, or cannot be."""
        if isinstance(said.fact, Corrected):
            self._matches |= self._known[service].match([said])
        match self._matches.get(said.line.number):
            case Wrong(faults=faults):
                self.tally.refuse(said.line, faults)
            case There() as there:
                self._note(service, said, there.event)
                self._account(said, there)
            case None:
                return False
        return True

    def _account(self, said: Said, there: There) -> None:
        number = said.line.number
        if self.new is not None and said.line is self.new.line:
            self._count(said)
        else:
            self.tally.set(number, "there-already" if there.is_compared else "text-not-compared")

    def _count(self, said: Said) -> None:
        self.tally.recorded(said.line.number)
        self.tally.withheld += sum(text == WITHHELD for _, text in texts(said.fact))

    async def _send(self, service: str, batch: Sequence[Said]) -> None:
        if service in self.waits:
            for said in batch:
                self.tally.set(said.line.number, "checked-by-form")
        elif batch and await self._stated(service, batch) and self.tally.dry_run:
            self.waits |= set(SERVICES) if service == "enrollment" else {service}

    async def _stated(self, service: str, batch: Sequence[Said], beside: Sequence[Said] = ()) -> list[Said]:
        """State these together, `beside` those that a dry run has accepted; those that are stated now, or would be."""
        if not self.number and (service != "enrollment" or [*beside, *batch][0].line.type != SCREENED):
            self._refuse(batch, [NOT_REGISTERED])
            return []
        stated, objected = await self._together(service, batch, beside)
        if len(objected) == 1:
            self._refuse([objected[0][0]], objected[0][1])
            return stated
        for said, _ in objected:
            stated += await self._stated(service, [said], [*beside, *stated] if self.tally.dry_run else ())
        return stated

    async def _together(
        self, service: str, batch: Sequence[Said], beside: Sequence[Said]
    ) -> tuple[list[Said], list[tuple[Said, list[Fault]]]]:
        """What stands of a batch as it stands together, and each line that was objected to."""
        left, objected = list(batch), dict[int, list[Fault]]()
        while left:
            answer = checked(await self._post(service, [*beside, *left]))
            if answer.is_success:
                await self._recorded(service, left, answer)
                break
            if answer.status_code == 412 or await self._has_moved(answer):
                left = await self._read_anew(service, left)
            elif answer.status_code == _NOT_KNOWN_YET and "retry-after" in answer.headers:
                self._refuse(left, faults_of(answer))
                left = []
            else:
                objected |= self._blamed(answer, left, len(beside))
                left = [each for each in left if each.line.number not in objected]
        return left, [(each, objected[each.line.number]) for each in batch if each.line.number in objected]

    async def _has_moved(self, answer: httpx.Response) -> bool:
        """Has somebody else handed the participant over meanwhile?"""
        before = self.site
        unseen = answer.status_code in (_NOT_SEEN, _NOT_KNOWN_YET) and self.number
        return bool(unseen) and await self.find_site() and self.site != before

    async def _read_anew(self, service: str, batch: Sequence[Said]) -> list[Said]:
        """What is left to be stated, now that somebody else has stated something."""
        self._moved += 1
        if self._moved > MOST_MOVES:
            raise Ended("Somebody else keeps changing the record of a participant.")
        if faults := await self._read(service):
            self._refuse(batch, faults)
            return []
        return [said for said in batch if not self._is_there(service, said)]

    async def _post(self, service: str, batch: Sequence[Said]) -> httpx.Response:
        said = [{"type": each.fact.type_name, "data": stated(each.fact)} for each in batch]
        people = f"/{service}/v1/studies/{self.study.id}/participants"
        path = f"{people}/{self.number}/facts" if self.number else people
        version = self._known[service].version
        headers = {"If-Match": f'"{version}"'} if self.number else {}
        if self.after and service != "enrollment":
            headers["Quartal-After"] = self.after
        if not self.tally.dry_run:
            lines = [each.line.number for each in batch]
            headers["Idempotency-Key"] = key_of(self.study.run, service, self.number, version, said, lines)
        return await self.study.api.ask(
            "POST", path, ("site", self.site), json=said if self.number else {"facts": said}, headers=headers,
            params={"dry_run": "true"} if self.tally.dry_run else None,
        )  # fmt: skip

    async def _recorded(self, service: str, batch: Sequence[Said], answer: httpx.Response) -> None:
        for each in batch:
            self._count(each)
        if self.tally.dry_run:
            return
        known, told = self._known[service], answer.json()
        known.version = told["version"]
        for each, event in zip(batch, told["event_ids"], strict=True):
            self._note(service, each, event)
            self._matches[each.line.number] = There(event)
        if service == "enrollment":
            self.after = answer.headers.get("Quartal-Version", "")
            if any(each.line.type in _MOVES for each in batch):
                await self.find_site()

    def _blamed(self, answer: httpx.Response, left: Sequence[Said], beside: int) -> dict[int, list[Fault]]:
        """What a refusal says of lines, by their numbers: of all of them, where it does not say of which, or where it
        is about what was accepted before; and of somebody new, whose screening is refused."""
        by_place = faults_by_place(answer)
        blamed = {each.line.number: by_place[place] for place, each in enumerate(left, beside) if place in by_place}
        if not blamed or (not self.number and left[0].line.number in blamed and not beside):
            return {each.line.number: blamed.get(each.line.number, faults_of(answer)) for each in left}
        return blamed

    def _refuse(self, said: Sequence[Said], faults: Sequence[Fault]) -> None:
        for each in said:
            self.tally.refuse(each.line, faults)

    def _note(self, service: str, said: Said, event: str) -> None:
        self._known[service].take(event)
        if said.line.event_id:
            self._events[said.line.event_id] = event


def _begins(batch: Sequence[Said], each: Said) -> bool:
    """Must what is gathered be stated before the next fact?"""
    fact = each.fact
    corrects = isinstance(fact, Corrected) and any(said.line.event_id == str(fact.event_id) for said in batch)
    closes = each.line.is_exported and each.line.type in CLOSING
    long = len(batch) >= MOST_FACTS or sum(len(canonical(said.fact)) for said in batch) > MOST_BYTES
    return corrects or closes or long or batch[-1].line.type == TRANSFERRED
