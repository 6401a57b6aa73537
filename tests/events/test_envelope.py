"""An event is the same in every form, and is written in one."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.envelope import MalformedEvent, binary, data_of, read
from events.models import (
    LESSON_EVENTS,
    LessonEvent,
)
from tests.events.forms import (
    ATTRIBUTES,
    DATA,
    EVENT,
    FORMS,
    NOON,
    STRUCTURED,
    Form,
    bare,
    data_with,
    decoded,
    every_form,
    in_binary_mode,
    lesson_events,
    structured,
    texts,
    times,
    unhurried,
)


@every_form
def test_every_form_says_the_same(form: Form) -> None:
    envelope = read(*form(ATTRIBUTES, DATA))

    assert (envelope.id, envelope.type, envelope.source) == ("event-1", "LessonCompleted", "player")
    assert envelope.time == NOON
    assert data_of(envelope, LESSON_EVENTS) == EVENT


@unhurried
@given(event=lesson_events, form=st.sampled_from(FORMS))
def test_any_event_arrives_as_it_was_in_any_form(event: LessonEvent, form: Form) -> None:
    attributes = {**ATTRIBUTES, "type": type(event).__name__}

    assert decoded(form(attributes, event.model_dump_json())) == event


@unhurried
@given(event=lesson_events, id=texts, source=texts, time=times)
def test_what_is_written_is_read_again(event: LessonEvent, id: str, source: str, time: datetime) -> None:
    headers, value = binary(event, id=id, time=time, source=source)
    envelope = read(value, headers)

    assert (envelope.id, envelope.source, envelope.time) == (id, source, time)
    assert data_of(envelope, LESSON_EVENTS) == event


def test_an_event_is_written_in_binary_mode_with_its_schema_and_content_type() -> None:
    headers, value = binary(EVENT, id="event-1", time=NOON, source="player")

    assert dict(headers) == {
        "ce_specversion": b"1.0",
        "ce_id": b"event-1",
        "ce_type": b"LessonCompleted",
        "ce_source": b"player",
        "ce_time": b"2026-11-23T12:00:00+00:00",
        "ce_dataschema": b"urn:course-progress:LessonCompleted:1.1",
        "content-type": b"application/json",
    }
    assert value == DATA.encode()


def test_the_data_of_binary_mode_are_not_parsed_to_learn_the_type() -> None:
    value, headers = b"no JSON", in_binary_mode(ATTRIBUTES, DATA)[1]

    assert read(value, headers).data is value


@pytest.mark.parametrize("absent", [{}, {"source": None, "specversion": None, "dataschema": None}])
def test_a_bare_event_needs_neither_source_nor_specversion(absent: dict[str, None]) -> None:
    attributes = {name: ATTRIBUTES[name] for name in ("id", "type", "time")}

    assert decoded(bare(attributes | absent, DATA)) == EVENT


def test_other_headers_are_nobodys_business() -> None:
    value, headers = in_binary_mode(ATTRIBUTES, DATA)
    strangers: Any = [("b3", b"\xff\xfe"), ("ce_subject", None), ("traceparent", b"1"), ("traceparent", b"2")]

    assert decoded((value, [*headers, *strangers])) == EVENT


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; charset=utf-8", "text/plain"])
def test_binary_mode_is_what_is_not_structured(content_type: str) -> None:
    value, headers = in_binary_mode(ATTRIBUTES, DATA)

    assert decoded((value, [*headers, ("content-type", content_type.encode())])) == EVENT


def test_a_structured_event_may_repeat_its_attributes_as_headers() -> None:
    value, _ = structured(ATTRIBUTES, DATA)
    _, headers = in_binary_mode({**ATTRIBUTES, "id": "other"}, DATA)

    assert read(value, [*STRUCTURED, *headers]).id == "event-1"


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-11-23T12:00:00Z", NOON),
        ("2026-11-23t12:00:00z", NOON),
        ("2026-11-23 12:00:00Z", NOON),
        ("2026-11-23T13:30:00+01:30", NOON),
        ("2026-11-23T12:00:00-00:00", NOON),
        ("2026-11-23T12:00:00.5Z", NOON + timedelta(milliseconds=500)),
        ("2026-11-23T12:00:00.123456Z", NOON + timedelta(microseconds=123456)),
        ("2026-11-23T12:00:00.123456789Z", NOON + timedelta(microseconds=123456)),  # Go, Java
        ("1969-07-20T20:17:40Z", datetime(1969, 7, 20, 20, 17, 40, tzinfo=UTC)),
    ],
)
@every_form
def test_the_time_is_read_as_utc_to_the_microsecond(form: Form, text: str, time: datetime) -> None:
    envelope = read(*form({**ATTRIBUTES, "time": text}, DATA))

    assert envelope.time == time
    assert envelope.time.tzinfo is UTC


@pytest.mark.parametrize(
    ("changes", "where"),
    [({"time": datetime(2026, 11, 23)}, "time"), ({"id": ""}, "id"), ({"source": ""}, "source")],
)
def test_a_malformed_event_is_not_written(changes: dict[str, Any], where: str) -> None:
    arguments = {"id": "event-1", "time": NOON, "source": "player", **changes}

    with pytest.raises(MalformedEvent, match=where):
        binary(EVENT, **arguments)


@pytest.mark.parametrize(
    ("offset", "text", "kept"),
    [
        (timedelta(hours=9), b"2026-11-23T21:00:00+09:00", timedelta(hours=9)),
        (timedelta(hours=-3, minutes=-30), b"2026-11-23T08:30:00-03:30", timedelta(hours=-3, minutes=-30)),
        (timedelta(), b"2026-11-23T12:00:00+00:00", timedelta()),
        (timedelta(seconds=1172), b"2026-11-23T12:00:00+00:00", timedelta()),  # local time of 1900, not in RFC 3339
    ],
)
def test_an_event_keeps_the_offset_of_the_device_from_utc(offset: timedelta, text: bytes, kept: timedelta) -> None:
    headers, value = binary(EVENT, id="event-1", time=NOON.astimezone(timezone(offset)), source="player")

    assert dict(headers)["ce_time"] == text
    envelope = read(value, headers)
    assert (envelope.time, envelope.time.tzinfo, envelope.utc_offset) == (NOON, UTC, kept)


@pytest.mark.parametrize(("cause", "read_as"), [("imported", "imported"), ("course-changed", "course-changed")])
@every_form
def test_a_cause_is_read(form: Form, cause: str, read_as: str) -> None:
    assert read(*form({**ATTRIBUTES, "cause": cause}, DATA)).cause == read_as


@every_form
def test_without_a_cause_it_is_the_learner(form: Form) -> None:
    assert read(*form(ATTRIBUTES, DATA)).cause is None


@pytest.mark.parametrize("cause", ["Imported", "im ported", "-", "1", "a" * 33, "ä", "imported\n"])
@every_form
def test_a_cause_is_a_word(form: Form, cause: str) -> None:
    with pytest.raises(MalformedEvent, match="cause: not a lower-case word"):
        read(*form({**ATTRIBUTES, "cause": cause}, DATA))


def test_a_cause_is_written() -> None:
    headers, value = binary(EVENT, id="event-1", time=NOON, source="player", cause="imported")

    assert read(value, headers).cause == "imported"


@pytest.mark.parametrize(
    "dataschema",
    [
        "urn:course-progress:LessonCompleted:1.0",
        "urn:course-progress:LessonCompleted:1.7",
        "https://schemas.example/LessonCompleted/v1",
        "https://schemas.example/LessonCompleted/1",
        "https://schemas.example/LessonCompleted/v1.json",
        "https://schemas.example/LessonCompleted",
        "https://schemas.example:8081/",
        "https://schemas.example:8081",
        "https://schemas.example/2026",
        "https://schemas.example/schemas/ids/7",
        "https://schemas.example/subjects/lesson-events/versions/7",
        "LessonCompleted2",
    ],
)
@every_form
def test_this_major_version_and_a_strangers_schema_are_read(form: Form, dataschema: str) -> None:
    assert decoded(form({**ATTRIBUTES, "dataschema": dataschema}, DATA)) == EVENT


@every_form
def test_of_a_field_given_twice_the_last_counts(form: Form) -> None:
    twice = data_with('"total_lessons": 5, "total_lessons": 20')

    assert decoded(form(ATTRIBUTES, twice)) == EVENT
