"""Reads CSV: a row is a fact, a column one of its members, named by its path (`targets/0/fractions`). Pure.

An empty cell is an absent member. The schema of the fact gives the type of a cell. Other columns are named as in a JSON
line (`type`, `participant`, `ref`, …); a member of the fact with such a name is `data/<name>`.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from infra.exchange.cell import cell_of
from infra.exchange.import_line import ImportLine, InvalidLine, NumberedLine, UnreadableFile, build_line
from infra.exchange.layout import (
    HEADER_COLUMNS,
    TableLayout,
    check_names,
    find_layout,
    fold_name,
    header_column,
    join_numbers,
    printable_name,
    unnamed_columns_message,
)
from infra.exchange.row_content import CONTROL_CHARACTERS_MESSAGE, RowContent, Tree, convert_cells, put_cell
from infra.exchange.schema import declared_names, declared_path, path_steps, schema_of
from shared.kernel.errors import Fault
from shared.kernel.text import is_showable

_COUNT_COLUMNS = ("version", "schema_version")
_LINE_END = re.compile(r"\r\n|\r|\n")
csv.field_size_limit(1024 * 1024)


def flatten(data: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yields (column, cell) of every value in the content of a fact; nulls are written out."""
    if isinstance(data, dict | list) and data:
        members = data.items() if isinstance(data, dict) else enumerate(data)
        for name, member in members:
            yield from flatten(member, f"{path}/{name}" if path else str(name))
    else:
        yield f"data/{path}" if path in HEADER_COLUMNS else path, cell_of(data)


@dataclass(frozen=True)
class _TableRow:
    """A row: the number of its first line, and its cells that are not empty, by column index."""

    number: int
    cells: Mapping[int, str]


@dataclass(frozen=True)
class _Table:
    layout: TableLayout
    type_name: str | None

    @property
    def names(self) -> Sequence[str]:
        return self.layout.names

    def header_cells(self, row: _TableRow) -> dict[str, str]:
        """Returns the cells of HEADER_COLUMNS."""
        named_cells = (
            (header_column(self.names[index]), cell) for index, cell in row.cells.items() if self._has_column(index)
        )
        return {name: cell for name, cell in named_cells if name}

    def fact_type(self, row: _TableRow) -> tuple[str, str | None]:
        """Returns the type of the row's fact, and the service if the row names it."""
        head = self.header_cells(row)
        return head.get("type") or self.type_name or "", head.get("service")

    def fact_cells(self, row: _TableRow) -> Iterator[tuple[int, str]]:
        """Yields the column index and the cell of every member of the fact."""
        for index, cell in row.cells.items():
            if self._has_column(index) and header_column(self.names[index]) is None:
                yield index, cell

    def _has_column(self, index: int) -> bool:
        return index < len(self.names)


def read_rows(text: str, type_name: str | None = None) -> list[NumberedLine]:
    """Returns every row below the header with the number of its first line.

    `type_name` is the type of fact if no column has it. Raises UnreadableFile if the text is not a table, or has
    columns that are no members of its facts.
    """
    if type_name and not schema_of(type_name):
        raise UnreadableFile("There is no fact of the type that --type names: /enrollment/docs lists them.")
    layout = find_layout(text, (lambda name: declared_path(type_name, None, name) is not None) if type_name else None)
    check_names(layout.names)
    table = _Table(layout, type_name)
    records = list(_read_rows(text, layout))
    if not records:
        raise UnreadableFile("The file has a header and no row below it.")
    _refuse_unnamed(table, records)
    _refuse_undeclared(table, records)
    return [(record.number, _parse_row(table, record)) for record in records]


def column_at(text: str, number: int, preceding: str) -> str:
    """Returns the name of the column that follows `preceding` in a line; '' if the text is not a table."""
    try:
        layout = find_layout(text)
    except UnreadableFile:
        return ""
    index = len(next(csv.reader([f"{preceding}."], delimiter=layout.separator))) - 1
    return printable_name(layout.names[index]) if number > layout.header_line and index < len(layout.names) else ""


def _read_rows(text: str, layout: TableLayout) -> Iterator[_TableRow]:
    """Yields the rows below the header that are not empty."""
    reader = csv.reader(io.StringIO(text[layout.offset :], newline=""), delimiter=layout.separator, strict=True)
    first_line, above = layout.header_line, layout.header_line - 1
    try:
        for cells in reader:
            _refuse_swallowed_rows(cells, layout, first_line)
            filled = {index: cell.strip() for index, cell in enumerate(cells) if cell.strip()}
            if first_line > layout.header_line and filled:
                yield _TableRow(first_line, filled)
            first_line = above + reader.line_num + 1
    except csv.Error as error:
        raise _stray_quote_error(first_line, str(error)) from None


def _stray_quote_error(number: int, error: str) -> UnreadableFile:
    if "expected after" in error:
        problem = "there is text after the closing quotation mark of a cell"
    else:
        problem = "a quotation mark opens there that is never closed"
    return UnreadableFile(
        f"The row that begins in line {number} cannot be read: {problem}. Write a quotation mark "
        f"that is part of a text "
        'twice, and the whole cell between quotation marks: "the ""seen"" node".'
    )


def _refuse_swallowed_rows(cells: Sequence[str], layout: TableLayout, number: int) -> None:
    """Raises UnreadableFile if a stray quotation mark has made rows a part of a cell."""
    last = len(layout.names) - 1
    for index, cell in enumerate(cells):
        if last < 1 or ("\n" not in cell and "\r" not in cell):
            continue
        leading, *between, trailing = (part.count(layout.separator) for part in _LINE_END.split(cell))
        if any(count >= last for count in between) or (leading >= last - index and trailing >= min(index, last)):
            raise UnreadableFile(
                f"The row that begins in line {number} has a quoted cell of {len(between) + 2} lines that look like "
                "rows of their own: look for a stray quotation mark. If they are one text, write it in one line."
            )


def _refuse_unnamed(table: _Table, records: Sequence[_TableRow]) -> None:
    indices = [index for index, name in enumerate(table.names) if not name]
    first_use = {index: record.number for record in reversed(records) for index in indices if index in record.cells}
    if first_use:
        raise UnreadableFile(
            unnamed_columns_message([index + 1 for index in sorted(first_use)], min(first_use.values()))
        )


def _refuse_undeclared(table: _Table, records: Sequence[_TableRow]) -> None:
    """Raises UnreadableFile with the columns that have values and that no fact of the file has."""
    kinds = {kind for kind in map(table.fact_type, records) if schema_of(*kind)}
    first_use = {index: record.number for record in reversed(records) for index, _ in table.fact_cells(record)}
    undeclared = [
        index
        for index in sorted(first_use)
        if kinds and not any(declared_path(*kind, table.names[index]) for kind in kinds)
    ]
    if undeclared:
        raise UnreadableFile(" ".join(_undeclared_message(table.names[index], index, kinds) for index in undeclared))


def _undeclared_message(name: str, index: int, kinds: set[tuple[str, str | None]]) -> str:
    known_names = {name for kind in kinds for name in declared_names(*kind)} | set(HEADER_COLUMNS)
    near = get_close_matches(fold_name(path_steps(name)[-1]), sorted(known_names), 1, 0.7)
    advice = f"correct its name (is it {near[0]}?)" if near else "correct its name"
    hidden = " Its name has an invisible character." if not name.isprintable() else ""
    whose = next(iter(kinds))[0] if len(kinds) == 1 else "no fact of the file"
    has = f"The fact {whose} has no member" if len(kinds) == 1 else "No fact of the file has a member"
    return f"{has} for column {index + 1}, {printable_name(name)}: {advice}, or remove the column.{hidden}"


def _parse_row(table: _Table, row: _TableRow) -> ImportLine | InvalidLine:
    head = table.header_cells(row)
    columns = {
        f"/{name}": printable_name(column_name) for column_name in table.names if (name := header_column(column_name))
    }
    kind = table.fact_type(row)
    faults = [*_row_faults(table, row), *_type_conflicts(table, head)]
    content = _read_content(table, row, kind)
    counts = {name: int(head[name]) for name in _COUNT_COLUMNS if head.get(name, "").isdecimal()}
    members = {**head, **counts, "type": kind[0], "data": content.data}
    try:
        return build_line(row.number, members, [*faults, *content.faults], {**columns, **content.columns})
    except InvalidLine as invalid:
        invalid.columns = {**content.columns, **columns}
        return invalid


def _row_faults(table: _Table, row: _TableRow) -> Iterator[Fault]:
    """Yields the faults outside the members of the fact: cells without a column, and control characters."""
    positions = [index + 1 for index in row.cells if index >= len(table.names)]
    if positions:
        columns = f"{join_numbers(positions, 'column' if len(positions) == 1 else 'columns')}"
        yield Fault("schema-columns", f"The row has values in {columns}, where the header has no column.")
    for name, cell in table.header_cells(row).items():
        if not is_showable(cell):
            yield Fault("malformed", CONTROL_CHARACTERS_MESSAGE, f"/{name}")


def _type_conflicts(table: _Table, head: Mapping[str, str]) -> Iterator[Fault]:
    if table.type_name and head.get("type", table.type_name) != table.type_name:
        yield Fault("schema-columns", "The column type has another type of fact than --type.", "/type")


def _read_content(table: _Table, row: _TableRow, fact_type: tuple[str, str | None]) -> RowContent:
    content, tree = RowContent(), Tree()
    for index, cell in table.fact_cells(row):
        name, path = table.names[index], declared_path(*fact_type, table.names[index])
        if path is not None:
            put_cell(tree, path, (printable_name(name), cell), content)
        elif schema_of(*fact_type):
            message = f"This fact has no member for column {index + 1}, {printable_name(name)}: leave the cell empty."
            content.faults.append(Fault("schema-extra-forbidden", message))
    point_is_plain = table.layout.separator == ","
    content.data = convert_cells(tree, schema_of(*fact_type), content, point_is_plain=point_is_plain)
    return content
