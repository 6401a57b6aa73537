"""Keeps callers from waiting one behind the other while Kafka is away."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from worker.errors import KafkaUnavailable

RETRY_AFTER_S = 2


class OutageGate:
    """Lets one caller at a time try again once a publication has failed, and refuses the others at once.

    Otherwise the callers would wait one behind the other, each for its whole time limit.
    """

    def __init__(self) -> None:
        self._away = False
        self._trying = False
        self._retry_at = 0.0

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Surrounds a publication. Raises KafkaUnavailable when it fails, or at once when it is not tried."""
        if self._away and (self._trying or time.monotonic() < self._retry_at):
            raise KafkaUnavailable(f"Kafka did not answer a moment ago; try again in {RETRY_AFTER_S} s")
        is_trial = self._trying = self._away
        try:
            yield
            self._away = False
        except KafkaUnavailable:
            self._away = True
            self._retry_at = time.monotonic() + RETRY_AFTER_S
            raise
        finally:
            if is_trial:
                self._trying = False
