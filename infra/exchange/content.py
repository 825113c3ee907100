"""From columns and cells to the content of a fact, by its JSON Schema. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from infra.exchange.cell import value_of
from infra.exchange.line import Wrong, wrong
from infra.exchange.schema import Schema, inner, steps_of, within
from shared.kernel.refusal import Fault
from shared.kernel.text import is_showable

CONTROL = "The cell has control characters: leave them out."
_MOST_ELEMENTS = 1000


@dataclass
class Content:
    """What the cells of a row say: the fact's content, what is wrong with cells, and where each pointer stands.

    `columns` has the name of the column by the pointer of a value, and of the beginning of the name for what is within.
    """

    data: dict[str, Any] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    columns: dict[str, str] = field(default_factory=dict)


Leaf = tuple[str, str]  # a column's name, and its cell
Tree = dict[str, Any]  # of leaves and trees


def built(filled: Mapping[str, str], schema: Schema) -> dict[str, Any]:
    """Return the content that columns and cells say; raise Wrong with everything that is wrong with them."""
    content, tree = Content(), Tree()
    for column, cell in filled.items():
        put(tree, steps_of(column), (column, cell), content)
    data = fill(tree, schema, content)
    if content.faults:
        raise Wrong(*content.faults)
    return data


def put(tree: Tree, steps: Sequence[str], leaf: Leaf, content: Content) -> None:
    here: Any = tree
    for step in steps[:-1]:
        here = here.setdefault(step, {}) if isinstance(here, dict) else None
    if not isinstance(here, dict) or steps[-1] in here:
        pointer = f"/{'/'.join(steps)}"
        message = f"The column {leaf[0]} contradicts another one: both have a value for the same member."
        content.faults.append(Fault("schema-columns", message, pointer))
        return
    here[steps[-1]] = leaf


def fill(tree: Tree, schema: Schema, content: Content, *, point_is_plain: bool = True) -> dict[str, Any]:
    walk = _Walk(schema, content, point_is_plain)
    return {name: walk.value(node, within(schema, [name]), f"/{name}", name) for name, node in tree.items()}


@dataclass(frozen=True)
class _Walk:
    root: Schema
    content: Content
    point_is_plain: bool

    def value(self, node: Any, schemas: Sequence[Schema], pointer: str, written: str) -> Any:
        """Return the value of a leaf or a tree; faults and the names of columns are noted in the content."""
        if isinstance(node, tuple):
            return self._leaf(node, schemas, pointer)
        self.content.columns[pointer] = written
        if any(schema.get("type") == "array" for schema in schemas) and all(map(str.isdecimal, node)):
            return self._list(node, schemas, pointer, written)
        return {
            name: self.value(each, inner(schemas, name, self.root), f"{pointer}/{name}", f"{written}/{name}")
            for name, each in node.items()
        }

    def _leaf(self, leaf: Leaf, schemas: Sequence[Schema], pointer: str) -> Any:
        name, cell = leaf
        self.content.columns[pointer] = name
        if not is_showable(cell):
            self.content.faults.append(Fault("malformed", CONTROL, pointer))
            return cell
        try:
            return value_of(cell, schemas, pointer, point_is_plain=self.point_is_plain)
        except Wrong as found:
            self.content.faults += found.faults
            return cell

    def _list(self, node: Tree, schemas: Sequence[Schema], pointer: str, written: str) -> list[Any]:
        """Elements in the order of their indices; an index of which all cells are empty is passed over."""
        places = sorted(node, key=int)
        if int(places[-1]) > _MOST_ELEMENTS:
            self.content.faults += wrong("schema-too-long", "Too many of these.", pointer).faults
            return []
        return [
            self.value(node[place], inner(schemas, place, self.root), f"{pointer}/{index}", f"{written}/{place}")
            for index, place in enumerate(places)
        ]
