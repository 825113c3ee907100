"""Routes that read the CTCAE dictionaries. These belong to no study: every valid token may read them."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from shared.kernel.errors import NotFound, parameter_error
from shared.kernel.schema_name import NamedSchema
from shared.kernel.text import is_showable
from shared.terminology import ctcae
from shared.web.fact_routes import create_router
from shared.web.response_models import read_route_options

routes = create_router("/toxicity/v1/dictionaries")


class CategoryResponse(NamedSchema, schema_name="Category"):
    name: str
    terms: int


class DictionaryResponse(NamedSchema, schema_name="DictionaryShown"):
    """One version of CTCAE: the number of its terms, and its categories in the order of its table."""

    dictionary: str
    terms: int
    categories: list[CategoryResponse]


class DictionaryListResponse(NamedSchema, schema_name="Dictionaries"):
    rows: list[DictionaryResponse]


class TermResponse(NamedSchema, schema_name="TermShown"):
    """`term` is the id that findings give. `grades` are the grades that exist; grade 0 (absent) has no description."""

    term: str
    name: str
    category: str
    grades: list[int]
    descriptions: dict[int, str]


class TermListResponse(NamedSchema, schema_name="Terms"):
    """One page. `next` is the value of `after` for the next page; it is null on the last page."""

    rows: list[TermResponse]
    next: str | None


class TermSearch(BaseModel):
    """The parameters of a search for terms. Unknown ones are refused."""

    model_config = ConfigDict(extra="forbid")

    q: Annotated[
        str, Field(max_length=200, description="words, or beginnings of words, of the term's name or site")
    ] = ""
    category: Annotated[str | None, Field(max_length=200, description="only terms of this category")] = None
    after: Annotated[str, Field(max_length=20, description="`next` of the page before")] = ""
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


async def _find_dictionary(
    name: Annotated[str, Path(alias="dictionary", examples=["ctcae-3.0"])],
) -> ctcae.CtcaeDictionary:
    try:
        return ctcae.load_dictionary(name)
    except KeyError:
        raise NotFound(
            "There is no dictionary of this name. /toxicity/v1/dictionaries lists those that exist."
        ) from None


@routes.get("", **read_route_options(DictionaryListResponse))
async def dictionaries() -> DictionaryListResponse:
    """Lists the available versions of CTCAE, with their categories."""
    return DictionaryListResponse(
        rows=[_dictionary_response(ctcae.load_dictionary(name)) for name in ctcae.DICTIONARY_NAMES]
    )


@routes.get("/{dictionary}/terms", **read_route_options(TermListResponse))
async def terms(
    dictionary: Annotated[ctcae.CtcaeDictionary, Depends(_find_dictionary)], search: Annotated[TermSearch, Query()]
) -> TermListResponse:
    """Lists terms in pages: those whose name begins with the first word of `q` first, then the others."""
    if search.category is not None and search.category not in dictionary.categories:
        raise parameter_error(
            "category", "The dictionary has no such category. /toxicity/v1/dictionaries lists its categories."
        )
    if search.q.strip() and not any(character.isalnum() for character in search.q):
        raise parameter_error("q", "Give words, or beginnings of words, of the name of a term.")
    if not is_showable(search.q):
        raise parameter_error("q", "Leave out control characters.")
    if search.after and search.after not in dictionary.terms:
        raise parameter_error("after", "Give `next` of the page before, as it was answered.")
    matching = dictionary.search(search.q, category=search.category, after=search.after, limit=search.limit + 1)
    rows, has_more = matching[: search.limit], len(matching) > search.limit
    return TermListResponse(rows=[_term_response(term) for term in rows], next=rows[-1].term_id if has_more else None)


def _dictionary_response(dictionary: ctcae.CtcaeDictionary) -> DictionaryResponse:
    counts = [CategoryResponse(name=name, terms=count) for name, count in dictionary.categories.items()]
    return DictionaryResponse(dictionary=dictionary.name, terms=len(dictionary.terms), categories=counts)


def _term_response(term: ctcae.CtcaeTerm) -> TermResponse:
    return TermResponse(
        term=term.term_id,
        name=term.name,
        category=term.category,
        grades=list(term.grades),
        descriptions=dict(term.descriptions),
    )
