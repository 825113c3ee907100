"""The problem types of all responses: of request errors, and of objections."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from types import ModuleType

from shared.contracts.json_schemas import CONTRACTS_FOLDER
from shared.kernel.errors import RequestError
from shared.kernel.objection import ProblemType

PROBLEMS = CONTRACTS_FOLDER / "problems.json"
"""The published file of the problem types of all services. `make contracts` writes it."""
_MESSAGE_VALUE = re.compile(r"\{\w+\}")


def declared_problem_types(*modules: ModuleType) -> tuple[ProblemType, ...]:
    """Returns the problem types that modules declare, in the order of their declaration."""
    return tuple(value for module in modules for value in vars(module).values() if isinstance(value, ProblemType))


def describe_problem_types(declared: Iterable[ProblemType]) -> dict[str, str]:
    """Returns the sentence of every problem type by its code.

    The types of request errors are always among them. The sentences of a code that is declared twice are joined.
    """
    requests = {error.code: error.title for error in _with_subclasses(RequestError)}
    sentences: dict[str, dict[str, None]] = {}
    for problem in declared:
        sentences.setdefault(problem.code, {})[_MESSAGE_VALUE.sub("…", problem.message)] = None
    facts = {code: " Or: ".join(alternatives) for code, alternatives in sentences.items()}
    return dict(sorted({**requests, **facts}.items()))


def _with_subclasses(kind: type[RequestError]) -> Iterator[type[RequestError]]:
    yield kind
    for subclass in kind.__subclasses__():
        yield from _with_subclasses(subclass)
