"""The problem types there are: those of the refusals, and those that rules and gates object with, read off the code."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Iterator
from types import ModuleType

from shared.contracts.schemas import HERE
from shared.kernel.refusal import Refusal

PROBLEMS = HERE / "problems.json"
"""The types of all services together, as `make contracts` writes them: no service knows the others."""
OF_REQUESTS = {
    "schema": "What was sent is not of the form that is asked for; `errors` says where and how.",
    "too-many-items": "A body, a fact, a list or an object has more members than are taken; `errors` says where.",
    "more-faults": "Last of `errors`: there are more faults than an answer lists.",
    "idempotency-key-reused": "The key was used for another request, or is the id of an event that says otherwise.",
    "local-reference": "The site alone states its own reference; a correction by others keeps the one that stands.",
    "bad-participant-number": "A participant's number has a check character; look for a typing error.",
    "parameter": "A parameter of the query does not fit what is asked; `errors` names it.",
    "refused": "The request was refused before it was looked at.",
    "method-not-allowed": "There is no such method here.",
    "unforeseen": "A fault of ours. Nothing was recorded.",
    "study-exists": "There is a study of that id.",
    "other-type": "A fact is restated by one of its own type only.",
    "no-such-event": "The record has no event of that id that can be corrected.",
}


def problem_types(modules: Iterable[ModuleType]) -> dict[str, str]:
    """Code → sentence; where a code is said in several ways, all of them."""
    refusals = {kind.code: kind.title for kind in _all(Refusal) if kind is not Refusal}
    rules: dict[str, list[str]] = {}
    for module in modules:
        for code, message in _objections(module):
            rules.setdefault(code, []).append(message)
    said = {code: " Or: ".join(dict.fromkeys(messages)) for code, messages in rules.items()}
    return dict(sorted({**refusals, **OF_REQUESTS, **said}.items()))


def _all(kind: type[Refusal]) -> Iterator[type[Refusal]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _all(below)


def _objections(module: ModuleType) -> Iterator[tuple[str, str]]:
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.FunctionDef):
            said = list(_assigned(node))
            for call in ast.walk(node):
                match call:
                    case ast.Call(
                        func=ast.Name(id="Objection" | "_in_the_way"),
                        args=[ast.Constant(value=str(code)), message, *_],
                    ):
                        yield code, _named(said, message) if isinstance(message, ast.Name) else _text(message)


def _assigned(function: ast.FunctionDef) -> Iterator[tuple[int, str, ast.expr]]:
    for node in ast.walk(function):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                yield node.lineno, name, value


def _named(said: list[tuple[int, str, ast.expr]], message: ast.Name) -> str:
    """What the name was given last above the place where it is used; empty where that is no text."""
    above = [(line, value) for line, name, value in said if name == message.id and line < message.lineno]
    return _text(max(above, key=lambda each: each[0])[1]) if above else ""


def _text(value: ast.expr) -> str:
    """A literal as it stands; an f-string with an ellipsis where something is filled in."""
    match value:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_text(part) if isinstance(part, ast.Constant) else "…" for part in parts)
    return ""
