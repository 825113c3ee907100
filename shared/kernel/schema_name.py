"""Names of models in published schemas, which stay when a class is renamed."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, create_model

from shared.kernel.member_texts import member_texts

M = TypeVar("M", bound=BaseModel)


class NamedSchema(BaseModel):
    """Base of models with a published schema: JSON Schema `$defs` and OpenAPI components.

    `class StudyOpened(Fact, schema_name="Opened")` is published under the name Opened. Without it a model is published
    under the name of its class. With `defer_build`, the texts below its members describe them.
    """

    def __init_subclass__(cls, *, schema_name: str = "", **settings: Any) -> None:
        super().__init_subclass__(**settings)
        cls.__qualname__ = schema_name or cls.__qualname__  # pydantic takes the published name from it

    @classmethod
    def __pydantic_init_subclass__(cls, **settings: Any) -> None:
        super().__pydantic_init_subclass__(**settings)
        if cls.model_config.get("defer_build"):  # else the schema is built, and a description comes too late
            texts = member_texts(cls)
            for name, member in cls.model_fields.items():
                member.description = member.description or texts.get(name)


def make_class(name: str, base: type[M], **parts: Any) -> type[M]:
    """Returns a class of a schema that is made at run time. `parts`: as for `pydantic.create_model`."""
    model: type[M] = create_model(name, __base__=base, **parts)
    return model


def build_model(model: type[M]) -> type[M]:
    """Builds the validator of a model now, and not on first use, as FastAPI needs it for the body of a route.

    It returns the model, so that it can decorate a class.
    """
    model.model_rebuild()
    model.model_config["defer_build"] = False
    return model
