"""Names of models in published schemas, which stay when a class is renamed."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


class NamedSchema(BaseModel):
    """Base of models with a published schema: JSON Schema `$defs` and OpenAPI components.

    `class StudyOpened(Fact, schema_name="Opened")` is published under the name Opened. Without it a model is published
    under the name of its class.
    """

    def __init_subclass__(cls, *, schema_name: str = "", **settings: Any) -> None:
        super().__init_subclass__(**settings)
        cls.__qualname__ = schema_name or cls.__qualname__  # pydantic takes the published name from it
