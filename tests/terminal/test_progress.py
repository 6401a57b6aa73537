"""Progress as JSON says where it is cut; every course event has a line."""

import json
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from events.contract import COURSE, EXAMPLES, NOON, USER
from events.models import COURSE_EVENTS
from events.subscriber import Received
from worker.learners.reads import CourseProgress
from worker.terminal.progress import event_to_json, format_event, progress_to_json


def test_a_cut_list_of_lessons_says_how_many_more_there_are() -> None:
    at = datetime.now(UTC)
    whole, cut = (CourseProgress(uuid4(), uuid4(), n, None, 0, ("a",), "a", at, at, None, 0) for n in (1, 60_000))

    shown = json.loads(progress_to_json([whole, cut], one=False))

    assert [course.get("more_lessons") for course in shown] == [None, 59_999]


ENDS = {"Certificate": "issue 1", "Badge": "badge "}


@pytest.mark.parametrize("name", COURSE_EVENTS)
def test_every_course_event_has_a_line_and_an_object(name: str) -> None:
    event = COURSE_EVENTS[name](user_id=USER, **{"course_id": COURSE} | EXAMPLES[name])
    received = Received("1", name, NOON, event, partition=0, offset=0)

    line = format_event(received)

    assert line.startswith(f"2026-11-23 12:00:00  {name}")
    assert str(USER) in line
    end = next((end for kind, end in ENDS.items() if kind in name), "/20")
    assert end in line[-20:]
    assert json.loads(event_to_json(received))["event"]["user_id"] == str(USER)
