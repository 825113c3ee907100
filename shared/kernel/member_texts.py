"""Texts below the members of classes, which describe them in published schemas.

pydantic looks for them class by class, which took almost half of the import of all facts (ADR 52). Here each module is
read once.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path


def member_texts(cls: type) -> Mapping[str, str]:
    """Returns the text below each member of a class by name, from its source; nothing for a class without source."""
    return _texts_of_module(cls.__module__).get(cls.__name__, {})


@cache
def _texts_of_module(module: str) -> Mapping[str, Mapping[str, str]]:
    """Returns the texts of each class of a module by the name of the class."""
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        return {}
    tree = ast.parse(Path(file).read_text("utf-8"))
    return {node.name: dict(_texts_of_class(node)) for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}


def _texts_of_class(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for member, below in pairwise(node.body):
        match member, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                yield name, inspect.cleandoc(text)
