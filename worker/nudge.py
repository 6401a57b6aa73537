"""Wakes whoever pauses between two rounds of work."""

import asyncio


class Nudge:
    """Ends pauses early. One that is given while nobody pauses ends the next pause at once."""

    def __init__(self) -> None:
        self._given = asyncio.Event()

    def give(self) -> None:
        """Ends the pause of everybody who pauses now."""
        self._given.set()

    async def pause(self, longest_s: float) -> None:
        """Waits for a nudge, but at most so many seconds."""
        try:
            async with asyncio.timeout(longest_s):
                await self._given.wait()
        except TimeoutError:
            pass
        self._given.clear()
