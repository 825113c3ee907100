"""Reading the CTCAE dictionaries. They are no study's: whoever has a token may read them."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from shared.kernel.refusal import NotFound, wrong_parameter
from shared.terminology import ctcae
from shared.web.answers import reads
from shared.web.routes import router

routes = router("/toxicity/v1/dictionaries")


class Category(BaseModel):
    name: str
    terms: int


class DictionaryShown(BaseModel):
    """One version of CTCAE: how many terms it has, and its categories in the order of its table."""

    dictionary: str
    terms: int
    categories: list[Category]


class Dictionaries(BaseModel):
    rows: list[DictionaryShown]


class TermShown(BaseModel):
    """`term` is what findings name. `grades` are those that exist; 0, looked for and not there, is not described."""

    term: str
    name: str
    category: str
    grades: list[int]
    descriptions: dict[int, str]


class Terms(BaseModel):
    """`next` is what `after` takes for the following page; null on the last."""

    rows: list[TermShown]
    next: str | None


class Sought(BaseModel):
    """What to look for. A parameter that there is not is refused, not passed over."""

    model_config = ConfigDict(extra="forbid")

    q: Annotated[str, Field(max_length=200, description="each word begins one of the name or site")] = ""
    category: Annotated[str | None, Field(max_length=200, description="only terms of this category")] = None
    after: Annotated[str, Field(max_length=20, description="what `next` said")] = ""
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


async def _named(name: Annotated[str, Path(alias="dictionary", examples=["ctcae-3.0"])]) -> ctcae.Dictionary:
    try:
        return ctcae.dictionary(name)
    except KeyError:
        raise NotFound("There is no such dictionary.") from None


@routes.get("", **reads(Dictionaries))
async def dictionaries() -> Dictionaries:
    """The versions of CTCAE that there are."""
    return Dictionaries(rows=[_shown(ctcae.dictionary(name)) for name in ctcae.NAMES])


@routes.get("/{dictionary}/terms", **reads(Terms))
async def terms(named: Annotated[ctcae.Dictionary, Depends(_named)], sought: Annotated[Sought, Query()]) -> Terms:
    """Terms, a page at a time: those whose name begins with the first word of `q` first, else in the table's order."""
    if sought.category is not None and sought.category not in named.categories:
        raise wrong_parameter("category", "The dictionary has no such category.")
    if sought.after and sought.after not in named.terms:
        raise wrong_parameter("after", "Give what `next` said.")
    found = named.search(sought.q, category=sought.category, after=sought.after, limit=sought.limit + 1)
    rows, more = found[: sought.limit], len(found) > sought.limit
    return Terms(rows=[_row(term) for term in rows], next=rows[-1].term_id if more else None)


def _shown(of: ctcae.Dictionary) -> DictionaryShown:
    counts = [Category(name=name, terms=count) for name, count in of.categories.items()]
    return DictionaryShown(dictionary=of.name, terms=len(of.terms), categories=counts)


def _row(term: ctcae.Term) -> TermShown:
    return TermShown(
        term=term.term_id, name=term.name, category=term.category,
        grades=list(term.grades), descriptions=dict(term.descriptions),
    )  # fmt: skip
