"""What is read back of dead letters, and which of them somebody asks for."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.kinds import Kind
from tests.factories import AT, DLQ_HEADERS, letter, record
from worker.deadletters.ledger import Ledger
from worker.deadletters.letter import (
    LARGEST_PARSED,
    LONGEST_TEXT,
    Fate,
    Letter,
    Origin,
    Position,
    Resolution,
    read_entry,
)
from worker.deadletters.selection import Selection
from worker.stream.cut_record import CutRecord


def test_a_letter_is_read_with_its_record_as_the_worker_got_it() -> None:
    found = letter(Position(1, 5))

    assert (found.position, found.origin) == (Position(1, 5), Origin("lesson-events", 2, 41))
    assert (found.kind, found.reason, found.attempts) == (Kind.SCHEMA, "user_id: Field required", 3)
    assert (found.rejected_at, found.group, found.type) == (AT, "course-progress", "CourseAccessed")
    assert found.record == record(partition=2, offset=41, value=b"{}")


def test_a_letter_from_before_there_were_kinds_is_unknown_and_was_rejected_once() -> None:
    assert letter(without="dlq_kind").kind is Kind.UNKNOWN
    assert letter(without="dlq_attempts").attempts == 1


@pytest.mark.parametrize(
    ("header", "truncated"),
    [("600000", "value 600000"), ("600000, key 5", "value 600000, key 5"), ("headers 5", "headers 5")],
)
def test_a_letter_says_what_of_its_record_is_cut(header: str, truncated: str) -> None:
    """An older letter has the bare number alone."""
    assert letter(dlq_truncated=header).truncated == truncated
    assert letter().truncated == ""


@pytest.mark.parametrize("name", ["dlq_topic", "dlq_partition", "dlq_offset"])
def test_what_no_worker_wrote_is_a_letter_without_origin(name: str) -> None:
    assert letter(without=name).origin is None


@pytest.mark.parametrize(
    ("value", "type_name"),
    [
        (b'{"type": "CourseAccessed"}', "CourseAccessed"),
        (b'{"type": {"user_id": "ada"}}', ""),  # content, which lists of letters do not show
        (b'{"type": 5}', ""),
        (b"[]", ""),
        (b"\xff", ""),
        (None, ""),
    ],
)
def test_a_letters_type_is_in_its_value_if_no_header_has_it(value: bytes | None, type_name: str) -> None:
    bare = replace(letter(), record=record(headers=[], value=value))

    assert bare.type == type_name


def test_a_resolution_is_read_as_it_was_written() -> None:
    resolution = Resolution(Position(3, 17), Fate.REPLAYED, AT.isoformat(), "ada@laptop", "lesson-events[1]@9")

    outgoing = resolution.to_record("dlq")

    assert outgoing.partition == 3
    assert read_entry(record(headers=outgoing.headers, value=outgoing.value, offset=18)) == resolution


names = st.sampled_from([*DLQ_HEADERS, "dlq_resolves", "dlq_fate", "dlq_resolved_at", "dlq_resolved_by", "ce_type"])
values = st.none() | st.binary() | st.sampled_from([b"3:17", b"discarded", b"2026-11-24", b"5"])


@given(st.lists(st.tuples(names, values)), st.binary())
def test_whatever_stands_on_the_topic_is_read(headers: list[tuple[str, bytes | None]], value: bytes) -> None:
    found = read_entry(record(headers=tuple(headers), value=value))

    if isinstance(found, Letter):
        ledger = Ledger()
        ledger.note(found)
        assert isinstance(found.type, str)
        assert ledger.find_open_copies(found) == [found.position]


def test_copies_of_a_letter_are_known_and_resolved_one_by_one() -> None:
    first, second = letter(Position(0, 7)), letter(Position(3, 1), dlq_rejected_at=(AT + timedelta(1)).isoformat())
    ledger = Ledger()
    for entry in (first, second):
        ledger.note(entry)

    assert ledger.find_open_copies(second) == [first.position, second.position]
    ledger.note(Resolution(first.position, Fate.DISCARDED, "", ""))
    assert ledger.find_open_copies(first) == [second.position]
    assert list(ledger.list_open()) == [second.position]


def test_another_record_at_the_same_origin_is_no_copy() -> None:
    """As in a topic that was created again."""
    ledger = Ledger()
    other = letter(Position(0, 8), value=b"[]")
    for entry in (letter(Position(0, 7)), other):
        ledger.note(entry)

    assert ledger.find_open_copies(other) == [other.position]


def test_another_record_of_which_nothing_is_left_is_no_copy() -> None:
    ledger = Ledger()
    first, other = (
        letter(Position(0, n), value=b"", dlq_truncated="9", dlq_value_sha256=digest)
        for n, digest in ((7, "a"), (8, "b"))
    )
    for entry in (first, other):
        ledger.note(entry)

    assert ledger.find_open_copies(other) == [other.position]


@pytest.mark.parametrize(
    ("selection", "taken"),
    [
        (Selection(), True),
        (Selection(positions={Position(0, 7)}), True),
        (Selection(positions={Position(7, 0)}), False),
        (Selection(kinds=(Kind.SCHEMA, Kind.TIME)), True),
        (Selection(kinds={Kind.TIME}), False),
        (Selection(types={"CourseAccessed"}), True),
        (Selection(types={"LessonCompleted"}), False),
        (Selection(reason="USER_ID: field"), True),
        (Selection(reason="course_id"), False),
        (Selection(since=AT), True),
        (Selection(since=AT + timedelta(seconds=1)), False),
        (Selection(until=AT), False),
        (Selection(until=AT + timedelta(seconds=1)), True),
        (Selection(kinds={Kind.SCHEMA}, reason="course_id"), False),
    ],
    ids=str,
)
def test_a_selection_takes_what_meets_each_of_its_conditions(selection: Selection, taken: bool) -> None:
    assert selection.takes(letter()) == taken


@pytest.mark.parametrize("rejected_at", ["", "yesterday", "2026-11-24T09:30:00"])
def test_a_letter_of_no_known_time_is_in_no_span_of_time(rejected_at: str) -> None:
    undated = letter(dlq_rejected_at=rejected_at)

    assert Selection().takes(undated)
    assert not Selection(since=AT - timedelta(365)).takes(undated)


@pytest.mark.parametrize("text", ["", "3", "3:", "a:1", "-1:3", "1:2:3", "\u0663:\u0661"])
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a position"):
        Position.parse(text)


def test_a_position_is_read_as_it_is_shown() -> None:
    assert Position.parse(str(Position(3, 17))) == Position(3, 17)


def test_what_a_record_of_the_topic_says_of_itself_is_kept_in_bounds() -> None:
    """Any of it may be as long as a record: a ledger keeps it for every letter."""
    long = "9" * 5000

    assert letter(dlq_topic="t" * 250).origin is None
    assert letter(dlq_offset=long).origin is None
    assert letter(dlq_partition="-1").origin is None
    position = Position(0, 7)
    resolution = Resolution(position, Fate.DISCARDED, long, long, long).to_record("dlq")
    found = read_entry(record(partition=0, offset=9, value=b"", headers=resolution.headers))
    assert isinstance(found, Resolution)
    assert (len(found.at), len(found.by), len(found.to)) == (LONGEST_TEXT, LONGEST_TEXT, LONGEST_TEXT)


def test_the_type_of_a_large_value_is_not_looked_for() -> None:
    value = b'{"type": "LessonCompleted", "x": "%s"}'
    small, large = value % b"", value % bytes(b"x" * LARGEST_PARSED)

    def bare(value: bytes) -> str:
        found = read_entry(record(headers=(), value=value))
        assert isinstance(found, Letter)
        return found.type

    assert (bare(small), bare(large)) == ("LessonCompleted", "")


def test_a_batch_that_is_not_inflated_is_a_letter_that_says_so_and_is_not_replayed() -> None:
    fields = vars(record(partition=0, offset=9, value=b"", headers=()))
    found = read_entry(CutRecord(**fields, why="too large", sizes="batch", value_sha256=""))

    assert isinstance(found, Letter)
    assert (found.position, found.kind, found.reason) == (Position(0, 9), Kind.UNKNOWN, "too large")
    assert found.truncated == "batch"
