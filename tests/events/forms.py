"""One event in every form in which a record may have it."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st

from events.envelope import data_of, read
from events.headers import Headers
from events.models import (
    LESSON_EVENTS,
    CourseAccessed,
    LessonCompleted,
    LessonEvent,
    LessonUncompleted,
    ProgressReset,
)

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
unhurried = settings(deadline=None)  # the machine may be busy; pytest limits the time
EVENT = LessonCompleted(
    user_id=UUID("0b8e6c5e-5d0c-4a50-9a55-0d7f3c1c6a01"),
    course_id=UUID("c7f3a1de-2b44-4e0b-8a51-64a4b8f0c902"),
    lesson_id="intro",
    total_lessons=20,
)
DATA = EVENT.model_dump_json()
ATTRIBUTES = {
    "specversion": "1.0",
    "id": "event-1",
    "type": "LessonCompleted",
    "source": "player",
    "time": "2026-11-23T12:00:00Z",
}
STRUCTURED = [("content-type", b"application/cloudevents+json; charset=UTF-8")]

Record = tuple[bytes, Headers]


def in_binary_mode(attributes: dict[str, Any], data: str) -> Record:
    return data.encode(), [(f"ce_{name}", text.encode()) for name, text in attributes.items()]


def structured(attributes: dict[str, Any], data: str) -> Record:
    return f'{json.dumps(attributes)[:-1]}, "data": {data}}}'.encode(), STRUCTURED


def structured_in_base64(attributes: dict[str, Any], data: str) -> Record:
    encoded = base64.b64encode(data.encode()).decode()
    return json.dumps({**attributes, "data_base64": encoded}).encode(), STRUCTURED


def structured_without_header(attributes: dict[str, Any], data: str) -> Record:
    return structured(attributes, data)[0], []


def bare(attributes: dict[str, Any], data: str) -> Record:
    return f"{json.dumps(attributes)[:-1]}, {data[1:]}".encode(), []


Form = Callable[[dict[str, Any], str], Record]
FORMS: list[Form] = [in_binary_mode, structured, structured_in_base64, structured_without_header, bare]
every_form = pytest.mark.parametrize("form", FORMS)

lesson_ids = st.text(st.characters(exclude_characters="\x00", codec="utf-8"), min_size=1, max_size=255)
totals = st.integers(1, 10_000)
lesson_events: st.SearchStrategy[LessonEvent] = st.one_of(
    st.builds(LessonCompleted, user_id=st.uuids(), course_id=st.uuids(), lesson_id=lesson_ids, total_lessons=totals),
    st.builds(
        LessonUncompleted,
        user_id=st.uuids(),
        course_id=st.uuids(),
        lesson_id=lesson_ids,
        total_lessons=totals,
    ),
    st.builds(CourseAccessed, user_id=st.uuids(), course_id=st.uuids(), lesson_id=st.none() | lesson_ids),
    st.builds(ProgressReset, user_id=st.uuids(), course_id=st.uuids()),
)
texts = st.text(st.characters(codec="utf-8"), min_size=1)
offsets = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
times = st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=offsets)


def decoded(record: Record) -> LessonEvent:
    return data_of(read(*record), LESSON_EVENTS)


def data_with(field: str) -> str:
    """The data with this field, given as JSON text, in place of its own."""
    others = {name: value for name, value in json.loads(DATA).items() if f'"{name}":' not in field}
    return f"{json.dumps(others)[:-1]}, {field}}}"


def without(name: str) -> dict[str, str]:
    return {key: text for key, text in ATTRIBUTES.items() if key != name}
