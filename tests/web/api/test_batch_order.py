"""A batch is a list: its order counts where its times are equal."""

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.models import EARLIEST
from worker.web.api.batch_order import put_in_order
from worker.web.api.bodies import ITEM, AccessedItem, Item, ResetItem

COURSE = "0b9f7f0e-9b1a-4a51-8f0e-3a8d5f0c2d22"
OTHER = "1b9f7f0e-9b1a-4a51-8f0e-3a8d5f0c2d22"
USER = UUID("6f1c1c9e-52a5-4a3c-9b64-0f3f0a5f7b11")
TYPES = {"C": "LessonCompleted", "U": "LessonUncompleted", "A": "CourseAccessed", "R": "ProgressReset"}


def build(text: str, course: str = COURSE, offset: str = "Z") -> Item:
    """Builds an event from its kind, its lesson and its microsecond: `Ca5` completes lesson a five after a second."""
    kind, lesson, micros = text[0], text[1:-1], text[-1]
    body: dict[str, Any] = {"lessonId": lesson} if lesson else {}
    at = f"2026-11-22T20:04:00.00000{micros}{offset}"
    return ITEM.validate_python({"type": TYPES[kind], "courseId": course, "occurredAt": at, **body})


def order(*items: Item) -> list[Item]:
    return list(put_in_order(dict(enumerate(items))).values())


@pytest.mark.parametrize(
    ("batch", "micros"),
    [
        ("Ca0", "0"),
        ("Ca0 Ua0", "01"),
        ("Ua0 Ca0", "01"),
        ("Ca0 Ua0 Ca0", "012"),
        ("Ca0 Cb0", "00"),  # of two lessons
        ("Ca0 Ua0 Cb0 Ub0", "0101"),
        ("Ca0 Aa0", "01"),
        ("A0 Ca0", "00"),
        ("R0 Ca0", "01"),
        ("R0 Ca0 Cb0", "011"),
        ("R0 A0", "01"),
        ("Ca0 R0", "01"),
        ("Ca0 Ua0 R0 Cb0", "0123"),
        ("Ca0 R0 Ca0 R0", "0123"),
        # What is moved meets the time of the next.
        ("Ca0 Ua0 Ca1", "012"),
        ("Ca0 Ua0 Ca2", "012"),
        ("Ca0 Ua0 Ca1 Ua1 Ca5", "01235"),
        ("Ca0 Ua0 R1 Cb1", "0123"),
        # Times win over the order.
        ("Ua5 Ca0", "50"),
        ("Ua1 Ca0 Aa0", "201"),
        ("Ca9 R0 Cb0", "901"),
        # A repetition is the same event.
        ("Ca0 Ca0", "00"),
        ("Ca0 Ua0 Ua0 Ca0", "0112"),
        ("R0 R0 Ca0", "001"),
    ],
)
def test_of_equal_times_of_one_lesson_the_later_in_the_list_is_later(batch: str, micros: str) -> None:
    moved = order(*map(build, batch.split()))

    assert "".join(str(item.occurred_at.microsecond) for item in moved) == micros
    assert [item.type for item in moved] == [TYPES[text[0]] for text in batch.split()]


@given(batch=st.lists(st.sampled_from(["Ca", "Ua", "Cb", "Ub", "Aa", "R"]), max_size=20))
def test_by_the_rules_a_batch_of_one_instant_ends_as_its_list_says(batch: list[str]) -> None:
    done: set[str] = set()
    for kind, lesson in ((text[0], text[1:]) for text in batch):
        done = {"C": done | {lesson}, "U": done - {lesson}, "R": set()}.get(kind, done)

    moved = order(*(build(f"{text}0") for text in batch))

    forgotten = max((item.occurred_at for item in moved if item.type == "ProgressReset"), default=EARLIEST)
    latest: dict[str, Item] = {}
    for item in moved:
        if not isinstance(item, ResetItem | AccessedItem) and item.occurred_at > forgotten:
            before = latest.get(item.lesson_id)
            if before is None or item.occurred_at > before.occurred_at:
                latest[item.lesson_id] = item
    assert {lesson for lesson, item in latest.items() if item.type == "LessonCompleted"} == done


def test_a_batch_sent_again_has_the_same_times_and_ids_and_one_id_is_one_event() -> None:
    batch = [build(text) for text in ("Ca0", "Ua0", "Ca0", "Ca0", "R0", "Cb0")]
    first, second = [[(item.occurred_at, item.derive_event_id(USER)) for item in order(*batch)] for _ in range(2)]

    assert first == second
    assert first[0][1] == batch[0].derive_event_id(USER)  # an event that is not moved has the id of its contents
    assert first[2] == first[3]
    assert len({event_id for _, event_id in first}) == 5


def test_other_courses_and_the_places_in_the_list_do_not_matter() -> None:
    moved = put_in_order({7: build("Ca0"), 3: build("Ua0", OTHER), 9: build("Ua0"), 1: build("R0", OTHER)})

    assert {place: item.occurred_at.microsecond for place, item in moved.items()} == {7: 0, 3: 0, 9: 1, 1: 1}
    assert list(moved) == [7, 3, 9, 1]


def test_times_are_compared_as_instants_and_keep_their_offset() -> None:
    late, early = build("Ua0", offset="+00:00"), build("Ca0", offset="+01:00")

    assert [item.occurred_at for item in order(late, early)] == [late.occurred_at, early.occurred_at]
    west = build("Ca0", offset="Z"), build("Ua0", offset="+00:00")
    assert order(*west)[1].occurred_at.utcoffset() == west[1].occurred_at.utcoffset()


def test_five_hundred_events_in_one_second_keep_their_order() -> None:
    moved = order(*(build("Ca0" if n % 2 else "Ua0") for n in range(500)))

    assert [item.occurred_at.microsecond for item in moved] == list(range(500))
