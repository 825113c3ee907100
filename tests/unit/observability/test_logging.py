from __future__ import annotations

import logging

from shared.observability.logging import Unrepeated


def said(filtering: Unrepeated, logger: str, message: str, *values: object) -> str | None:
    record = logging.LogRecord(logger, logging.ERROR, __file__, 1, message, values, None)
    return record.getMessage() if filtering.filter(record) else None


def test_a_kafka_client_says_the_same_once_in_a_while_and_how_often_it_was() -> None:
    times = iter((0.0, 1.0, 2.0, 3.0, 31.0))
    filtering = Unrepeated(30.0, lambda: next(times))
    assert said(filtering, "aiokafka.consumer", "request failed: %s", 15) == "request failed: 15"
    assert said(filtering, "aiokafka.consumer", "request failed: %s", 15) is None
    assert said(filtering, "aiokafka.consumer", "request failed: %s", 16) == "request failed: 16"
    assert said(filtering, "aiokafka.consumer", "request failed: %s", 15) is None
    again = said(filtering, "aiokafka.consumer", "request failed: %s", 15)
    assert again == "request failed: 15 (and 2 times since it was last logged)"


def test_what_others_say_is_shown_each_time() -> None:
    filtering = Unrepeated()
    assert [said(filtering, "shared.outbox.relay", "shard waits") for _ in range(3)] == ["shard waits"] * 3
