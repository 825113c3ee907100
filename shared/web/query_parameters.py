"""Query parameters: each route accepts the ones that it declares, once each, and no others.

Ignoring an unknown parameter would answer another question: `?sit=rome` would list every site.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fastapi._compat import field_annotation_is_sequence
from fastapi.dependencies.models import Dependant
from pydantic import BaseModel

from shared.kernel.errors import Fault, ParameterRejected
from shared.validation.name_suggestions import unknown_name_message


def declared_parameters(dependant: Dependant) -> dict[str, bool]:
    """Returns the query parameters of a route by name, and whether each may be repeated."""
    return {name: field_annotation_is_sequence(annotation) for name, annotation in _annotations(dependant)}


def _annotations(dependant: Dependant) -> Iterator[tuple[str, Any]]:
    for parameter in dependant.query_params:
        annotation = parameter.field_info.annotation
        if isinstance(annotation, type) and issubclass(
            annotation, BaseModel
        ):  # a model declares one parameter per member
            yield from ((field.alias or name, field.annotation) for name, field in annotation.model_fields.items())
        else:
            yield parameter.alias, annotation
    for dependency in dependant.dependencies:
        yield from _annotations(dependency)


def refuse_unknown_parameters(sent_names: Iterable[str], declared: Mapping[str, bool]) -> None:
    """Raises RequestRejected for a parameter that is not declared, or is repeated and may not be."""
    faults = list(dict.fromkeys(_faults(Counter(sent_names), declared)))
    if faults:
        raise ParameterRejected(faults=faults)


def _faults(counts: Mapping[str, int], declared: Mapping[str, bool]) -> Iterator[Fault]:
    for name, count in counts.items():
        if name not in declared:
            yield Fault(ParameterRejected.code, unknown_name_message("parameter", name, declared))
        elif count > 1 and not declared[name]:
            yield Fault(ParameterRejected.code, f"{name}: This parameter is given more than once. Give it once.")
