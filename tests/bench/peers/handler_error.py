"""`--fail-once`: one error of the handler, at the middle of the data."""

import argparse
import asyncio

from tests.bench.peers.kafka_offsets import end
from worker.settings import Settings


class HandlerError(Exception):
    """Raised on purpose: what a bug, or a database that is away for a moment, raises."""


class FailOnce:
    """Called by a handler with each event, or batch, that it is about to apply."""

    def __init__(self, at: int | None) -> None:
        self._left = at

    def __call__(self, events: int = 1) -> None:
        if self._left is None:
            return
        self._left -= events
        if self._left < 0:
            self._left = None
            raise HandlerError("on purpose")


def fail_once(settings: Settings) -> FailOnce:
    """The error if the command line asks for it, due at the middle of what is in the topic now."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--fail-once", action="store_true", help="raise once in the handler, at the middle of the data")
    if not parser.parse_args().fail_once:
        return FailOnce(None)
    return FailOnce(asyncio.run(end(settings, settings.lesson_events_topic)) // 2)
