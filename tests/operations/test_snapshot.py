"""A snapshot joins what Kafka, PostgreSQL and the workers say."""

from datetime import timedelta
from uuid import UUID, uuid4

from tests.factories import SNAPSHOT_AT as NOW
from tests.factories import status
from worker.operations.cluster import Group, Member
from worker.operations.lag_history import Rates
from worker.operations.snapshot import (
    MOST_COURSES,
    DisagreeingTotal,
    Look,
    build_snapshot,
    join_disagreeing_totals,
    join_workers,
    stall_reason,
)


def test_a_worker_is_known_by_its_name_in_both_places_and_by_one_of_them() -> None:
    group = Group("Stable", (Member("a-1", "a", "h", (0, 1)), Member("c-1", "c", "h", (2,))))

    a, b, c, d = join_workers([status("a"), status("b", silent_s=61), status("d")], group)

    assert [w.name for w in (a, b, c, d)] == ["a", "b", "c", "d"]
    assert [w.running for w in (a, b, c, d)] == [True, False, True, True]
    assert [list(w.partitions) for w in (a, b, c, d)] == [[0, 1], [], [2], [0]]


def test_lag_counts_from_the_first_event_that_is_there() -> None:
    found = Look(NOW, lesson_events={0: (0, 9), 1: (50, 60), 2: (50, 60)}, stored={1: 55, 2: 10})

    taken = build_snapshot(found, None)

    assert [p.lag for p in taken.partitions] == [9, 5, 10]
    assert taken.lag == 24


def test_offsets_that_count_in_a_deleted_topic_are_none_of_this_one() -> None:
    here = uuid4()
    found = Look(NOW, lesson_events={0: (0, 9)}, stored={0: 50}, topic_id=here, counted_topic_id=uuid4())
    same = Look(NOW, lesson_events={0: (0, 9)}, stored={0: 8}, topic_id=here, counted_topic_id=here)
    old_broker = Look(NOW, lesson_events={0: (0, 9)}, stored={0: 8}, counted_topic_id=here)

    views = [build_snapshot(look, None).partitions[0] for look in (found, same, old_broker)]

    assert [(view.stored, view.lag) for view in views] == [(None, 9), (8, 1), (8, 1)]


def test_without_offsets_there_is_no_lag_and_no_advice() -> None:
    taken = build_snapshot(Look(NOW, {"stored": "away"}, lesson_events={0: (0, 9)}), None)

    assert (taken.partitions[0].end, taken.partitions[0].lag, taken.lag) == (9, None, None)
    assert taken.advice.workers is None


def test_one_workers_open_breaker_shows_and_one_that_waits_does_not_stop_the_others() -> None:
    found = Look(NOW, lesson_events={0: (0, 9)}, stored={}, statuses=[status("a", breaker="flood"), status("b")])

    assert build_snapshot(found, Rates({0: 1.0}, {0: 1.0})).breaker == "flood"
    assert stall_reason([status(waiting_for="PostgreSQL"), status()]) is None
    assert stall_reason([status(waiting_for="PostgreSQL")]) == "PostgreSQL"
    assert stall_reason([]) is None


def disagrees(course: int, seconds_ago: int, total: int = 9) -> DisagreeingTotal:
    return DisagreeingTotal(UUID(int=course), None, total, 3, NOW - timedelta(seconds=seconds_ago))


def test_of_what_workers_say_of_a_course_the_latest_is_shown_and_the_latest_course_first() -> None:
    workers = [
        status("a", disagreeing_totals=(disagrees(1, 5), disagrees(2, 9))),
        status("b", disagreeing_totals=(disagrees(2, 1, 7), disagrees(3, 60))),
    ]

    assert join_disagreeing_totals(workers) == (disagrees(2, 1, 7), disagrees(1, 5), disagrees(3, 60))


def test_of_many_courses_the_latest_are_shown() -> None:
    totals = tuple(disagrees(course, course) for course in range(MOST_COURSES + 5))

    assert join_disagreeing_totals([status(disagreeing_totals=totals)]) == totals[:MOST_COURSES]
