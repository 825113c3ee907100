"""From columns and cells to the content of a fact, by its JSON Schema. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from infra.exchange.cell import value_of
from infra.exchange.import_line import InvalidLine, invalid_line
from infra.exchange.schema import Schema, inner_schemas, path_steps, schemas_at
from shared.kernel.errors import Fault
from shared.kernel.text import is_showable

CONTROL_CHARACTERS_MESSAGE = "The cell has control characters: leave them out."
_MAX_ELEMENTS = 1000


@dataclass
class RowContent:
    """What the cells of a row say: the fact's content, what is wrong with cells, and where each pointer stands.

    `columns` has the name of the column by the pointer of a value, and of the beginning of the name for what is within.
    """

    data: dict[str, Any] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    columns: dict[str, str] = field(default_factory=dict)


Leaf = tuple[str, str]  # a column's name, and its cell
Tree = dict[str, Any]  # of leaves and trees


def build_content(cells: Mapping[str, str], schema: Schema) -> dict[str, Any]:
    """Return the content that columns and cells say; raise Wrong with everything that is wrong with them."""
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
        """Return the value of a leaf or a tree; faults and the names of columns are noted in the content."""
        if isinstance(node, tuple):
            return self._convert_leaf(node, schemas, pointer)
        self.content.columns[pointer] = column
        if any(schema.get("type") == "array" for schema in schemas) and all(map(str.isdecimal, node)):
            return self._convert_list(node, schemas, pointer, column)
        return {
            name: self.convert(each, inner_schemas(schemas, name, self.root), f"{pointer}/{name}", f"{column}/{name}")
            for name, each in node.items()
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
        """Elements in the order of their indices; an index of which all cells are empty is passed over."""
        indices = sorted(node, key=int)
        if int(indices[-1]) > _MAX_ELEMENTS:
            self.content.faults += invalid_line("schema-too-long", "Too many of these.", pointer).faults
            return []
        return [
            self.convert(
                node[place], inner_schemas(schemas, place, self.root), f"{pointer}/{index}", f"{column}/{place}"
            )
            for index, place in enumerate(indices)
        ]
