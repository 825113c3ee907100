"""The dictionaries over HTTP, for every caller with a token."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from infra.issuer import AUDIENCE, ISSUER, Issuer
from services.toxicity.ctcae_api import routes
from shared.security.issuer_keys import FileKeys
from shared.security.tokens import Verifier
from shared.web.app import create_bare_app
from shared.web.authentication import authentication
from shared.web.route_classes import add_routes

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
BASE = "/toxicity/v1/dictionaries"
V3 = f"{BASE}/ctcae-3.0/terms"


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    yield


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A caller with a token and without a grant in any study."""
    issuer = Issuer.load(tmp_path)
    verifier = Verifier(FileKeys(issuer.jwks), ISSUER, AUDIENCE, now=lambda: NOON)
    app = create_bare_app("toxicity", _lifespan, authenticate=authentication("toxicity", verifier))
    add_routes(app, routes)
    bearer = {"authorization": f"Bearer {issuer.token('anyone', now=NOON)}"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here", headers=bearer) as client:
        yield client


async def get_json(http: httpx.AsyncClient, path: str = V3, **parameters: Any) -> Any:
    response = await http.get(path, params=parameters)
    assert response.status_code == 200, response.text
    return response.json()


async def test_term_is_found_by_a_word_prefix(http: httpx.AsyncClient) -> None:
    page = await get_json(http, q="dysph")
    assert page["rows"][0]["name"] == "Dysphagia (difficulty swallowing)"
    assert page["next"] is None


async def test_row_lists_grades_with_descriptions(http: httpx.AsyncClient) -> None:
    (row,) = (await get_json(http, q="sickness serum"))["rows"]
    assert row == {
        "term": "3.0:0005",
        "name": "Serum sickness",
        "category": "ALLERGY/IMMUNOLOGY",
        "grades": [0, 3, 5],
        "descriptions": {"3": "Present", "5": "Death"},
    }


async def test_pages_lead_to_the_last_term(http: httpx.AsyncClient) -> None:
    rows: list[dict[str, Any]] = []
    after: str | None = ""
    for _ in range(3):
        page = await get_json(http, limit=500, after=after)
        rows, after = rows + page["rows"], page["next"]
    assert (len({row["term"] for row in rows}), len(rows), after) == (1059, 1059, None)
    assert len((await get_json(http))["rows"]) == 100


async def test_a_category_narrows_the_rows(http: httpx.AsyncClient) -> None:
    page = await get_json(
        http, f"{BASE}/ctcae-5.0/terms", q="edema", category="Respiratory, thoracic and mediastinal disorders"
    )
    assert {row["category"] for row in page["rows"]} == {"Respiratory, thoracic and mediastinal disorders"}


async def test_the_four_versions_are_listed_with_their_categories(http: httpx.AsyncClient) -> None:
    rows = (await get_json(http, BASE))["rows"]
    assert [(row["dictionary"], row["terms"], len(row["categories"])) for row in rows] == [
        ("ctcae-3.0", 1059, 28),
        ("ctcae-4.03", 790, 26),
        ("ctcae-5.0", 837, 26),
        ("ctcae-6.0", 850, 26),
    ]
    assert all(sum(category["terms"] for category in row["categories"]) == row["terms"] for row in rows)
    assert rows[0]["categories"][0] == {"name": "ALLERGY/IMMUNOLOGY", "terms": 6}


@pytest.mark.parametrize("name", ["ctcae-2.0", "ctcae-3", "CTCAE-3.0", "..%2Fctcae-3.0", "README"])
async def test_another_dictionary_is_unknown(http: httpx.AsyncClient, name: str) -> None:
    response = await http.get(f"{BASE}/{name}/terms", params={"limit": "none"})
    assert (response.status_code, response.json()["type"]) == (404, "/problems/not-found")


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"limit": "0"}, "schema-greater-than-equal"),
        ({"limit": "1001"}, "schema-less-than-equal"),
        ({"limit": "many"}, "schema-int-parsing"),
        ({"q": "x" * 201}, "schema-string-too-long"),
        ({"query": "pain"}, "parameter"),
        ({"q": "\0"}, "parameter"),
        ({"q": "pain\0"}, "parameter"),
        ({"q": "%"}, "parameter"),
        ({"category": "Pains"}, "parameter"),
        ({"after": "3.0:9999"}, "parameter"),
        ({"after": "5.0:0001"}, "parameter"),
    ],
)
async def test_invalid_parameter_is_refused(http: httpx.AsyncClient, parameters: dict[str, str], code: str) -> None:
    response = await http.get(V3, params=parameters)
    assert (response.status_code, response.headers["content-type"]) == (422, "application/problem+json")
    (fault,) = response.json()["errors"]
    assert fault["code"] == code


@pytest.mark.parametrize("path", [BASE, V3])
async def test_token_is_required(http: httpx.AsyncClient, path: str) -> None:
    assert (await http.get(path, headers={"authorization": ""})).status_code == 401
