"""Where in a text the table is: its separator, its header, and what a spreadsheet program put around them. Pure."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from infra.exchange.import_line import UnreadableFile

SEPARATORS = ",;\t"
HEADER_COLUMNS = (
    "type",
    "participant",
    "ref",
    "study",
    "service",
    "event_id",
    "version",
    "schema_version",
    "recorded_at",
)
"""The columns beside those of the fact."""
_ALIASES = {"participant_id": "participant"}
_HEADER_SEARCH_LINES = 20
"""The header is looked for in so many lines."""
_SEPARATOR_DIRECTIVE = re.compile(r'"?sep=(.)"?[;,\t]*', re.IGNORECASE)
_LINE_PATTERN = re.compile(r"([^\r\n]*)(\r\n|\r|\n|\Z)")
_BLANKS = "\ufeff \t\u00a0\u202f\u3000"

IsMember = Callable[[str], bool]
"""Does the fact that `--type` names have a member of that name?"""


@dataclass(frozen=True)
class TableLayout:
    """`header` is the number of the header's line; the table begins at the offset `begins`. Names are as written."""

    separator: str
    header_line: int
    offset: int
    names: tuple[str, ...]


def find_layout(text: str, is_member: IsMember | None = None) -> TableLayout:
    """Find the table; raise NotAFile where there is no header. `is_member` where no column says the type."""
    declared_separator, lines = "", list(_first_lines(text))
    if lines and (directive := _SEPARATOR_DIRECTIVE.fullmatch(lines[0][1].strip(_BLANKS))):
        declared_separator, lines = directive[1], lines[1:]
    for index, (number, line, offset) in enumerate(lines):
        for separator in sorted(declared_separator or SEPARATORS, key=line.count, reverse=True):
            names = _split_cells(line, separator)
            if _is_header(names, is_member):
                _refuse_rows_above([_split_cells(above, separator) for _, above, _ in lines[:index]], number)
                return TableLayout(separator, number, offset, names)
    raise _missing_header_error(lines, declared_separator or SEPARATORS, is_member)


def fold_name(name: str) -> str:
    """Return the name without regard to case, and with underscores for blanks."""
    return re.sub(r"[\s_]+", "_", name.strip(_BLANKS)).lower()


def header_column(name: str) -> str | None:
    """Return which of `HEAD` the column is."""
    plain = fold_name(name).lstrip("/")
    plain = _ALIASES.get(plain, plain)
    return plain if plain in HEADER_COLUMNS else None


def printable_name(name: str) -> str:
    """Return a column's name as a message has it: short, with a code for what no screen shows."""
    printable = "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in name)
    return printable if len(printable) <= 60 else f"{printable[:60]}…"


def _first_lines(text: str) -> Iterator[tuple[int, str, int]]:
    """The number, the text and the offset of each of the first lines."""
    for number, match in enumerate(_LINE_PATTERN.finditer(text), 1):
        if number > _HEADER_SEARCH_LINES or (not match[2] and not match[1]):
            return
        yield number, match[1], match.start()


def _split_cells(line: str, separator: str) -> tuple[str, ...]:
    cells = next(csv.reader([line], delimiter=separator), [])
    return tuple(cell.strip(_BLANKS) for cell in cells)


def _is_header(names: Sequence[str], is_member: IsMember | None) -> bool:
    header_columns = {header_column(name) for name in names} - {None}
    if is_member is None:
        return "type" in header_columns
    return bool(header_columns & {"type", "participant", "ref"}) or any(is_member(name) for name in names if name)


def _refuse_rows_above(rows: Sequence[Sequence[str]], header: int) -> None:
    if any(sum(map(bool, cells)) > 1 for cells in rows):
        raise UnreadableFile(
            f"The header is line {header}, and above it are rows with several cells. Above a header may be empty lines "
            "and a title; the facts are below it."
        )


def _missing_header_error(
    lines: Sequence[tuple[int, str, int]], separators: str, is_member: IsMember | None
) -> UnreadableFile:
    names = [_split_cells(line, separator) for _, line, _ in lines for separator in separators]
    if is_member is None and any({header_column(name) for name in each} & {"participant", "ref"} for each in names):
        return UnreadableFile("The header has no column named type: add it, or say which fact this is with --type.")
    return UnreadableFile(
        "The file has no header: its first line names the columns, such as type, participant and the members of the "
        "fact, separated by commas, semicolons or tabs. `quartal import --template FACT` prints one."
    )


def check_names(names: Sequence[str]) -> None:
    """Raise NotAFile where two columns have one name."""
    column_names = [header_column(name) or name for name in names]
    count = Counter(name for name in column_names if name)
    for name, times in count.items():
        if times > 1:
            positions = [place for place, each in enumerate(column_names, 1) if each == name]
            raise UnreadableFile(
                f"{join_numbers(positions, 'Columns')} have the same name, {printable_name(names[positions[0] - 1])}."
            )


def join_numbers(numbers: Sequence[int], noun: str) -> str:
    """`Columns 7, 8 and 9`."""
    *others, last = map(str, numbers)
    return f"{noun} {', '.join(others)} and {last}" if others else f"{noun} {last}"


def unnamed_columns_message(positions: Sequence[int], line: int) -> str:
    """Say that columns that have values have no name."""
    if len(positions) == 1:
        return (
            f"One column has no name: column {positions[0]}. Line {line} has a value in it: name "
            f"the column, or remove it."
        )
    count = {2: "Two", 3: "Three", 4: "Four", 5: "Five"}.get(len(positions), str(len(positions)))
    columns = join_numbers(positions, "columns")
    return f"{count} columns have no name: {columns}. Line {line} has a value there: name the columns, or remove them."
