"""Rules for names and docstrings that can be counted (docs/glossary.md).

`tests/architecture/remaining.toml` lists the cases that are left. Its numbers may only shrink.
"""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import pytest

from tests.architecture.source_files import REMAINING, nodes_of, relative_path, repository_files

VAGUE_NAMES = frozenset(
    {"said", "told", "seen", "stood", "held", "kept", "made", "found", "known", "asked"}
    | {"shown", "drawn", "given", "taken", "written", "used"}
    | {"out", "place", "one", "each", "who", "what"}
)
VAGUE_BEGINNINGS = frozenset(
    {"Who", "Whoever", "Whom", "Whose", "What", "Whatever", "Where", "When", "Whether", "How", "Somebody", "Nobody"}
    | {"Of", "As", "By", "At", "To", "In", "For", "From", "Until", "And", "Also", "So", "Meanwhile", "Otherwise"}
    | {"Is"}
)
VAGUE_SENTENCE = re.compile(r"(?:^|[.!?:]\s+)((?:Whoever|Whatever)\b[^.]*)")
"""A sentence anywhere in a docstring whose subject is no noun."""
IMPERATIVE = re.compile(
    r"""(
    Accept | Acquire | Add | Announce | Append | Apply | Ask | Assert | Await | Begin | Build | Call | Check | Close |
    Collect | Commit | Compare | Compute | Connect | Convert | Copy | Correct | Count | Create | Decide |
    Declare | Decode | Define | Delete | Deliver | Derive | Drain | Draw | Edit | Encode | Encrypt | End |
    Enroll | Ensure | Evaluate | Execute | Export | Fail | Fetch | Fill | Find | Generate | Get | Give | Hang | Import
    | Insert | Install | Keep | Kill | Let | List | Load | Lock | Log | Look | Make | Migrate | Move | Note |
    Open | Parse | Print | Project | Publish | Put | Queue | Raise | Read | Rebuild | Record | Refuse | Register |
    Remove | Render | Repeat | Replace | Report | Require | Restore | Retry | Return | Run | Save | Send | Serve
    | Set | Show | Sign | Simulate | Skip | Sort | Start | Stop | Store | Take | Transfer | Try | Update | Use |
    Validate | Verify | Void | Wait | Withdraw | Write | Yield
    )\b(?!\ of\b)""",
    re.VERBOSE,
)
"""Beginning of a docstring that gives an order. A docstring says what a function does: "Returns …", not "Return …"."""
COMMAND = re.compile(r"command|.*_command|_quartal")
"""Commands of `quartal` by the name of their function. `--help` shows their docstrings, in the imperative."""


def area(case: str) -> str:
    """Returns the top-level folder of a reported case, for which cases are counted since modules move within it."""
    return case.partition("/")[0]


def bound_names(node: ast.AST) -> Iterator[str]:
    """Yields names of parameters and local variables that this node binds."""
    match node:
        case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
            yield name
        case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
            yield name
        case ast.ExceptHandler(name=str(name)):
            yield name


def vague_names(nodes: Sequence[ast.AST]) -> Iterator[str]:
    """Yields vague parameters and variables. A member of a class is not counted: it may be part of the interface."""
    statements = [statement for node in nodes if isinstance(node, ast.ClassDef) for statement in node.body]
    members = {id(statement.target) for statement in statements if isinstance(statement, ast.AnnAssign)}
    for node in nodes:
        if id(node) not in members:
            yield from (name for name in bound_names(node) if name in VAGUE_NAMES)


def docstrings(nodes: Sequence[ast.AST]) -> Iterator[str]:
    """Yields docstrings of modules, classes and functions, and the strings that document a constant."""
    for node in nodes:
        match node:
            case ast.Expr(value=ast.Constant(value=str(text))) if text.strip():
                yield text.strip()


def vague_docstrings(nodes: Sequence[ast.AST]) -> Iterator[str]:
    for text in docstrings(nodes):
        if text.split()[0].rstrip(",.:;") in VAGUE_BEGINNINGS:
            yield text.splitlines()[0]
        else:
            yield from (" ".join(sentence.split()) for sentence in VAGUE_SENTENCE.findall(text))


def imperative_docstrings(nodes: Sequence[ast.AST]) -> Iterator[str]:
    """Yields docstrings of functions that begin with an imperative, except those of commands."""
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not COMMAND.fullmatch(node.name):
            text = ast.get_docstring(node)
            if text and IMPERATIVE.match(text):
                yield text.splitlines()[0]


def app_state_uses(nodes: Sequence[ast.AST]) -> Iterator[str]:
    """Yields `app.state` and `request.app.state`."""
    for node in nodes:
        match node:
            case ast.Attribute(attr="state", value=ast.Name(id="app") | ast.Attribute(attr="app")):
                yield ast.unparse(node)


def parse_nodes(code: str) -> list[ast.AST]:
    return list(ast.walk(ast.parse(code)))


COUNTED = {
    "vague_names": vague_names,
    "vague_docstrings": vague_docstrings,
    "imperative_docstrings": imperative_docstrings,
    "app_state_uses": app_state_uses,
}


def cases(rule: str) -> list[str]:
    """Returns the cases of a rule as `file: text`."""
    return [
        f"{relative_path(path)}: {text}" for path in repository_files(".py") for text in COUNTED[rule](nodes_of(path))
    ]


@pytest.mark.parametrize("rule", COUNTED)
def test_cases_of_a_rule_do_not_increase(rule: str) -> None:
    counts = Counter(area(case) for case in cases(rule))
    increased = {name: count for name, count in counts.items() if count > REMAINING[rule].get(name, 0)}
    assert increased == {}, "\n".join(case for case in cases(rule) if area(case) in increased)


def test_class_name_is_defined_once() -> None:
    files_by_class: dict[str, list[str]] = defaultdict(list)
    for path in repository_files(".py"):
        for node in nodes_of(path):
            if isinstance(node, ast.ClassDef):
                files_by_class[node.name].append(relative_path(path))
    defined_twice = {name: files for name, files in files_by_class.items() if len(files) > 1}
    assert {name: files for name, files in defined_twice.items() if name not in REMAINING["classes"]} == {}


@pytest.mark.parametrize(
    "code",
    [
        "def read(said): ...",
        "lambda one: one",
        "for place in places: ...",
        "with opened() as out: ...",
        "match fact:\n    case Fact() as told: ...",
        "[one for one in facts]",
        "[\n    known\n    for known in facts\n]",
        "[each for each in facts]",
        "def read(who): ...",
        "shown = read()",
    ],
)
def test_vague_name_is_recognized(code: str) -> None:
    assert len(list(vague_names(parse_nodes(code)))) == 1


@pytest.mark.parametrize("code", ["def read(fact): ...", "record.known", "said", "class Row:\n    what: str"])
def test_other_names_are_allowed(code: str) -> None:
    assert list(vague_names(parse_nodes(code))) == []


@pytest.mark.parametrize(
    "code",
    [
        '"""Who reads."""',
        'def read():\n    """Of a fact."""',
        'LIMIT = 1\n"""By day."""',
        '"""Reads facts. Whoever asks gets them."""',
        '"""Reads facts.\n\n    Whatever fails\n    is tried again.\n"""',
    ],
)
def test_vague_docstring_is_recognized(code: str) -> None:
    assert len(list(vague_docstrings(parse_nodes(code)))) == 1


@pytest.mark.parametrize("text", ["Returns facts, whatever day it is.", "Sends it to whoever asks. Others wait."])
def test_sentence_with_a_pronoun_that_is_not_its_subject_is_allowed(text: str) -> None:
    assert list(vague_docstrings(parse_nodes(f'"""{text}"""'))) == []


def test_imperative_docstring_is_recognized() -> None:
    assert list(imperative_docstrings(parse_nodes('def read():\n    """Return a fact."""'))) == ["Return a fact."]


@pytest.mark.parametrize("code", ['def read():\n    """Returns a fact."""', 'def command():\n    """Start all."""'])
def test_other_docstrings_are_allowed(code: str) -> None:
    assert list(imperative_docstrings(parse_nodes(code))) == []


@pytest.mark.parametrize("code", ["app.state.pool", "request.app.state"])
def test_use_of_app_state_is_recognized(code: str) -> None:
    assert len(list(app_state_uses(parse_nodes(code)))) == 1
