from __future__ import annotations

from pathlib import Path

from shared.postgres.named_queries import load_queries

QUERIES = """-- Queries of a test.

-- name: first
-- Returns one row.
SELECT 1;

-- name: second
SELECT 2;
"""


def test_query_is_loaded_under_its_name_with_its_comment(tmp_path: Path) -> None:
    file = tmp_path / "queries.sql"
    file.write_text(QUERIES, "utf-8")
    assert load_queries(file) == {"first": "-- Returns one row.\nSELECT 1;", "second": "SELECT 2;"}
