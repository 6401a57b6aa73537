"""Implements `--fail-once`: raises one error in the handler, in the middle of the data."""

import argparse
import asyncio

from tests.bench.peers.kafka_offsets import end
from worker.settings import Settings


class HandlerError(Exception):
    """Stands for the error of a bug, or of a database that is away for a moment."""


class FailOnce:
    """Raises one HandlerError. A handler calls it before it applies an event or a batch."""

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
    """Builds the error in the middle of the topic's records; without `--fail-once` one that never raises."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--fail-once", action="store_true", help="raise once in the handler, at the middle of the data")
    if not parser.parse_args().fail_once:
        return FailOnce(None)
    return FailOnce(asyncio.run(end(settings, settings.lesson_events_topic)) // 2)
