"""A nudge ends a pause, and one that comes before the pause is not lost."""

import asyncio

from worker.nudge import Nudge

LONG_S = 3600.0


async def test_a_nudge_ends_the_pause_of_everybody() -> None:
    nudge = Nudge()
    pausing = [asyncio.create_task(nudge.pause(LONG_S)) for _ in range(2)]
    await asyncio.sleep(0)
    nudge.give()

    await asyncio.gather(*pausing)


async def test_one_that_comes_before_the_pause_ends_that_one_and_no_other() -> None:
    nudge = Nudge()
    nudge.give()
    await nudge.pause(LONG_S)

    pausing = asyncio.create_task(nudge.pause(LONG_S))
    done, _ = await asyncio.wait([pausing], timeout=0.05)
    assert not done
    nudge.give()
    await pausing


async def test_without_one_the_pause_ends_by_itself() -> None:
    await Nudge().pause(0.01)
