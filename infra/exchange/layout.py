"""Where in a text the table is: its separator, its header, and what a spreadsheet program put around them. Pure."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from infra.exchange.line import NotAFile

SEPARATORS = ",;\t"
HEAD = ("type", "participant", "ref", "study", "service", "event_id", "version", "schema_version", "recorded_at")
"""The columns beside those of the fact."""
_ALIASES = {"participant_id": "participant"}
_MOST_LINES = 20
"""The header is looked for in so many lines."""
_SEP = re.compile(r'"?sep=(.)"?[;,\t]*', re.IGNORECASE)
_LINE = re.compile(r"([^\r\n]*)(\r\n|\r|\n|\Z)")
_BLANKS = "\ufeff \t\u00a0\u202f\u3000"

IsMember = Callable[[str], bool]
"""Does the fact that `--type` names have a member of that name?"""


@dataclass(frozen=True)
class Layout:
    """`header` is the number of the header's line; the table begins at the offset `begins`. Names are as written."""

    separator: str
    header: int
    begins: int
    names: tuple[str, ...]


def layout_of(text: str, is_member: IsMember | None = None) -> Layout:
    """Find the table; raise NotAFile where there is no header. `is_member` where no column says the type."""
    only, lines = "", list(_first_lines(text))
    if lines and (told := _SEP.fullmatch(lines[0][1].strip(_BLANKS))):
        only, lines = told[1], lines[1:]
    for place, (number, line, begins) in enumerate(lines):
        for separator in sorted(only or SEPARATORS, key=line.count, reverse=True):
            names = _cells(line, separator)
            if _is_header(names, is_member):
                _refuse_rows_above([_cells(above, separator) for _, above, _ in lines[:place]], number)
                return Layout(separator, number, begins, names)
    raise _no_header(lines, only or SEPARATORS, is_member)


def folded(name: str) -> str:
    """Return the name without regard to case, and with underscores for blanks."""
    return re.sub(r"[\s_]+", "_", name.strip(_BLANKS)).lower()


def head_name(name: str) -> str | None:
    """Return which of `HEAD` the column is."""
    plain = folded(name).lstrip("/")
    plain = _ALIASES.get(plain, plain)
    return plain if plain in HEAD else None


def shown(name: str) -> str:
    """Return a column's name as a message has it: short, with a code for what no screen shows."""
    visible = "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in name)
    return visible if len(visible) <= 60 else f"{visible[:60]}…"


def _first_lines(text: str) -> Iterator[tuple[int, str, int]]:
    """The number, the text and the offset of each of the first lines."""
    for number, found in enumerate(_LINE.finditer(text), 1):
        if number > _MOST_LINES or (not found[2] and not found[1]):
            return
        yield number, found[1], found.start()


def _cells(line: str, separator: str) -> tuple[str, ...]:
    cells = next(csv.reader([line], delimiter=separator), [])
    return tuple(cell.strip(_BLANKS) for cell in cells)


def _is_header(names: Sequence[str], is_member: IsMember | None) -> bool:
    known = {head_name(name) for name in names} - {None}
    if is_member is None:
        return "type" in known
    return bool(known & {"type", "participant", "ref"}) or any(is_member(name) for name in names if name)


def _refuse_rows_above(rows: Sequence[Sequence[str]], header: int) -> None:
    if any(sum(map(bool, cells)) > 1 for cells in rows):
        raise NotAFile(
            f"The header is line {header}, and above it are rows with several cells. Above a header may be empty lines "
            "and a title; the facts are below it."
        )


def _no_header(lines: Sequence[tuple[int, str, int]], separators: str, is_member: IsMember | None) -> NotAFile:
    names = [_cells(line, separator) for _, line, _ in lines for separator in separators]
    if is_member is None and any({head_name(name) for name in each} & {"participant", "ref"} for each in names):
        return NotAFile("The header has no column named type: add it, or say which fact this is with --type.")
    return NotAFile(
        "The file has no header: its first line names the columns, such as type, participant and the members of the "
        "fact, separated by commas, semicolons or tabs. `quartal import --template FACT` prints one."
    )


def check_names(names: Sequence[str]) -> None:
    """Raise NotAFile where two columns have one name."""
    plain = [head_name(name) or name for name in names]
    count = Counter(name for name in plain if name)
    for name, times in count.items():
        if times > 1:
            places = [place for place, each in enumerate(plain, 1) if each == name]
            raise NotAFile(f"{numbered(places, 'Columns')} have the same name, {shown(names[places[0] - 1])}.")


def numbered(numbers: Sequence[int], noun: str) -> str:
    """`Columns 7, 8 and 9`."""
    *most, last = map(str, numbers)
    return f"{noun} {', '.join(most)} and {last}" if most else f"{noun} {last}"


def unnamed(places: Sequence[int], line: int) -> str:
    """Say that columns that have values have no name."""
    if len(places) == 1:
        return (
            f"One column has no name: column {places[0]}. Line {line} has a value in it: name the column, or remove it."
        )
    count = {2: "Two", 3: "Three", 4: "Four", 5: "Five"}.get(len(places), str(len(places)))
    columns = numbered(places, "columns")
    return f"{count} columns have no name: {columns}. Line {line} has a value there: name the columns, or remove them."
