from __future__ import annotations

import asyncpg
import pytest

from shared.postgres import retry
from shared.postgres.retry import retry_while_unavailable


class UnreliableDatabase:
    """Fails with these errors, one for each call, and then answers."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)
        self.calls = 0

    async def query(self) -> str:
        self.calls += 1
        if self._errors:
            raise self._errors.pop(0)
        return "answer"


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "RETRY_MIN_SECONDS", 0.001)


async def test_operation_is_repeated_until_the_database_is_available() -> None:
    database = UnreliableDatabase(ConnectionRefusedError(), asyncpg.CannotConnectNowError("the database is starting"))
    assert await retry_while_unavailable(database.query) == "answer"
    assert database.calls == 3


@pytest.mark.parametrize(
    "error", [asyncpg.UniqueViolationError("duplicate"), asyncpg.InterfaceError("another operation is in progress")]
)
async def test_rejected_statement_is_not_repeated(error: Exception) -> None:
    database = UnreliableDatabase(error)
    with pytest.raises(type(error)):
        await retry_while_unavailable(database.query)
    assert database.calls == 1
