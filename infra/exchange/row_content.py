"""Converts columns and cells to the content of a fact, by its JSON Schema. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from infra.exchange.cell import value_of
from infra.exchange.import_line import InvalidLine, invalid_line
from infra.exchange.schema import Schema, inner_schemas, path_steps, schemas_at
from shared.kernel.errors import Fault
from shared.kernel.text import is_showable

CONTROL_CHARACTERS_MESSAGE = "The cell has control characters: remove them."
_MAX_ELEMENTS = 1000


@dataclass
class RowContent:
    """The content of a row: the members of the fact, the faults of cells, and the column of each pointer.

    `columns` has the column of a value by its pointer; for an object or a list it has the common start of the columns.
    """

    data: dict[str, Any] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    columns: dict[str, str] = field(default_factory=dict)


Leaf = tuple[str, str]  # a column's name, and its cell
Tree = dict[str, Any]  # of leaves and trees


def build_content(cells: Mapping[str, str], schema: Schema) -> dict[str, Any]:
    """Returns the content of the cells, by column; raises InvalidLine with every fault."""
    content, tree = RowContent(), Tree()
    for column, cell in cells.items():
        put_cell(tree, path_steps(column), (column, cell), content)
    data = convert_cells(tree, schema, content)
    if content.faults:
        raise InvalidLine(*content.faults)
    return data


def put_cell(tree: Tree, steps: Sequence[str], leaf: Leaf, content: RowContent) -> None:
    node: Any = tree
    for step in steps[:-1]:
        node = node.setdefault(step, {}) if isinstance(node, dict) else None
    if not isinstance(node, dict) or steps[-1] in node:
        pointer = f"/{'/'.join(steps)}"
        message = f"The column {leaf[0]} contradicts another one: both have a value for the same member."
        content.faults.append(Fault("schema-columns", message, pointer))
        return
    node[steps[-1]] = leaf


def convert_cells(tree: Tree, schema: Schema, content: RowContent, *, point_is_plain: bool = True) -> dict[str, Any]:
    converter = _CellConverter(schema, content, point_is_plain)
    return {name: converter.convert(node, schemas_at(schema, [name]), f"/{name}", name) for name, node in tree.items()}


@dataclass(frozen=True)
class _CellConverter:
    root: Schema
    content: RowContent
    point_is_plain: bool

    def convert(self, node: Any, schemas: Sequence[Schema], pointer: str, column: str) -> Any:
        """Returns the value of a leaf or a tree; adds faults and column names to the content."""
        if isinstance(node, tuple):
            return self._convert_leaf(node, schemas, pointer)
        self.content.columns[pointer] = column
        if any(schema.get("type") == "array" for schema in schemas) and all(map(str.isdecimal, node)):
            return self._convert_list(node, schemas, pointer, column)
        return {
            name: self.convert(child, inner_schemas(schemas, name, self.root), f"{pointer}/{name}", f"{column}/{name}")
            for name, child in node.items()
        }

    def _convert_leaf(self, leaf: Leaf, schemas: Sequence[Schema], pointer: str) -> Any:
        name, cell = leaf
        self.content.columns[pointer] = name
        if not is_showable(cell):
            self.content.faults.append(Fault("malformed", CONTROL_CHARACTERS_MESSAGE, pointer))
            return cell
        try:
            return value_of(cell, schemas, pointer, point_is_plain=self.point_is_plain)
        except InvalidLine as invalid:
            self.content.faults += invalid.faults
            return cell

    def _convert_list(self, node: Tree, schemas: Sequence[Schema], pointer: str, column: str) -> list[Any]:
        """Returns the elements in the order of their indices; skips an index whose cells are all empty."""
        indices = sorted(node, key=int)
        if int(indices[-1]) > _MAX_ELEMENTS:
            self.content.faults += invalid_line("schema-too-long", "Too many of these.", pointer).faults
            return []
        return [
            self.convert(
                node[index_text],
                inner_schemas(schemas, index_text, self.root),
                f"{pointer}/{index}",
                f"{column}/{index_text}",
            )
            for index, index_text in enumerate(indices)
        ]
