"""Names a stream: the records of one topic as one consumer group reads them. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

from worker.stream.outcome import Outcome, Record


@dataclass(frozen=True, slots=True)
class Stream:
    """Names the records that an intake takes, and decodes one.

    Stored offsets, breaker, lag and the topic's identity are kept per stream. All streams of a worker share the topic
    of dead letters, because a dead letter names the topic that it came from.
    """

    topic: str
    group: str  # Kafka's consumer group, and the key of the stored offsets
    decode: Callable[[Record], Outcome]  # never raises for bytes that a producer can write

    @property
    def name(self) -> str:
        """Tells this stream from the others of a worker: two groups may read one topic."""
        return f"{self.group}/{self.topic}"

    @property
    def rewind_options(self) -> str:
        """Names this stream to `course-progress rewind`."""
        return f"--topic {self.topic} --group {self.group}"
