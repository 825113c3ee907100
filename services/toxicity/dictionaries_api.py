"""Reading the CTCAE dictionaries. They are no study's: whoever has a token may read them."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from shared.kernel.refusal import NotFound, wrong_parameter
from shared.kernel.text import is_showable
from shared.terminology import ctcae
from shared.web.answers import reads
from shared.web.routes import router

routes = router("/toxicity/v1/dictionaries")


class Category(BaseModel):
    name: str
    terms: int


class DictionaryShown(BaseModel):
    """One version of CTCAE: the number of its terms, and its categories in the order of its table."""

    dictionary: str
    terms: int
    categories: list[Category]


class Dictionaries(BaseModel):
    rows: list[DictionaryShown]


class TermShown(BaseModel):
    """`term` is the id that findings give. `grades` are the grades that exist; grade 0 (absent) has no description."""

    term: str
    name: str
    category: str
    grades: list[int]
    descriptions: dict[int, str]


class Terms(BaseModel):
    """One page. `next` is the value of `after` for the next page; it is null on the last page."""

    rows: list[TermShown]
    next: str | None


class Sought(BaseModel):
    """What to search for. Unknown parameters are refused."""

    model_config = ConfigDict(extra="forbid")

    q: Annotated[
        str, Field(max_length=200, description="words, or beginnings of words, of the term's name or site")
    ] = ""
    category: Annotated[str | None, Field(max_length=200, description="only terms of this category")] = None
    after: Annotated[str, Field(max_length=20, description="`next` of the page before")] = ""
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


async def _named(name: Annotated[str, Path(alias="dictionary", examples=["ctcae-3.0"])]) -> ctcae.Dictionary:
    try:
        return ctcae.dictionary(name)
    except KeyError:
        raise NotFound(
            "There is no dictionary of this name. /toxicity/v1/dictionaries lists those that exist."
        ) from None


@routes.get("", **reads(Dictionaries))
async def dictionaries() -> Dictionaries:
    """Lists the available versions of CTCAE, with their categories."""
    return Dictionaries(rows=[_shown(ctcae.dictionary(name)) for name in ctcae.NAMES])


@routes.get("/{dictionary}/terms", **reads(Terms))
async def terms(named: Annotated[ctcae.Dictionary, Depends(_named)], sought: Annotated[Sought, Query()]) -> Terms:
    """Lists terms in pages: those whose name begins with the first word of `q` first, then the others."""
    if sought.category is not None and sought.category not in named.categories:
        raise wrong_parameter(
            "category", "The dictionary has no such category. /toxicity/v1/dictionaries lists its categories."
        )
    if sought.q.strip() and not any(character.isalnum() for character in sought.q):
        raise wrong_parameter("q", "Give words, or beginnings of words, of the name of a term.")
    if not is_showable(sought.q):
        raise wrong_parameter("q", "Leave out control characters.")
    if sought.after and sought.after not in named.terms:
        raise wrong_parameter("after", "Give `next` of the page before, as it was answered.")
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
