import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import uuid4

import pytest
from aiokafka.structs import ConsumerRecord

from events import CourseAccessed, LessonUncompleted
from worker.decode import decode
from worker.demo.player import (
    COURSES,
    COURSES_PER_LEARNER,
    DEFECTS,
    LONGEST_DELAY_S,
    NOT_JSON,
    BrokenRecord,
    Happening,
    Learner,
    Player,
    Turn,
    break_event,
    make_name,
)
from worker.progress.reference import expect_rows
from worker.stream.outcome import Rejected

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)


def turns(learners: int, seconds: float, seed: int = 1) -> list[tuple[datetime, Turn]]:
    player = Player(learners, seed, NOW)
    moments = [NOW + timedelta(seconds=tenth / 10) for tenth in range(round(seconds * 10))]
    return [(moment, player.turn(moment)) for moment in moments]


def test_the_same_seed_gives_the_same_turns() -> None:
    assert turns(20, seconds=5) == turns(20, seconds=5)
    assert turns(20, seconds=5) != turns(20, seconds=5, seed=2)


def test_nothing_is_published_before_it_happens() -> None:
    early = [h for moment, turn in turns(50, seconds=10) for h in turn.happenings if h.occurred_at > moment]

    assert early == []


def test_a_few_hundred_learners_make_more_than_a_thousand_events_a_second() -> None:
    published = sum(len(turn.happenings) for _, turn in turns(300, seconds=10))

    assert 10_000 < published < 20_000


def test_courses_are_completed_from_the_first_seconds_on() -> None:
    happened = [(h.event, h.occurred_at) for _, turn in turns(50, seconds=3) for h in turn.happenings]

    assert any(row.complete for row in expect_rows(happened).values())


def test_events_are_repeated_late_and_out_of_order_and_some_are_taken_back() -> None:
    arrived = [(moment, h) for moment, turn in turns(300, seconds=20) for h in turn.happenings]
    times = Counter(h.event_id for _, h in arrived)
    late = [h for moment, h in arrived if moment - h.occurred_at > timedelta(hours=1)]
    swapped = [1 for (_, a), (_, b) in pairwise(arrived) if b.occurred_at < a.occurred_at]

    assert max(times.values()) == 2
    assert late
    assert len(swapped) > len(late)
    assert any(isinstance(h.event, LessonUncompleted) for _, h in arrived)


def test_a_learner_studies_and_has_finished() -> None:
    learner = Learner(random.Random(1), NOW)
    events = list(learner.act_until(NOW + timedelta(days=1)))

    assert learner.finished
    assert len({event.course_id for event, _ in events}) == COURSES_PER_LEARNER


def test_nothing_grows_in_an_endless_demo() -> None:
    player = Player(20, 1, NOW)
    first = {learner.user_id for learner in player.learners}
    for second in range(600):
        player.turn(NOW + timedelta(seconds=second))

    assert len(player.learners) == 20
    assert first.isdisjoint(learner.user_id for learner in player.learners)
    assert len(player._on_the_way) < 20 * 10 * LONGEST_DELAY_S


@pytest.mark.parametrize("defect", [*DEFECTS, None], ids=str)
def test_no_worker_can_apply_a_spoilt_event(defect: dict[str, object] | None) -> None:
    happening = Happening(CourseAccessed(user_id=uuid4(), course_id=COURSES[0].id), NOW, str(uuid4()))
    record = break_event(happening, defect)

    assert isinstance(decode(consumed(record)), Rejected)


def test_an_event_that_is_not_spoilt_could_be_applied() -> None:
    happening = Happening(CourseAccessed(user_id=uuid4(), course_id=COURSES[0].id), NOW, str(uuid4()))

    assert not isinstance(decode(consumed(break_event(happening, {}))), Rejected)
    assert break_event(happening, None).value == NOT_JSON


def test_spoilt_events_come_now_and_then() -> None:
    number = sum(len(turn.broken) for _, turn in turns(300, seconds=10))

    assert 10 < number < 200


def test_a_name_belongs_to_its_id() -> None:
    user_id = uuid4()

    assert make_name(user_id) == make_name(user_id)
    assert len({make_name(uuid4()) for _ in range(100)}) > 50


def consumed(record: BrokenRecord) -> ConsumerRecord:
    timestamp = int(NOW.timestamp() * 1000)
    return ConsumerRecord("t", 0, 0, timestamp, 0, record.key, record.value, None, 0, 0, [])
