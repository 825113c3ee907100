"""The problem types of all responses: those of request errors, and those that rules and gates declare."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from types import ModuleType

from shared.contracts.json_schemas import CONTRACTS_FOLDER
from shared.kernel.errors import RequestError
from shared.kernel.objection import ProblemType
from shared.kernel.record import NO_SUCH_EVENT

PROBLEMS = CONTRACTS_FOLDER / "problems.json"
"""The published file of the problem types of all services. `make contracts` writes it."""
_MESSAGE_VALUE = re.compile(r"\{\w+\}")
REQUEST_PROBLEMS = {
    "schema": "The request does not have the required form. `errors` says what is wrong, and where.",
    "too-many-items": "A body, a fact, a list or an object has too many members. `errors` says where.",
    "more-faults": "The last entry of `errors`: there are more faults than an answer lists.",
    "idempotency-key-reused": "The idempotency key was used for another request or event. Use a new key.",
    "local-reference": "Only the site states its own reference. Others leave it out: their corrections keep it.",
    "bad-participant-number": "This is not a participant number. Look for typing errors.",
    "parameter": "A parameter of the address cannot be accepted. `errors` says which, and why.",
    "refused": "The request was refused before its content was read.",
    "method-not-allowed": "This address does not have that method. The header Allow lists its methods.",
    "unforeseen": "The service failed, and recorded nothing. Its log says where it failed.",
    "study-exists": "There is a study with this study_id already. Give another one.",
    "other-type": "The replacement is not of the same type as the event. Give a replacement of the same type.",
    NO_SUCH_EVENT.code: NO_SUCH_EVENT.message,
}


def declared_problem_types(*modules: ModuleType) -> tuple[ProblemType, ...]:
    """Returns the problem types that modules of rules and gates declare, in the order of their declaration."""
    return tuple(value for module in modules for value in vars(module).values() if isinstance(value, ProblemType))


def describe_problem_types(declared: Iterable[ProblemType]) -> dict[str, str]:
    """Returns the sentence of every problem type by its code.

    The types of requests are always among them. The sentences of a code that is declared several times are joined.
    """
    requests = {error.code: error.title for error in _with_subclasses(RequestError) if error is not RequestError}
    sentences: dict[str, dict[str, None]] = {}
    for problem in declared:
        sentences.setdefault(problem.code, {})[_MESSAGE_VALUE.sub("…", problem.message)] = None
    facts = {code: " Or: ".join(alternatives) for code, alternatives in sentences.items()}
    return dict(sorted({**requests, **REQUEST_PROBLEMS, **facts}.items()))


def _with_subclasses(kind: type[RequestError]) -> Iterator[type[RequestError]]:
    yield kind
    for subclass in kind.__subclasses__():
        yield from _with_subclasses(subclass)
