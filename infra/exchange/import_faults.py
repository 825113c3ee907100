"""Why lines are refused by the import itself, and what an answer of a service says of the lines of a batch. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from infra.exchange.import_report import ImportReport
from infra.exchange.statement_order import ImportFact, ParticipantFacts
from shared.kernel.errors import Fault

NOT_REGISTERED = Fault("not-registered", "The file has no participant.screened for that ref.", "/ref")
NOT_KNOWN_YET = Fault(
    "not-known-yet", "The service does not know the participant at the present site yet: run the import again."
)
NOT_VISIBLE = Fault(
    "not-found",
    "The participant of this ref is not yours to see any more, for instance because another site has taken over. Use a "
    "token of the participant's present site.",
    "/ref",
)


def ref_reused(ref: str) -> Fault:
    """Say that a ref stands for a participant with another screening."""
    return Fault(
        "ref-used-before",
        f"The ref {ref} was used before for another screening, or for one with another local_reference or reason. "
        "If it is the same person, correct the screening with a record.corrected, or name the participant by number; "
        "if it is somebody else, use another ref.",
        "/ref",
    )


def already_registered(line: int) -> Fault:
    """Say that another line of the file registers a participant with the same local_reference."""
    return Fault(
        "already-registered",
        f"Line {line} registers another ref with this local_reference, at the same site. If both are one person, use "
        "one ref; if not, correct the reference.",
        "/local_reference",
    )


def refuse_participant(report: ImportReport, participant: ParticipantFacts, faults: Sequence[Fault]) -> None:
    """Refuse everything of a participant: the screening by a ref with the reasons, the rest because of it."""
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
    """Say that a ref was recognized, and that the file says something else of its participant than the record."""
    return Fault(
        "ref-in-doubt",
        f"The ref {ref} is known from an earlier import, but line {fact.line.number} ({fact.line.type}) differs from "
        "what is recorded. If it is the same person, correct the record with a record.corrected, or name the "
        "participant by number; if it is somebody else, use another ref. Nothing of this ref was recorded.",
        "/ref",
    )
