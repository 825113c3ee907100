"""Records the facts of a file that a study does not have yet. Safe to repeat: recorded facts are recognized."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from functools import partial

from infra.client.study_client import StudyClient
from infra.exchange.fact_conversion import canonical_content, read_line, stated_content
from infra.exchange.import_faults import NOT_REGISTERED, NOT_VISIBLE, already_registered, refuse_participant
from infra.exchange.import_line import InvalidLine, NumberedLine
from infra.exchange.import_report import ImportReport
from infra.exchange.participant_import import ParticipantImport
from infra.exchange.registration import RefMatch, Registration
from infra.exchange.statement_order import (
    ImportFact,
    ParticipantFacts,
    group_by_participant,
    split_study_facts,
)
from infra.exchange.target_study import NO_STUDY, REPLAYED_HEADER, ExchangeAborted, TargetStudy, response_faults
from infra.services import SERVICES
from shared.kernel.errors import Fault
from shared.kernel.sealed_text import extract_texts
from shared.security.vault import normalize_reference

MAX_CONCURRENT_PARTICIPANTS = 8
_UNKNOWN_PARTICIPANT = Fault("not-found", "This participant does not exist, or you may not see it.", "/participant")
_MEMBER_FACTS = ("study.member_granted", "study.member_revoked")


async def import_facts(
    client: StudyClient,
    lines: Sequence[NumberedLine],
    report: ImportReport,
    *,
    grants: bool = False,
    participants_only: bool = False,
) -> None:
    """Records the fact of every line, and sets the outcome of each line in `report`.

    `grants`: record missing grants of the development issuer's default subjects. Raises ExchangeAborted or
    httpx.TransportError if the services do not let it continue; recorded facts stay.
    """
    report.expect_lines(lines)
    facts = list(_read_lines(lines, client.study_id, report))
    selected, repeats = _separate_repeats(_select_facts(facts, client.study_id, report, participants_only))
    await _ImportRun(TargetStudy(client), report, grants).run(selected)
    for fact, first in repeats:
        _report_repeat(report, fact.line.number, first.line.number)


def _read_lines(lines: Iterable[NumberedLine], study_id: str, report: ImportReport) -> Iterator[ImportFact]:
    for number, line in lines:
        if isinstance(line, InvalidLine):
            report.refuse_line(number, line.faults)
            continue
        try:
            yield ImportFact(line.for_study(study_id), read_line(line))
        except InvalidLine as invalid:
            report.refuse(line, invalid.faults)


def _select_facts(
    facts: Sequence[ImportFact], study_id: str, report: ImportReport, participants_only: bool
) -> list[ImportFact]:
    """Leaves out facts of the study if only participants are wanted, and always the grants of another study."""
    selected = []
    for fact in facts:
        foreign = fact.line.type in _MEMBER_FACTS and fact.line.study not in (None, study_id)
        if not fact.line.participant_key and (participants_only or foreign):
            report.set_outcome(fact.line.number, "left-out")
        else:
            selected.append(fact)
    return selected


def _separate_repeats(facts: Sequence[ImportFact]) -> tuple[list[ImportFact], list[tuple[ImportFact, ImportFact]]]:
    """Returns the lines without those that repeat another one, and each of these with the line that it repeats.

    Lines that name their event are no repeats: an export has two equal facts if two were recorded.
    """
    first: dict[tuple[object, ...], ImportFact] = {}
    unique, repeats = [], []
    for fact in facts:
        line = fact.line
        key = (line.participant_key, line.is_ref, line.service, canonical_content(fact.fact), *extract_texts(fact.fact))
        if line.participant_key and not line.event_id and not line.is_exported and key in first:
            repeats.append((fact, first[key]))
        else:
            first.setdefault(key, fact)
            unique.append(fact)
    return unique, repeats


def _report_repeat(import_report: ImportReport, number: int, first: int) -> None:
    report = import_report.lines[first]
    if report.outcome == "refused":
        import_report.set_outcome(number, "refused", faults=report.faults, repeats=first)
    elif report.outcome != "not-decided":
        import_report.set_outcome(number, "repeated", repeats=first)


def _find_shared_references(participants: Iterable[ParticipantFacts]) -> dict[int, int]:
    """Returns the earlier line with the same local_reference at the same site, by the line of the screening."""
    first: dict[tuple[str, str], int] = {}
    line_with_same_reference: dict[int, int] = {}
    screenings = [participant.screening for participant in participants if participant.is_ref and participant.screening]
    for screening in sorted(screenings, key=lambda screening: screening.line.number):
        data = stated_content(screening.fact)
        if reference := data.get("local_reference"):
            line = first.setdefault((data["site_id"], normalize_reference(reference)), screening.line.number)
            line_with_same_reference |= {screening.line.number: line} if line != screening.line.number else {}
    return line_with_same_reference


class _ImportRun:
    def __init__(self, study: TargetStudy, report: ImportReport, grants: bool) -> None:
        self._study, self._report, self._may_grant = study, report, grants
        self._registration = Registration(study, report.dry_run)
        self._participant_ids: dict[str, str] = {}
        self._is_form_only = False
        self._same_reference: dict[int, int] = {}
        self._slots = asyncio.Semaphore(MAX_CONCURRENT_PARTICIPANTS)

    async def run(self, facts: Sequence[ImportFact]) -> None:
        opening_facts, closing_facts = split_study_facts(facts)
        participants = group_by_participant(fact for fact in facts if fact.line.participant_key)
        await self._study.read()
        await self._record_study_facts(opening_facts)
        if not self._study.version and not self._is_form_only:
            raise ExchangeAborted(NO_STUDY, can_resume=False)
        if participants and self._may_grant and not self._is_form_only:
            await self._grant()
        if not self._is_form_only and any(participant.is_ref for participant in participants):
            await self._registration.read()
        self._same_reference = _find_shared_references(participants)
        imports = await self._find_all(participants)
        await self._run_concurrently(participant.import_all for participant in imports if participant)
        await self._record_study_facts(closing_facts)

    async def _record_study_facts(self, facts: Sequence[ImportFact]) -> None:
        recorded, occurrences = self._study.count_contents(), Counter[str]()
        for fact in facts:
            content = canonical_content(fact.fact)
            occurrences[content] += 1
            if occurrences[content] <= recorded[content]:
                self._report.set_outcome(fact.line.number, "there-already")
            elif self._is_form_only:
                self._report.set_outcome(fact.line.number, "checked-by-form")
            else:
                recorded = await self._record(fact, occurrences[content], recorded)

    async def _record(self, fact: ImportFact, occurrence: int, recorded: Counter[str]) -> Counter[str]:
        """Records a fact of the study; returns the counts of its contents afterwards."""
        response = await self._study.record_fact(fact, occurrence, dry_run=self._report.dry_run)
        if not response.is_success:
            self._report.refuse(fact.line, response_faults(response))
            return recorded
        if REPLAYED_HEADER in response.headers:
            self._report.set_outcome(fact.line.number, "there-already")
        else:
            self._report.set_recorded(fact.line.number)
        self._is_form_only = self._report.dry_run
        if self._report.dry_run:
            return recorded
        await self._study.read()
        return self._study.count_contents()

    async def _grant(self) -> None:
        if missing_grants := self._study.missing_grants():
            if self._report.dry_run:
                self._is_form_only, self._report.missing_grant_count = True, len(missing_grants)
                return
            await self._study.record_grants(missing_grants)

    async def _find_all(self, participants: Sequence[ParticipantFacts]) -> list[ParticipantImport | None]:
        """Returns an import for each participant; None if there is no such participant, which is reported."""
        imports: list[ParticipantImport | None] = [None] * len(participants)

        async def find(index: int, participant: ParticipantFacts) -> None:
            participant_import = ParticipantImport(
                self._study,
                self._report,
                participant,
                self._participant_ids,
                form_only_services=set(SERVICES if self._is_form_only else ()),
            )
            try:
                await (self._register(participant_import) if participant.is_ref else self._find(participant_import))
                imports[index] = participant_import
            except InvalidLine as invalid:
                refuse_participant(self._report, participant, invalid.faults)

        await self._run_concurrently(
            partial(find, index, participant) for index, participant in enumerate(participants)
        )
        return imports

    async def _find(self, participant_import: ParticipantImport) -> None:
        """Finds a participant by number; raises InvalidLine if the caller may see none of that number."""
        participant_import.participant_id = participant_import.participant.participant_key
        if not self._is_form_only and not await participant_import.find_site():
            raise InvalidLine(_UNKNOWN_PARTICIPANT)

    async def _register(self, participant_import: ParticipantImport) -> None:
        """Finds or registers a participant by ref and screening; raises InvalidLine if that is refused."""
        participant = participant_import.participant
        if (screening := participant.screening) is None:
            raise InvalidLine(NOT_REGISTERED)
        participant_import.site = str(stated_content(screening.fact)["site_id"])
        if first := self._same_reference.get(screening.line.number):
            raise InvalidLine(already_registered(first))
        if not self._is_form_only:
            self._refuse_unknown_site(participant_import.site)
            self._refuse_unknown_criteria(screening)
        match = RefMatch("", is_new=True)
        if not self._is_form_only:
            match = await self._registration.find(participant.participant_key, screening)
        participant_import.participant_id, participant_import.enrollment_version, participant_import.is_recognized = (
            match.participant_id,
            match.after,
            not match.is_new,
        )
        self._report.name_participant(screening.line, match.participant_id, is_new=match.is_new)
        if match.is_new and not self._report.dry_run:
            participant_import.new_screening = screening
        if not match.is_new and not await participant_import.find_site():
            raise InvalidLine(NOT_VISIBLE)
        self._participant_ids[participant.participant_key.rpartition("/")[2]] = participant_import.participant_id

    def _refuse_unknown_site(self, site: str) -> None:
        if self._study.sites and site not in self._study.sites:
            sites = ", ".join(self._study.sites)
            raise InvalidLine(Fault("no-such-site", f"The study has no such site. Its sites are {sites}.", "/site_id"))

    def _refuse_unknown_criteria(self, screening: ImportFact) -> None:
        """Raises InvalidLine with the columns of criteria that no protocol of the study has had."""
        criteria = screening.line.data["criteria"] if screening.line.columns else ()
        unknown = [name for name in criteria if name not in self._study.criteria]
        if unknown:
            message = "The protocol has no such criterion: correct the column's name, or leave its cells empty."
            raise InvalidLine(*(Fault("no-such-criterion", message, f"/criteria/{name}") for name in unknown))

    async def _run_concurrently(self, jobs: Iterable[Callable[[], Awaitable[None]]]) -> None:
        """Runs the jobs, MAX_CONCURRENT_PARTICIPANTS at once; the first failure ends all."""

        async def run_job(job: Callable[[], Awaitable[None]]) -> None:
            async with self._slots:
                await job()

        try:
            async with asyncio.TaskGroup() as group:
                for job in jobs:
                    group.create_task(run_job(job))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from failures
