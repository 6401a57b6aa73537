"""Whoever reads the log learns of each unknown type, once, and of few types however many come."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.intake.fakes import P0, TOPIC, FakeAgent, FakeConsumer, FakeSink, lanes_over, record, skip
from worker.errors import DatabaseUnavailable
from worker.intake import unknown_types
from worker.intake.unknown_types import LONGEST_SHOWN, MOST_TYPES, UnknownTypes
from worker.stream.outcome import Outcome, Record, Skipped
from worker.stream.stream import Stream

STREAM = Stream(TOPIC, "notes-group", skip)


def unknown(name: str, offset: int = 0) -> tuple[Record, Outcome]:
    return record(P0, offset), Skipped("unknown type", name)


def logged(*batches: list[tuple[Record, Outcome]]) -> list[Any]:
    """What is logged of these batches, one after the other."""
    types = UnknownTypes()
    with capture_logs() as lines:
        for batch in batches:
            types.note(STREAM, batch)
    return lines


def test_a_type_is_named_once_with_the_place_of_its_first_event_and_what_to_do() -> None:
    [rated, moved] = logged(
        [unknown("LessonRated", 3), unknown("LessonMoved", 4), unknown("LessonRated", 5)], [unknown("LessonRated", 6)]
    )

    assert (rated["type"], rated["topic"], rated["partition"], rated["offset"]) == ("LessonRated", TOPIC, 0, 3)
    assert rated["log_level"] == "warning"
    assert "course-progress rewind --topic notes --group notes-group" in rated["do"]
    assert (moved["type"], moved["offset"]) == ("LessonMoved", 4)


def test_a_record_without_a_value_is_not_named() -> None:
    assert logged([(record(P0, 0, None), Skipped("no value"))]) == []


def test_of_many_types_the_first_are_named_and_the_log_says_that_there_are_more() -> None:
    lines = logged([unknown(f"type {number}") for number in range(3 * MOST_TYPES)])

    assert [line["type"] for line in lines if "type" in line] == [f"type {number}" for number in range(MOST_TYPES)]
    assert [line["types"] for line in lines if "types" in line] == [MOST_TYPES]
    assert len(lines) == MOST_TYPES + 1


def test_a_strangers_type_is_one_short_line() -> None:
    [line] = logged(
        [unknown("Lesson\r\nfaked\x7f\x9b2J\u202e" + "x" * 900), unknown("Lesson\r\nfaked\x7f\x9b2J\u202e" + "x" * 901)]
    )

    assert line["type"].isprintable()
    assert line["type"].startswith(r"Lesson\r\nfaked\x7f\x9b2J\u202e")
    assert len(line["type"]) < LONGEST_SHOWN + 30  # a character may become six


async def test_a_lane_names_a_type_before_its_batch_is_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """If PostgreSQL is away and the worker is killed meanwhile, the line is there."""
    monkeypatch.setattr(unknown_types.OF_THIS_PROCESS, "_named", set())
    consumer = FakeConsumer({P0: [record(P0, 7)]})
    [lane, _] = lanes_over(
        consumer,
        FakeSink(),
        FakeAgent(lambda _: DatabaseUnavailable("away")),
        lambda _: Skipped("unknown type", "LessonRated"),
    )
    lane.assign({P0})

    with capture_logs() as lines:
        lane.stop()
        await lane.turn()

    assert [line["offset"] for line in lines if line.get("type") == "LessonRated"] == [7]
