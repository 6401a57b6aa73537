"""The JSON bodies of the API's calls, without servers."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from worker.web.api.bodies import ITEM, CompleteBody, OpenedBody

COURSE = UUID("0b9f7f0e-9b1a-4a51-8f0e-3a8d5f0c2d22")
USER = UUID("6f1c1c9e-52a5-4a3c-9b64-0f3f0a5f7b11")


@pytest.mark.parametrize("minutes", [0, 120, -210, 840, -840])
def test_now_has_the_offset_of_the_learners_clock(minutes: int) -> None:
    body = CompleteBody(course_id=COURSE, lesson_id="intro", utc_offset_minutes=minutes)

    now = body.now()

    assert now.utcoffset() == timedelta(minutes=minutes)
    assert abs(now - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize("minutes", [841, -841, "x", 0.5])
def test_an_offset_that_no_clock_has_is_refused(minutes: Any) -> None:
    with pytest.raises(ValidationError):
        OpenedBody.model_validate({"courseId": str(COURSE), "utcOffsetMinutes": minutes})


# Devices of the release before have sent these, and may send them again: the ids must stay.
@pytest.mark.parametrize(
    ("item", "event_id"),
    [
        (
            {"type": "CourseAccessed", "lessonId": "intro"},
            "77cd089c-5fcc-8ace-bf53-ab23fc819966",
        ),
        (
            {"type": "LessonCompleted", "lessonId": "intro", "totalLessons": 12},
            "0eb67ad1-bac6-869c-8a7c-aae06a462ab5",
        ),
    ],
)
def test_an_event_that_is_sent_again_after_an_upgrade_has_the_id_of_before(item: dict[str, Any], event_id: str) -> None:
    sent = ITEM.validate_python({**item, "courseId": str(COURSE), "occurredAt": "2026-11-22T21:04:00+01:00"})

    assert sent.derive_event_id(USER) == event_id
