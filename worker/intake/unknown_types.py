"""Names the types of skipped events in the log, once each: after Kafka's retention the events are gone."""

from collections.abc import Iterable

import structlog

from worker.plain_text import escape
from worker.stream.outcome import Outcome, Record, Skipped
from worker.stream.stream import Stream

log = structlog.get_logger("intake")

MOST_TYPES = 100  # whoever writes a new type into each event fills neither the log nor the memory
LONGEST_SHOWN = 100  # characters of a type


class UnknownTypes:
    """Remembers which types the log has named: at most MOST_TYPES, each with its topic."""

    def __init__(self) -> None:
        self._named: set[tuple[str, str]] = set()

    def note(self, stream: Stream, entries: Iterable[tuple[Record, Outcome]]) -> None:
        """Logs a line for each type among these records that the log has not named yet."""
        for record, outcome in entries:
            if type(outcome) is Skipped and outcome.type:
                self._name(stream, record, outcome.type[:LONGEST_SHOWN])

    def _name(self, stream: Stream, record: Record, name: str) -> None:
        if (record.topic, name) in self._named or len(self._named) == MOST_TYPES:
            return
        self._named.add((record.topic, name))
        log.warning(
            "events of an unknown type are skipped",
            type=escape(name),
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            do="If the type is wrong, have its producer mended and the events published again. If it is new, release "
            f"the worker that knows it, then course-progress rewind {stream.rewind_options} --to the time of this "
            "event's record. More in docs/oncall.md",
        )
        if len(self._named) == MOST_TYPES:
            log.warning("so many types are unknown that further ones are only counted", types=MOST_TYPES)


OF_THIS_PROCESS = UnknownTypes()
