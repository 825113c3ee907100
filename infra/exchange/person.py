"""One participant during an import: what is stated already, and stating what is not, a batch at a time.

A batch is refused as a whole. Then the lines that the refusal points at are reported and left out, and the others are
stated without them; so every refusal is reported with its line, and what stands without it is recorded. A batch goes to
the version that was read (`If-Match`): what is there already is not stated twice, whoever else imports meanwhile.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx

from infra.exchange.fact import WITHHELD, canonical, stated
from infra.exchange.known import Known, here
from infra.exchange.line import Wrong
from infra.exchange.order import CLOSING, SCREENED, TRANSFERRED, Said
from infra.exchange.study import READER, Ended, Study, checked, faults_of, key_of
from infra.exchange.tally import Tally
from shared.contracts import catalogue
from shared.kernel.fact import Corrected
from shared.kernel.refusal import Fault
from shared.kernel.sealed import texts
from shared.web.routes import MOST_FACTS

MOST_BYTES = 900_000  # of a request's 1 MiB
MOST_MOVES = 20  # that somebody else stated something of the participant meanwhile
_POINTER = re.compile(r"(?:/facts)?/([0-9]+)(?:/data)?(/.*)?")
NOT_REGISTERED = Fault("not-registered", "The file registers nobody under that ref, or the screening was refused.")
_MOVES = {TRANSFERRED, Corrected.type_name}


@dataclass
class Person:
    """`number` '' (in a dry run only): the file registers somebody whom the study does not have yet. `waits`: a dry run
    has accepted facts, on which the next ones may depend. `new`: the screening that has just registered somebody.
    `after`: enrollment's version, which other services are to have heard of."""

    study: Study
    tally: Tally
    numbers: dict[str, str]
    number: str = ""
    site: str | None = None
    new: Said | None = None
    waits: bool = False
    after: str = ""
    _moved: int = 0
    _events: dict[str, str] = field(default_factory=dict)
    _known: dict[str, Known] = field(default_factory=dict)

    async def find_site(self) -> bool:
        """Where the participant is now; False if there is none, or none to be seen."""
        path = f"{self.study.base}/participants/{self.number}"
        answer = checked(await self.study.api.ask("GET", path, READER))
        if answer.status_code == 200:
            self.site, self.after = answer.json()["site_id"], answer.headers.get("Quartal-Version", "")
        return answer.status_code == 200

    async def state(self, service: str, told: Sequence[Said]) -> None:
        """State of these, in this order, what is not there yet."""
        if service not in self._known:
            self._known[service] = Known()
            await self._read(service)
        batch: list[Said] = []
        for each in told:
            if batch and _begins(batch, each):
                await self._send(service, batch)
                batch = []
            said = here(each, self._events, self.numbers)
            if not self._is_there(service, said):
                batch.append(said)
        await self._send(service, batch)

    async def _read(self, service: str) -> None:
        """What the service has of the participant: nothing, where it answers that there is nobody."""
        if not self.number:
            return
        path = f"/{service}/v1/studies/{self.study.id}/participants/{self.number}/history"
        answer = checked(await self.study.api.ask("GET", path, ("site", self.site)))
        rows = answer.json()["events"] if answer.is_success else []
        self._known[service].read(catalogue.stream(service, of_study=False), rows)

    def _is_there(self, service: str, said: Said) -> bool:
        """Accounts for a line that needs not be stated, or cannot be."""
        try:
            event = self._known[service].find(said)
        except Wrong as wrong:
            self.tally.refuse(said.line, wrong.faults)
            return True
        if event:
            self._note(service, said, event)
            self._account(said, is_new=self.new is not None and said.line is self.new.line)
        return bool(event)

    def _account(self, said: Said, *, is_new: bool) -> None:
        self.tally.one("recorded" if is_new else "there")
        self.tally.withheld += is_new and sum(text == WITHHELD for _, text in texts(said.fact))

    async def _send(self, service: str, batch: Sequence[Said]) -> None:
        while batch:
            if self.waits:
                self._by_form(batch)
                return
            if not self.number and service != "enrollment":
                self._unregistered(batch)
                return
            answer = checked(await self._post(service, batch))
            if answer.is_success:
                await self._recorded(service, batch, answer)
                return
            left = self._read_anew if answer.status_code == 412 else self._without_refused
            batch = await left(service, batch, answer)

    async def _read_anew(self, service: str, batch: Sequence[Said], _: httpx.Response) -> list[Said]:
        """What is left to be stated, now that somebody else has stated something."""
        self._moved += 1
        if self._moved > MOST_MOVES:
            raise Ended("Somebody else keeps changing the record of a participant.")
        await self._read(service)
        return [said for said in batch if not self._is_there(service, said)]

    async def _post(self, service: str, batch: Sequence[Said]) -> httpx.Response:
        said = [{"type": each.fact.type_name, "data": stated(each.fact)} for each in batch]
        people = f"/{service}/v1/studies/{self.study.id}/participants"
        path = f"{people}/{self.number}/facts" if self.number else people
        version = self._known[service].version
        headers = {"If-Match": f'"{version}"'} if version else {}
        if self.after and service != "enrollment":
            headers["Quartal-After"] = self.after
        if not self.tally.dry_run:
            headers["Idempotency-Key"] = key_of(self.study.id, service, self.number, version, said)
        return await self.study.api.ask(
            "POST", path, ("site", self.site), json=said if self.number else {"facts": said}, headers=headers,
            params={"dry_run": "true"} if self.tally.dry_run else None,
        )  # fmt: skip

    async def _recorded(self, service: str, batch: Sequence[Said], answer: httpx.Response) -> None:
        for each in batch:
            self._account(each, is_new=True)
        if self.tally.dry_run:
            self.waits = True
            return
        known, told = self._known[service], answer.json()
        known.version = told["version"]
        for each, event in zip(batch, told["event_ids"], strict=True):
            self._note(service, each, event)
        if service == "enrollment":
            self.after = answer.headers.get("Quartal-Version", "")
            if any(each.line.type in _MOVES for each in batch):
                await self.find_site()

    async def _without_refused(self, service: str, batch: Sequence[Said], answer: httpx.Response) -> list[Said]:
        """What is left to be stated, once the lines are reported that are refused for certain."""
        blamed = _blamed(answer)
        if len(batch) > 1 and not blamed:  # an older event objects: by trying one by one it is found to whom
            for each in batch:
                await self._send(service, [each])
            return []
        if not blamed:
            self.tally.refuse(batch[0].line, faults_of(answer))
        for place, faults in blamed.items():
            self.tally.refuse(batch[place].line, faults)
        left = [each for place, each in enumerate(batch) if blamed and place not in blamed]
        if self.number or not left or left[0].line.type == SCREENED:
            return left
        self._unregistered(left)
        return []

    def _unregistered(self, said: Sequence[Said]) -> None:
        for each in said:
            self.tally.refuse(each.line, [NOT_REGISTERED])

    def _by_form(self, batch: Sequence[Said]) -> None:
        for _ in batch:
            self.tally.one("by form")

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


def _blamed(answer: httpx.Response) -> dict[int, list[Fault]]:
    """What the refusal of a batch says of its members, by their places; pointers are within the fact's content."""
    blamed: dict[int, list[Fault]] = {}
    for fault in faults_of(answer):
        if at := _POINTER.fullmatch(fault.pointer):
            blamed.setdefault(int(at[1]), []).append(Fault(fault.code, fault.message, at[2] or ""))
    return blamed
