"""The deriver looks at the studies of which it was notified, and regularly at all of them."""

from __future__ import annotations

import asyncio

from services.analytics.deriver.process import ChangedStudies

AN_HOUR = 3600.0


def test_first_look_is_at_all_studies_and_then_at_those_that_changed() -> None:
    changed = ChangedStudies(AN_HOUR)
    changed.add("a")
    assert (changed.take_all(), changed.take()) == (True, [])
    for study in ("b", "a", "b"):
        changed.add(study)
    assert (changed.take_all(), changed.take(), changed.take()) == (False, ["a", "b"], [])


async def test_all_studies_are_looked_at_after_the_interval_although_one_always_changes() -> None:
    changed, stop, looks = ChangedStudies(0.05), asyncio.Event(), [True]
    assert changed.take_all()
    async with asyncio.timeout(20):
        while not (look := changed.take_all()):
            changed.add("busy")
            looks.append(look)
            await changed.wait(stop)
    assert looks.count(False) > 1


async def test_lost_connection_makes_it_look_at_all_studies() -> None:
    changed = ChangedStudies(AN_HOUR)
    assert changed.take_all()
    changed.add_all()
    async with asyncio.timeout(20):
        await changed.wait(asyncio.Event())
    assert changed.take_all()
