"""The problem types there are: those of the refusals, and those that rules and gates object with, read off the code."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Iterator
from types import ModuleType

from shared.contracts.json_schemas import CONTRACTS_FOLDER
from shared.kernel.errors import RequestError

PROBLEMS = CONTRACTS_FOLDER / "problems.json"
"""The types of all services together, as `make contracts` writes them: no service knows the others."""
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
    "no-such-event": "The record has no event with this event_id that can be corrected. Check the event_id.",
}


def problem_types(modules: Iterable[ModuleType]) -> dict[str, str]:
    """Code → sentence; where a code is said in several ways, all of them."""
    refusals = {
        refusal.code: refusal.title for refusal in _with_subclasses(RequestError) if refusal is not RequestError
    }
    rules: dict[str, list[str]] = {}
    for module in modules:
        for code, message in _objections(module):
            rules.setdefault(code, []).append(message)
    rule_problems = {code: " Or: ".join(dict.fromkeys(messages)) for code, messages in rules.items()}
    return dict(sorted({**refusals, **REQUEST_PROBLEMS, **rule_problems}.items()))


def _with_subclasses(kind: type[RequestError]) -> Iterator[type[RequestError]]:
    yield kind
    for subclass in kind.__subclasses__():
        yield from _with_subclasses(subclass)


def _objections(module: ModuleType) -> Iterator[tuple[str, str]]:
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.FunctionDef):
            assignments = list(_assignments(node))
            for call in ast.walk(node):
                match call:
                    case ast.Call(
                        func=ast.Name(id="Objection" | "_conflicts_with"),
                        args=[ast.Constant(value=str(code)), message, *_],
                    ):
                        yield (
                            code,
                            _latest_text(assignments, message) if isinstance(message, ast.Name) else _text(message),
                        )


def _assignments(function: ast.FunctionDef) -> Iterator[tuple[int, str, ast.expr]]:
    for node in ast.walk(function):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                yield node.lineno, name, value


def _latest_text(assignments: list[tuple[int, str, ast.expr]], message: ast.Name) -> str:
    """What the name was given last above the place where it is used; empty where that is no text."""
    earlier = [(line, value) for line, name, value in assignments if name == message.id and line < message.lineno]
    return _text(max(earlier, key=lambda each: each[0])[1]) if earlier else ""


def _text(value: ast.expr) -> str:
    """A literal as it stands; an f-string with an ellipsis where something is filled in."""
    match value:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_text(part) if isinstance(part, ast.Constant) else "…" for part in parts)
    return ""
