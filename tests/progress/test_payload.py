"""What SQL writes into the outbox is what events/models.py reads."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from events.models import COURSE_EVENTS

USER, COURSE = uuid4(), uuid4()
STARTED = datetime(2026, 1, 1, tzinfo=UTC)
NOW = STARTED + timedelta(days=3, microseconds=17)


async def payload(connection: asyncpg.Connection, type: str, total: int | None = 3) -> str | None:
    call = "select course_event_payload($1, $2, $3, 2, 3, $4, $5, $6, 4, 'Statistics', 'learner')"
    text: str | None = await connection.fetchval(call, type, USER, COURSE, total, STARTED, NOW)
    return text


@pytest.mark.parametrize(
    ("type", "times"),
    [
        ("CourseCompleted", {"completed_at": NOW, "started_at": STARTED}),
        ("CourseCompletionRevoked", {"revoked_at": NOW}),
    ],
)
async def test_a_payload_has_each_field_of_its_model_and_no_other(
    connection: asyncpg.Connection, type: str, times: dict[str, Any]
) -> None:
    model, text = COURSE_EVENTS[type], await payload(connection, type)

    counts = {"completion_number": 2, "lessons_completed": 3, "total_lessons": 3}
    assert model.model_validate_json(text) == model(
        user_id=USER, course_id=COURSE, course_version=4, title="Statistics", **counts, **times
    )
    assert json.loads(text).keys() == model.model_fields.keys()


async def test_a_revocation_by_reset_says_that_the_total_is_unknown(connection: asyncpg.Connection) -> None:
    assert json.loads(await payload(connection, "CourseCompletionRevoked", total=None))["total_lessons"] is None


async def test_another_type_has_no_payload(connection: asyncpg.Connection) -> None:
    assert await payload(connection, "LessonCompleted") is None
