"""Faults for which the import itself refuses lines. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from infra.exchange.import_report import ImportReport
from infra.exchange.statement_order import ImportFact, ParticipantFacts
from shared.kernel.errors import Fault

NOT_REGISTERED = Fault("not-registered", "The file has no participant.screened for that ref.", "/ref")
NOT_KNOWN_YET = Fault(
    "not-known-yet", "The service does not know the participant at the current site yet: run the import again."
)
NOT_VISIBLE = Fault(
    "not-found",
    "You may no longer see the participant of this ref, for example after a transfer to another site. Use a token of "
    "the participant's current site.",
    "/ref",
)


def ref_reused(ref: str) -> Fault:
    """Returns the fault of a ref that was registered with another screening."""
    return Fault(
        "ref-used-before",
        f"The ref {ref} was used before for another screening, or for one with another local_reference or reason. "
        "If it is the same person, correct the screening with a record.corrected, or name the participant by number; "
        "if it is somebody else, use another ref.",
        "/ref",
    )


def already_registered(line: int) -> Fault:
    """Returns the fault of a screening whose local_reference another line of the file registers."""
    return Fault(
        "already-registered",
        f"Line {line} registers another ref with this local_reference, at the same site. If both are one person, use "
        "one ref; if not, correct the reference.",
        "/local_reference",
    )


def refuse_participant(report: ImportReport, participant: ParticipantFacts, faults: Sequence[Fault]) -> None:
    """Refuses every line of a participant: the screening of a ref with `faults`, its other lines because of it."""
    screening = participant.screening if participant.is_ref else None
    for fact in participant.facts:
        line_faults = (
            [_screening_refused(screening, faults[-1].code)] if screening and fact is not screening else faults
        )
        report.refuse(fact.line, line_faults)


def _screening_refused(screening: ImportFact, code: str) -> Fault:
    code = code if code.startswith("ref-") else NOT_REGISTERED.code
    return Fault(code, f"The screening of this ref is refused: see line {screening.line.number}.", "/ref")


def ref_in_doubt(ref: str, fact: ImportFact) -> Fault:
    """Returns the fault of a recognized ref whose lines in the file contradict the record of the participant."""
    return Fault(
        "ref-in-doubt",
        f"The ref {ref} is known from an earlier import, but line {fact.line.number} ({fact.line.type}) differs from "
        "what is recorded. If it is the same person, correct the record with a record.corrected, or name the "
        "participant by number; if it is somebody else, use another ref. No line of this ref was recorded.",
        "/ref",
    )
