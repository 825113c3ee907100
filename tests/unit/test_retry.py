"""Pauses between attempts, and polling until a condition holds."""

from __future__ import annotations

import asyncio

import pytest

from shared.retry import Backoff, poll_times, poll_until, wait_for_event


def test_pauses_double_up_to_the_longest() -> None:
    assert list(Backoff(0.1, 0.5).delays(5)) == [0.1, 0.2, 0.4, 0.5, 0.5]


def test_reset_makes_the_next_pause_the_first_again() -> None:
    backoff = Backoff(1.0, 8.0)
    assert [backoff.next_seconds(), backoff.next_seconds(), backoff.seconds] == [1.0, 2.0, 4.0]
    backoff.reset()
    assert backoff.next_seconds() == 1.0


def test_constant_backoff_never_grows() -> None:
    assert list(Backoff.constant(0.5).delays(3)) == [0.5, 0.5, 0.5]


def test_jitter_shortens_pauses_at_random_below_their_bound() -> None:
    pauses = [list(Backoff(0.1, 0.4, jitter=True).delays(4)) for _ in range(20)]
    assert all(
        0 <= pause <= bound
        for pauses_of_call in pauses
        for pause, bound in zip(pauses_of_call, [0.1, 0.2, 0.4, 0.4], strict=True)
    )
    assert len({pause for pauses_of_call in pauses for pause in pauses_of_call}) > 1


async def test_pause_ends_early_when_the_event_is_set() -> None:
    event = asyncio.Event()
    event.set()
    async with asyncio.timeout(10):
        await Backoff.constant(3600).wait(event)


async def test_waiting_for_an_event_that_is_not_set_ends_after_the_time() -> None:
    event = asyncio.Event()
    await wait_for_event(event, 0.001)
    assert not event.is_set()


async def test_polling_ends_as_soon_as_the_condition_holds() -> None:
    answers = iter([False, False, True])

    async def condition() -> bool:
        return next(answers)

    await poll_until(condition, interval_seconds=0, timeout_seconds=10)
    assert list(answers) == []


async def test_polling_raises_if_the_condition_does_not_hold_in_time() -> None:
    async def condition() -> bool:
        return False

    with pytest.raises(TimeoutError):
        await poll_until(condition, interval_seconds=0.001, timeout_seconds=0.01)


def test_blocking_poll_tries_once_without_time_and_again_until_the_time_is_up() -> None:
    assert len(list(poll_times(interval_seconds=3600, timeout_seconds=0))) == 1
    assert len(list(poll_times(interval_seconds=0.02, timeout_seconds=0.01))) == 2
