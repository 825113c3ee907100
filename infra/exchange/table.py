"""CSV: a row is a fact, a column a member of it, named by its path (`targets/0/fractions`). Pure.

An empty cell is an absent member. What type a cell has, the fact's own schema says. Columns beside the fact's are named
as in a JSON line (`type`, `participant`, `ref`, …); a member of the fact with such a name is `data/<name>`.
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
from infra.exchange.content import CONTROL, Content, Tree, fill, put
from infra.exchange.layout import (
    HEAD,
    Layout,
    check_names,
    folded,
    head_name,
    layout_of,
    numbered,
    shown,
    unnamed,
)
from infra.exchange.line import Line, NotAFile, Read, Wrong, line_of
from infra.exchange.schema import declared, names_of, schema_of, steps_of
from shared.kernel.refusal import Fault
from shared.kernel.text import is_showable

_COUNTS = ("version", "schema_version")
_LINE_END = re.compile(r"\r\n|\r|\n")
csv.field_size_limit(1024 * 1024)


def flat(data: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """(column, cell) of every value in a fact's content; nulls are written out."""
    if isinstance(data, dict | list) and data:
        members = data.items() if isinstance(data, dict) else enumerate(data)
        for name, member in members:
            yield from flat(member, f"{path}/{name}" if path else str(name))
    else:
        yield f"data/{path}" if path in HEAD else path, cell_of(data)


@dataclass(frozen=True)
class _Record:
    """`number` is that of the line where the record begins; `cells` are those that are not empty, by their place."""

    number: int
    cells: Mapping[int, str]


@dataclass(frozen=True)
class _Table:
    layout: Layout
    type_name: str | None

    @property
    def names(self) -> Sequence[str]:
        return self.layout.names

    def head(self, record: _Record) -> dict[str, str]:
        """Return the cells beside those of the fact."""
        named = ((head_name(self.names[place]), cell) for place, cell in record.cells.items() if self._has(place))
        return {name: cell for name, cell in named if name}

    def kind(self, record: _Record) -> tuple[str, str | None]:
        """Return the type of the record's fact, and the service where the record names it."""
        head = self.head(record)
        return head.get("type") or self.type_name or "", head.get("service")

    def members(self, record: _Record) -> Iterator[tuple[int, str]]:
        """The place and the cell of every member of the fact."""
        for place, cell in record.cells.items():
            if self._has(place) and head_name(self.names[place]) is None:
                yield place, cell

    def _has(self, place: int) -> bool:
        return place < len(self.names)


def rows(text: str, type_name: str | None = None) -> list[Read]:
    """Return every row below the header, by the number of the line where it begins.

    `type_name`: the fact, where no column says it. Raises NotAFile for what is no table, or has columns that no fact of
    it has.
    """
    if type_name and not schema_of(type_name):
        raise NotAFile("There is no fact of the type that --type names: /enrollment/docs lists them.")
    layout = layout_of(text, (lambda name: declared(type_name, None, name) is not None) if type_name else None)
    check_names(layout.names)
    table = _Table(layout, type_name)
    records = list(_records(text, layout))
    if not records:
        raise NotAFile("The file has a header and no row below it.")
    _refuse_unnamed(table, records)
    _refuse_undeclared(table, records)
    return [(record.number, _row(table, record)) for record in records]


def column_at(text: str, number: int, before: str) -> str:
    """Return the name of the column that a line's cell behind `before` stands in; '' where the text is no table."""
    try:
        layout = layout_of(text)
    except NotAFile:
        return ""
    place = len(next(csv.reader([f"{before}."], delimiter=layout.separator))) - 1
    return shown(layout.names[place]) if number > layout.header and place < len(layout.names) else ""


def _records(text: str, layout: Layout) -> Iterator[_Record]:
    """The records below the header that are not empty."""
    reader = csv.reader(io.StringIO(text[layout.begins :], newline=""), delimiter=layout.separator, strict=True)
    begins, above = layout.header, layout.header - 1
    try:
        for cells in reader:
            _refuse_swallowed_rows(cells, layout, begins)
            filled = {place: cell.strip() for place, cell in enumerate(cells) if cell.strip()}
            if begins > layout.header and filled:
                yield _Record(begins, filled)
            begins = above + reader.line_num + 1
    except csv.Error as error:
        raise _stray_mark(begins, str(error)) from None


def _stray_mark(number: int, error: str) -> NotAFile:
    if "expected after" in error:
        why = "behind the closing quotation mark of a cell stands more text"
    else:
        why = "a quotation mark opens there that is never closed"
    return NotAFile(
        f"The row that begins in line {number} cannot be read: {why}. Write a quotation mark that is part of a text "
        'twice, and the whole cell between quotation marks: "the ""seen"" node".'
    )


def _refuse_swallowed_rows(cells: Sequence[str], layout: Layout, number: int) -> None:
    """Raise NotAFile where a stray quotation mark has made rows a part of a cell."""
    last = len(layout.names) - 1
    for place, cell in enumerate(cells):
        if last < 1 or ("\n" not in cell and "\r" not in cell):
            continue
        first, *between, end = (part.count(layout.separator) for part in _LINE_END.split(cell))
        if any(count >= last for count in between) or (first >= last - place and end >= min(place, last)):
            raise NotAFile(
                f"The row that begins in line {number} has a quoted cell of {len(between) + 2} lines that look like "
                "rows of their own: look for a quotation mark too many. If they are one text, put it into one line."
            )


def _refuse_unnamed(table: _Table, records: Sequence[_Record]) -> None:
    places = [place for place, name in enumerate(table.names) if not name]
    filled = {place: record.number for record in reversed(records) for place in places if place in record.cells}
    if filled:
        raise NotAFile(unnamed([place + 1 for place in sorted(filled)], min(filled.values())))


def _refuse_undeclared(table: _Table, records: Sequence[_Record]) -> None:
    """Raise NotAFile with the columns that have values, and that no fact of the file has."""
    kinds = {kind for kind in map(table.kind, records) if schema_of(*kind)}
    used = {place: record.number for record in reversed(records) for place, _ in table.members(record)}
    foreign = [place for place in sorted(used)
               if kinds and not any(declared(*kind, table.names[place]) for kind in kinds)]  # fmt: skip
    if foreign:
        raise NotAFile(" ".join(_undeclared(table.names[place], place, kinds) for place in foreign))


def _undeclared(name: str, place: int, kinds: set[tuple[str, str | None]]) -> str:
    known = {each for kind in kinds for each in names_of(*kind)} | set(HEAD)
    near = get_close_matches(folded(steps_of(name)[-1]), sorted(known), 1, 0.7)
    advice = f"correct its name (is it {near[0]}?)" if near else "correct its name"
    hidden = " Its name has a sign that no screen shows." if not name.isprintable() else ""
    whose = next(iter(kinds))[0] if len(kinds) == 1 else "no fact of the file"
    has = f"The fact {whose} has no member" if len(kinds) == 1 else "No fact of the file has a member"
    return f"{has} for column {place + 1}, {shown(name)}: {advice}, or remove the column.{hidden}"


def _row(table: _Table, record: _Record) -> Line | Wrong:
    head = table.head(record)
    columns = {f"/{name}": shown(written) for written in table.names if (name := head_name(written))}
    kind = table.kind(record)
    faults = [*_outside(table, record), *_contradiction(table, head)]
    content = _content(table, record, kind)
    counts = {name: int(head[name]) for name in _COUNTS if head.get(name, "").isdecimal()}
    said = {**head, **counts, "type": kind[0], "data": content.data}
    try:
        return line_of(record.number, said, [*faults, *content.faults], {**columns, **content.columns})
    except Wrong as found:
        found.columns = {**content.columns, **columns}
        return found


def _outside(table: _Table, record: _Record) -> Iterator[Fault]:
    """What is wrong beside the single members: cells without a column, and signs that no text has."""
    beyond = [place + 1 for place in record.cells if place >= len(table.names)]
    if beyond:
        columns = f"{numbered(beyond, 'column' if len(beyond) == 1 else 'columns')}"
        yield Fault("schema-columns", f"The row has values in {columns}, where the header has no column.")
    for name, cell in table.head(record).items():
        if not is_showable(cell):
            yield Fault("malformed", CONTROL, f"/{name}")


def _contradiction(table: _Table, head: Mapping[str, str]) -> Iterator[Fault]:
    if table.type_name and head.get("type", table.type_name) != table.type_name:
        yield Fault("schema-columns", "The column type says another fact than --type does.", "/type")


def _content(table: _Table, record: _Record, kind: tuple[str, str | None]) -> Content:
    content, tree = Content(), Tree()
    for place, cell in table.members(record):
        name, path = table.names[place], declared(*kind, table.names[place])
        if path is not None:
            put(tree, path, (shown(name), cell), content)
        elif schema_of(*kind):
            message = f"This fact has no member for column {place + 1}, {shown(name)}: leave the cell empty."
            content.faults.append(Fault("schema-extra-forbidden", message))
    point_is_plain = table.layout.separator == ","
    content.data = fill(tree, schema_of(*kind), content, point_is_plain=point_is_plain)
    return content
