"""What producers' tools wrap around an event is read, or named; the reason never speaks of something else."""

import base64
import json
from codecs import BOM_UTF8
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.envelope import MalformedEvent, data_of, read
from events.kinds import Kind
from events.learners import LEARNER_EVENTS
from events.models import COURSE_EVENTS
from events.wrapping import LAYERS, UNREADABLE, unwrap, unwrap_text
from tests.events.forms import (
    ATTRIBUTES,
    DATA,
    EVENT,
    STRUCTURED,
    Record,
    bare,
    decoded,
    in_binary_mode,
    structured,
    structured_without_header,
    unhurried,
)

Wrap = Callable[[bytes], bytes]
ID = b"\x00\x00\x00\x0c"


def to_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def in_string(value: bytes) -> bytes:
    return to_json(value.decode())


def in_base64(value: bytes) -> bytes:
    return to_json(base64.b64encode(value).decode())


def in_payload(value: bytes) -> bytes:
    return to_json({"schema": {"type": "struct", "fields": []}, "payload": json.loads(value)})


def in_payload_as_text(value: bytes) -> bytes:
    return to_json({"schema": {"type": "string", "optional": True}, "payload": value.decode()})


READ: dict[str, Wrap] = {
    "a byte order mark": lambda value: BOM_UTF8 + value,
    "a registry's number": lambda value: b"\x00" + ID + value,
    "a registry's number of eight bytes": lambda value: b"\x00" + bytes(4) + ID + value,
    "a registry's GUID": lambda value: b"\x01" + b"\x89" * 16 + value,
    "AWS Glue": lambda value: b"\x03\x00" + b"\x89" * 16 + value,
    "a registry's number and blanks": lambda value: b"\x00" + ID + b" \n" + value,
    "a registry's number and a byte order mark": lambda value: b"\x00" + ID + BOM_UTF8 + value,
    "a string": in_string,
    "a string in a string": lambda value: in_string(in_string(value)),
    "a string with a byte order mark": lambda value: in_string(BOM_UTF8 + value),
    "base64 in a string": in_base64,
    "schema and payload": in_payload,
    "schema that is null": lambda value: to_json({"schema": None, "payload": json.loads(value)}),
    "payload alone": lambda value: to_json({"payload": json.loads(value)}),
    "payload in a payload": lambda value: in_payload(in_payload(value)),
    "a string with schema and payload": lambda value: in_string(in_payload(value)),
    "a byte order mark, schema and payload": lambda value: BOM_UTF8 + in_payload(value),
    "Node's Buffer": lambda value: to_json({"type": "Buffer", "data": list(value)}),
}
# With the attributes in headers, such a schema says that the data are text.
READ_AROUND_EVENTS: dict[str, Wrap] = {
    "schema and payload with a string": in_payload_as_text,
    "schema and payload with base64": lambda value: in_payload(in_base64(value)),
    "a registry's number, schema and payload, a string": lambda value: b"\x00" + ID + in_payload_as_text(value),
}
NAMED: dict[str, tuple[Wrap, str]] = {
    "UTF-16": (lambda value: value.decode().encode("utf-16"), "UTF-16 with a byte order mark"),
    "UTF-16 BE": (lambda value: b"\xfe\xff" + value.decode().encode("utf-16-be"), "UTF-16 with a byte order mark"),
    "UTF-16 without a mark": (lambda value: value.decode().encode("utf-16-le"), "UTF-16"),
    "UTF-16 BE without a mark": (lambda value: value.decode().encode("utf-16-be"), "UTF-16"),
    "UTF-32": (lambda value: value.decode().encode("utf-32"), "UTF-32 with a byte order mark"),
    "Avro": (lambda value: b"\x00" + ID + b"\x48abc\x02\x28", "Avro or Protobuf behind a schema registry's header"),
    "Protobuf": (lambda value: b"\x00" + ID + b"\x00\x0a\x24" + value, "Avro or Protobuf behind a schema registry's"),
    "Protobuf's index": (lambda value: b"\x00" + ID + b"\x02\x00\x0a\x24\xff", "Avro or Protobuf behind a schema"),
    "Glue, compressed": (lambda value: b"\x03\x05" + bytes(30), "Avro or Protobuf behind a schema registry's header"),
    "an Avro file": (lambda value: b"Obj\x01" + value, "Avro file"),
    "gzip": (lambda value: b"\x1f\x8b\x08" + value, "gzip around the value"),
    "Zstandard": (lambda value: b"\x28\xb5\x2f\xfd" + value, "Zstandard around the value"),
    "Java": (lambda value: b"\xac\xed\x00\x05t\x00\x10" + value, "Java's own serialization"),
    "XML": (lambda value: b"<event/>", "XML"),
    "a list": (lambda value: b"[" + value + b"]", "a list: each record is to hold one event"),
    "a payload that is null": (lambda value: b'{"schema": null, "payload": null}', "whose payload is null"),
    "a row's change": (
        lambda value: to_json({"before": None, "after": json.loads(value), "source": {}, "op": "c", "ts_ms": 1}),
        "a change of a database's row",
    ),
    "a row's change with its schema": (
        lambda value: in_payload(to_json({"before": None, "after": json.loads(value), "op": "c"})),
        "around a change of a database's row",
    ),
    "a row of an outbox": (
        lambda value: to_json({"id": "1", "aggregatetype": "x", "aggregateid": "y", "payload": value.decode()}),
        "a row of an outbox",
    ),
    "another tool's message": (lambda value: to_json({"message": json.loads(value)}), "in its member `message`"),
    "another tool's text": (lambda value: to_json({"value": value.decode()}), "in its member `value`"),
    "broken JSON behind a mark": (lambda value: BOM_UTF8 + value[:-1], "a byte order mark"),
    "broken JSON behind a number": (lambda value: b"\x00" + ID + value[:-1], "a schema registry's header of 5 bytes"),
}


def wrap_value(record: Record, wrap: Wrap) -> Record:
    value, headers = record
    return wrap(value), headers


def wrap_data(wrap: Wrap) -> Record:
    """A structured event whose data alone are wrapped, where they are JSON."""
    return structured(ATTRIBUTES, wrap(DATA.encode()).decode())


@pytest.mark.parametrize("wrap", READ.values(), ids=READ)
@pytest.mark.parametrize("form", [in_binary_mode, bare, structured, structured_without_header])
def test_a_wrapping_that_can_only_mean_one_thing_is_taken_off(form: Any, wrap: Wrap) -> None:
    assert decoded(wrap_value(form(ATTRIBUTES, DATA), wrap)) == EVENT


@pytest.mark.parametrize("wrap", READ_AROUND_EVENTS.values(), ids=READ_AROUND_EVENTS)
def test_a_payload_of_text_may_hold_an_event_and_not_its_data_alone(wrap: Wrap) -> None:
    for form in (bare, structured, structured_without_header):
        assert decoded(wrap_value(form(ATTRIBUTES, DATA), wrap)) == EVENT
    with pytest.raises(MalformedEvent, match="payload is text, as Debezium's outbox event router sends it") as error:
        decoded(wrap_value(in_binary_mode(ATTRIBUTES, DATA), wrap))
    assert error.value.kind is not Kind.VERSION


@pytest.mark.parametrize("name", [name for name, wrap in READ.items() if wrap(b"{}")[0] in b'{"'])
def test_the_data_of_a_structured_event_may_be_wrapped(name: str) -> None:
    assert decoded(wrap_data(READ[name])) == EVENT


@pytest.mark.parametrize("wrap", READ.values(), ids=READ)
def test_every_topic_takes_a_wrapping_off(wrap: Wrap) -> None:
    described = {"user_id": str(EVENT.user_id), "name": "Ada"}
    certified = {**json.loads(DATA), "code": "k5xw63tfon2ca5dimuqgy2lomu", "course_version": 2, "completion_number": 1}
    certified |= {"issue": 1, "issued_at": "2026-11-23T12:00:00Z"}
    for models, type, data in (
        (LEARNER_EVENTS, "LearnerDescribed", described),
        (COURSE_EVENTS, "CertificateIssued", certified),
    ):
        value, headers = in_binary_mode({**ATTRIBUTES, "type": type}, json.dumps(data))
        assert data_of(read(wrap(value), headers), models).user_id == EVENT.user_id


@pytest.mark.parametrize(("wrap", "reason"), NAMED.values(), ids=NAMED)
@pytest.mark.parametrize("form", [in_binary_mode, bare])
def test_what_cannot_be_read_is_named(form: Any, wrap: Wrap, reason: str) -> None:
    with pytest.raises(MalformedEvent) as error:
        decoded(wrap_value(form(ATTRIBUTES, DATA), wrap))

    assert reason in str(error.value)
    assert error.value.kind is not Kind.VERSION


@pytest.mark.parametrize("wrap", [in_payload, in_string, READ["a byte order mark"]])
def test_the_reason_names_the_wrapping_and_what_is_wrong_in_it(wrap: Wrap) -> None:
    value = wrap(DATA.replace("20", "0").encode())

    with pytest.raises(MalformedEvent, match=r"^data: .+: total_lessons: Input should be greater") as error:
        decoded((value, in_binary_mode(ATTRIBUTES, DATA)[1]))
    assert error.value.kind is Kind.SCHEMA


def test_a_whole_event_as_data_is_read_if_it_is_the_same() -> None:
    headers = in_binary_mode(ATTRIBUTES, DATA)[1]

    assert decoded((structured(ATTRIBUTES, DATA)[0], headers)) == EVENT
    with pytest.raises(MalformedEvent, match="another CloudEvent in its data"):
        decoded((structured({**ATTRIBUTES, "id": "event-2"}, DATA)[0], headers))


def test_an_event_that_is_only_faulty_is_not_taken_for_a_wrapping() -> None:
    value = json.dumps({**ATTRIBUTES, "time": "noon", "data": json.loads(DATA)}).encode()

    for headers in (STRUCTURED, []):
        with pytest.raises(MalformedEvent, match=r"^time: not an RFC 3339"):
            decoded((value, headers))


def test_wrappings_have_a_bound() -> None:
    value = DATA.encode()
    for _ in range(LAYERS + 1):
        value = in_string(value)

    assert unwrap(value).data is UNREADABLE
    assert "more than 6 wrappings" in unwrap(value).found


@unhurried
@given(
    st.binary() | st.binary().map(lambda tail: b"\x00" + tail) | st.text().map(lambda text: json.dumps(text).encode())
)
def test_any_value_is_unwrapped_without_an_error(value: bytes) -> None:
    assert isinstance(unwrap(value).found, str)


@pytest.mark.parametrize(
    ("text", "inner"),
    [
        ("plain", "plain"),
        ('"quoted"', "quoted"),
        ('"\\"twice\\""', "twice"),
        ('"\\u00e9"', "é"),
        ('{"schema": {"type": "string"}, "payload": "connect"}', "connect"),
        ("\ufeffmarked", "marked"),
        ('"', '"'),
        ('"open', '"open'),
        ("{5}", "{5}"),
        ('"a" "b"', '"a" "b"'),
        ("'single'", "'single'"),
        ("", ""),
    ],
)
def test_the_text_of_a_header_is_unwrapped(text: str, inner: str) -> None:
    assert unwrap_text(text) == inner
