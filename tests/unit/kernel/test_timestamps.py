from __future__ import annotations

from datetime import UTC, datetime

import pytest

from shared.kernel.timestamps import parse_timestamp


@pytest.mark.parametrize("text", ["2024-03-07T09:30:00+01:00", "2024-03-07t08:30:00z", "2024-03-07T14:15:00.0+05:45"])
def test_timestamp_is_parsed_with_its_zone(text: str) -> None:
    assert parse_timestamp(text).astimezone(UTC) == datetime(2024, 3, 7, 8, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2024-03-07T09:30:00",
        "2024-03-07",
        "2024-03-07 09:30:00Z",
        "2024-03-07T09:30:00+14:60",
        "2024-03-07T09:30:00+24:00",
        "2024-03-07T24:00:00Z",
        "2024-02-30T09:30:00Z",
        "1899-12-31T09:30:00Z",
        "２024-03-07T09:30:00Z",
        1709800200,
        True,
        None,
    ],
)
def test_invalid_timestamps_are_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"^(Give|This time does not exist)"):
        parse_timestamp(text)
