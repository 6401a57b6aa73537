"""Tests which records are malformed events, and the reason that each error names."""

import json
from typing import Any

import pytest

from events.envelope import Envelope, MalformedEvent, UnknownType, data_of, read
from events.headers import Headers
from events.models import (
    LESSON_EVENTS,
)
from tests.events.forms import (
    ATTRIBUTES,
    DATA,
    EVENT,
    NOON,
    STRUCTURED,
    Form,
    bare,
    data_with,
    decoded,
    every_form,
    in_binary_mode,
    structured,
    structured_in_base64,
    without,
)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23T12:00:00",
        "2026-11-23",
        "2026-02-30T12:00:00Z",
        "2026-11-23T12:00:00+25:00",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "yesterday",
        "1763899200",
    ],
)
@every_form
def test_a_time_that_is_no_instant_is_refused(form: Form, text: str) -> None:
    with pytest.raises(MalformedEvent, match="time: not an RFC 3339"):
        read(*form({**ATTRIBUTES, "time": text}, DATA))


@pytest.mark.parametrize("name", ["id", "type", "source", "time", "specversion"])
@pytest.mark.parametrize("form", [in_binary_mode, structured, structured_in_base64])
def test_a_cloud_event_has_all_its_attributes(form: Form, name: str) -> None:
    for attributes in (without(name), {**ATTRIBUTES, name: ""}):
        with pytest.raises(MalformedEvent, match=f"{name}: missing or empty"):
            read(*form(attributes, DATA))


@pytest.mark.parametrize("name", ["id", "type", "time"])
def test_a_bare_event_has_an_id_a_type_and_a_time(name: str) -> None:
    with pytest.raises(MalformedEvent, match=f"{name}: missing or empty"):
        read(*bare(without(name), DATA))


@pytest.mark.parametrize("name", ["id", "type", "source", "time", "specversion"])
@pytest.mark.parametrize("form", [structured, bare])
def test_an_attribute_is_text(form: Form, name: str) -> None:
    with pytest.raises(MalformedEvent, match=f"{name}: not text"):
        read(*form({**ATTRIBUTES, name: 5}, DATA))


@pytest.mark.parametrize("number", [1, 1.0])
@pytest.mark.parametrize("form", [structured, bare])
def test_a_number_may_be_the_version_of_cloudevents(form: Form, number: float) -> None:
    assert decoded(form({**ATTRIBUTES, "specversion": number}, DATA)) == EVENT
    with pytest.raises(MalformedEvent, match="specversion: not text"):
        read(*form({**ATTRIBUTES, "specversion": True}, DATA))


@every_form
def test_only_version_1_of_cloudevents_is_read(form: Form) -> None:
    for version in ("1.7", "1"):
        assert decoded(form({**ATTRIBUTES, "specversion": version}, DATA)) == EVENT
    with pytest.raises(MalformedEvent, match="specversion"):
        read(*form({**ATTRIBUTES, "specversion": "2.0"}, DATA))


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (("ce_id", b"\xff"), "ce_id: the header is not UTF-8"),
        (("ce_id", None), "ce_id: the header has no value"),
        (("content-type", None), "content-type: the header has no value"),
    ],
)
def test_a_header_that_is_no_text_is_refused(header: Any, reason: str) -> None:
    value, headers = in_binary_mode(without("id"), DATA)

    with pytest.raises(MalformedEvent, match=reason):
        read(value, [*headers, header])


def test_a_header_that_appears_twice_with_different_values_is_refused() -> None:
    value, headers = in_binary_mode(ATTRIBUTES, DATA)

    with pytest.raises(MalformedEvent, match="ce_time: the header appears twice"):
        read(value, [*headers, ("ce_time", b"2026-11-23T12:00:01Z")])


@pytest.mark.parametrize("content_type", ["application/cloudevents+avro", "application/cloudevents-batch+json"])
def test_a_structured_format_other_than_json_is_refused(content_type: str) -> None:
    value, _ = structured(ATTRIBUTES, DATA)

    with pytest.raises(MalformedEvent, match="content-type"):
        read(value, [("content-type", content_type.encode())])


@pytest.mark.parametrize("base64_text", ["%%%", "ä", 5, None])
def test_data_that_are_no_base64_are_refused(base64_text: object) -> None:
    value = json.dumps({**ATTRIBUTES, "data_base64": base64_text}).encode()

    with pytest.raises(MalformedEvent, match="data_base64: not base64"):
        read(value, STRUCTURED)


def test_data_in_two_places_are_refused() -> None:
    value = json.dumps({**ATTRIBUTES, "data": {}, "data_base64": ""}).encode()

    with pytest.raises(MalformedEvent, match="data_base64: beside data"):
        read(value, STRUCTURED)


@pytest.mark.parametrize("data", ["null", "[]", '"text"', "5"])
@pytest.mark.parametrize("form", [in_binary_mode, structured, structured_in_base64])
def test_data_are_an_object(form: Form, data: str) -> None:
    with pytest.raises(MalformedEvent, match="data: "):
        decoded(form(ATTRIBUTES, data))


def test_a_structured_event_without_data_is_refused() -> None:
    with pytest.raises(MalformedEvent, match="data: "):
        decoded((json.dumps(ATTRIBUTES).encode(), STRUCTURED))


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xff",
        b"null",
        b"[]",
        b"5",
        b"NaN",
        b'{"id": "\\ud800"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"1" * 100_000,
        b'{"id": 1e999999}',
    ],
)
@pytest.mark.parametrize("headers", [[], STRUCTURED, in_binary_mode(ATTRIBUTES, DATA)[1]])
def test_json_that_is_no_event_is_malformed_and_nothing_worse(value: bytes, headers: Headers) -> None:
    with pytest.raises(MalformedEvent):
        decoded((value, headers))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('"total_lessons": 10001', "total_lessons: Input should be less than or equal to 10000"),
        ('"total_lessons": NaN', "total_lessons: Input should be a valid integer"),
        ('"total_lessons": 12.5', "total_lessons: Input should be a valid integer"),
        ('"total_lessons": true', "total_lessons: Input should be a valid integer"),
        (f'"total_lessons": {"9" * 4000}', "total_lessons: "),
        ('"lesson_id": "a\\u0000"', "lesson_id: String should match pattern"),
        ('"lesson_id": "\\ud800"', "Invalid JSON"),
        ('"user_id": "me"', "user_id: Input should be a valid UUID"),
    ],
)
@every_form
def test_the_reason_names_the_field(form: Form, text: str, reason: str) -> None:
    with pytest.raises(MalformedEvent) as error:
        decoded(form(ATTRIBUTES, data_with(text)))
    assert reason in str(error.value)


def test_the_reason_is_one_short_line_that_never_repeats_the_data() -> None:
    secret = "secret" * 50_000
    data = {"user_id": secret, "course_id": secret, "lesson_id": secret, "total_lessons": secret}

    with pytest.raises(MalformedEvent) as error:
        decoded(in_binary_mode(ATTRIBUTES, json.dumps(data)))
    reason = str(error.value)
    assert len(reason) <= 300
    assert "\n" not in reason
    assert "secret" not in reason


def test_an_unknown_type_says_which_before_its_data_are_looked_at() -> None:
    envelope = Envelope("event-1", "LearnerErased", "player", NOON, "urn:course-progress:LearnerErased:9.0", b"?")

    with pytest.raises(UnknownType) as error:
        data_of(envelope, LESSON_EVENTS)
    assert error.value.type == "LearnerErased"


@pytest.mark.parametrize(
    "dataschema",
    [
        "urn:course-progress:LessonCompleted:2.0",
        "urn:course-progress:LessonCompleted:0.9",
        "https://schemas.example/LessonCompleted/v2",
        "https://schemas.example/LessonCompleted/v2.json",
        "https://schemas.example/LessonCompleted/v12.3",
        "https://schemas.example/LessonCompleted/v2/schema.json",
        "URN:course-progress:LessonCompleted:2.0",
    ],
)
@every_form
def test_another_major_version_is_refused(form: Form, dataschema: str) -> None:
    with pytest.raises(MalformedEvent, match="dataschema: unknown major version"):
        decoded(form({**ATTRIBUTES, "dataschema": dataschema}, DATA))


@pytest.mark.parametrize(("name", "longest"), [("id", 1000), ("type", 1000), ("source", 1000), ("specversion", 1000)])
@pytest.mark.parametrize("form", [in_binary_mode, structured, bare])
def test_an_attribute_has_a_longest_text(form: Form, name: str, longest: int) -> None:
    text = {"specversion": "1."}.get(name, "")

    read(*form({**ATTRIBUTES, name: text.ljust(longest, "x")}, DATA))
    with pytest.raises(MalformedEvent, match=f"{name}: longer than {longest} characters"):
        read(*form({**ATTRIBUTES, name: text.ljust(longest + 1, "x")}, DATA))
