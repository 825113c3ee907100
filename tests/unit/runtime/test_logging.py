from __future__ import annotations

import logging

from shared.runtime.logging import RepeatFilter


def filtered_message(filtering: RepeatFilter, logger: str, message: str, *values: object) -> str | None:
    record = logging.LogRecord(logger, logging.ERROR, __file__, 1, message, values, None)
    return record.getMessage() if filtering.filter(record) else None


def test_repeated_kafka_client_messages_are_suppressed_and_counted() -> None:
    times = iter((0.0, 1.0, 2.0, 3.0, 31.0))
    filtering = RepeatFilter(30.0, lambda: next(times))
    assert filtered_message(filtering, "aiokafka.consumer", "request failed: %s", 15) == "request failed: 15"
    assert filtered_message(filtering, "aiokafka.consumer", "request failed: %s", 15) is None
    assert filtered_message(filtering, "aiokafka.consumer", "request failed: %s", 16) == "request failed: 16"
    assert filtered_message(filtering, "aiokafka.consumer", "request failed: %s", 15) is None
    again = filtered_message(filtering, "aiokafka.consumer", "request failed: %s", 15)
    assert again == "request failed: 15 (and 2 times since it was last logged)"


def test_messages_of_other_loggers_are_not_suppressed() -> None:
    filtering = RepeatFilter()
    assert [filtered_message(filtering, "shared.outbox.relay", "shard waits") for _ in range(3)] == ["shard waits"] * 3
