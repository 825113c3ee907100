"""Finds the table in a text: its separator, its header, and what a spreadsheet program wrote above them. Pure."""

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
"""The columns beside those of the fact's members."""
_ALIASES = {"participant_id": "participant"}
_HEADER_SEARCH_LINES = 20
"""Lines in which the header is searched."""
_SEPARATOR_DIRECTIVE = re.compile(r'"?sep=(.)"?[;,\t]*', re.IGNORECASE)
_LINE_PATTERN = re.compile(r"([^\r\n]*)(\r\n|\r|\n|\Z)")
_BLANKS = "\ufeff \t\u00a0\u202f\u3000"

IsMember = Callable[[str], bool]
"""Return whether the fact of `--type` has a member of that name."""


@dataclass(frozen=True)
class TableLayout:
    """A separator, the line number of the header, the offset of the table, and its column names as written."""

    separator: str
    header_line: int
    offset: int
    names: tuple[str, ...]


def find_layout(text: str, is_member: IsMember | None = None) -> TableLayout:
    """Finds the table; raises UnreadableFile if there is no header. Give `is_member` if no column has the type."""
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
    """Returns the name in lower case, with underscores for blanks."""
    return re.sub(r"[\s_]+", "_", name.strip(_BLANKS)).lower()


def header_column(name: str) -> str | None:
    """Returns which of HEADER_COLUMNS the column is; None for a member of the fact."""
    plain = fold_name(name).lstrip("/")
    plain = _ALIASES.get(plain, plain)
    return plain if plain in HEADER_COLUMNS else None


def printable_name(name: str) -> str:
    """Returns the name of a column for a message: short, with codes for invisible characters."""
    printable = "".join(character if character.isprintable() else f"\\u{ord(character):04x}" for character in name)
    return printable if len(printable) <= 60 else f"{printable[:60]}…"


def _first_lines(text: str) -> Iterator[tuple[int, str, int]]:
    """Yields number, text and offset of each of the first lines."""
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
            f"The header is line {header}, and above it are rows with several cells. Only empty lines and a title may "
            "be above the header."
        )


def _missing_header_error(
    lines: Sequence[tuple[int, str, int]], separators: str, is_member: IsMember | None
) -> UnreadableFile:
    names = [_split_cells(line, separator) for _, line, _ in lines for separator in separators]
    if is_member is None and any({header_column(name) for name in cells} & {"participant", "ref"} for cells in names):
        return UnreadableFile("The header has no column named type: add it, or give the type of fact with --type.")
    return UnreadableFile(
        "The file has no header: its first line names the columns, such as type, participant and the members of the "
        "fact, separated by commas, semicolons or tabs. `quartal import --template FACT` prints one."
    )


def check_names(names: Sequence[str]) -> None:
    """Raises UnreadableFile if two columns have one name."""
    column_names = [header_column(name) or name for name in names]
    count = Counter(name for name in column_names if name)
    for name, times in count.items():
        if times > 1:
            positions = [position for position, column in enumerate(column_names, 1) if column == name]
            raise UnreadableFile(
                f"{join_numbers(positions, 'Columns')} have the same name, {printable_name(names[positions[0] - 1])}."
            )


def join_numbers(numbers: Sequence[int], noun: str) -> str:
    """Returns a phrase such as `Columns 7, 8 and 9`."""
    *others, last = map(str, numbers)
    return f"{noun} {', '.join(others)} and {last}" if others else f"{noun} {last}"


def unnamed_columns_message(positions: Sequence[int], line: int) -> str:
    """Returns the message on columns with values and without a name."""
    if len(positions) == 1:
        return (
            f"One column has no name: column {positions[0]}. Line {line} has a value in it: name "
            f"the column, or remove it."
        )
    count = {2: "Two", 3: "Three", 4: "Four", 5: "Five"}.get(len(positions), str(len(positions)))
    columns = join_numbers(positions, "columns")
    return f"{count} columns have no name: {columns}. Line {line} has a value there: name the columns, or remove them."
