"""Who may try to publish while Kafka is away."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from worker.errors import KafkaUnavailable

AGAIN_AFTER_S = 2


class OutageGate:
    """Once a publication has failed, one at a time tries again and the others are refused at once.

    They would wait one behind the other, each for its whole time limit.
    """

    def __init__(self) -> None:
        self._away = False
        self._trying = False
        self._again_at = 0.0

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Around a publication. Raises KafkaUnavailable, also without an attempt."""
        if self._away and (self._trying or time.monotonic() < self._again_at):
            raise KafkaUnavailable("Kafka was away a moment ago")
        mine = self._trying = self._away
        try:
            yield
            self._away = False
        except KafkaUnavailable:
            self._away = True
            self._again_at = time.monotonic() + AGAIN_AFTER_S
            raise
        finally:
            if mine:
                self._trying = False
