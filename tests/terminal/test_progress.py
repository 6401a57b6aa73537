"""Progress as JSON says where it is cut."""

import json
from datetime import UTC, datetime
from uuid import uuid4

from worker.learners.reads import CourseProgress
from worker.terminal.progress import progress_to_json


def test_a_cut_list_of_lessons_says_how_many_more_there_are() -> None:
    at = datetime.now(UTC)
    whole, cut = (CourseProgress(uuid4(), uuid4(), n, None, 0, ("a",), "a", at, at, None, 0) for n in (1, 60_000))

    shown = json.loads(progress_to_json([whole, cut], one=False))

    assert [course.get("more_lessons") for course in shown] == [None, 59_999]
