import base64
import json
import string
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from events.envelope import Envelope, Headers, MalformedEvent, UnknownType, binary, data_of, read
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


# What is read


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
        "ce_dataschema": b"urn:course-progress:LessonCompleted:1.0",
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


# What is refused


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


@pytest.mark.parametrize("name", ["id", "type", "source", "time", "specversion", "dataschema"])
@pytest.mark.parametrize("form", [structured, bare])
def test_an_attribute_is_text(form: Form, name: str) -> None:
    with pytest.raises(MalformedEvent, match=f"{name}: not text"):
        read(*form({**ATTRIBUTES, name: 5}, DATA))


@every_form
def test_only_version_1_of_cloudevents_is_read(form: Form) -> None:
    assert decoded(form({**ATTRIBUTES, "specversion": "1.7"}, DATA)) == EVENT
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


def test_a_header_that_appears_twice_is_refused() -> None:
    value, headers = in_binary_mode(ATTRIBUTES, DATA)

    with pytest.raises(MalformedEvent, match="ce_time: the header appears twice"):
        read(value, [*headers, ("ce_time", b"2026-11-23T12:00:00Z")])


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
        ('"total_lessons": 1e3', "total_lessons: Input should be a valid integer"),
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


@pytest.mark.parametrize(
    "dataschema",
    [
        "urn:course-progress:LessonCompleted:2.0",
        "urn:course-progress:LessonCompleted:0.9",
        "https://schemas.example/LessonCompleted/v2",
        "https://schemas.example/LessonCompleted/2",
        "https://schemas.example/LessonCompleted/v2.json",
        "https://schemas.example/LessonCompleted/12.3",
    ],
)
@every_form
def test_another_major_version_is_refused(form: Form, dataschema: str) -> None:
    with pytest.raises(MalformedEvent, match="dataschema: unknown major version"):
        decoded(form({**ATTRIBUTES, "dataschema": dataschema}, DATA))


@every_form
def test_of_a_field_given_twice_the_last_counts(form: Form) -> None:
    twice = data_with('"total_lessons": 5, "total_lessons": 20')

    assert decoded(form(ATTRIBUTES, twice)) == EVENT


@pytest.mark.parametrize(
    ("changes", "where"),
    [({"time": datetime(2026, 11, 23)}, "time"), ({"id": ""}, "id"), ({"source": ""}, "source")],
)
def test_a_malformed_event_is_not_written(changes: dict[str, Any], where: str) -> None:
    arguments = {"id": "event-1", "time": NOON, "source": "player", **changes}

    with pytest.raises(MalformedEvent, match=where):
        binary(EVENT, **arguments)


def test_an_event_is_written_with_its_time_in_utc() -> None:
    tokyo = timezone(timedelta(hours=9))

    headers, _ = binary(EVENT, id="event-1", time=datetime(2026, 11, 23, 21, tzinfo=tokyo), source="player")

    assert dict(headers)["ce_time"] == b"2026-11-23T12:00:00+00:00"


# Whatever arrives

names = st.sampled_from(["ce_id", "ce_type", "ce_source", "ce_time", "ce_specversion", "content-type"]) | st.text()
header_values = st.none() | st.binary() | st.sampled_from([b"1.0", b"LessonCompleted", *STRUCTURED[0][1:]])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(string.printable),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=5,
)
attribute_names = st.sampled_from([*ATTRIBUTES, "data", "data_base64", "dataschema"])
field_names = st.sampled_from([*json.loads(DATA), "more"])


def survives(value: bytes, headers: Any) -> None:
    try:
        event = decoded((value, headers))
    except (MalformedEvent, UnknownType):
        return
    assert type(event).model_validate_json(event.model_dump_json()) == event


@unhurried
@given(value=st.binary(), headers=st.lists(st.tuples(names, header_values)))
@example(value=b"{}", headers=STRUCTURED)
def test_any_bytes_are_an_event_or_malformed(value: bytes, headers: Any) -> None:
    survives(value, headers)


@unhurried
@given(
    form=st.sampled_from([structured, structured_in_base64, structured_without_header, bare]),
    attributes=st.dictionaries(attribute_names, json_values, max_size=2),
    fields=st.dictionaries(field_names, json_values, max_size=2),
)
def test_an_event_with_any_json_in_it_is_an_event_or_malformed(
    form: Form, attributes: dict[str, Any], fields: dict[str, Any]
) -> None:
    survives(*form(ATTRIBUTES | attributes, json.dumps(json.loads(DATA) | fields)))


@unhurried
@given(
    attributes=st.dictionaries(attribute_names, st.text(st.characters(codec="utf-8")), max_size=2),
    fields=st.dictionaries(field_names, json_values, max_size=2),
)
def test_an_event_with_any_headers_is_an_event_or_malformed(attributes: dict[str, str], fields: dict[str, Any]) -> None:
    survives(*in_binary_mode(ATTRIBUTES | attributes, json.dumps(json.loads(DATA) | fields)))


@unhurried
@given(form=st.sampled_from(FORMS), position=st.integers(0, 300), junk=st.binary(max_size=4), cut=st.booleans())
def test_an_event_with_any_bytes_changed_is_an_event_or_malformed(
    form: Form, position: int, junk: bytes, cut: bool
) -> None:
    value, headers = form(ATTRIBUTES, DATA)
    rest = b"" if cut else value[position + len(junk) :]

    survives(value[:position] + junk + rest, headers)
