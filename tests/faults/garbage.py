"""Generates records that no producer should write, without end: hypothesis makes some, mutation the rest."""

import json
import random
from collections.abc import Iterator
from typing import TypeAlias

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from events.producer import OutgoingRecord
from tests.faults.load import BAD, SKIPPED, STAMPED, Happened, Sent, spoilt
from worker.decode import decode
from worker.stream.outcome import Occurrence, Record, Rejected

BASES = 1500
Base: TypeAlias = tuple[bytes, list[tuple[str, bytes]]]  # a value and headers
ATTRIBUTES = ["id", "type", "time", "source", "specversion", "dataschema"]
NAMES = [*ATTRIBUTES, "user_id", "course_id", "lesson_id", "total_lessons"]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=8,
)
VALUES = (
    st.binary(max_size=200)
    | ANYTHING.map(lambda value: json.dumps(value).encode())
    | st.dictionaries(st.sampled_from(NAMES), ANYTHING, max_size=4).map(lambda changed: spoilt(**changed))
)
HEADERS = st.lists(
    st.tuples(
        st.sampled_from([*(f"ce_{name}" for name in ATTRIBUTES), "content-type", "x"]) | st.text(max_size=9),
        st.binary(max_size=40) | st.sampled_from([b"application/cloudevents+json", b"LessonCompleted", b"1.0"]),
    ),
    max_size=3,
)


def bases(number: int) -> list[Base]:
    made: list[Base] = []

    @seed(number)
    @settings(
        max_examples=BASES,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(VALUES, HEADERS)
    def collect(value: bytes, headers: list[tuple[str, bytes]]) -> None:
        made.append((value, headers))

    collect()
    return made


def garbage(topic: str, rng: random.Random) -> Iterator[Sent]:
    """Yields garbage without end, each record with the decoder's outcome, so that the comparison can account for it.

    Hypothesis draws its share, for seconds, before this returns, because workers reach Kafka through this process.
    """
    return yield_mutants(topic, rng, bases(rng.getrandbits(32)))


def yield_mutants(topic: str, rng: random.Random, some: list[Base]) -> Iterator[Sent]:
    plain = [value for value in [*BAD, *SKIPPED, spoilt(), spoilt(type="CourseAccessed")] if value]
    while True:
        value, headers = rng.choice(some)
        if rng.random() < 0.5:
            value, headers = rng.choice(plain), headers if rng.random() < 0.2 else []
        key = rng.choice([None, b"", rng.randbytes(8)])
        yield decode_outcome(OutgoingRecord(topic, key, mutate(value, rng), headers, STAMPED))


def mutate(value: bytes, rng: random.Random) -> bytes:
    changed = bytearray(value)
    for _ in range(rng.randrange(4)):
        at = rng.randrange(len(changed) + 1)
        match rng.randrange(4):
            case 0:
                changed[at : at + 1] = rng.randbytes(1)
            case 1:
                del changed[at : at + rng.randrange(20)]
            case 2:
                changed[at:at] = changed[: rng.randrange(30)]
            case 3:
                changed[at:at] = rng.choice([b'"', b"\\u0000", b"{", b"\xed\xa0\x80", b"1e999", b"null", b"-"])
    return bytes(changed)


def decode_outcome(record: OutgoingRecord) -> Sent:
    outcome = decode(
        Record(record.topic, 0, 0, record.timestamp_ms, 0, record.key, record.value, None, 0, 0, tuple(record.headers))
    )
    happened: Happened | None = (outcome.event, outcome.occurred_at) if isinstance(outcome, Occurrence) else None
    return Sent(record, happened, skipped=not isinstance(outcome, Occurrence | Rejected))
