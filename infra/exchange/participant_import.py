"""Imports one participant: finds the facts that are recorded already, and records the others batch by batch.

A service refuses a batch as a whole. Then the lines that the refusal points at are put off, the others are sent without
them, and at last each of those alone: a fact that was refused because of another may be accepted without it. So every
refusal is reported with its line, and the other facts are recorded. A batch is sent for the version that was read
(`If-Match`), so that no fact is recorded twice, even by concurrent imports.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx

from infra.client.study_client import interruptible_sleep
from infra.exchange.batches import faults_by_line, starts_new_batch
from infra.exchange.existing_facts import ExistingEvent, ExistingFacts, Match, with_local_ids
from infra.exchange.fact_conversion import WITHHELD_TEXT, stated_content
from infra.exchange.import_faults import (
    NOT_KNOWN_YET,
    NOT_REGISTERED,
    ref_in_doubt,
    ref_reused,
    refuse_participant,
)
from infra.exchange.import_line import InvalidLine
from infra.exchange.import_report import ImportReport
from infra.exchange.statement_order import SCREENED, TRANSFERRED, ImportFact, ParticipantFacts
from infra.exchange.target_study import (
    POLL_DELAYS_SECONDS,
    READER,
    ExchangeAborted,
    TargetStudy,
    idempotency_key,
    require_usable,
    response_faults,
)
from infra.services import SERVICES
from shared.contracts import catalogue
from shared.kernel.errors import Fault
from shared.kernel.fact import Correction
from shared.kernel.sealed_text import extract_texts

MAX_CONFLICTS = 20  # changes of the record by others during the import
_NOT_VISIBLE_STATUS, _NOT_KNOWN_YET_STATUS = 404, 409
_ONCE_PER_PARTICIPANT = ("participant.consented", "participant.screen_failed", "participant.enrolled")
"""Facts that identify a participant."""
_SITE_CHANGES = {TRANSFERRED, Correction.type_name}


@dataclass
class ParticipantImport:
    """The import of one participant.

    `participant_id` is '' in a dry run for a participant that the file registers; `participant_ids` has those of all
    participants by ref. `form_only_services` are services whose next facts may depend on facts that a dry run has not
    recorded. `new_screening` is the screening that has just registered the participant. `enrollment_version` is the
    version that other services must have applied. `is_recognized`: an earlier import registered the ref.
    """

    study: TargetStudy
    report: ImportReport
    participant: ParticipantFacts
    participant_ids: dict[str, str]
    participant_id: str = ""
    site: str | None = None
    new_screening: ImportFact | None = None
    form_only_services: set[str] = field(default_factory=set)
    enrollment_version: str = ""
    is_recognized: bool = False
    _conflicts: int = 0
    _event_ids: dict[str, str] = field(default_factory=dict)
    _existing: dict[str, ExistingFacts] = field(default_factory=dict)
    _matches: dict[int, Match] = field(default_factory=dict)

    async def find_site(self) -> bool:
        """Reads the current site; returns False if the caller may see no such participant."""
        path = f"{self.study.base}/participants/{self.participant_id}"
        response = require_usable(await self.study.client.request("GET", path, READER))
        if response.status_code == 200:
            self.site, self.enrollment_version = response.json()["site_id"], response.headers.get("Quartal-Version", "")
        return response.status_code == 200

    async def import_all(self) -> None:
        """Records the participant's facts that the services do not have yet."""
        if self.is_recognized and (faults := await self._ref_doubts()):
            refuse_participant(self.report, self.participant, faults)
            return
        for service, facts in self.participant.stages():
            await self.import_facts(service, facts)

    async def _ref_doubts(self) -> list[Fault]:
        """Returns why the ref may mean another participant now: another screening, consent or enrollment."""
        if await self._load_existing(SERVICES[0]):
            return []
        screening, facts = self.participant.screening, self.participant.facts_of_service(SERVICES[0])
        match = self._matches.get(screening.line.number) if screening else None
        if isinstance(match, InvalidLine):
            return [*match.faults, ref_reused(self.participant.participant_key)]
        existing = self._existing[SERVICES[0]]
        conflicts = (existing.first_conflict(type_name, facts, self._matches) for type_name in _ONCE_PER_PARTICIPANT)
        return [
            ref_in_doubt(self.participant.participant_key, conflict)
            for conflict in conflicts
            if conflict and not conflict.line.is_exported
        ]

    async def import_facts(self, service: str, facts: Sequence[ImportFact]) -> None:
        """Records those of the facts that the service does not have yet, in this order."""
        if service not in self._existing and (faults := await self._load_existing(service)):
            self._refuse(facts, faults)
            return
        batch: list[ImportFact] = []
        for fact in facts:
            if batch and starts_new_batch(batch, fact):
                await self._send_or_defer(service, batch)
                batch = []
            local_fact = with_local_ids(fact, self._event_ids, self.participant_ids)
            if not self._account_if_existing(service, local_fact):
                batch.append(local_fact)
        await self._send_or_defer(service, batch)

    async def _load_existing(self, service: str) -> list[Fault]:
        """Loads the participant's facts in the service; returns its faults if it does not show them.

        Waits until the service shows the participant at the current site: before it knows of a transfer, it shows
        nothing to the new site, and every fact would be recorded again.
        """
        existing = self._existing.setdefault(service, ExistingFacts())
        if not self.participant_id:
            return []
        path = f"/{service}/v1/studies/{self.study.id}/participants/{self.participant_id}/history"
        for seconds in POLL_DELAYS_SECONDS:
            response = require_usable(await self.study.client.request("GET", path, ("site", self.site)))
            if response.is_success:
                existing.read(catalogue.find_stream(service, is_study=False), response.json()["events"])
                self._match_existing(service)
                return []
            await interruptible_sleep(self.study.client.stop, seconds)
            if response.status_code != _NOT_VISIBLE_STATUS or not await self.find_site():
                break
        del self._existing[service]
        return [NOT_KNOWN_YET] if response.status_code == _NOT_VISIBLE_STATUS else response_faults(response)

    def _match_existing(self, service: str) -> None:
        """Matches lines with recorded events; corrections of events in the file wait for the ids of these."""
        facts = [fact for fact in self.participant.facts_of_service(service) if not isinstance(fact.fact, Correction)]
        missing = [
            with_local_ids(fact, self._event_ids, self.participant_ids)
            for fact in facts
            if not self._matches.get(fact.line.number)
        ]
        self._matches |= self._existing[service].match(missing)

    def _account_if_existing(self, service: str, fact: ImportFact) -> bool:
        """Sets the outcome of a line that is recorded already or cannot be recorded; returns False for any other."""
        if isinstance(fact.fact, Correction):
            self._matches |= self._existing[service].match([fact])
        match self._matches.get(fact.line.number):
            case InvalidLine(faults=faults):
                self.report.refuse(fact.line, faults)
            case ExistingEvent() as existing:
                self._note_event(service, fact, existing.event_id)
                self._report_existing(fact, existing)
            case None:
                return False
        return True

    def _report_existing(self, fact: ImportFact, existing: ExistingEvent) -> None:
        number = fact.line.number
        if self.new_screening is not None and fact.line is self.new_screening.line:
            self._report_recorded(fact)
        else:
            self.report.set_outcome(number, "there-already" if existing.texts_compared else "text-not-compared")

    def _report_recorded(self, fact: ImportFact) -> None:
        self.report.set_recorded(fact.line.number)
        self.report.withheld_count += sum(text == WITHHELD_TEXT for _, text in extract_texts(fact.fact))

    async def _send_or_defer(self, service: str, batch: Sequence[ImportFact]) -> None:
        if service in self.form_only_services:
            for fact in batch:
                self.report.set_outcome(fact.line.number, "checked-by-form")
        elif batch and await self._send_batch(service, batch) and self.report.dry_run:
            self.form_only_services |= set(SERVICES) if service == "enrollment" else {service}

    async def _send_batch(
        self, service: str, batch: Sequence[ImportFact], accepted_before: Sequence[ImportFact] = ()
    ) -> list[ImportFact]:
        """Sends the facts as one batch, after those that a dry run has accepted; returns the accepted facts."""
        if not self.participant_id and (service != "enrollment" or [*accepted_before, *batch][0].line.type != SCREENED):
            self._refuse(batch, [NOT_REGISTERED])
            return []
        accepted, objections = await self._send_until_accepted(service, batch, accepted_before)
        if len(objections) == 1:
            self._refuse([objections[0][0]], objections[0][1])
            return accepted
        for fact, _ in objections:
            accepted += await self._send_batch(
                service, [fact], [*accepted_before, *accepted] if self.report.dry_run else ()
            )
        return accepted

    async def _send_until_accepted(
        self, service: str, batch: Sequence[ImportFact], accepted_before: Sequence[ImportFact]
    ) -> tuple[list[ImportFact], list[tuple[ImportFact, list[Fault]]]]:
        """Sends a batch until it is accepted; returns the accepted facts, and the faults of each refused one."""
        pending, objections = list(batch), dict[int, list[Fault]]()
        while pending:
            response = require_usable(await self._post(service, [*accepted_before, *pending]))
            if response.is_success:
                await self._note_recorded(service, pending, response)
                break
            if response.status_code == 412 or await self._has_changed_site(response):
                pending = await self._reload(service, pending)
            elif response.status_code == _NOT_KNOWN_YET_STATUS and "retry-after" in response.headers:
                self._refuse(pending, response_faults(response))
                pending = []
            else:
                objections |= faults_by_line(
                    response, pending, len(accepted_before), is_registered=bool(self.participant_id)
                )
                pending = [fact for fact in pending if fact.line.number not in objections]
        return pending, [(fact, objections[fact.line.number]) for fact in batch if fact.line.number in objections]

    async def _has_changed_site(self, response: httpx.Response) -> bool:
        """Returns whether the participant was transferred to another site meanwhile."""
        previous_site = self.site
        is_invisible = response.status_code in (_NOT_VISIBLE_STATUS, _NOT_KNOWN_YET_STATUS) and self.participant_id
        return bool(is_invisible) and await self.find_site() and self.site != previous_site

    async def _reload(self, service: str, batch: Sequence[ImportFact]) -> list[ImportFact]:
        """Loads the changed record again; returns the facts that it still lacks."""
        self._conflicts += 1
        if self._conflicts > MAX_CONFLICTS:
            raise ExchangeAborted("The record of a participant is being changed by another program.")
        if faults := await self._load_existing(service):
            self._refuse(batch, faults)
            return []
        return [fact for fact in batch if not self._account_if_existing(service, fact)]

    async def _post(self, service: str, batch: Sequence[ImportFact]) -> httpx.Response:
        contents = [{"type": fact.fact.type_name, "data": stated_content(fact.fact)} for fact in batch]
        participants = f"/{service}/v1/studies/{self.study.id}/participants"
        path = f"{participants}/{self.participant_id}/facts" if self.participant_id else participants
        version = self._existing[service].version
        headers = {"If-Match": f'"{version}"'} if self.participant_id else {}
        if self.enrollment_version and service != "enrollment":
            headers["Quartal-After"] = self.enrollment_version
        if not self.report.dry_run:
            lines = [fact.line.number for fact in batch]
            headers["Idempotency-Key"] = idempotency_key(
                self.study.run_id, service, self.participant_id, version, contents, lines
            )
        return await self.study.client.request(
            "POST",
            path,
            ("site", self.site),
            json=contents if self.participant_id else {"facts": contents},
            headers=headers,
            params={"dry_run": "true"} if self.report.dry_run else None,
        )

    async def _note_recorded(self, service: str, batch: Sequence[ImportFact], response: httpx.Response) -> None:
        for fact in batch:
            self._report_recorded(fact)
        if self.report.dry_run:
            return
        existing, content = self._existing[service], response.json()
        existing.version = content["version"]
        for fact, event_id in zip(batch, content["event_ids"], strict=True):
            self._note_event(service, fact, event_id)
            self._matches[fact.line.number] = ExistingEvent(event_id)
        if service == "enrollment":
            self.enrollment_version = response.headers.get("Quartal-Version", "")
            if any(fact.line.type in _SITE_CHANGES for fact in batch):
                await self.find_site()

    def _refuse(self, facts: Sequence[ImportFact], faults: Sequence[Fault]) -> None:
        for fact in facts:
            self.report.refuse(fact.line, faults)

    def _note_event(self, service: str, fact: ImportFact, event_id: str) -> None:
        self._existing[service].claim(event_id)
        if fact.line.event_id:
            self._event_ids[fact.line.event_id] = event_id
