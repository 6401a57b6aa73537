"""Who may try to write while Kafka is away."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from worker.api.problems import RETRY_AFTER_S
from worker.errors import KafkaUnavailable


@dataclass
class Attempt:
    """What a write that succeeds tells of Kafka."""

    published: bool = True  # unset by whoever had nothing to publish: that tells nothing


class KafkaWatch:
    """Once a write has failed, one at a time tries again and the others are refused at once.

    They would wait one behind the other, each for its whole time limit.
    """

    def __init__(self) -> None:
        self._away = False
        self._trying = False
        self._again_at = 0.0

    @contextmanager
    def attempt(self) -> Iterator[Attempt]:
        """Around a write. Raises KafkaUnavailable, also without an attempt."""
        if self._away and (self._trying or time.monotonic() < self._again_at):
            raise KafkaUnavailable("Kafka was away a moment ago")
        mine = self._trying = self._away
        attempt = Attempt()
        try:
            yield attempt
            self._away = self._away and not attempt.published
        except KafkaUnavailable:
            self._away = True
            self._again_at = time.monotonic() + RETRY_AFTER_S
            raise
        finally:
            if mine:
                self._trying = False
